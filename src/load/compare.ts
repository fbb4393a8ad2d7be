/**
 * What a staged batch would change, period by period, before anything is written: the guard against mass loss looks at
 * it, and a period in which nothing differs is left alone. Ids and content are compared as 64-bit hashes, so the joins
 * never hold a row's properties.
 */
import { join } from 'node:path';
import { DAY, HOUR, floorTo } from '../instant.ts';
import type { Window } from '../instant.ts';
import type { Batch } from '../page.ts';
import type { Table } from '../tables.ts';
import { lakeName } from '../transform/lake.ts';
import { count, text } from './engine.ts';
import type { Ledger } from './ledger.ts';
import { dayPeriod } from './layout.ts';
import type { Period } from './layout.ts';
import { contentHashSql, HOUR_NUMBER, insideSql, instantOf, instantSql, ofTable, parquetSql } from './sql.ts';

/** The rows of one period that a batch touches, and the generation that holds the period now. */
export interface Unit {
  readonly period: Period;
  /** The batch's windows, clipped to the period. */
  readonly windows: readonly Window[];
  /** The windows leave nothing of the old generation. */
  readonly whole: boolean;
  /** Absolute path of the current generation. */
  readonly oldFile: string | undefined;
  readonly nextGeneration: number;
}

export interface Comparison {
  readonly inserted: number;
  readonly replaced: number;
  readonly removed: number;
  readonly unchanged: number;
  /** Rows of the old generation. */
  readonly held: number;
  /** Rows of the new generation. */
  readonly rowsAfter: number;
  readonly changed: boolean;
}

/** Periods that have staged rows or an old generation below the batch's windows; days whose windows are empty need no file. */
export async function planUnits(ledger: Ledger, batch: Batch, days: ReadonlyMap<bigint, number>): Promise<Unit[]> {
  const [first, last] = [batch.windows[0], batch.windows.at(-1)];
  if (!first || !last) return [];
  const known = await ledger.rows(
    `select period, epoch_us(from_ts)::varchar as lo, epoch_us(to_ts)::varchar as hi, file, generation, superseded_at is null as current
     from partitions
     where ${ofTable(batch.tenant, batch.table)} and from_ts < ${instantSql(last.to)} and to_ts > ${instantSql(first.from)}`,
  );
  const generations = new Map<string, number>();
  const current: { period: Period; file: string }[] = [];
  for (const row of known) {
    const name = text(row, 'period') ?? '';
    generations.set(name, Math.max(generations.get(name) ?? 0, count(row, 'generation')));
    if (row['current'] === true) {
      const period = { name, from: instantOf(row, 'lo'), to: instantOf(row, 'hi') };
      current.push({ period, file: join(ledger.dataDir, text(row, 'file') ?? '') });
    }
  }
  const months = current.filter(({ period }) => period.to - period.from > DAY);
  const files = new Map(current.map(({ period, file }) => [period.name, file]));
  const windows = new Map<string, { period: Period; windows: Window[] }>();
  for (const window of batch.windows) {
    for (let day = floorTo(window.from, DAY); day < window.to;) {
      const month = months.find(({ period }) => period.from <= day && day < period.to)?.period;
      const period = month ?? dayPeriod(day);
      const unit = windows.get(period.name) ?? { period, windows: [] };
      unit.windows.push({
        from: window.from > period.from ? window.from : period.from,
        to: window.to < period.to ? window.to : period.to,
      });
      if (month || days.has(day / DAY) || files.has(period.name)) windows.set(period.name, unit);
      day = period.to;
    }
  }
  return [...windows.values()].map(({ period, windows }) => ({
    period,
    windows,
    whole: windows.length === 1 && windows[0]?.from === period.from && windows[0].to === period.to,
    oldFile: files.get(period.name),
    nextGeneration: (generations.get(period.name) ?? 0) + 1,
  }));
}

/**
 * Where windows cover only a part of an hour, an old row outside them may bear the id of a staged one: the earlier
 * stays, as it would had the hour been loaded at once. Fills `losers` (staged copies) and `displaced` (old rows).
 */
