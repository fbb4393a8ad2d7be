/** Drills in which the source, the key or the network is at fault. */
import { createServer } from 'node:net';
import { OTHER_TENANT, TENANT } from './stage.mjs';

/** Fails fast: a drill is about what is said, not about patience. */
const HASTY = { INSIGHTS_HTTP_ATTEMPTS: '2', INSIGHTS_HTTP_TIMEOUT_SECONDS: '1', INSIGHTS_HTTP_STALL_SECONDS: '1' };
const always = (reply, after = 0) => [{ after, times: null, reply }];

/** A port on which nothing listens. */
async function closedPort() {
  const server = createServer();
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address();
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** A first load while the source answers like this. */
const faulty = (name, expected, rules, env = HASTY) => ({
  name,
  expected,
  async run(stage) {
    await stage.empty();
    await stage.faults(rules);
    return stage.run(['run'], { env });
  },
});

export const SOURCE_DRILLS = [
  {
    name: 'wrong key',
    expected: 3,
    async run(stage) {
      await stage.empty();
      return stage.run(['run'], { env: { INSIGHTS_API_KEY: 'not-the-key' } });
    },
  },
  {
    name: 'wrong tenant: the key belongs to another one',
    expected: 3,
    async run(stage) {
      await stage.empty();
      return stage.run(['run'], { env: { INSIGHTS_TENANT: OTHER_TENANT, INSIGHTS_API_KEY: `sandbox-${TENANT}` } });
    },
  },
  {
    name: 'wrong tenant: it does not exist',
    expected: 3,
    async run(stage) {
      await stage.empty();
      return stage.run(['run'], { env: { INSIGHTS_TENANT: 'nobody' } });
    },
  },
  {
    name: 'API down: nothing listens',
    expected: 4,
    async run(stage) {
      await stage.empty();
      return stage.run(['run'], { env: { ...HASTY, INSIGHTS_BASE_URL: `http://127.0.0.1:${await closedPort()}` } });
    },
  },
  faulty('API down: 503', 4, always({ kind: 'status', status: 503 })),
  faulty('API stalled from the start', 4, always({ kind: 'stall' })),
  faulty('API stalled in the middle of a run', 4, always({ kind: 'stall', at: 'body' }, 4)),
  faulty('endless 429', 4, always({ kind: 'status', status: 429, retryAfter: 1 })),
  faulty('key expires in the middle of a run', 3, always({ kind: 'status', status: 401 }, 5)),
  {
    name: 'proxy down',
    expected: 4,
    async run(stage) {
      await stage.empty();
      const proxy = `http://127.0.0.1:${await closedPort()}`;
      const proxies = { HTTPS_PROXY: proxy, https_proxy: proxy, NO_PROXY: '', no_proxy: '' };
      // Services on this machine are never asked through a proxy. No name of this kind exists, and nobody is asked for it.
      const remote = { INSIGHTS_BASE_URL: 'https://insights.invalid', INSIGHTS_CALLS_PER_MINUTE: '600' };
      return stage.run(['run'], { env: { ...HASTY, ...proxies, ...remote } });
    },
  },
];
