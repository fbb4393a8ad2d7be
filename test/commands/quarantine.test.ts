/** `quarantine` and `tenant pin` against a real source and a real data directory. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { EXIT } from '../../src/kernel/errors.ts';
import { startSandbox, type Sandbox } from '../../sandbox/sandbox.ts';
import { openStage, type Stage } from '../support/shell.ts';
import { CAMPAIGN, LONG } from '../support/campaign.ts';

const HOSTILE = { secret: 's\u001b[31m3cret \u202etxt.exe' };

let sandbox: Sandbox;
let stage: Stage;
let env: Record<string, string>;

beforeAll(async () => {
  const now = '2026-11-01T00:30:00Z';
  sandbox = await startSandbox({ rows: 60, days: 1, seed: 4, now, frozen: true, rate: 0, memory: true });
  const row = (eventId: string, tenantId: string, properties: object = {}) => ({
    eventId,
    timestamp: '2026-10-31T12:00:00Z',
    tenantId,
    eventType: 'Pass:Created',
    operationId: '',
    properties,
  });
  const rows = [row('0000000a-0000-4000-8000-000000000001', 'T-0042', HOSTILE), row('0000000a-0000-4000-8000-000000000002', 'T-0042')]; // oxfmt-ignore
  await sandbox.apply({ action: 'rows', tenant: 'demo', table: 'Events', rows });
  stage = await openStage();
  env = {
    INSIGHTS_BASE_URL: sandbox.url,
    INSIGHTS_TENANT: 'demo',
    INSIGHTS_API_KEY: sandbox.keyOf('demo'),
    INSIGHTS_CALLS_PER_MINUTE: '0',
    // Not what is tested here, and more work than all the rest.
    INSIGHTS_LAKE_MARTS: 'false',
    INSIGHTS_LAKE_CHECKS: 'false',
  };
});
afterAll(async () => {
  await sandbox.close();
  await stage[Symbol.asyncDispose]();
});

const run = (...argv: string[]) => stage.run(argv, env);

async function jsonOf<T extends z.ZodType>(shape: T, ...argv: string[]): Promise<z.infer<T>> {
  const { code, out, err } = await run(...argv, '--json');
  expect({ code, err }).toEqual({ code: 0, err: '' });
  return shape.parse(JSON.parse(out));
}

const counts = z.array(z.object({ reason: z.string(), rows: z.number(), dropped: z.number() }));
const replayed = z.object({ tables: z.array(z.object({ judged: z.number(), loaded: z.number() })), published: z.boolean() }); // oxfmt-ignore

describe('before anything is loaded', () => {
  it.each(['list', 'show', 'replay'])('%s reports that', async (verb) => {
    const { code, err } = await run('quarantine', verb);
    expect(code).toBe(EXIT.config);
    expect(err).toContain('Nothing has been loaded into this data directory yet.');
  });
});

describe('rows of another tenant id than the pinned one', () => {
  beforeAll(async () => {
    const { code, err } = await run('run', '--quiet', '--table', 'Events');
    if (code !== EXIT.ok) throw new Error(`the rows could not be loaded: ${err}`);
  });

  it('are counted by tenant, table, day and reason', CAMPAIGN, async () => {
    const { code, out } = await run('quarantine', 'list');
    expect(code).toBe(EXIT.ok);
    expect(out).toMatch(/tenant\s+table\s+day\s+reason\s+rows\s+dropped\n/);
    expect(out).toMatch(/demo\s+Events\s+2026-10-31\s+foreign_tenant\s+2\s+0\n/);
    expect(out).toContain('2 rows in quarantine');
    expect(out).not.toContain('3cret');
    expect(await jsonOf(counts, 'quarantine', 'list', '--reason', 'no_id')).toEqual([]);
  });

  it('are shown with their text, made safe for a terminal', async () => {
    const { code, out } = await run('quarantine', 'show', '--tenant', 'd*', '--table', 'events', '--limit', '1');
    expect(code).toBe(EXIT.ok);
    expect(out).toContain('demo · Events · 2026-10-31T12:00:00.000000Z · foreign_tenant · id 0000000a-');
    expect(out).toContain('3cret');
    expect(out).toContain('… 1 more row; --limit shows more');
    // oxlint-disable-next-line no-control-regex -- it matches control characters on purpose
    expect(out).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u202e]/);
    const rows = await jsonOf(z.array(z.object({ text: z.string() })), 'quarantine', 'show');
    expect(rows).toHaveLength(2);
    expect(rows[0]?.text).toContain('T-0042');
  });

  it('stay in quarantine when a replay applies the same rules, without any call', async () => {
    const before = sandbox.calls.length;
    expect(await jsonOf(replayed, 'quarantine', 'replay')).toMatchObject({ tables: [{ judged: 2, loaded: 0 }], published: false }); // oxfmt-ignore
    expect(sandbox.calls.length).toBe(before);
  });

  it(
    'move into the lake when their id is pinned, and the others move out; every hour stays verified without a call',
    LONG,
    async () => {
      // Loads the rows if no earlier test has.
      expect((await run('run', '--quiet', '--table', 'Events')).code).toBe(EXIT.ok);
      const before = sandbox.calls.length;
      const { code, out } = await run('tenant', 'pin', 'demo', 'T-0042');
      expect(code).toBe(EXIT.ok);
      expect(out).toMatch(/^rows of demo must have the tenantId "T-0042"; \d+ rows of the lake did not/);
      expect(await sql(`select count(*) as n from events`)).toEqual([{ n: 2 }]);
      expect((await run('tenant', 'pin', 'demo', 'demo')).code).toBe(EXIT.ok);
      expect(sandbox.calls.length).toBe(before);
      expect((await run('doctor')).out).toContain('tenantId "demo" (pinned: "demo")');
      expect(await sql(`select distinct state from coverage where source_rows > 0`)).toEqual([{ state: 'verified' }]);
      expect(await sql(`select count(distinct source_tenant_id) as n, sum((source_tenant_id = 'demo')::int) > 30 as most from events`)).toEqual([{ n: 1, most: true }]); // oxfmt-ignore
      expect((await run('run', '--quiet', '--table', 'Events')).code, 'and the source agrees').toBe(EXIT.ok);
    },
  );

  it('are dropped only with --yes; their hour stays verified, and the next run fetches no page', CAMPAIGN, async () => {
    const { code, err } = await run('quarantine', 'drop');
    expect(code).toBe(EXIT.config);
    expect(err).toContain('--yes');
    const dropped = await jsonOf(z.array(z.object({ emptied: z.number() })), 'quarantine', 'drop', '--yes');
    expect(dropped).toMatchObject([{ emptied: 2 }]);
    expect((await run('quarantine', 'show')).out).toContain('(dropped)');
    const before = sandbox.calls.length;
    expect((await run('run', '--quiet', '--table', 'Events')).code).toBe(EXIT.ok);
    expect(sandbox.calls.length - before).toBe(1);
    expect(await jsonOf(counts, 'quarantine', 'list')).toEqual([{ reason: 'foreign_tenant', rows: 2, dropped: 2 }]);
  });
});

describe('mistakes', () => {
  const cases: readonly (readonly [argv: readonly string[], says: string])[] = [
    [['quarantine', 'list', '--reason', 'nonsense'], 'foreign_tenant'],
    [['quarantine', 'list', '--table', 'Evnets'], 'Did you mean "Events"?'],
    [['quarantine', 'list', '--before', 'soon'], '"soon" is not a date'],
    [['quarantine', 'show', '--limit', '-1'], "argument '-1' is invalid. Allowed: a whole number, 0 or more."],
    [['tenant', 'pin', 'demi', 'x'], 'Did you mean "demo"?'],
  ];
  it.each(cases)('%j', async (argv, says) => {
    const { code, err } = await run(...argv);
    expect(code).toBe(EXIT.config);
    expect(err).toContain(says);
  });
});

async function sql(query: string): Promise<unknown> {
  const { out, err } = await run('sql', query, '--format', 'json');
  if (err !== '') throw new Error(err);
  return JSON.parse(out) as unknown;
}
