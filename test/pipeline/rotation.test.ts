/** History before the days that every run compares is compared in rotation: a share in each run, in the same call. */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Tree } from '../../src/config/layers.ts';
import { doctor } from '../../src/pipeline/doctor/doctor.ts';
import { planSummary } from '../../src/output/summary.ts';
import { verifyLake } from '../../src/pipeline/maintenance/inspect.ts';
import { planRun } from '../../src/pipeline/plan-run.ts';
import { lakeStatus } from '../../src/pipeline/status.ts';
import type { DoctorCheck, TableReport } from '../../src/model/report.ts';
import { CAMPAIGN, LONG } from '../support/campaign.ts';
import { loadOnce, reportOf, type LoadedWorlds, type World } from './support/world.ts';

const NOW = '2026-11-01T00:30:00Z';
const EVENTS = { tables: ['Events'] } as const;
/** Ten older days at first, of which each is due after 3 days. */
const ROTATION = { depthDays: 2, rotationDays: 4 };
const LATE = {
  eventId: 'aaaaaaaa-0000-4000-8000-000000000001',
  timestamp: '2026-10-22T10:20:30.1234567Z',
  eventType: 'wallet.changed',
  operationId: 'op-1',
  properties: { n: 1 },
};

let loaded: LoadedWorlds;
let world: World;
let days: number;
beforeAll(async () => {
  loaded = await loadOnce({ rows: 300, days: 12, seed: 9, now: NOW, frozen: true }, EVENTS, { reconcile: ROTATION });
});
afterAll(() => loaded[Symbol.asyncDispose]());
beforeEach(async () => {
  world = await loaded.next();
  days = 0;
  return () => world[Symbol.asyncDispose]();
});

const now = (): number => Date.parse(NOW) + days * 86_400_000;

/** A run on the next day. */
async function nextDay(settings: Tree = {}): Promise<TableReport> {
  days++;
  await world.sandbox.apply({ action: 'clock', advance: '1d' });
  return reportOf(await world.run(EVENTS, settings, { now }), 'Events');
}

/** The runs of the next days. */
async function nextDays(count: number, settings: Tree = {}): Promise<TableReport[]> {
  const reports: TableReport[] = [];
  while (reports.length < count) reports.push(await nextDay(settings));
  return reports;
}

const add = (row: Record<string, unknown>) =>
  world.sandbox.apply({ action: 'rows', table: 'Events', tenant: 'demo', rows: [row] });
const erase = (id: string) => world.sandbox.apply({ action: 'erase', table: 'Events', tenant: 'demo', ids: [id] });
const rowsOf = (id: string) =>
  world.sql(`select properties::varchar as properties from events where event_id = '${id}'`);

/** The ids of the first two rows of the lake. */
async function firstIds(): Promise<[string, string]> {
  const rows = await world.sql('select event_id as id from events order by timestamp limit 2');
  return [String(rows[0]?.['id']), String(rows[1]?.['id'])];
}

/** What `doctor` says about the age of the proofs. */
async function ageOfProofs(): Promise<DoctorCheck | undefined> {
  const today = { ...world.runtime, now };
  const { machine } = await doctor(world.config(), { maxCalls: 1 }, today, new AbortController().signal);
  return machine.find(({ name }) => name === 'age of proofs');
}

/** A comparison with windows of older history. */
const OLDER = String.raw`lower or .*>= datetime\(2026-`;

