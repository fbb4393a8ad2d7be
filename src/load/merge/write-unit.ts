/** Writes the new generations of units: the old rows that are kept, and the staged rows. */
import { InsightsError } from '../../kernel/errors.ts';
import { sqlName } from '../../kernel/sql.ts';
import { DIGEST_COLUMN } from '../../model/fingerprint.ts';
import { DAY } from '../../kernel/instant.ts';
import type { Window } from '../../kernel/instant.ts';
import type { Batch } from '../../model/page.ts';
import { lakeName } from '../../transform/lake.ts';
import { promotedSql } from '../../transform/promote.ts';
import type { Ledger } from '../ledger/ledger.ts';
import {
  DAY_MICROSECONDS,
  contentHashSql,
  hourNumberSql,
  insideSql,
  parquetSql,
  unitNumberSql,
} from '../ledger/sql.ts';
import { OutOfMemoryError } from '../ledger/engine-errors.ts';
import type { Lane } from '../ledger/engine.ts';
import { DAY_COLUMN, copyGroups } from '../store/arrange.ts';
import { heldRows } from '../store/form.ts';
import { copyDays, copyRows } from '../store/generation.ts';
import type { Copied } from '../store/generation.ts';
import { loadedSql, missingButKeptSql } from './compare.ts';
import type { Comparison } from './compare.ts';
import type { Unit } from './units.ts';
import { MOVED_OUT, STAGED } from './merge-tables.ts';

/** A unit and what its new generation changes. */
export interface Change {
  readonly unit: Unit;
  readonly comparison: Comparison;
}

/** Groups the changes that one statement writes: new periods with few rows. Every other change is a group of its own. */
function writeGroups(changes: readonly Change[], keepMissing: readonly Window[]): Change[][] {
  return copyGroups(
    changes,
    ({ comparison }) => comparison.rowsAfter,
    ({ unit }) => keepsOldRows(unit, keepMissing),
  );
}

/** Writes the new generations of the changes under temporary names, in the order of the changes. */
export async function copyChanges(
  ledger: Ledger,
  batch: Batch,
  changes: readonly Change[],
  keepMissing: readonly Window[],
): Promise<Copied[]> {
  const groups = writeGroups(changes, keepMissing);
  const rowsOf = (group: readonly Change[]): number =>
    group.reduce((sum, { comparison }) => sum + comparison.rowsAfter, 0);
  // The largest first, so that all lanes end at about the same time.
  const bySize = groups.toSorted((a, b) => rowsOf(b) - rowsOf(a));
  const copies = await ledger.sideBySide(
    bySize.map((group) => (lane) => copyGroup(ledger, lane, batch, group, keepMissing)),
  );
  return groups.flatMap((group) => copies[bySize.indexOf(group)] ?? []);
}

async function copyGroup(
  ledger: Ledger,
  lane: Lane,
  batch: Batch,
  changes: readonly Change[],
  keepMissing: readonly Window[],
): Promise<Copied[]> {
  if (changes.length > 1) {
    try {
      return await copyNewPeriods(ledger, lane, batch, changes);
    } catch (error) {
      // One day needs less memory than several.
      if (!(error instanceof OutOfMemoryError)) throw error;
    }
  }
  const copies: Copied[] = [];
  for (const { unit, comparison } of changes)
    copies.push(await copyGeneration(ledger, lane, batch, unit, comparison, keepMissing));
  return copies;
}

function keepsOldRows({ oldFile, whole }: Unit, keepMissing: readonly Window[]): boolean {
  return oldFile !== undefined && !(whole && keepMissing.length === 0);
}

async function copyNewPeriods(ledger: Ledger, lane: Lane, batch: Batch, changes: readonly Change[]): Promise<Copied[]> {
  const table = ledger.settings.tables[batch.table];
  const day = `${firstDaySql(changes)} as ${sqlName(DAY_COLUMN)}`;
  const staged = `from (select *, ${day} from ${STAGED} where ${loadedSql(changes.map(({ unit }) => unit))})`;
  const source = `from (${promotedSql(table, staged, [DIGEST_COLUMN, DAY_COLUMN])})`;
  const days = changes.map(({ unit }) => ({ period: unit.period, generation: unit.nextGeneration }));
  // Staged rows are sorted by day first.
  const inOrder = changes.every(({ unit: { period } }) => period.to - period.from === DAY);
  const copies = await copyDays(ledger, batch, { days, source, inOrder }, lane);
  for (const [index, copy] of copies.entries()) requireRows(copy, changes[index]?.comparison.rowsAfter);
  return copies;
}

/** The number of the first day of a row's period. */
function firstDaySql(changes: readonly Change[]): string {
  const months = changes.map(({ unit }) => unit.period).filter(({ from, to }) => to - from > DAY);
  const cases = months.map((month) => `when ${insideSql([month])} then ${month.from / DAY}`);
  const day = unitNumberSql('"timestamp"', DAY_MICROSECONDS);
  return cases.length === 0 ? day : `case ${cases.join(' ')} else ${day} end`;
}

/** Copies the old rows outside the unit's windows and the unit's staged rows, ordered by (type, timestamp). */
async function copyGeneration(
  ledger: Ledger,
  lane: Lane,
  batch: Batch,
  unit: Unit,
  { rowsAfter, movedOut }: Comparison,
  keepMissing: readonly Window[],
): Promise<Copied> {
  const table = ledger.settings.tables[batch.table];
  const isKept = `(not ${insideSql(unit.windows)} or ${missingButKeptSql(table, keepMissing, 'old')})`;
  const row = `(${sqlName(lakeName(table, table.id))}, ${hourNumberSql()}, ${contentHashSql(table)})`;
  const old =
    unit.oldFile === undefined || !keepsOldRows(unit, keepMissing)
      ? undefined
      : heldRows(
          table,
          `from ${parquetSql([unit.oldFile])} as old where ${isKept}
         ${movedOut === 0 ? '' : `and ${row} not in (select (id, hour, content) from ${MOVED_OUT})`}`,
          [unit.oldForm],
        );
  const fresh = `from (${promotedSql(table, `from ${STAGED} where ${loadedSql([unit])}`, [DIGEST_COLUMN])})`;
  const sources = old === undefined ? [fresh] : [old, fresh];
  // Staged rows are sorted by day first.
  const inOrder = old !== undefined || unit.period.to - unit.period.from === DAY;
  const arranged = { sources, inOrder, rows: rowsAfter };
  const generation = await copyRows(ledger, batch, unit.period, unit.nextGeneration, arranged, lane);
  requireRows(generation, rowsAfter);
  return generation;
}

function requireRows({ file, rows }: Copied, expected: number | undefined): void {
  if (rows === expected) return;
  // The comparison and the copy read the same rows, so a difference is a defect. The file is left as an orphan.
  throw new InsightsError('unexpected', `${file} holds ${rows} rows, expected ${expected}`);
}
