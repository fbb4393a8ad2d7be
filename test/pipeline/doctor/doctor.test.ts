/** What `doctor` finds out: of this machine without a call, of an endpoint in a bounded number of them. */
import { chmod, mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { EXIT } from '../../../src/kernel/errors.ts';
import { asCount } from '../../../src/load/ledger/cells.ts';
import { openLedger } from '../../../src/load/ledger/ledger.ts';
import { updateProfile } from '../../../src/load/ledger/profile.ts';
import { doctor } from '../../../src/pipeline/doctor/doctor.ts';
import { verifyLake } from '../../../src/pipeline/maintenance/inspect.ts';
import { publishLake } from '../../../src/pipeline/maintenance/publish.ts';
import { lakeSettings } from '../../../src/pipeline/lake-settings.ts';
import type { DoctorCheck, DoctorReport } from '../../../src/model/report.ts';
import { doctorSummary } from '../../../src/output/doctor.ts';
import { verifySummary } from '../../../src/output/summary.ts';
import type { Runtime } from '../../../src/kernel/runtime.ts';
import type { SandboxOptions } from '../../../sandbox/sandbox.ts';
import type { Tree } from '../../../src/config/layers.ts';
import { openWorld, reportOf, type World } from '../support/world.ts';
import { CAMPAIGN, LONG } from '../../support/campaign.ts';

const SOURCE = { rows: 600, days: 3, seed: 6, now: '2026-11-01T00:30:00Z', frozen: true } as const;

let world: World;
afterEach(() => world[Symbol.asyncDispose]());

async function examine(
  source: SandboxOptions,
  { maxCalls = 20, values = {}, handles = {} }: { maxCalls?: number; values?: Tree; handles?: Partial<Runtime> } = {},
): Promise<DoctorReport> {
  world = await openWorld({ ...SOURCE, ...source });
  const now = () => Date.parse(SOURCE.now);
  const runtime = { ...world.runtime, now, ...handles };
  return doctor(
    world.config({ page: { maxRows: 5000 }, ...values }),
    { maxCalls },
    runtime,
    new AbortController().signal,
  );
}

function checkOf(report: DoctorReport, name: string): DoctorCheck {
  const all = [...report.machine, ...report.tenants.flatMap(({ checks }) => checks)];
  const found = all.find((check) => check.name === name);
  if (!found) throw new Error(`no check ${name} among ${all.map((check) => check.name).join(', ')}`);
  return found;
}

/** The real source, except that queries that match get these rows. */
function answering(match: RegExp, rows: readonly (readonly unknown[])[]): Partial<Runtime> {
  return {
    fetch: (url, init) =>
      typeof init?.body === 'string' && match.test(init.body)
        ? Promise.resolve(Response.json({ rows }))
        : globalThis.fetch(url, init),
  };
}

describe('doctor on damaged files', () => {
  it('names the Delta logs that differ from the lake or cannot be read, and verify starts them again and says so', CAMPAIGN, async () => {
    world = await openWorld(SOURCE);
    await world.run({ tables: ['Events'] });
    const log = (table: string): string => join(world.dataDir, 'store', table, '_delta_log', `${'0'.repeat(20)}.json`);
    const { signal } = new AbortController();
    const logs = async (): Promise<DoctorCheck> => {
      const report = await doctor(world.config(), { maxCalls: 2 }, world.runtime, signal);
      expect(report.exitCode).toBe(checkOf(report, 'Delta logs').ok ? EXIT.ok : EXIT.damaged);
      return checkOf(report, 'Delta logs');
    };
    expect(await logs()).toMatchObject({ ok: true, detail: '3 can be read' });
    await writeFile(log('events'), (await readFile(log('events'), 'utf8')).replace('2026-10.1', '2026-10.9'));
    await writeFile(log('metrics'), '{"add":');
    expect(await logs()).toMatchObject({ ok: false, detail: expect.stringContaining('metrics (damaged)'), hint: expect.stringContaining('insights-etl verify') });
    const verified = await verifyLake(world.config(), { tables: ['Events'] }, world.runtime, signal);
    expect(verified.exitCode).toBe(EXIT.damaged);
    expect(verified.delta.faults.map(({ table }) => table)).toEqual(['events', 'metrics']);
    expect(verifySummary(verified, { colour: false })).toContain('Delta log of events: differs; started again\n');
    expect(await logs()).toMatchObject({ ok: true, detail: '3 can be read' });
    expect((await verifyLake(world.config(), { tables: ['Events'] }, world.runtime, signal)).delta).toEqual({ logs: 3, faults: [] });
  }); // oxfmt-ignore

  it(
    'finds a block of the ledger, though a run may not read the block for months, and sends no call',
    CAMPAIGN,
    async () => {
      world = await openWorld(SOURCE);
      await world.run({ tables: ['Events'] });
      const path = join(world.dataDir, 'state.duckdb');
      const block = await (async () => {
        await using ledger = await openLedger(world.dataDir, lakeSettings(world.config()), world.runtime);
        const sql = `select max(block_id)::bigint as id from pragma_storage_info('runs') where persistent`;
        return (await ledger.row(sql, { id: asCount })).id;
      })();
      const bytes = await readFile(path);
      bytes.fill(0xff, 3 * 4096 + block * 262_144 + 1000, 3 * 4096 + block * 262_144 + 1010);
      await writeFile(path, bytes);
      const calls = world.sandbox.calls.length;
      const report = await doctor(world.config(), { maxCalls: 20 }, world.runtime, new AbortController().signal);
      expect(report.exitCode).toBe(EXIT.damaged);
      const { ok, hint } = checkOf(report, 'ledger');
      expect({ ok, hint }).toEqual({ ok: false, hint: expect.stringContaining('insights-etl repair') });
      expect(world.sandbox.calls).toHaveLength(calls);
    },
  );

  it('finds a damaged catalogue or manifest, and `publish` is the next step', LONG, async () => {
    world = await openWorld(SOURCE);
    await world.run({ tables: ['Events'] });
    const examined = (): ReturnType<typeof doctor> =>
      doctor(world.config(), { maxCalls: 2 }, world.runtime, new AbortController().signal);
    for (const name of ['insights.duckdb', 'manifest.json']) {
      const bytes = await readFile(join(world.dataDir, name));
      await writeFile(join(world.dataDir, name), bytes.subarray(0, bytes.length / 2));
      const report = await examined();
      expect(report.exitCode).toBe(EXIT.damaged);
      const hint = expect.stringContaining('insights-etl publish');
      expect(checkOf(report, 'published files')).toMatchObject({ ok: false, hint });
      await publishLake(world.config(), world.runtime);
      expect(checkOf(await examined(), 'published files')).toMatchObject({ ok: true });
    }
  });
});

describe('doctor on an endpoint', () => {
  it('answers every check in the calls that it reports, and suggests no change for a healthy endpoint', async () => {
    const report = await examine({});
    expect(report.exitCode).toBe(EXIT.ok);
    const [tenant] = report.tenants;
    expect(tenant?.checks.filter(({ ok, hint }) => !ok || hint !== undefined)).toEqual([]);
    expect(tenant?.calls).toBe(world.sandbox.calls.length);
    expect(tenant?.calls).toBeLessThanOrEqual(20);
    expect(checkOf(report, 'columns of Metrics').detail).toBe('all 6 are there, and no others');
    expect(checkOf(report, 'row cap').detail).toBe('an answer of 5000 rows arrives complete');
  });

  it.each([1, 2, 5])('sends at most %i calls and reports that it did not check the rest', async (maxCalls) => {
    const report = await examine({}, { maxCalls });
    expect(world.sandbox.calls).toHaveLength(maxCalls);
    expect(checkOf(report, 'rest').detail).toContain(`${maxCalls} calls`);
    expect(report.exitCode).toBe(EXIT.ok);
  });

  it('learns a row cap that cuts answers silently, so that the first load never reaches it', CAMPAIGN, async () => {
    const report = await examine({ rowCap: 150, limitMode: 'silent' });
    expect(checkOf(report, 'row cap').hint).toContain('page.maxRows to 150');
    // A learnt cap expires after 30 days, and the source's clock is frozen. So the run has the same clock.
    const atTheSource = { now: (): number => Date.parse(SOURCE.now) };
    const events = reportOf(await world.run({ tables: ['Events'] }, {}, atTheSource), 'Events');
    expect(events).toMatchObject({ outcome: 'verified', splits: 0 });
  });

  it('drops a row cap that runs had learnt when a whole page arrives, and says so', LONG, async () => {
    await examine({});
    const config = world.config({ page: { maxRows: 5000 } });
    const now = (): number => Date.parse(SOURCE.now);
    const runtime = { ...world.runtime, now };
    const learn = async (rowCap: number): Promise<void> => {
      await using ledger = await openLedger(world.dataDir, lakeSettings(config), runtime);
      await updateProfile(ledger, 'demo', { rowCap, capsAt: SOURCE.now });
    };
    const capsOf = async (): Promise<string> => {
      const report = await doctor(config, { maxCalls: 20 }, runtime, new AbortController().signal);
      return checkOf(report, 'caps').detail;
    };
    await learn(120);
    expect(await capsOf()).toBe(
      'the source has not shown a lower limit than configured; the cap of 120 rows that runs had learnt is dropped',
    );
    expect(await capsOf()).toBe('the source has not shown a lower limit than configured');
    // Learnt by an earlier version from a page of two rows that lacked one.
    await learn(1);
    expect(await capsOf()).toBe('the source has not shown a lower limit than configured');
  });

  it("measures how long rows are kept by the source's clock, not by this machine's", CAMPAIGN, async () => {
    const ahead = { now: () => Date.parse(SOURCE.now) + 100 * 86_400_000 };
    const report = await examine({ days: 40 }, { handles: ahead });
    expect(checkOf(report, 'rows of Logs').hint).toBeUndefined();
    await world[Symbol.asyncDispose]();
    const longer = await examine({ days: 40 }, { values: { tables: { Logs: { retentionDays: 20 } } } });
    expect(checkOf(longer, 'rows of Logs').hint).toMatch(/keeps rows for at least 3[89] days/);
  });

  it('describes the wire form as it was received', async () => {
    const wire = { shape: 'columns', row: 'object', dynamic: 'text' } as const;
    const report = await examine({ wire });
    expect(checkOf(report, 'wire form').detail).toMatch(
      /^rows as objects, columns named, dynamic values as text, timestamps with 7 fractional digits/,
    );
  });

  it('names the key to change when rows arrive later than they settle and when Logs are kept longer', async () => {
    const report = await examine(
      { logsDays: 100, days: 80 },
      { handles: answering(/ingestion_time/, [['812', '2405.5']]) },
    );
    expect(checkOf(report, 'arrival').hint).toContain('settleMinutes to 41');
    expect(checkOf(report, 'rows of Logs').hint).toMatch(/tables\.Logs\.retentionDays/);
    expect(report.exitCode).toBe(EXIT.ok);
  });

  it('fails for a missing column and only names a new one', async () => {
    const columns = [
      ['eventId', 'guid'],
      ['timestamp', 'datetime'],
      ['tenantId', 'string'],
      ['eventType', 'string'],
      ['properties', 'dynamic'],
      ['region', 'string'],
    ];
    const report = await examine({}, { handles: answering(/^\{"query":"Events\\n\| getschema/, columns) });
    expect(checkOf(report, 'columns of Events')).toMatchObject({
      ok: false,
      detail: 'missing: operationId; not loaded: region',
    });
    expect(report.exitCode).toBe(EXIT.source);
  });

  it('does not fail when the endpoint refuses queries that runs do not need', async () => {
    const rules = ['getschema', 'range', 'guid\\(', 'datatable', 'declare'].map((query) => ({
      match: { query },
      times: 9,
      reply: { kind: 'status', status: 400 } as const,
    }));
    const report = await examine({ faults: rules });
    expect(report.exitCode).toBe(EXIT.ok);
    expect(checkOf(report, 'columns of Logs').detail).toBe('the endpoint does not list them');
  });
});

describe('the clock', () => {
  it.each([
    [-400, 'says the same', false],
    [1_400, 'is 1 second ahead of it', false],
    [100_000, 'is 100 seconds ahead of it', false],
    [-5 * 60_000, 'is 5 minutes behind it', true],
    [3.5 * 3_600_000, 'is 3.5 hours ahead of it', true],
    [2_145_452_000, 'is 24.8 days ahead of it', true],
  ])('a difference of %i ms reads "%s"', async (differenceMs, text, hasHint) => {
    const report = await examine({}, { maxCalls: 1, handles: { now: () => Date.parse(SOURCE.now) + differenceMs } });
    const clock = checkOf(report, 'clock');
    expect(clock.detail).toBe(`the source's clock says 2026-11-01T00:30:00Z; this machine's clock ${text}`);
    expect(clock.hint !== undefined).toBe(hasHint);
  });
});

describe('a source behind a proxy', () => {
  it('is reported as reached through that proxy', async () => {
    const report = await examine({}, { maxCalls: 1, handles: { proxyOf: () => 'http://proxy.example:3128' } });
    expect(checkOf(report, 'reachable').detail).toBe(
      'the service answers at the configured address through the proxy http://proxy.example:3128',
    );
  });
});

describe('a source that is not there', () => {
  it('is not described: a stall is named, and nothing else is claimed', async () => {
    const report = await examine(
      { faults: [{ times: null, reply: { kind: 'stall' } }] },
      { values: { http: { timeoutSeconds: 1 } } },
    );
    const checks = report.tenants.flatMap((tenant) => tenant.checks);
    expect(checks).toEqual([
      {
        name: 'reachable',
        ok: false,
        detail: 'The source did not answer the smallest query in time: its calls timed out.',
        hint: expect.stringMatching(/^Run again later/),
      },
    ]);
    expect(report.exitCode).toBe(EXIT.source);
  });

  it('a clock that is off by years is a failure, except for a service on this machine, which may have its own', async () => {
    const off = { now: () => Date.parse(SOURCE.now) + 545 * 86_400_000 };
    const fetchLocal: Runtime['fetch'] = (url, init) => globalThis.fetch(typeof url === 'string' ? url.replace('https://api.example', world.sandbox.url) : url, init); // oxfmt-ignore
    const remote = { baseUrl: 'https://api.example', callsPerMinute: 1000 };
    const report = await examine({}, { maxCalls: 1, values: remote, handles: { ...off, fetch: fetchLocal } });
    expect(checkOf(report, 'clock')).toMatchObject({ ok: false, detail: expect.stringMatching(/545\.0 days ahead/) });
    expect(doctorSummary(report, { colour: false })).toMatch(
      /\n {2}FAIL {2}clock: .*\n {8}next: Correct this machine's clock/,
    );
    await world[Symbol.asyncDispose]();
    const local = await examine({}, { maxCalls: 1, handles: off });
    expect(checkOf(local, 'clock').ok).toBe(true);
    expect(doctorSummary(local, { colour: false })).toMatch(/\n {2}note {2}clock: /);
  });
});

describe('doctor on this machine', () => {
  it('reports leftovers and open permissions and changes nothing', async () => {
    world = await openWorld(SOURCE);
    const batch = join(world.dataDir, 'landing', 'demo', 'Events', 'b1');
    await mkdir(batch, { recursive: true });
    await writeFile(join(batch, 'p1.ndjson'), '');
    await writeFile(join(world.dataDir, 'manifest.json.tmp'), '');
    await chmod(world.dataDir, 0o755);
    const report = await doctor(world.config(), { maxCalls: 1 }, world.runtime, new AbortController().signal);
    expect(checkOf(report, 'leftovers').detail).toBe('1 landed file, 1 unfinished file');
    expect(checkOf(report, 'permissions').hint).toContain('chmod 700');
    expect(checkOf(report, 'hard links').ok).toBe(true);
    expect(checkOf(report, 'versions').detail).toContain(`Node ${process.versions.node}, DuckDB v`);
    expect(report.exitCode).toBe(EXIT.ok);
  });
});
