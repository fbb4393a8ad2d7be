/** Rows at any time that a timestamp can hold: loaded, quarantined or left for later, counted by every run, at no extra cost. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { pino } from 'pino';
import { EXIT } from '../../src/kernel/errors.ts';
import { families } from '../../src/operate/metrics.ts';
import { runSummary, statusSummary } from '../../src/output/summary.ts';
import { doctor } from '../../src/pipeline/doctor/doctor.ts';
import { dropQuarantine, listQuarantine, showQuarantine } from '../../src/pipeline/maintenance/quarantine.ts';
import { lakeStatus } from '../../src/pipeline/status.ts';
import { loadOnce, openWorld, reportOf, type LoadedWorlds, type World } from './support/world.ts';
import { CAMPAIGN, LONG } from '../support/campaign.ts';

const NOW = '2026-11-01T00:30:00Z';
const SOURCE = { rows: 60, days: 2, seed: 3, now: NOW, frozen: true };
const EVENTS = { tables: ['Events'] } as const;
const DEEP = { ...EVENTS, deep: true } as const;

let loaded: LoadedWorlds;
let world: World;
beforeAll(async () => {
  loaded = await loadOnce(SOURCE, EVENTS);
});
afterAll(() => loaded[Symbol.asyncDispose]());
beforeEach(async () => {
  world = await loaded.next();
});
afterEach(() => world[Symbol.asyncDispose]());

/** Defaults of other programs, each on a day of its own. The last two are the hours around Unix time zero. */
const OLD = ['1600-02-29T12:00:00Z', '1899-12-30T00:00:00Z', '1969-12-31T23:30:00Z', '1970-01-01T00:00:00Z'];
const YEAR_1 = '0001-01-01T00:00:00Z';
const SOON = '2026-11-01T02:30:00Z';

async function addRows(timestamps: readonly (string | null)[], properties: unknown = { n: 1 }): Promise<void> {
  const rows = timestamps.map((timestamp) => ({ eventId: idOf(timestamp), timestamp, eventType: 'Page.View', properties })); // oxfmt-ignore
  await world.sandbox.apply({ action: 'rows', table: 'Events', tenant: 'demo', rows });
}

async function erase(timestamp: string | null): Promise<void> {
  await world.sandbox.apply({ action: 'erase', table: 'Events', tenant: 'demo', ids: [idOf(timestamp)] });
}

function idOf(timestamp: string | null): string {
  return `aaaaaaaa-0000-4000-8000-${(timestamp ?? '').replaceAll(/\D/g, '').slice(0, 12).padStart(12, '0')}`;
}

async function quarantined(): Promise<unknown> {
  return (await world.sql('select reason, id, hour from quarantine order by all')).map((row) => Object.values(row));
}

async function hoursKnown(): Promise<number> {
  const [row] = await world.sql(`select count(*)::int as n from coverage where table_name = 'events'`);
  return Number(row?.['n']);
}

