/**
 * Counts what a staged batch would change in each period before anything is written. The guard against mass loss checks the
 * counts, and a period without a difference is not rewritten. Rows are compared by id, hour and a 64-bit hash of their content, so
 * the joins never hold a row's properties.
 */
import { DAY } from '../../kernel/instant.ts';
import type { Window } from '../../kernel/instant.ts';
import { contains } from '../../kernel/windows.ts';
import type { Table } from '../../model/tables.ts';
import { lakeName } from '../../transform/lake.ts';
import { sqlName } from '../../kernel/sql.ts';
import { asBigInt, asCount } from '../ledger/cells.ts';
import { DIGEST_COLUMN } from '../../model/fingerprint.ts';
import type { Ledger } from '../ledger/ledger.ts';
import { EXCESS_COPIES, MOVED_OUT, STAGED } from './merge-tables.ts';
import type { Unit } from './units.ts';
import { contentHashSql, dayOfHourSql, digestedSql, hourNumberSql, insideSql } from '../ledger/sql.ts';

export interface Comparison {
  readonly inserted: number;
  readonly replaced: number;
  readonly removed: number;
  /** The removed rows by UTC day, as the day's number since 1970; without days that lose none. */
  readonly removedByDay: ReadonlyMap<bigint, number>;
  readonly unchanged: number;
  /** Rows that move into the quarantine. */
  readonly movedOut: number;
  /** Rows of the new generation. */
  readonly rowsAfter: number;
  readonly changed: boolean;
}

const NO_ROWS = { replaced: 0, removed: 0, removedByDay: new Map<bigint, number>(), unchanged: 0, movedOut: 0 };

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
      result.set(unit, { ...NO_ROWS, inserted, rowsAfter: inserted, changed });
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
      removedByDay: new Map(days.flatMap((day) => (day.removed > 0 ? [[day.day, day.removed]] : []))),
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
