/**
 * Counts what a staged batch would change in each period before anything is written. The guard against mass loss checks the
 * counts, and a period without a difference is not rewritten. Rows are compared by id and a 64-bit hash of their content, so
 * the joins never hold a row's properties.
 */
import { join } from 'node:path';
import { DAY, HOUR, floorTo } from '../../kernel/instant.ts';
import type { Window } from '../../kernel/instant.ts';
import { contains, intersection } from '../../kernel/windows.ts';
import type { Batch } from '../../model/page.ts';
import type { Table } from '../../model/tables.ts';
import { lakeName } from '../../transform/lake.ts';
import { asBigInt, asCount, asFlag, asInstant, asText } from '../ledger/cells.ts';
import { DIGEST_COLUMN } from '../../model/fingerprint.ts';
import { FORM_SHAPE } from '../store/form.ts';
import type { Form } from '../store/form.ts';
import type { Ledger } from '../ledger/ledger.ts';
import { createEmpty, EXCESS_COPIES, ID_COLLISIONS, MOVED_OUT, STAGED } from './merge-tables.ts';
import { dayPeriod } from '../../model/period.ts';
import type { Period } from '../../model/period.ts';
import {
  contentHashSql,
  dayOfHourSql,
  digestedSql,
  hourNumberSql,
  insideSql,
  instantSql,
  parquetSql,
  storedDigestSql,
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

/**
 * The periods that the batch's windows (or its staged rows, when it has no windows) cover and that have staged rows or a
 * current generation. A day with neither needs no file. `days`: staged rows by UTC day.
 */
export async function planUnits(ledger: Ledger, batch: Batch, days: ReadonlyMap<bigint, number>): Promise<Unit[]> {
  const adds = batch.windows.length === 0;
  const spans = adds ? daySpans(days) : batch.windows;
  const [first, last] = [spans[0], spans.at(-1)];
  if (!first || !last) return [];
  const known = await ledger.rows(
    `select
       period, epoch_us(from_ts)::varchar as "from", epoch_us(to_ts)::varchar as "to",
       file, generation, rows, promotion, privacy, digests, superseded_at is null as current
     from partitions
     where ${tableFilterSql(batch.tenant, batch.table)} and from_ts < ${instantSql(last.to)} and to_ts > ${instantSql(first.from)}`,
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
    oldForm: files.get(period.name)?.form ?? { promotion: undefined, privacy: undefined, digests: undefined },
    held: files.get(period.name)?.rows ?? 0,
    staged: sumDays(period, days),
    nextGeneration: (generations.get(period.name) ?? 0) + 1,
  }));
}

function daySpans(days: ReadonlyMap<bigint, number>): Window[] {
  return [...days.keys()].sort((a, b) => (a < b ? -1 : 1)).map((day) => ({ from: day * DAY, to: (day + 1n) * DAY }));
}

/**
 * Finds staged rows that have the id of an old row in the same hour, where the old row lies outside the unit's windows. That
 * happens when windows cover only part of an hour, or none of it when the batch only adds. The earlier row is kept, as it
 * would be if the whole hour were loaded at once. Fills EXCESS_COPIES (staged rows) and MOVED_OUT (old rows).
 */
