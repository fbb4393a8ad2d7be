/**
 * Openings: marts that a run updates from an opening have the same rows as the reports over the whole lake, day after day and
 * with late rows. The tenants are random; `OPENINGS_SEED=7 npx vitest run test/load/marts/openings.test.ts` tests others.
 */
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { dailyMarts } from '../../../src/query/definitions.ts';
import { text } from '../../support/cells.ts';
import type { Ledger } from '../../../src/load/ledger/ledger.ts';
import { publish } from '../../../src/load/publish/publish.ts';
import { recover } from '../../../src/load/maintenance/recover.ts';
import { openReader, textRows } from '../../../src/query/reader.ts';
import { findReport, parameterValues } from '../../../src/query/report.ts';
import { randomWorld } from '../../query/kpi/support/random.ts';
import type { Happening, Metric } from '../../query/kpi/support/lake.ts';
import { LONG } from '../../support/campaign.ts';
import { DAILY, event, load, scratchLake, span } from '../support/lake.ts';
import type { Scratch } from '../support/lake.ts';

const SEED = Number(process.env['OPENINGS_SEED'] ?? 1);
const TENANTS = 2;
/** Reports that depend on more than their own day; marts.test.ts tests the others. */
const PAST = (await dailyMarts()).filter(({ dependsOn }) => dependsOn.some(({ reach }) => reach !== 'day')).map(({ name }) => name); // oxfmt-ignore
/** Parts of a few days each, as in a first load of millions of rows, and a file for each day. */
const SETTINGS = { ...DAILY, marts: PAST, together: { rows: 600, passEvents: 15, beforeOpening: 1 } };

const world = randomWorld(TENANTS, SEED);
/** An id that is repeated on another day is one event for reports and two for marts (docs/lake.md). Here each id is used once. */
const happenings = [
  ...new Map(
    world.rows.happenings
      .filter(({ table }) => table === 'events')
      .map((row): [string, Happening] => [`${row.tenant} ${row.id}`, row]),
  ).values(),
];
const days = [...new Set(happenings.map(({ time }) => time.slice(0, 10)))].toSorted();
const shifted = (day: string, by: number): string =>
  new Date(Date.parse(day) + by * 86_400_000).toISOString().slice(0, 10);
const next = (day: string): string => shifted(day, 1);

let lake: Scratch;
beforeAll(async () => {
  lake = await scratchLake(SETTINGS);
});
afterAll(() => lake[Symbol.asyncDispose]());

/** Loads days as the source has them, without the rows that are late, and with more events of each tenant. */
async function loadDays(
  from: string,
  to: string,
  isLate: (row: Happening) => boolean = () => false,
  more: readonly string[] = [],
): Promise<void> {
  const isIn = ({ time }: Happening | Metric): boolean => time >= from && time < to;
  const window = span(`${from}T00:00:00Z`, `${to}T00:00:00Z`);
  for (const tenant of new Set(happenings.map((row) => row.tenant))) {
    const rows = happenings.filter((row) => row.tenant === tenant && isIn(row) && !isLate(row));
    const cells = rows.map(({ id, time, type, properties }) => event(id, time, { type, tenant, properties }));
    const added = more.map((kind) => event(`${from} ${kind}`, `${from}T12:00:00Z`, { type: `pass.${kind}`, tenant, properties: '{"passId":"P0"}' })); // oxfmt-ignore
    await load(lake, window, [...cells, ...added], { tenant });
    const snapshots = world.rows.metrics.filter((row) => row.tenant === tenant && isIn(row));
    const numbers = snapshots.map(({ time, type, value, properties }) => [`${type} ${time}`, tenant, type, value, properties, time]); // oxfmt-ignore
    await load(lake, window, numbers, { tenant, table: 'Metrics' });
  }
  await lake.ledger.run(`update hours set state = 'verified'`);
}

/** Marts with a day that differs from the report over the whole lake. */
async function differing(ledger: Ledger = lake.ledger, ofAll = true): Promise<string[]> {
  await publish(ledger, { run: 'r', head: true });
  await using reader = await openReader(ledger.dataDir, { threads: 1, memoryLimit: '256MB' });
  const found: string[] = [];
  for (const name of PAST) {
    const report = await findReport(name);
    if (!ofAll && report.sql.includes("history('metrics'")) continue;
    const values = parameterValues(report, [], { nowMs: Date.now() });
    const said = `select tenant_id, period::date as day, * exclude (tenant_id, period, loaded_at) from (${report.sql.trim()}) where period::date in (select hour::date from coverage)`;
    const kept = `select * exclude (loaded_at) from mart_${name}`;
    const both = `select *, 1 as side from (${said}) union all by name select *, -1 as side from (${kept})`;
    const rows = await textRows(
      reader,
      `select * exclude (side) from (${both}) group by all having sum(side) <> 0`,
      values,
    );
    const [sizes = []] = await textRows(reader, `select count(*)::varchar from mart_${name}`, {});
    if (rows.length > 0 || (ofAll && sizes[0] === '0')) found.push(`${name}: ${JSON.stringify(rows.slice(0, 2))}`);
  }
  return found;
}

