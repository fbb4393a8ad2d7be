/** A permanent fault: reported with a message and its exit code, after few calls, and the lake does not change. */
import { createServer } from 'node:http';
import { once } from 'node:events';
import { join } from 'node:path';
import { rename, writeFile } from 'node:fs/promises';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { EXIT } from '../../src/kernel/errors.ts';
import type { FaultRule } from '../../sandbox/faults.ts';
import { startSandbox, type Sandbox } from '../../sandbox/sandbox.ts';
import { CAMPAIGN, caseOfMany } from '../support/campaign.ts';
import { CONTENT, COVERAGE } from './support/content.ts';
import { SOURCE, orderFaults } from './support/faulty.ts';
import { openWorld, reportOf, type World } from './support/world.ts';

const SETTINGS = { page: { maxRows: 250 }, http: { maxBodyBytes: 1 << 20 } };
const LATE = { table: 'Events', tenant: 'demo', from: '2026-10-30T05:00:00Z', to: '2026-10-30T09:00:00Z' } as const;

let sandbox: Sandbox;
let world: World;
let before: unknown;

beforeAll(async () => {
  sandbox = await startSandbox(SOURCE);
  world = await openWorld(sandbox);
  await world.run({ tables: ['Events'] });
  // Late rows, so that every later run has a page to fetch.
  await sandbox.apply({ action: 'generate', rows: 200, seed: 3, ...LATE });
  before = await world.sql(CONTENT);
});
afterAll(async () => {
  await world[Symbol.asyncDispose]();
  await sandbox.close();
});
beforeEach(() => order([]));

const order = (rules: FaultRule[]): Promise<void> => orderFaults(sandbox, rules);

/** For faults that make the client split pages again and again. */
const MOST_CALLS = 140;
const permanent: readonly (readonly [FaultRule['reply'], number, number])[] = [
  [{ kind: 'status', status: 400 }, EXIT.source, 5],
  [{ kind: 'status', status: 401 }, EXIT.auth, 5],
  [{ kind: 'status', status: 403 }, EXIT.auth, 5],
  [{ kind: 'status', status: 404 }, EXIT.auth, 5],
  [{ kind: 'status', status: 413 }, EXIT.source, MOST_CALLS],
  [{ kind: 'status', status: 429, retryAfter: 86_400 }, EXIT.source, 5],
  [{ kind: 'status', status: 500 }, EXIT.source, 33],
  [{ kind: 'status', status: 504 }, EXIT.source, 20],
  [{ kind: 'html' }, EXIT.source, 33],
  [{ kind: 'truncated-body' }, EXIT.source, 33],
  [{ kind: 'error-in-rows' }, EXIT.source, MOST_CALLS],
  [{ kind: 'too-large', by: 'bytes', mode: 'error-400' }, EXIT.source, MOST_CALLS],
  [{ kind: 'gzip-bomb', bytes: 1_200_000 }, EXIT.source, MOST_CALLS],
  [{ kind: 'endless-body', form: 'members' }, EXIT.source, 5],
  [{ kind: 'deep-nesting' }, EXIT.source, 33],
  [{ kind: 'malformed-rows', rows: 1000 }, EXIT.source, 5],
  [{ kind: 'wrong-tenant' }, EXIT.source, 5],
];

/** A refused key. */
const REPRESENTATIVES = /"status":401/;

describe('a permanent fault', () => {
  for (const [index, [reply, exitCode, calls]] of permanent.entries()) {
    const options = caseOfMany(index, REPRESENTATIVES.test(JSON.stringify(reply)));
    it(
      `${JSON.stringify(reply)}: exit code ${exitCode}, at most ${calls} calls, and the lake does not change`,
      options,
      async () => {
        await order([{ match: { kind: 'page' }, times: null, reply }]);
        const from = sandbox.calls.length;
        const report = await world.run({ tables: ['Events'] }, SETTINGS);
        expect(report.exitCode).toBe(exitCode);
        expect(reportOf(report, 'Events')).toMatchObject({ outcome: 'failed' });
        expect(reportOf(report, 'Events').error?.hint).toBeTruthy();
        expect(sandbox.calls.length - from).toBeLessThanOrEqual(calls);
        expect(await world.sql(CONTENT)).toEqual(before);
        // Hours with rows that the lake lacks are not reported as verified.
        expect(await world.sql(COVERAGE)).toContainEqual({ state: 'partial', hours: 4 });
      },
    );
  }

  it('a redirect is not followed: the other host receives nothing', async () => {
    let requests = 0;
    const other = createServer((_, response) => {
      requests++;
      response.end();
    }).listen(0, '127.0.0.1');
    await once(other, 'listening');
    const address = other.address();
    const port = typeof address === 'object' && address ? address.port : 0;
    for (const status of [301, 302, 303, 307, 308] as const) {
      await order([{ times: null, reply: { kind: 'redirect', status, location: `http://127.0.0.1:${port}/` } }]);
      expect((await world.run({ tables: ['Events'] }, SETTINGS)).exitCode).toBe(EXIT.source);
    }
    other.close();
    expect(requests).toBe(0);
  });

  it('https to a port that does not speak it is reported with the code of the error', async () => {
    const report = await world.run({ tables: ['Events'] }, { baseUrl: sandbox.url.replace('http:', 'https:') });
    expect(report.exitCode).toBe(EXIT.source);
    expect(reportOf(report, 'Events').error?.message).toMatch(/ERR_SSL|EPROTO|ECONN/);
  });

  it('when the fault is over, the next run ends verified', CAMPAIGN, async () => {
    await using fresh = await openWorld(sandbox);
    await fresh.run({ tables: ['Events'] });
    expect((await world.run({ tables: ['Events'] }, SETTINGS)).exitCode).toBe(EXIT.ok);
    expect(await world.sql(CONTENT)).toEqual(await fresh.sql(CONTENT));
  });
});

describe('a credential that expires in the middle of a run', () => {
  it('is read again, and the run ends verified with the new credential', CAMPAIGN, async () => {
    await using fresh = await openWorld(sandbox);
    const file = join(fresh.dataDir, 'key');
    await writeFile(file, 'sandbox-demo');
    const tenants = [{ id: 'demo', apiKey: { file } }];
    await order([
      {
        match: { kind: 'page', credential: '^sandbox-demo$' },
        after: 1,
        times: null,
        reply: { kind: 'status', status: 401 },
      },
    ]);
    let next = 0;
    const fetch: typeof globalThis.fetch = async (url, init) => {
      const response = await globalThis.fetch(url, init);
      if (response.status === 401) {
        // Replaced by rename, as a secret file should be: another call may be reading it.
        const aside = `${file}.${next++}`;
        await writeFile(aside, 'sandbox-demo:2');
        await rename(aside, file);
      }
      return response;
    };
    const report = await fresh.run({ tables: ['Events'] }, { ...SETTINGS, tenants }, { fetch });
    expect(report.exitCode).toBe(EXIT.ok);
    expect(reportOf(report, 'Events').retries).toBeGreaterThan(0);
  });
});
