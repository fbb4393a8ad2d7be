/**
 * Counts what a staged batch would change in each period before anything is written. The guard against mass loss checks the
 * counts, and a period without a difference is not rewritten. Rows are compared by id, hour and a 64-bit hash of their content, so
 * the joins never hold a row's properties.
 */
import { join } from 'node:path';
import { DAY, floorTo } from '../../kernel/instant.ts';
import type { Instant, Window } from '../../kernel/instant.ts';
import { contains, intersection } from '../../kernel/windows.ts';
import type { Batch } from '../../model/page.ts';
import type { Table } from '../../model/tables.ts';
import { lakeName } from '../../transform/lake.ts';
import { sqlName } from '../../kernel/sql.ts';
import { asBigInt, asCount, asFlag, asInstant, asText } from '../ledger/cells.ts';
import { DIGEST_COLUMN } from '../../model/fingerprint.ts';
import { FORM_SHAPE } from '../store/form.ts';
import type { Form } from '../store/form.ts';
import type { Ledger } from '../ledger/ledger.ts';
import { EXCESS_COPIES, MOVED_OUT, STAGED } from './merge-tables.ts';
import { CLOSED_AFTER, dayPeriod, monthPeriod } from '../../model/period.ts';
import type { Period } from '../../model/period.ts';
import {
  contentHashSql,
  dayOfHourSql,
  digestedSql,
  hourNumberSql,
  insideSql,
  instantSql,
  tableFilterSql,
} from '../ledger/sql.ts';

/** The rows of one period that a batch touches, and the generation that holds the period now. */
export interface Unit {
  readonly period: Period;
  /** The batch's windows inside the period; empty when the batch only adds rows. */
  readonly windows: readonly Window[];
  /** The windows cover the whole period, so that no row of the old generation is kept. */
  readonly whole: boolean;
  /** Absolute path of the current generation. */
  readonly oldFile: string | undefined;
  /** The rules under which that file was written. */
  readonly oldForm: Form;
  /** Rows of the current generation. */
  readonly held: number;
  /** Rows staged for the period, without excess copies. */
  readonly staged: number;
  readonly nextGeneration: number;
}

export interface Comparison {
  readonly inserted: number;
  readonly replaced: number;
  readonly removed: number;
  readonly unchanged: number;
  /** Rows that move into the quarantine. */
  readonly movedOut: number;
  /** Rows of the new generation. */
  readonly rowsAfter: number;
  readonly changed: boolean;
}

/**
 * The periods that the batch's windows (or its staged rows, when it has no windows) cover and that have staged rows or a
 * current generation. A day with neither needs no file. `days`: staged rows by UTC day. `at`: the source's clock, for months that get
 * one file.
 */
export async function planUnits(
  ledger: Ledger,
  batch: Batch,
  days: ReadonlyMap<bigint, number>,
  at?: Instant,
): Promise<Unit[]> {
  const adds = batch.windows.length === 0;
  const spans = adds ? daySpans(days) : batch.windows;
  const [first, last] = [spans[0], spans.at(-1)];
  if (!first || !last) return [];
  const known = await ledger.rows(
    `select
       period, epoch_us(from_ts)::varchar as "from", epoch_us(to_ts)::varchar as "to",
       file, generation, rows, promotion, privacy, digests, superseded_at is null as current
     from partitions
     where ${tableFilterSql(batch.tenant, batch.table)} and from_ts < ${instantSql(monthPeriod(last.to - 1n).to)} and to_ts > ${instantSql(monthPeriod(first.from).from)}`,
    {
      period: asText,
      from: asInstant,
      to: asInstant,
      file: asText,
      generation: asCount,
      rows: asCount,
      current: asFlag,
      ...FORM_SHAPE,
    },
  );
  const generations = new Map<string, number>();
  const current: { period: Period; file: string; rows: number; form: Form }[] = [];
  for (const {
    period: name,
    from,
    to,
    file,
    generation,
    rows,
    promotion,
    privacy,
    digests,
    current: isCurrent,
  } of known) {
    generations.set(name, Math.max(generations.get(name) ?? 0, generation));
    if (isCurrent)
      current.push({
        period: { name, from, to },
        file: join(ledger.dataDir, file),
        rows,
        form: { promotion, privacy, digests },
      });
  }
  const months = current.filter(({ period }) => period.to - period.from > DAY).map(({ period }) => period);
  if (!adds && at !== undefined) months.push(...newMonths(days, current, at));
  const files = new Map(current.map((partition) => [partition.period.name, partition]));
  const windows = new Map<string, { period: Period; windows: Window[] }>();
  for (const window of spans) {
    for (let day = floorTo(window.from, DAY); day < window.to;) {
      const month = months.find((period) => contains(period, day));
      const period = month ?? dayPeriod(day);
      const unit = windows.get(period.name) ?? { period, windows: [] };
      const inside = intersection(window, period);
      if (inside) unit.windows.push(inside);
      if (month || days.has(day / DAY) || files.has(period.name)) windows.set(period.name, unit);
      day = period.to;
    }
  }
  return [...windows.values()].map(({ period, windows }) => ({
    period,
    windows: adds ? [] : windows,
    whole: !adds && windows.length === 1 && windows[0]?.from === period.from && windows[0].to === period.to,
    oldFile: files.get(period.name)?.file,
    oldForm: files.get(period.name)?.form ?? { promotion: undefined, privacy: undefined, digests: undefined },
    held: files.get(period.name)?.rows ?? 0,
    staged: sumDays(period, days),
    nextGeneration: (generations.get(period.name) ?? 0) + 1,
  }));
}