/** Days of the kept openings. */
async function openings(ledger: Ledger = lake.ledger): Promise<string[]> {
  const rows = await ledger.rawRows(`select distinct day::varchar as day from mart_days where mart = 'openings' order by day`);
  return rows.map((row) => text(row, 'day') ?? '');
} // oxfmt-ignore

/** The days that should have an opening when `newest` is the newest day. */
function wanted(newest: string): string[] {
  const settled = shifted(newest, -9);
  const monday = shifted(settled, -((new Date(settled).getUTCDay() + 6) % 7));
  const month = `${settled.slice(0, 8)}01`;
  const before = `${shifted(month, -1).slice(0, 8)}01`;
  return [...new Set([before, month, monday])].filter((day) => day > (days[0] ?? '')).toSorted();
}

/** Publishes in a new process, and fails if a mart differs. The days of the files that it read, and the marts that it computed. */
async function watched(): Promise<{ read: string[]; made: string[] }> {
  await lake.reopen(SETTINGS);
  const read: string[] = [];
  const made: string[] = [];
  const run: Ledger['run'] = async (sql, values) => {
    if (/temp view (events|metrics)/.test(sql)) read.push(...(sql.match(/[\d-]+(?=\.\d+\.parquet)/g) ?? []));
    made.push(...[...sql.matchAll(/^create or replace temp table fresh_(\w+)/g)].map(([, mart]) => mart ?? ''));
    await lake.ledger.run(sql, values);
  };
  expect(await differing({ ...lake.ledger, run })).toEqual([]);
  return { read, made };
}

describe('marts that are computed from openings equal their reports', LONG, () => {
  const late = (row: Happening): boolean => Number.parseInt(row.id.slice(0, 2), 16) % 10 === 0;
  const nth = (n: number): string => days[n] ?? '';
  const half = nth(Math.floor(days.length * 0.7));

  test('after a first load', async () => {
    await loadDays(nth(0), half, late);
    expect(await differing()).toEqual([]);
    // A first load changes all days, so it makes only the opening that later runs start from.
    expect(await openings()).toEqual(wanted(shifted(half, -1)).slice(0, 1));
  });

  test('after later days, of which only the new files are read', async () => {
    let start = wanted(shifted(half, -1))[0];
    for (const day of [half, next(half)]) {
      await loadDays(day, next(day), late);
      const known = await openings();
      const { read, made } = await watched();
      // It starts from the newest opening that the run before kept, and makes those that are missing.
      expect(read.toSorted()[0]).toBe(start);
      expect(await openings()).toEqual(wanted(day));
      expect(made.includes('openings')).toBe(wanted(day).some((each) => !known.includes(each)));
      start = wanted(day).at(-1);
    }
  });

  test('after late rows two nights in a row, which make no opening that the next ones make worthless', async () => {
    // The opening before it remains valid, and no later one.
    const [lateDay = ''] = await openings();
    for (const n of [2, 3]) {
      const day = shifted(half, n);
      await loadDays(day, next(day), late);
      // A row of each tenant that the next night takes away again.
      await loadDays(lateDay, next(lateDay), late, n === 2 ? ['created'] : []);
      const { read, made } = await watched();
      // Campaigns of the week before the late day change, too, and no opening is as old as that.
      expect(read.toSorted()[0]).toBe(days[0]);
      expect(made).not.toContain('openings');
      expect(made.length).toBeGreaterThan(0);
      expect(await openings()).toEqual([lateDay]);
      expect(await watched()).toEqual({ read: [], made: [] });
    }
  });

  test('after a night without late rows, which makes the openings that are missing, once', async () => {
    const day = shifted(half, 4);
    await loadDays(day, next(day), late);
    const known = await openings();
    const isMissing = wanted(day).some((each) => !known.includes(each));
    expect((await watched()).made.includes('openings')).toBe(isMissing);
    expect(await openings()).toEqual(wanted(day));
    expect(await watched()).toEqual({ read: [], made: [] });
    expect(await openings()).toEqual(wanted(day));
  });

  test('after late rows of the month before and of the first day', async () => {
    await loadDays(nth(20), next(nth(20)));
    await publish(lake.ledger, { run: 'r', head: true });
    await loadDays(nth(0), next(nth(0)));
    expect(await differing()).toEqual([]);
  });

  test('after the remaining days at once, and after deletions', async () => {
    await loadDays(half, next(days.at(-1) ?? ''));
    await loadDays(half, next(half), late);
    expect(await differing()).toEqual([]);
  });

  test('after the openings file was lost and is made again', async () => {
    const held = async (): Promise<[string, Awaited<ReturnType<Ledger['rawRows']>>]> => {
      const [row] = await lake.ledger.rawRows(`select file from mart_files where mart = 'openings' and superseded_at is null`); // oxfmt-ignore
      const path = join(lake.dir, text(row ?? {}, 'file') ?? '');
      return [
        path,
        await lake.ledger.rawRows(`select * replace (day::varchar as day) from read_parquet('${path}') order by all`),
      ];
    };
    const [path, before] = await held();
    await rm(path);
    await recover(lake.ledger);
    await publish(lake.ledger, { run: 'r', head: true });
    const [other, after] = await held();
    expect(other).not.toBe(path);
    const [oldest] = wanted(days.at(-1) ?? '');
    expect(after.length).toBeGreaterThan(0);
    expect(after).toEqual(before.filter((row) => text(row, 'day') === oldest));
  });

  test('and the openings hold a small share of the rows', async () => {
    const [file] = await lake.ledger.rawRows(`select rows::integer as rows, days::integer as days from mart_files where mart = 'openings' and superseded_at is null`); // oxfmt-ignore
    expect(Number(file?.['days'])).toBeGreaterThanOrEqual(TENANTS);
    expect(Number(file?.['rows'])).toBeGreaterThan(10);
  });
});