export async function meetOldRows(
  ledger: Ledger,
  table: Table,
  unit: Unit,
  keepMissing: readonly Window[],
): Promise<void> {
  const hours = partialHours(unit.windows);
  if (!unit.oldFile || hours.length === 0) return;
  const id = lakeName(table, table.id);
  await ledger.run(
    `create or replace temp table meetings as
     select
       staged.rowid as row_id, old.hour, old.id,
       date_trunc('minute', old.moment) as old_minute, date_trunc('minute', "timestamp") as new_minute,
       old.moment <= "timestamp" as old_first, old.content = ${contentHashSql(table)} as same_content
     from (
       select ${HOUR_NUMBER} as hour, "${id}" as id, "timestamp" as moment, ${contentHashSql(table)} as content
       from ${parquetSql([unit.oldFile])}
       where ${HOUR_NUMBER} in (${hours.join(', ')})
         and not ${insideSql(unit.windows)} and not ${insideSql(keepMissing)}
     ) as old
     join staged on "${id}" = old.id and ${HOUR_NUMBER} = old.hour
     where reason is null and staged.rowid not in (select row_id from losers)`,
  );
  const [met] = await ledger.rows('select count(*) as n from meetings');
  if (count(met, 'n') === 0) return;
  await ledger.run(
    `update losers set kept_minute = old_minute from meetings
     where old_first and losers.id = meetings.id and losers.hour = meetings.hour`,
  );
  await ledger.run(
    'insert into losers select row_id, hour, id, new_minute, old_minute, same_content from meetings where old_first',
  );
  await ledger.run(
    'insert into displaced select hour, id, old_minute, new_minute, same_content from meetings where not old_first',
  );
}

/** Counts what the new generation of a period would change. */
export async function compareUnit(
  ledger: Ledger,
  table: Table,
  unit: Unit,
  keepMissing: readonly Window[],
): Promise<Comparison> {
  const id = lakeName(table, table.id);
  const fresh = `select ${HOUR_NUMBER} as hour, "${id}" as id, ${contentHashSql(table)} as content from staged where ${loadedSql(unit)}`;
  if (!unit.oldFile) {
    const [row] = await ledger.rows(`select count(*) as n from staged where ${loadedSql(unit)}`);
    const inserted = count(row, 'n');
    return { inserted, replaced: 0, removed: 0, unchanged: 0, held: 0, rowsAfter: inserted, changed: inserted > 0 };
  }
  const [row] = await ledger.rows(
    `with old as (
       select
         ${HOUR_NUMBER} as hour, "${id}" as id, ${contentHashSql(table)} as content,
         ${insideSql(unit.windows)} as inside, ${insideSql(keepMissing)} as spared
       from ${parquetSql([unit.oldFile])}
     ),
     fresh as (${fresh}),
     pairs as (
       select old.id is not null as was, coalesce(spared, false) as spared, fresh.id is not null as is_now, old.content = fresh.content as same
       from (select * from old where inside) as old
       full join fresh on old.id = fresh.id and old.hour = fresh.hour
     )
     select
       (select count(*) from old) as held,
       (select count(*) from old where not inside) as outside,
       (select count(*) from displaced where ${hourInside(unit)}) as displaced,
       count(*) filter (where is_now and not was) as inserted,
       count(*) filter (where was and not is_now and not spared) as removed,
       count(*) filter (where was and not is_now and spared) as spared,
       count(*) filter (where was and is_now and same) as unchanged,
       count(*) filter (where was and is_now and not same) as replaced
     from pairs`,
  );
  const [inserted, replaced, removed] = [count(row, 'inserted'), count(row, 'replaced'), count(row, 'removed')];
  const [unchanged, displaced] = [count(row, 'unchanged'), count(row, 'displaced')];
  return {
    inserted,
    replaced,
    removed,
    unchanged,
    held: count(row, 'held'),
    rowsAfter: count(row, 'outside') - displaced + count(row, 'spared') + unchanged + replaced + inserted,
    changed: inserted + replaced + removed + displaced > 0,
  };
}

/** Staged rows that go into the period's new generation. */
export function loadedSql({ period }: Unit): string {
  return `reason is null and ${insideSql([period])} and rowid not in (select row_id from losers)`;
}

/** Displaced rows of the period. */
export function hourInside({ period }: Unit): string {
  return `hour >= ${period.from / HOUR} and hour < ${period.to / HOUR}`;
}

/** Numbers since 1970 of the hours that the windows cover in part: only the edges of a window can. */
function partialHours(windows: readonly Window[]): bigint[] {
  const covered = new Map<bigint, bigint>();
  for (const { from, to } of windows) {
    for (const hour of new Set([floorTo(from, HOUR), floorTo(to - 1n, HOUR)])) {
      const start = from > hour ? from : hour;
      const end = to < hour + HOUR ? to : hour + HOUR;
      covered.set(hour, (covered.get(hour) ?? 0n) + end - start);
    }
  }
  return [...covered].filter(([, ticks]) => ticks < HOUR).map(([hour]) => hour / HOUR);
}