export async function findIdCollisions(
  ledger: Ledger,
  table: Table,
  unit: Unit,
  keepMissing: readonly Window[],
): Promise<void> {
  const adds = unit.windows.length === 0;
  const hours = partialHours(unit.windows);
  if (!unit.oldFile || (!adds && hours.length === 0)) return;
  const affected = adds ? `select ${hourNumberSql()} from ${STAGED} where reason is null` : hours.join(', ');
  const id = lakeName(table, table.id);
  await createEmpty(ledger, ID_COLLISIONS);
  await ledger.run(
    `insert into ${ID_COLLISIONS} by name
     select
       staged.rowid as row_id, old.hour, old.id,
       date_trunc('minute', old.moment) as old_minute, date_trunc('minute', "timestamp") as new_minute,
       old.digest as old_digest, ${DIGEST_COLUMN} as new_digest,
       old.moment <= "timestamp" as old_first, old.content = ${contentHashSql(table)} as same_content
     from (
       select ${hourNumberSql()} as hour, "${id}" as id, "timestamp" as moment, ${storedDigestSql(unit.oldForm)} as digest, ${contentHashSql(table)} as content
       from ${parquetSql([unit.oldFile])}
       where ${hourNumberSql()} in (${affected})
         and not ${insideSql(unit.windows)} and not ${insideSql(keepMissing)}
     ) as old
     join ${STAGED} as staged on "${id}" = old.id and ${hourNumberSql()} = old.hour
     where reason is null and staged.rowid not in (select row_id from ${EXCESS_COPIES})`,
  );
  const collisions = await ledger.row(`select count(*) as n from ${ID_COLLISIONS}`, { n: asCount });
  if (collisions.n === 0) return;
  // Where the old row is the earliest, the staged copies found before are copies of it, too.
  await ledger.run(
    `update ${EXCESS_COPIES} as copies set kept_minute = old_minute from ${ID_COLLISIONS} as collision
     where old_first and copies.id = collision.id and copies.hour = collision.hour`,
  );
  await ledger.run(
    `insert into ${EXCESS_COPIES} (row_id, hour, id, minute, digest, kept_minute, same_content)
     select row_id, hour, id, new_minute, new_digest, old_minute, same_content from ${ID_COLLISIONS} where old_first`,
  );
  await ledger.run(
    `insert into ${MOVED_OUT} (hour, id, minute, digest, kept_minute, same_content)
     select hour, id, old_minute, old_digest, new_minute, same_content from ${ID_COLLISIONS} where not old_first`,
  );
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
  const files = units.flatMap(({ oldFile, oldForm: { digests } }) =>
    oldFile === undefined ? [] : [{ path: oldFile, digests }],
  );
  const periods = units.map(({ period }) => period);
  const windows = units.flatMap((unit) => unit.windows);
  const byDay = await ledger.rows(
    `with old as (
       select ${hourNumberSql()} as hour, "${id}" as id, ${DIGEST_COLUMN} as digest, ${contentHashSql(table)} as content, ${insideSql(keepMissing)} as is_protected
       from ${digestedSql(files)}
       where ${insideSql(windows)}
     ),
     fresh as (
       select ${hourNumberSql()} as hour, "${id}" as id, ${DIGEST_COLUMN} as digest, ${contentHashSql(table)} as content
       from ${STAGED}
       where reason is null and ${insideSql(periods)} and rowid not in (select row_id from ${EXCESS_COPIES})
     ),
     pairs as (
       select
         ${dayOfHourSql('coalesce(old.hour, fresh.hour)')} as day,
         old.id is not null as is_old, fresh.id is not null as is_fresh,
         coalesce(is_protected, false) as is_protected, old.content = fresh.content as same,
         fresh.digest is not null and old.digest is distinct from fresh.digest as is_other_digest
       from old full join fresh on old.id = fresh.id and old.hour = fresh.hour
     )
     select
       day,
       count(*) filter (where is_old) as inside,
       count(*) filter (where is_fresh and not is_old) as inserted,
       count(*) filter (where is_old and not is_fresh and not is_protected) as removed,
       count(*) filter (where is_old and not is_fresh and is_protected) as kept,
       count(*) filter (where is_old and is_fresh and same) as unchanged,
       count(*) filter (where is_old and is_fresh and not same) as replaced,
       count(*) filter (where is_old and is_fresh and same and is_other_digest) as redigested
     from pairs group by day`,
    {
      day: asBigInt,
      inside: asCount,
      inserted: asCount,
      removed: asCount,
      kept: asCount,
      unchanged: asCount,
      replaced: asCount,
      redigested: asCount,
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
      rowsAfter: outside + sum((day) => day.kept) + unchanged + replaced + inserted,
      // The same row with a new digest: loaded before there were digests, or changed in what the lake does not store.
      changed: inserted + replaced + removed + movedOut + sum((day) => day.redigested) > 0,
    });
  }
}

/** True for a row of STAGED that goes into the unit's new generation. */
export function loadedSql({ period }: Unit): string {
  return `reason is null and ${insideSql([period])} and rowid not in (select row_id from ${EXCESS_COPIES})`;
}

/** True for a row of MOVED_OUT in the unit's period. */
export function movedFromSql({ period }: Unit): string {
  return `hour >= ${period.from / HOUR} and hour < ${period.to / HOUR}`;
}

function sumDays({ from, to }: Period, days: ReadonlyMap<bigint, number>): number {
  let sum = 0;
  for (let day = from / DAY; day < to / DAY; day += 1n) sum += days.get(day) ?? 0;
  return sum;
}

/** Hours that the windows cover only in part, as numbers since 1970: such an hour is at an edge of a window. */
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