/**
 * Passes for which one kind of row in an opening decides a result months later, and no other row of the opening does. Each has a last
 * event, because a night counts passes without one by their totals.
 */
/** Day (of 2026, unless it has a year), type, pass, device, more properties. */
const LIVES = `
2024-12-20 | installed | year | apple |
2024-12-20 | uninstalled | year | apple |
2024-12-20 | installed | year | apple |
01-06 | uninstalled | year | apple |
01-04 | created     | state   |        |
01-05 | installed   | state   | apple  |
01-06 | uninstalled | state   | apple  |
01-07 | installed   | state   | apple  |
05-10 | uninstalled | state   | apple  |
01-04 | created     | first   |        |
01-05 | installed   | first   | apple  | "activeRegistrationCount":0
01-06 | uninstalled | first   | apple  |
01-07 | installed   | first   | google |
05-14 | installed   | first   | apple  |
01-05 | installed   | leaves  | apple  |
01-06 | uninstalled | leaves  | apple  |
01-07 | installed   | leaves  | apple  |
05-14 | uninstalled | leaves  | apple  |
01-04 | created     | counted |        |
01-05 | installed   | counted | apple  | "activeRegistrationCount":0
01-06 | uninstalled | counted | apple  |
01-07 | uninstalled | counted | apple  | "activeRegistrationCount":1
01-08 | uninstalled | counted | apple  |
05-14 | installed   | counted | apple  |
01-04 | updated     | store   |        |
01-05 | installed   | store   | apple  |
01-06 | uninstalled | store   | apple  |
01-07 | installed   | store   | apple  | "storeId":"PAR"
01-08 | uninstalled | store   | apple  |
01-09 | installed   | store   | apple  |
05-14 | installed   | store   | apple  |
01-05 | installed   | week    | apple  |
01-06 | uninstalled | week    | apple  |
01-08 | installed   | week    | apple  |
01-20 | uninstalled | week    | apple  |
03-20 | installed   | week    | apple  |
03-21 | uninstalled | week    | apple  |
01-10 | installed   | month   | apple  |
01-11 | uninstalled | month   | apple  |
01-25 | installed   | month   | apple  |
03-01 | uninstalled | month   | apple  |
04-20 | installed   | month   | apple  |
04-21 | uninstalled | month   | apple  |
01-15 | installed   | quarter | apple  |
01-16 | uninstalled | quarter | apple  |
03-25 | installed   | quarter | apple  |
04-18 | uninstalled | quarter | apple  |
04-20 | installed   | quarter | apple  |
04-21 | uninstalled | quarter | apple  |
01-04 | updated     | seen    |        |
01-04 | created     | cohort  |        |
01-09 | created     | cohort  |        |
01-05 | installed   | late    | apple  |
01-06 | created     | late    |        |
01-07 | installed   | late    | apple  |
01-08 | uninstalled | late    | apple  |
05-14 | installed   | year    | apple  |
05-14 | updated     | state   |        |
05-14 | updated     | week    |        |
05-14 | updated     | month   |        |
05-14 | updated     | quarter |        |
05-14 | updated     | seen    |        |
05-14 | updated     | cohort  |        |
05-14 | updated     | late    |        |
`;