/** Rows of a month that gets one file at once. The file of a larger month is written when its days are known to be small (compact.ts). */
const MOST_AT_ONCE = 20_000;

/** The closed months of which no row is loaded yet, if they have few rows and those are not of one day. */
function newMonths(
  days: ReadonlyMap<bigint, number>,
  current: readonly { readonly period: Period }[],
  at: Instant,
): Period[] {
  const found = new Map<string, { readonly period: Period; days: number; rows: number }>();
  for (const [day, rows] of days) {
    const period = monthPeriod(day * DAY);
    const month = found.get(period.name) ?? { period, days: 0, rows: 0 };
    found.set(period.name, { period, days: month.days + 1, rows: month.rows + rows });
  }
  return [...found.values()]
    .filter((month) => month.days > 1 && month.rows <= MOST_AT_ONCE && month.period.to <= at - CLOSED_AFTER)
    .map(({ period }) => period)
    .filter(({ from, to }) => !current.some(({ period }) => period.from < to && period.to > from));
}

function daySpans(days: ReadonlyMap<bigint, number>): Window[] {
  return [...days.keys()].sort((a, b) => (a < b ? -1 : 1)).map((day) => ({ from: day * DAY, to: (day + 1n) * DAY }));
}

/** Old rows that one comparison may read. It limits the memory of the joins and still lets many small days share one. */
const ROWS_AT_ONCE = 2_000_000;

/** Counts what the new generation of each period would change. */
export async function compareUnits(
  ledger: Ledger,
  table: Table,
  units: readonly Unit[],
  keepMissing: readonly Window[],
): Promise<Map<Unit, Comparison>> {
  const result = new Map<Unit, Comparison>();
  let group: Unit[] = [];
  let rows = 0;
  const compareGroup = async (): Promise<void> => {
    if (group.length > 0) await compareTogether(ledger, table, group, keepMissing, result);
    group = [];
    rows = 0;
  };
  for (const unit of units) {
    if (unit.oldFile === undefined) {
      const inserted = unit.staged;
      const changed = inserted > 0;
      result.set(unit, { inserted, replaced: 0, removed: 0, unchanged: 0, movedOut: 0, rowsAfter: inserted, changed });
      continue;
    }
    if (rows + unit.held > ROWS_AT_ONCE) await compareGroup();
    group.push(unit);
    rows += unit.held;
  }
  await compareGroup();
  return result;
}