describe('older history', () => {
  it(
    'is compared within the period, in the one call of each run: late, changed and deleted rows are found',
    CAMPAIGN,
    async () => {
      const [erased, changed] = await firstIds();
      await add(LATE);
      await erase(erased);
      await erase(changed);
      await add({ ...LATE, eventId: changed, timestamp: '2026-10-21T10:20:30.1234567Z' });
      const early = 'aaaaaaaa-0000-4000-8000-000000000002';
      await add({ ...LATE, eventId: early, timestamp: '2026-10-03T10:20:30.1234567Z' });
      const off = await nextDay({ reconcile: { ...ROTATION, rotationDays: 0 } });
      expect(off).toMatchObject({ outcome: 'verified', calls: 1, rowsFetched: 0, olderHours: 0 });
      // Every run compares the time before coverage begins.
      const first = await nextDay();
      expect(await rowsOf(early)).toEqual([{ properties: '{"n":1}' }]);
      const listed = `select state, count(*)::int as n from coverage
        where table_name = 'events' and hour between '2026-10-03 10:00:00Z' and '2026-10-21 00:00:00Z' group by all`;
      expect(await world.sql(listed)).toEqual([{ state: 'verified', n: 17 * 24 + 15 }]);
      const reports = [first, ...(await nextDays(2))];
      expect(reports.every(({ outcome }) => outcome === 'verified')).toBe(true);
      for (const { calls, pages } of reports) expect(calls).toBe(1 + pages);
      expect([await rowsOf(LATE.eventId), await rowsOf(changed), await rowsOf(erased)]).toEqual([
        [{ properties: '{"n":1}' }],
        [{ properties: '{"n":1}' }],
        [],
      ]);
      expect(reports.reduce((sum, report) => sum + report.olderHours, 0)).toBeGreaterThanOrEqual(10 * 24);

      const today = { ...world.runtime, now };
      const { tables } = await lakeStatus(world.config(), today);
      const oldest = tables.find(({ table }) => table === 'Events')?.oldestProof ?? '';
      expect((now() - Date.parse(oldest)) / 86_400_000).toBeLessThanOrEqual(ROTATION.rotationDays - 1);

      days++;
      await world.sandbox.apply({ action: 'clock', advance: '1d' });
      const plan = await planRun(world.config(), EVENTS, today, new AbortController().signal);
      expect(plan).toMatchObject({ callsUsed: 1, tables: [{ staleHours: 0, calls: 0 }] });
      const older = plan.tables[0]?.olderHours ?? 0;
      expect(older).toBeGreaterThan(0);
      expect(planSummary(plan, { colour: false })).toContain(
        `\nIn the same calls ${older} older hours were compared again`,
      );
    },
  );

  it('is compared a share at a time', LONG, async () => {
    const reports = await nextDays(8);
    for (const report of reports) expect(report).toMatchObject({ outcome: 'verified', calls: 1, rowsFetched: 0 });
    const hours = reports.map(({ olderHours }) => olderHours);
    expect(hours.reduce((sum, n) => sum + n, 0)).toBeGreaterThanOrEqual(2 * 10 * 24);
    expect(Math.max(...hours)).toBeLessThanOrEqual(6 * 24);
    expect(await ageOfProofs()).toMatchObject({ ok: true, detail: 'the oldest is 2.0 days old (demo Events)' });
    days += 8;
    expect((await ageOfProofs())?.hint).toContain('run --deep');
  });

  it('that vanished at the source is kept and reported, and new rows are loaded all the same', LONG, async () => {
    await world.sandbox.apply({ action: 'erase', table: 'Events', tenant: 'demo', to: '2026-10-28T00:00:00Z' });
    const held = () => world.sql(`select count(*)::int as n from events where timestamp < '2026-10-28'`);
    const before = await held();
    await add({ ...LATE, timestamp: '2026-11-01T10:20:30.1234567Z' });
    const settings = { reconcile: { ...ROTATION, rotationDays: 1 }, deletes: { minRows: 2 } };
    const refused = await nextDay(settings);
    expect(refused).toMatchObject({ outcome: 'refused', error: { failure: 'massLoss' }, inserted: 1 });
    expect(refused.error?.hint).toContain('retentionDays');
    expect(await held()).toEqual(before);
    // Now the hours are known to differ, so that they belong to the range of each run.
    await verifyLake(world.config(settings), EVENTS, { ...world.runtime, now }, new AbortController().signal);
    await add({ ...LATE, eventId: 'aaaaaaaa-0000-4000-8000-000000000002', timestamp: '2026-11-02T10:20:30.1234567Z' });
    expect(await nextDay(settings)).toMatchObject({ outcome: 'refused', inserted: 1 });
    expect(await held()).toEqual(before);
    days++;
    const accepted = reportOf(await world.run({ ...EVENTS, allowDeletes: true }, settings, { now }), 'Events');
    expect(accepted).toMatchObject({ outcome: 'verified', removed: before[0]?.['n'] });
    expect(await held()).toEqual([{ n: 0 }]);
  });

  it('never makes a run fail or lowers its proof: it is counted apart, or left for the next run', LONG, async () => {
    const replies = [
      { kind: 'too-large' },
      { kind: 'status', status: 400 },
      { kind: 'refused-function', name: 'hash_md5' },
    ] as const;
    for (const [k, reply] of replies.entries()) {
      await world.sandbox.apply({ action: 'faults', rules: [{ match: { query: OLDER }, times: null, reply }] });
      const report = await nextDay({ reconcile: { ...ROTATION, rotationDays: 1 } });
      expect(report).toMatchObject({ outcome: 'verified', grade: 'content', hours: { partial: 0 } });
      expect([reply.kind, report.olderHours > 0]).toEqual([reply.kind, k === 0]);
    }
  });
});
