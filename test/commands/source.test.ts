/** The commands against a source: a real sandbox over HTTP, a real data directory. */
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { readFile, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { DuckDBInstance } from '@duckdb/node-api';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { EXIT } from '../../src/kernel/errors.ts';
import { startSandbox, type Sandbox } from '../../sandbox/sandbox.ts';
import { publishedOf } from '../support/files.ts';
import { openStage, type Stage } from '../support/shell.ts';
import { CAMPAIGN, LONG } from '../support/campaign.ts';

let sandbox: Sandbox;
let stage: Stage;
beforeAll(async () => {
  const steps = [{ afterCalls: 0, do: { action: 'clock', advance: '1h' } }] as const;
  const now = '2026-11-01T00:00:00Z';
  sandbox = await startSandbox({
    rows: 1200,
    days: 3,
    seed: 3,
    tenants: ['demo', 'other'],
    now,
    frozen: true,
    rate: 0,
    scenario: steps,
  });
  stage = await openStage();
});
afterAll(async () => {
  await sandbox.close();
  await stage[Symbol.asyncDispose]();
});

function env(tenant = 'demo', key = sandbox.keyOf(tenant)): Record<string, string> {
  return {
    INSIGHTS_BASE_URL: sandbox.url,
    INSIGHTS_TENANT: tenant,
    INSIGHTS_API_KEY: key,
    INSIGHTS_CALLS_PER_MINUTE: '0',
  };
}

/** For data directories of one test: marts and checks are in the first load. */
const BARE = { INSIGHTS_LAKE_MARTS: 'false', INSIGHTS_LAKE_CHECKS: 'false' };

/** Loads the tenant, unless an earlier test has. */
async function ensureLoaded(): Promise<void> {
  if (!existsSync(join(stage.folder, 'data', 'manifest.json'))) await runJson(['run'], env());
}

const runReport = z.object({
  exitCode: z.number(),
  tables: z.array(
    z.object({
      tenant: z.string(),
      table: z.string(),
      outcome: z.string(),
      calls: z.number(),
      rowsFetched: z.number(),
      changed: z.boolean(),
    }),
  ),
});

async function runJson(
  argv: readonly string[],
  using: Record<string, string>,
): Promise<z.infer<typeof runReport> & { code: number }> {
  const { code, out, err } = await stage.run([...argv, '--json'], using);
  if (out === '') throw new Error(err);
  return { ...runReport.parse(JSON.parse(out)), code };
}

describe('from nothing to a report', () => {
  it('doctor finds no fault and sends no more calls than allowed', CAMPAIGN, async () => {
    const before = sandbox.calls.length;
    const { code, out } = await stage.run(['doctor', '--max-calls', '6'], env());
    expect({ code, out }).toMatchObject({ code: EXIT.ok });
    expect(out).not.toContain('FAIL');
    expect(sandbox.calls.length - before).toBe(6);
  });

  it('plan shows what a run would fetch, and fetches nothing', CAMPAIGN, async () => {
    const { code, out } = await stage.run(['plan', '--json'], env());
    expect(code).toBe(EXIT.ok);
    const plan = z
      .object({ tables: z.array(z.object({ rows: z.number(), pages: z.number() })) })
      .parse(JSON.parse(out));
    expect(plan.tables.reduce((sum, table) => sum + table.rows, 0)).toBeGreaterThan(1000);
    expect(await publishedOf(join(stage.folder, 'data')).catch(() => new Map())).toEqual(new Map());
  });

  it('run loads and proves all three tables', async () => {
    const report = await runJson(['run'], env());
    expect(report.code).toBe(EXIT.ok);
    expect(report.tables.map(({ table, outcome }) => [table, outcome])).toEqual([
      ['Logs', 'verified'],
      ['Events', 'verified'],
      ['Metrics', 'verified'],
    ]);
  });

  it('a second run sends one call per table and changes no published file', async () => {
    const before = await publishedOf(join(stage.folder, 'data'));
    const report = await runJson(['run'], env());
    expect(report.tables.map(({ calls, rowsFetched, changed }) => ({ calls, rowsFetched, changed }))).toEqual(
      Array.from({ length: 3 }, () => ({ calls: 1, rowsFetched: 0, changed: false })),
    );
    expect(await publishedOf(join(stage.folder, 'data'))).toEqual(before);
  });

  it('status, verify and the reports work', LONG, async () => {
    await ensureLoaded();
    for (const argv of [
      ['status'],
      ['verify'],
      ['verify', '--deep'],
      ['query', 'installs'],
      ['query', 'active_passes_by_platform'],
      ['query', 'log_errors'],
    ]) {
      const { code, out, err } = await stage.run(argv, env());
      expect({ argv, code, err: err.includes('error:'), hasOutput: out.length > 0 }).toEqual({
        argv,
        code: EXIT.ok,
        err: false,
        hasOutput: true,
      });
      const asJson = await stage.run([...argv, '--json'], env());
      expect(() => void JSON.parse(asJson.out)).not.toThrow();
    }
  });

  it('the account of every hour balances in the catalogue', async () => {
    const { out } = await stage.run([
      'sql',
      `select count(*) as hours, count(*) filter (where source_rows = lake_rows + duplicate_rows + quarantined_rows) as balanced
       from coverage where state = 'verified' and source_rows > 0`,
      '--json',
    ]);
    const [row] = z.array(z.object({ hours: z.number(), balanced: z.number() })).parse(JSON.parse(out));
    expect(row?.hours).toBeGreaterThan(100);
    expect(row?.balanced).toBe(row?.hours);
  });

  it('a backfill of a loaded range costs one call per table and changes nothing', CAMPAIGN, async () => {
    await ensureLoaded();
    const before = await publishedOf(join(stage.folder, 'data'));
    const report = await runJson(['backfill', '--from', '2026-10-30', '--to', '2026-10-31'], env());
    expect(report.tables.every(({ calls, changed }) => calls === 1 && !changed)).toBe(true);
    expect(await publishedOf(join(stage.folder, 'data'))).toEqual(before);
  });
});

describe('a refused credential ends with 3, says what to check, and changes no published file', () => {
  it.each([
    ['a wrong key', 'demo', 'k-wrong', /key/i],
    ['a key of another tenant', 'demo', 'sandbox-other', /tenant/i],
    ['a key without the scope', 'demo', 'sandbox-demo-noscope', /Insights\.Read.*Insights:Read/],
    ['an unknown tenant', 'nobody', 'sandbox-demo', /tenant/i],
  ])('%s', async (_name, tenant, key, hint) => {
    const before = await publishedOf(join(stage.folder, 'data'));
    const { code, out, err } = await stage.run(['run'], env(tenant, key));
    expect({ code, out, err }).toMatchObject({ code: EXIT.auth });
    expect(out + err).toMatch(hint);
    expect(out + err).not.toContain(key);
    expect(await publishedOf(join(stage.folder, 'data'))).toEqual(before);
  });
});

describe('several tenants in one data directory', () => {
  it('one tenant’s failure does not stop the other, and gives the exit code', CAMPAIGN, async () => {
    await stage.write(
      'two.yaml',
      `dataDir: two\ncallsPerMinute: 0\ntenants: [{id: demo, apiKey: {env: DEMO}}, {id: other, apiKey: {env: OTHER}}]`,
    );
    const keys = { ...BARE, INSIGHTS_BASE_URL: sandbox.url, DEMO: 'wrong', OTHER: 'sandbox-other' };
    const report = await runJson(['run', '--config', 'two.yaml'], keys);
    expect(report.code).toBe(EXIT.auth);
    const verified = report.tables.filter(({ outcome }) => outcome === 'verified');
    expect(verified.map(({ tenant }) => tenant)).toEqual(['other', 'other', 'other']);
    const chosen = await runJson(['run', '--config', 'two.yaml', '--tenant', 'o*', '--table', 'events'], keys);
    expect(chosen.tables.map(({ tenant, table }) => `${tenant} ${table}`)).toEqual(['other Events']);
    expect(chosen.code).toBe(EXIT.ok);
  });
});

describe('a data directory that cannot be used', () => {
  it('held by another process: ends with 6, naming the process', async () => {
    const state = join(stage.folder, 'data', 'state.duckdb');
    const script = `const { DuckDBInstance } = require('@duckdb/node-api');
      DuckDBInstance.create(${JSON.stringify(state)}).then(() => { console.log('held'); setInterval(() => {}, 1000); });`;
    const holder = spawn(process.execPath, ['-e', script], {
      cwd: fileURLToPath(new URL('../..', import.meta.url)),
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const ended = new Promise((resolve) => holder.once('exit', resolve));
    try {
      await new Promise((resolve) => holder.stdout.once('data', resolve));
      const before = sandbox.calls.length;
      const { code, err } = await stage.run(['run'], env());
      expect({ code, err }).toMatchObject({ code: EXIT.locked });
      expect(err).toContain(String(holder.pid));
      expect(err).toContain('\nnext:  ');
      expect(sandbox.calls.length).toBe(before);
      const read = await stage.run(['sql', 'select count(*) as n from events', '--format', 'csv']);
      expect(read.code).toBe(EXIT.ok);
    } finally {
      holder.kill();
      await ended;
    }
  });

  it('written by a newer version: ends with 7 and sends no calls', CAMPAIGN, async () => {
    const dataDir = join(stage.folder, 'newer');
    await runJson(['run', '--table', 'logs', '--data-dir', dataDir], { ...env(), ...BARE });
    const instance = await DuckDBInstance.create(join(dataDir, 'state.duckdb'));
    const connection = await instance.connect();
    await connection.run('insert into migrations values (99, now())');
    connection.closeSync();
    instance.closeSync();
    const before = [await publishedOf(dataDir), sandbox.calls.length];
    const { code, err } = await stage.run(['run', '--data-dir', dataDir], env());
    expect({ code, err }).toMatchObject({ code: EXIT.newerState });
    expect(err).toContain('\nnext:  ');
    expect([await publishedOf(dataDir), sandbox.calls.length]).toEqual(before);
  });

  it('a file where the folder should be: ends with 10', async () => {
    const path = await stage.write('not-a-folder', 'x');
    const { code, err } = await stage.run(['run', '--data-dir', path], env());
    expect({ code, err }).toMatchObject({ code: EXIT.disk });
    expect(await readFile(path, 'utf8')).toBe('x');
  });
});

describe('schedule --once', () => {
  it('runs what is due and then finds nothing due', CAMPAIGN, async () => {
    await ensureLoaded();
    const before = sandbox.calls.length;
    const first = await stage.run(['schedule', '--once', '--cron', '0 0 1 1 *'], env());
    expect(first).toMatchObject({ code: EXIT.ok, out: expect.stringContaining('nothing new, no file changed') });
    expect(sandbox.calls.length - before).toBe(3);
    const second = await stage.run(['schedule', '--once', '--cron', '0 0 1 1 *'], env());
    expect(second).toMatchObject({ code: EXIT.ok, out: '' });
    expect(sandbox.calls.length - before).toBe(3);
  });
});

describe('a ledger that is gone', () => {
  it('ends with 9 and names repair, which rebuilds it; the next run verifies everything again', LONG, async () => {
    await ensureLoaded();
    const state = join(stage.folder, 'data', 'state.duckdb');
    await rm(state);
    await rm(`${state}.wal`, { force: true });
    const refused = await stage.run(['run'], env());
    expect(refused).toMatchObject({ code: EXIT.damaged, err: expect.stringContaining('insights-etl repair') });
    const repaired = await stage.run(['repair', '--json'], env());
    expect(repaired.code).toBe(EXIT.ok);
    const report = await runJson(['run'], env());
    expect(report.tables.map(({ outcome }) => outcome)).toEqual(['verified', 'verified', 'verified']);
  });
});

describe('a stop signal during a run', () => {
  it('the first stops it cleanly with 11, the second at once, and the next run continues', CAMPAIGN, async () => {
    const argv = ['run', '--table', 'events', '--data-dir', 'stopped'];
    // A service that accepts the call and then says nothing.
    const silent = createServer();
    const asked = new Promise((resolve) => silent.once('request', resolve));
    await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve));
    const address = silent.address();
    const port = typeof address === 'object' && address !== null ? address.port : 0;
    const silence = { INSIGHTS_BASE_URL: `http://127.0.0.1:${port}`, INSIGHTS_HTTP_GRACE_SECONDS: '1' };
    const running = stage.run(argv, { ...env(), ...BARE, ...silence });
    await asked;
    stage.signal('SIGTERM');
    stage.signal('SIGTERM');
    const { code } = await running;
    silent.closeAllConnections();
    silent.close();
    expect(code).toBe(EXIT.stopped);
    expect(stage.forced).toEqual([EXIT.forced]);
    expect((await stage.run(argv, { ...env(), ...BARE })).code).toBe(EXIT.ok);
  });
});