async function compareTogether(
  ledger: Ledger,
  table: Table,
  units: readonly Unit[],
  keepMissing: readonly Window[],
  result: Map<Unit, Comparison>,
): Promise<void> {
  const id = sqlName(lakeName(table, table.id));
  const files = units.flatMap(({ oldFile, oldForm: { digests } }) =>
    oldFile === undefined ? [] : [{ path: oldFile, digests }],
  );
  const content = contentHashSql(table, (await haveDigests(ledger, units)) ? [DIGEST_COLUMN] : []);
  const periods = units.map(({ period }) => period);
  const windows = units.flatMap((unit) => unit.windows);
  const byDay = await ledger.rows(
    `with old as materialized (
       select ${hourNumberSql()} as hour, ${id} as id, ${DIGEST_COLUMN} as digest, ${content} as content, ${missingButKeptSql(table, keepMissing)} as is_kept
       from ${digestedSql(files)}
       where ${insideSql(windows)}
     ),
     fresh as (
       select ${hourNumberSql()} as hour, ${id} as id, ${DIGEST_COLUMN} as digest, ${content} as content
       from ${STAGED}
       where reason is null and ${insideSql(periods)} and rowid not in (select row_id from ${EXCESS_COPIES})
     ),
     pairs as (
       select
         coalesce(old.hour, fresh.hour) as hour, coalesce(old.id, fresh.id) as id,
         old.id is not null and fresh.id is not null as is_same, fresh.id is not null as is_fresh, coalesce(is_kept, false) as is_kept,
         fresh.digest is not null and old.digest is distinct from fresh.digest as is_other_digest
       from old full join fresh on old.id = fresh.id and old.hour = fresh.hour and old.content = fresh.content
     ),
     by_id as (
       select
         ${dayOfHourSql('hour')} as day,
         count(*) filter (where is_same) as unchanged,
         count(*) filter (where is_same and is_other_digest) as redigested,
         count(*) filter (where is_fresh and not is_same) as added,
         count(*) filter (where not is_fresh and not is_kept) as gone
       from pairs
       -- Equal rows are one group per day: only ids with a difference need their own.
       group by day, case when not is_same then hour end, case when not is_same then id end
     ),
     changes as (
       select
         day, sum(unchanged) as unchanged, sum(redigested) as redigested, sum(least(added, gone)) as replaced,
         sum(added - least(added, gone)) as inserted, sum(gone - least(added, gone)) as removed
       from by_id group by day
     ),
     stock as (select ${dayOfHourSql('hour')} as day, count(*) as inside, count(*) filter (where is_kept) as kept from old group by day)
     select
       day, coalesce(inside, 0) as inside, coalesce(kept, 0) as kept,
       unchanged::bigint as unchanged, redigested::bigint as redigested, replaced::bigint as replaced,
       inserted::bigint as inserted, removed::bigint as removed
     from changes left join stock using (day)`,
    {
      day: asBigInt,
      inside: asCount,
      kept: asCount,
      unchanged: asCount,
      redigested: asCount,
      replaced: asCount,
      inserted: asCount,
      removed: asCount,
    },
  );
  const movedByDay = await ledger.rows(
    `select ${dayOfHourSql('hour')} as day, count(*) as rows from ${MOVED_OUT} group by day`,
    {
      day: asBigInt,
      rows: asCount,
    },
  );
  for (const unit of units) {
    const days = byDay.filter(({ day }) => contains(unit.period, day * DAY));
    const sum = (count: (day: (typeof days)[number]) => number): number =>
      days.reduce((total, day) => total + count(day), 0);
    const [inserted, replaced, removed, unchanged] = [
      sum((day) => day.inserted),
      sum((day) => day.replaced),
      sum((day) => day.removed),
      sum((day) => day.unchanged),
    ];
    const movedOut = movedByDay.reduce(
      (total, { day, rows }) => total + (contains(unit.period, day * DAY) ? rows : 0),
      0,
    );
    const outside = unit.held - sum((day) => day.inside) - movedOut;
    result.set(unit, {
      inserted,
      replaced,
      removed,
      unchanged,
      movedOut,
      rowsAfter: outside + sum((day) => day.kept) + unit.staged,
      // The same row with a new digest: loaded before there were digests.
      changed: inserted + replaced + removed + movedOut + sum((day) => day.redigested) > 0,
    });
  }
}

/** Whether every row on both sides has a digest. Otherwise rows are compared by what the lake stores. */
async function haveDigests(ledger: Ledger, units: readonly Unit[]): Promise<boolean> {
  if (units.some(({ oldForm }) => oldForm.digests === undefined)) return false;
  const { n } = await ledger.row(
    `select count(*) as n from ${STAGED} where reason is null and ${DIGEST_COLUMN} is null`,
    { n: asCount },
  );
  return n === 0;
}

/**
 * True for a row of a current file in `keepMissing` that the batch lacks: no staged row has its id at its time. `alias`: of the file's
 * rows. Over tuples: with a correlated `exists` the engine would hold every old row until the join is done.
 */
export function missingButKeptSql(table: Table, keepMissing: readonly Window[], alias?: string): string {
  if (keepMissing.length === 0) return 'false';
  const id = sqlName(lakeName(table, table.id));
  const prefix = alias === undefined ? '' : `${alias}.`;
  const moment = `${prefix}"timestamp"`;
  return `(${insideSql(keepMissing, moment)} and (${prefix}${id}, ${moment}) not in (
    select (${id}, "timestamp") from ${STAGED} where reason is null))`;
}

/** True for a row of STAGED that goes into the new generation of one of the units. */
export function loadedSql(units: readonly Unit[]): string {
  return `reason is null and ${insideSql(units.map(({ period }) => period))} and rowid not in (select row_id from ${EXCESS_COPIES})`;
}

/** The rows of a period. */
export function sumDays({ from, to }: Period, days: ReadonlyMap<bigint, number>): number {
  let sum = 0;
  for (let day = from / DAY; day < to / DAY; day += 1n) sum += days.get(day) ?? 0;
  return sum;
}
