/**
 * What a staged batch would change, period by period, before anything is written: the guard against mass loss looks at
 * it, and a period in which nothing differs is left alone. Ids and content are compared as 64-bit hashes, so the joins
 * never hold a row's properties.
 */
import { join } from 'node:path';
import { DAY, HOUR, floorTo } from '../../kernel/instant.ts';
import type { Window } from '../../kernel/instant.ts';
import { contains, intersection } from '../../kernel/windows.ts';
import type { Batch } from '../../model/page.ts';
import type { Table } from '../../model/tables.ts';
import { lakeName } from '../../transform/lake.ts';
import { big, count, text } from '../ledger/engine.ts';
import { formOf } from '../store/form.ts';
import type { Form } from '../store/form.ts';
import type { Ledger } from '../ledger/ledger.ts';
import { createEmpty, EXCESS_COPIES, ID_COLLISIONS, MOVED_OUT, STAGED } from './merge-tables.ts';
import { dayPeriod } from '../../model/period.ts';
import type { Period } from '../../model/period.ts';
import {
  contentHashSql,
  hourNumberSql,
  insideSql,
  instantOf,
  instantSql,
  tableFilterSql,
  parquetSql,
} from '../ledger/sql.ts';

/** The rows of one period that a batch touches, and the generation that holds the period now. */
export interface Unit {
  readonly period: Period;
  /** The batch's windows, clipped to the period; empty when it only adds to what is held. */
  readonly windows: readonly Window[];
  /** The windows leave nothing of the old generation. */
  readonly whole: boolean;
  /** Absolute path of the current generation. */
  readonly oldFile: string | undefined;
  /** The rules that file was written under. */
  readonly oldForm: Form;
  /** Rows of the current generation. */
  readonly held: number;
  /** Rows staged for the period, copies of an id counted once. */
  readonly staged: number;
  readonly nextGeneration: number;
}

export interface Comparison {
  readonly inserted: number;
  readonly replaced: number;
  readonly removed: number;
  readonly unchanged: number;
  /** Rows of the new generation. */
  readonly rowsAfter: number;
  readonly changed: boolean;
}

/** Periods that have staged rows or an old generation below the batch's windows; days whose windows are empty need no file. */
export async function planUnits(ledger: Ledger, batch: Batch, days: ReadonlyMap<bigint, number>): Promise<Unit[]> {
  const adds = batch.windows.length === 0;
  const spans = adds ? daySpans(days) : batch.windows;
  const [first, last] = [spans[0], spans.at(-1)];
  if (!first || !last) return [];
  const known = await ledger.rawRows(
    `select period, epoch_us(from_ts)::varchar as lo, epoch_us(to_ts)::varchar as hi, file, generation, rows, promotion, privacy, superseded_at is null as current
     from partitions
     where ${tableFilterSql(batch.tenant, batch.table)} and from_ts < ${instantSql(last.to)} and to_ts > ${instantSql(first.from)}`,
  );
  const generations = new Map<string, number>();
  const current: { period: Period; file: string; rows: number; form: Form }[] = [];
  for (const row of known) {
    const name = text(row, 'period') ?? '';
    generations.set(name, Math.max(generations.get(name) ?? 0, count(row, 'generation')));
    if (row['current'] === true) {
      const period = { name, from: instantOf(row, 'lo'), to: instantOf(row, 'hi') };
      const file = join(ledger.dataDir, text(row, 'file') ?? '');
      current.push({ period, file, rows: count(row, 'rows'), form: formOf(row) });
    }
  }
  const months = current.filter(({ period }) => period.to - period.from > DAY);
  const files = new Map(current.map((partition) => [partition.period.name, partition]));
  const windows = new Map<string, { period: Period; windows: Window[] }>();
  for (const window of spans) {
    for (let day = floorTo(window.from, DAY); day < window.to;) {
      const month = months.find(({ period }) => contains(period, day))?.period;
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
    oldForm: files.get(period.name)?.form ?? { promotion: undefined, privacy: undefined },
    held: files.get(period.name)?.rows ?? 0,
    staged: sumDays(period, days),
    nextGeneration: (generations.get(period.name) ?? 0) + 1,
  }));
}

function daySpans(days: ReadonlyMap<bigint, number>): Window[] {
  return [...days.keys()].sort((a, b) => (a < b ? -1 : 1)).map((day) => ({ from: day * DAY, to: (day + 1n) * DAY }));
}

/**
 * Where windows cover only a part of an hour (or none of it, when the batch only adds), an old row outside them may bear the id of a staged one: the earlier
 * stays, as it would had the hour been loaded at once. Fills EXCESS_COPIES (staged rows) and MOVED_OUT (old rows).
 */