describe('rows without a possible time, in the future, and at old defaults', () => {
  it('are quarantined, left for later, and loaded, with one call more than usual', CAMPAIGN, async () => {
    const usualHours = await hoursKnown();
    await addRows([null, YEAR_1, ...OLD, SOON]);
    const lines: string[] = [];
    const log = pino({ level: 'warn' }, { write: (line: string) => void lines.push(line) });
    const run = await world.run(DEEP, {}, { log });
    const outside = { noTimestamp: 1, impossible: 1, future: 1 };
    expect(run.exitCode).toBe(EXIT.ok);
    expect(reportOf(run, 'Events')).toMatchObject({
      outcome: 'verified',
      calls: 3,
      pages: 1,
      quarantined: 2,
      inserted: 4,
      hours: { partial: 0, open: 1 },
      outside,
    });
    // Of the four centuries, only the days with rows.
    expect(await hoursKnown()).toBe(usualHours + 4 * 24);
    const old = `select strftime(timestamp, '%Y-%m-%dT%H:%M:%SZ') as at, month, state, lake_rows::int as rows
      from events join coverage on hour = date_trunc('hour', timestamp) and table_name = 'events' where timestamp < '1971-01-01' order by 1`;
    expect(await world.sql(old)).toEqual(OLD.map((at) => ({ at, month: at.slice(0, 7), state: 'verified', rows: 1 })));
    expect(await quarantined()).toEqual([
      ['impossible_timestamp', idOf(YEAR_1), null],
      ['no_timestamp', idOf(null), null],
    ]);

    // Every way to look at the lake says so.
    const text =
      '\nRows at the source that lie in no hour: those without a possible time go to quarantine, those in the future are loaded once their hour is over.\n' +
      'demo Events: 1 without a timestamp, 1 at year 1, 1 in the future\n';
    expect(runSummary(run, { colour: false })).toContain(text);
    expect(lines.map((line): unknown => JSON.parse(line))).toContainEqual(
      expect.objectContaining({ event: 'rows.outside', run: run.run, tenant: 'demo', table: 'Events', ...outside }),
    );
    const status = await lakeStatus(world.config(), world.runtime);
    expect(statusSummary(status, { colour: false })).toContain(text);
    const measured = {
      status,
      deadlines: [],
      outcomes: { tables: [], calls: {} },
      diskFreeBytes: undefined,
      version: '1.0.0',
      configured: undefined,
      isUnreadable: false,
      isMirrored: false,
    };
    const gauge = families(measured).find(({ name }) => name === 'insights_etl_rows_outside_hours');
    expect(gauge?.samples.map(({ labels, value }) => [labels?.['kind'], value])).toEqual([
      ['no_timestamp', 1],
      ['impossible', 1],
      ['future', 1],
    ]);
    expect(await listQuarantine(world.config(), {}, world.runtime)).toMatchObject([
      { day: '0001-01-01', reason: 'impossible_timestamp', rows: 1 },
      { day: 'none', reason: 'no_timestamp', rows: 1 },
    ]);
    const [shown] = await showQuarantine(world.config(), { reasons: ['no_timestamp'] }, 1, world.runtime);
    expect(shown?.text).toContain('{\\"n\\":1}');

    // Nothing is new: one call.
    const again = await world.run(EVENTS);
    expect(reportOf(again, 'Events')).toMatchObject({ calls: 1, pages: 0, quarantined: 0, changed: false, outside });
    expect(again.published).toBe(false);

    // The clock passes the row that was in the future; another gets a timestamp, and one stays.
    await world.sandbox.apply({ action: 'clock', advance: '3h' });
    await erase(null);
    const passed = await world.run(EVENTS, {}, { now: () => Date.parse('2026-11-01T03:30:00Z') });
    expect(reportOf(passed, 'Events')).toMatchObject({
      outcome: 'verified',
      inserted: 1,
      outside: { noTimestamp: 0, impossible: 1, future: 0 },
    });
    expect(await quarantined()).toEqual([['impossible_timestamp', idOf(YEAR_1), null]]);
  });

  it(
    'leave the quarantine when the source has none any more, without a call, and come back after a change',
    CAMPAIGN,
    async () => {
      await addRows([null, YEAR_1]);
      await world.run(EVENTS);
      expect(await quarantined()).toHaveLength(2);
      // The same ids with other content.
      await erase(null);
      await addRows([null], { n: 2 });
      expect(reportOf(await world.run(EVENTS), 'Events')).toMatchObject({ calls: 2, quarantined: 2 });
      // What the operator drops does not come back, as long as the source's rows stay as they are.
      await dropQuarantine(world.config(), { reasons: ['no_timestamp'] }, world.runtime);
      expect(reportOf(await world.run(EVENTS), 'Events')).toMatchObject({ calls: 1 });
      expect(await quarantined()).toHaveLength(1);
      await erase(null);
      await erase(YEAR_1);
      const report = reportOf(await world.run(EVENTS), 'Events');
      expect(report).toMatchObject({ calls: 1, outside: { noTimestamp: 0, impossible: 0, future: 0 } });
      expect(await quarantined()).toEqual([]);
    },
  );

  it('are fetched again by the next run when the source delivers none of those that it counts', CAMPAIGN, async () => {
    await addRows([null, YEAR_1]);
    const none = { kind: 'silent-truncation', rows: 0 } as const;
    await world.sandbox.apply({ action: 'faults', rules: [{ match: { query: 'take 2' }, reply: none }] });
    expect(reportOf(await world.run(EVENTS), 'Events')).toMatchObject({ outcome: 'verified', quarantined: 0 });
    expect(await quarantined()).toEqual([]);
    expect(reportOf(await world.run(EVENTS), 'Events')).toMatchObject({ calls: 2, quarantined: 2 });
  });

  it('are fetched in slices, and once, if the source cuts or refuses larger answers', LONG, async () => {
    for (const row of Array.from({ length: 30 }, (_, n) => ({ n }))) await addRows([null], row);
    await world.sandbox.apply({ action: 'limits', rows: 12, mode: 'silent' });
    expect(reportOf(await world.run(EVENTS), 'Events')).toMatchObject({ calls: 5, quarantined: 30 });
    expect(reportOf(await world.run(EVENTS), 'Events')).toMatchObject({ calls: 1, changed: false });
    await world.sandbox.apply({ action: 'limits', rows: 20, mode: 'one-api-errors' });
    await addRows([YEAR_1]);
    expect(reportOf(await world.run(EVENTS), 'Events')).toMatchObject({ calls: 5, quarantined: 31 });
    // A table that has no other rows.
    await world.sandbox.apply({ action: 'erase', table: 'Metrics', tenant: 'demo' });
    const metric = { metricId: idOf(null), timestamp: null, metricType: 'x', value: 1 };
    await world.sandbox.apply({ action: 'rows', table: 'Metrics', tenant: 'demo', rows: [metric, metric] });
    const { tenants } = await doctor(world.config(), { maxCalls: 9 }, world.runtime, new AbortController().signal);
    expect(tenants[0]?.checks.find(({ name }) => name === 'rows of Metrics')?.detail).toBe(
      '2 rows; 2 without a possible time, which go to quarantine',
    );
  });

  it('are not counted by an engine that rejects that count, and the proof stays the same', CAMPAIGN, async () => {
    await addRows([null]);
    const reply = { kind: 'refused-function', name: 'countif' } as const;
    await world.sandbox.apply({ action: 'faults', rules: [{ match: { query: 'countif' }, times: null, reply }] });
    for (const _ of [1, 2]) {
      const report = reportOf(await world.run(EVENTS), 'Events');
      expect(report).toMatchObject({ outcome: 'verified', grade: 'content', calls: 2 });
      expect(report.outside).toBeUndefined();
    }
  });

  it('at an old default are loaded by the next run, also if they come late', LONG, async () => {
    await addRows(OLD.slice(0, 2));
    expect(reportOf(await world.run(EVENTS), 'Events')).toMatchObject({ calls: 2, inserted: 2, hours: { partial: 0 } });
    await addRows(OLD.slice(2));
    expect(reportOf(await world.run(EVENTS), 'Events')).toMatchObject({ calls: 2, inserted: 2, hours: { partial: 0 } });
    await erase(OLD[3] ?? '');
    expect(reportOf(await world.run(EVENTS), 'Events')).toMatchObject({ calls: 1, removed: 1, olderHours: 0 });
    expect(reportOf(await world.run(EVENTS), 'Events')).toMatchObject({ calls: 1, changed: false });
  });

  it('before a configured start are neither loaded nor missed', CAMPAIGN, async () => {
    await addRows([...OLD, YEAR_1]);
    await using other = await openWorld(world.sandbox, { start: '2026-10-01' });
    const report = reportOf(await other.run(EVENTS), 'Events');
    expect(report).toMatchObject({ outcome: 'verified', hours: { partial: 0 }, outside: { impossible: 1, future: 0 } });
    expect(await other.sql(`select count(*)::int as n from events where timestamp < '2026-01-01'`)).toEqual([{ n: 0 }]);
  });

  it('leave the reports of all other days as they are', LONG, async () => {
    const marts = { lake: { marts: true, checks: true } };
    const lateDays = `select * exclude (loaded_at, verified_share, open_share) from mart_active_passes where day > '2000-01-01' order by all`;
    await world.run(DEEP, marts);
    const before = await world.sql(lateDays);
    await addRows(OLD);
    const run = await world.run(DEEP, marts);
    expect(run.checks).toEqual([]);
    expect(await world.sql(lateDays)).toEqual(before);
    const old = await world.sql(
      `select day::varchar as day, coverage from mart_active_passes where day < '2000-01-01' order by 1`,
    );
    expect(old).toEqual(OLD.map((at) => ({ day: at.slice(0, 10), coverage: 'verified' })));
  });
});