describe('passes that live for many months', () => {
  test('give the same results from openings as from their first row', LONG, async () => {
    await using long = await scratchLake({ marts: PAST });
    const rows = LIVES.trim()
      .split('\n')
      .map((line, n) => {
        const [day = '', type = '', passId = '', device = '', more = ''] = line.split('|').map((cell) => cell.trim());
        const known = JSON.stringify({ passId, ...(device === '' ? {} : { device }) });
        const properties = more === '' ? known : `${known.slice(0, -1)},${more}}`;
        const date = day.length === 5 ? `2026-${day}` : day;
        const cells = event(`e${n}`, `${date}T08:00:${10 + (n % 50)}Z`, { type: `pass.${type}`, properties });
        return { day: date, cells };
      });
    const found: string[] = [];
    for (const [from, to] of [
      ['2024-12-20', '2024-12-21'],
      ['2026-01-04', '2026-05-01'],
      ['2026-05-10', '2026-05-11'],
      ['2026-05-14', '2026-05-15'],
    ] as const) {
      const cells = rows.filter(({ day }) => day >= from && day < to).map((row) => row.cells);
      await load(long, span(`${from}T00:00:00Z`, `${to}T00:00:00Z`), cells);
      found.push(...(await differing(long.ledger, false)));
    }
    expect(found).toEqual([]);
  });
});

describe('which openings are kept', () => {
  test('when a month begins, and late rows reach into the months before', LONG, async () => {
    await using small = await scratchLake({ ...DAILY, marts: ['active_passes'], together: SETTINGS.together });
    const opened = async (from: string, to: string, late?: string): Promise<string[]> => {
      const dates: string[] = [];
      for (let day = from; day < to; day = next(day)) dates.push(day);
      const at = (day: string, hour: string): unknown[] =>
        event(`${day}-${hour}`, `${day}T${hour}:00:00Z`, { type: 'pass.installed', properties: '{"passId":"p"}' });
      await load(small, span(`${from}T00:00:00Z`, `${to}T00:00:00Z`), dates.map((day) => at(day, '08'))); // oxfmt-ignore
      if (late !== undefined)
        await load(small, span(`${late}T00:00:00Z`, `${next(late)}T00:00:00Z`), [at(late, '08'), at(late, '09')]);
      await small.ledger.run(`update hours set state = 'verified'`);
      await publish(small.ledger, { run: 'r', head: true });
      return openings(small.ledger);
    };
    expect(await opened('2026-01-01', '2026-03-27')).toEqual(['2026-02-01']);
    expect(await opened('2026-03-27', '2026-03-28')).toEqual(['2026-02-01', '2026-03-01', '2026-03-16']);
    // The opening of March is lost: that of February remains the start, although April has begun.
    expect(await opened('2026-03-28', '2026-04-11', '2026-02-20')).toEqual(['2026-02-01']);
    expect(await opened('2026-04-11', '2026-04-12', '2026-02-21')).toEqual(['2026-02-01']);
    expect(await opened('2026-04-12', '2026-04-13')).toEqual(['2026-03-01', '2026-03-30', '2026-04-01']);
    expect(await opened('2026-04-13', '2026-04-14', '2026-03-31')).toEqual(['2026-03-01', '2026-03-30']);
    // No opening is left, so the oldest of the three is made at once.
    expect(await opened('2026-04-14', '2026-04-15', '2026-01-15')).toEqual(['2026-03-01']);
    // It is replaced once it is more than three months older than it should be.
    expect(await opened('2026-04-15', '2026-07-10', '2026-03-15')).toEqual(['2026-03-01']);
    expect(await opened('2026-07-10', '2026-08-10', '2026-03-16')).toEqual(['2026-03-01']);
    expect(await opened('2026-08-10', '2026-09-10', '2026-03-17')).toEqual(['2026-07-01']);
  });
});