export async function meetOldRows(
  ledger: Ledger,
  table: Table,
  unit: Unit,
  keepMissing: readonly Window[],
): Promise<void> {
  const adds = unit.windows.length === 0;
  const hours = partialHours(unit.windows);
  if (!unit.oldFile || (!adds && hours.length === 0)) return;
  const met = adds ? `select ${hourNumberSql()} from ${STAGED} where reason is null` : hours.join(', ');
  const id = lakeName(table, table.id);
  await createEmpty(ledger, ID_COLLISIONS);
  await ledger.run(
    `insert into ${ID_COLLISIONS} by name
     select
       staged.rowid as row_id, old.hour, old.id,
       date_trunc('minute', old.moment) as old_minute, date_trunc('minute', "timestamp") as new_minute,
       old.moment <= "timestamp" as old_first, old.content = ${contentHashSql(table)} as same_content
     from (
       select ${hourNumberSql()} as hour, "${id}" as id, "timestamp" as moment, ${contentHashSql(table)} as content
       from ${parquetSql([unit.oldFile])}
       where ${hourNumberSql()} in (${met})
         and not ${insideSql(unit.windows)} and not ${insideSql(keepMissing)}
     ) as old
     join ${STAGED} as staged on "${id}" = old.id and ${hourNumberSql()} = old.hour
     where reason is null and staged.rowid not in (select row_id from ${EXCESS_COPIES})`,
  );
  const [collisions] = await ledger.rawRows(`select count(*) as n from ${ID_COLLISIONS}`);
  if (count(collisions, 'n') === 0) return;
  // Staged copies of a staged row that is now a copy itself are copies of the old row.
  await ledger.run(
    `update ${EXCESS_COPIES} as copies set kept_minute = old_minute from ${ID_COLLISIONS} as collision
     where old_first and copies.id = collision.id and copies.hour = collision.hour`,
  );
  await ledger.run(
    `insert into ${EXCESS_COPIES} (row_id, hour, id, minute, kept_minute, same_content)
     select row_id, hour, id, new_minute, old_minute, same_content from ${ID_COLLISIONS} where old_first`,
  );
  await ledger.run(
    `insert into ${MOVED_OUT} (hour, id, minute, kept_minute, same_content)
     select hour, id, old_minute, new_minute, same_content from ${ID_COLLISIONS} where not old_first`,
  );
}

/** Old rows that one comparison may read: bounds its joins, while many small days share one. */
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
      result.set(unit, { inserted, replaced: 0, removed: 0, unchanged: 0, rowsAfter: inserted, changed: inserted > 0 });
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
  const id = lakeName(table, table.id);
  const files = units.flatMap((unit) => unit.oldFile ?? []);
  const periods = units.map(({ period }) => period);
  const windows = units.flatMap((unit) => unit.windows);
  const rows = await ledger.rawRows(
    `with old as (
       select ${hourNumberSql()} as hour, "${id}" as id, ${contentHashSql(table)} as content, ${insideSql(keepMissing)} as spared
       from ${parquetSql(files)}
       where ${insideSql(windows)}
     ),
     fresh as (
       select ${hourNumberSql()} as hour, "${id}" as id, ${contentHashSql(table)} as content
       from ${STAGED}
       where reason is null and ${insideSql(periods)} and rowid not in (select row_id from ${EXCESS_COPIES})
     ),
     pairs as (
       select
         coalesce(old.hour, fresh.hour) // 24 as day,
         old.id is not null as was, coalesce(spared, false) as spared, fresh.id is not null as is_now, old.content = fresh.content as same
       from old full join fresh on old.id = fresh.id and old.hour = fresh.hour
     )
     select
       day,
       count(*) filter (where was) as inside,
       count(*) filter (where is_now and not was) as inserted,
       count(*) filter (where was and not is_now and not spared) as removed,
       count(*) filter (where was and not is_now and spared) as spared,
       count(*) filter (where was and is_now and same) as unchanged,
       count(*) filter (where was and is_now and not same) as replaced,
       0 as moved_out
     from pairs group by day
     union all by name
     select hour // 24 as day, count(*) as moved_out from ${MOVED_OUT} group by 1`,
  );
  for (const unit of units) {
    const days = rows.filter(
      (row) => big(row, 'day') * DAY >= unit.period.from && big(row, 'day') * DAY < unit.period.to,
    );
    const sum = (name: string): number => days.reduce((total, row) => total + count(row, name), 0);
    const [inserted, replaced, removed, unchanged] = [
      sum('inserted'),
      sum('replaced'),
      sum('removed'),
      sum('unchanged'),
    ];
    const movedOut = sum('moved_out');
    result.set(unit, {
      inserted,
      replaced,
      removed,
      unchanged,
      rowsAfter: unit.held - sum('inside') - movedOut + sum('spared') + unchanged + replaced + inserted,
      changed: inserted + replaced + removed + movedOut > 0,
    });
  }
}

/** Staged rows that go into the period's new generation. */
export function loadedSql({ period }: Unit): string {
  return `reason is null and ${insideSql([period])} and rowid not in (select row_id from ${EXCESS_COPIES})`;
}

/** Rows of MOVED_OUT in the period. */
export function hourInside({ period }: Unit): string {
  return `hour >= ${period.from / HOUR} and hour < ${period.to / HOUR}`;
}

function sumDays({ from, to }: Period, days: ReadonlyMap<bigint, number>): number {
  let sum = 0;
  for (let day = from / DAY; day < to / DAY; day += 1n) sum += days.get(day) ?? 0;
  return sum;
}

/** Numbers since 1970 of the hours that the windows cover in part: only the edges of a window can. */
function partialHours(windows: readonly Window[]): bigint[] {
  const covered = new Map<bigint, bigint>();
  for (const window of windows) {
    for (const hour of new Set([floorTo(window.from, HOUR), floorTo(window.to - 1n, HOUR)])) {
      const inside = intersection(window, { from: hour, to: hour + HOUR });
      covered.set(hour, (covered.get(hour) ?? 0n) + (inside ? inside.to - inside.from : 0n));
    }
  }
  return [...covered].filter(([, ticks]) => ticks < HOUR).map(([hour]) => hour / HOUR);
}
