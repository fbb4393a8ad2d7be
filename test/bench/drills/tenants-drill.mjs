/** Fifty tenants in one data directory, three of them broken: the others are loaded, and the broken ones when they work again. */
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { cli, startSandbox } from '../harness.mjs';
import { countsOf, lakeCounts, lostRows } from './stage.mjs';

const TENANTS = Array.from({ length: 50 }, (_, k) => `t${String(k + 1).padStart(2, '0')}`);
const [WRONG_KEY, FOREIGN_KEY, DOWN] = ['t07', 't23', 't41'];

let sandbox;
let folder;

async function run(keys) {
  const config = join(folder, 'insights.yaml');
  const tenants = TENANTS.map((id) => `  - { id: ${id}, apiKey: { env: KEY_${id} } }`);
  const lines = [
    `baseUrl: ${sandbox.url}`,
    'dataDir: ./data',
    'callsPerMinute: 0',
    'http: { attempts: 2 }',
    'tenants:',
  ];
  await writeFile(config, `${[...lines, ...tenants].join('\n')}\n`);
  const env = Object.fromEntries(TENANTS.map((id) => [`KEY_${id}`, keys[id] ?? `sandbox-${id}`]));
  return cli(['run', '--config', config], { env });
}

async function lostOf(tenants) {
  let lost = 0;
  for (const tenant of tenants)
    lost += lostRows(await countsOf(sandbox, tenant), await lakeCounts(join(folder, 'data'), tenant));
  return lost;
}

export const TENANTS_DRILL = {
  name: `${TENANTS.length} tenants, 3 of them broken`,
  expected: [3, 4],
  async run(stage) {
    folder = join(stage.folder, 'tenants');
    await mkdir(folder);
    const now = new Date(Date.now() - 3_600_000).toISOString();
    const flags = `--rows 60 --days 1 --shape even --tenants ${TENANTS.join(',')} --now ${now} --rate 0`;
    sandbox = await startSandbox(...flags.split(' '));
    await sandbox.admin('/clock', { advance: '1h' });
    await sandbox.admin('/faults', [{ match: { tenant: DOWN }, times: null, reply: { kind: 'status', status: 503 } }]);
    const done = await run({ [WRONG_KEY]: 'not-the-key', [FOREIGN_KEY]: 'sandbox-t01' });
    const lost = await lostOf(TENANTS.filter((id) => ![WRONG_KEY, FOREIGN_KEY, DOWN].includes(id)));
    if (lost > 0) throw new Error(`the 47 other tenants lack ${lost} rows`);
    return done;
  },
  /** In place of the run and the comparison that the other drills end with. */
  async judge() {
    await sandbox.admin('/faults', []);
    const good = await run({});
    return { good, lost: await lostOf(TENANTS), equal: true };
  },
  async end() {
    await sandbox.stop();
    await rm(folder, { recursive: true, force: true });
  },
};
