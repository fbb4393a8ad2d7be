/** Writes the new generation of a unit: the old rows that are kept, and the staged rows. */
import { InsightsError } from '../../kernel/errors.ts';
import { DIGEST_COLUMN } from '../../model/fingerprint.ts';
import type { Window } from '../../kernel/instant.ts';
import type { Batch } from '../../model/page.ts';
import { lakeName } from '../../transform/lake.ts';
import { promotedSql } from '../../transform/promote.ts';
import type { Ledger } from '../ledger/ledger.ts';
import { hourNumberSql, insideSql, parquetSql } from '../ledger/sql.ts';
import { heldRows } from '../store/form.ts';
import { copyRows } from '../store/generation.ts';
import type { Copied } from '../store/generation.ts';
import { loadedSql, movedFromSql } from './compare.ts';
import type { Unit } from './compare.ts';
import { MOVED_OUT, STAGED } from './merge-tables.ts';

/** Copies the old rows outside the unit's windows and the unit's staged rows, ordered by (type, timestamp). */
export async function copyGeneration(
  ledger: Ledger,
  batch: Batch,
  unit: Unit,
  expectedRows: number,
  keepMissing: readonly Window[],
): Promise<Copied> {
  const table = ledger.settings.tables[batch.table];
  const id = lakeName(table, table.id);
  // `not in` over tuples: with a correlated `exists` the engine would hold every old row until the join is done.
  const identity = `(old."${id}", ${hourNumberSql('old."timestamp"')})`;
  const isMissingButKept = `(${insideSql(keepMissing)} and ${identity} not in (
    select "${id}", ${hourNumberSql()} from ${STAGED} where ${loadedSql(unit)}))`;
  const isKept =
    keepMissing.length > 0
      ? `(not ${insideSql(unit.windows)} or ${isMissingButKept})`
      : `not ${insideSql(unit.windows)}`;
  const old =
    unit.oldFile === undefined || (unit.whole && keepMissing.length === 0)
      ? undefined
      : heldRows(
          table,
          `from ${parquetSql([unit.oldFile])} as old where ${isKept}
         and ${identity} not in (select id, hour from ${MOVED_OUT} where ${movedFromSql(unit)})`,
          [unit.oldForm],
        );
  const fresh = `from (${promotedSql(table, `from ${STAGED} where ${loadedSql(unit)}`, [DIGEST_COLUMN])})`;
  const generation = await copyRows(ledger, batch, unit.period, unit.nextGeneration, {
    sources: old === undefined ? [fresh] : [old, fresh],
    inOrder: true,
    rows: expectedRows,
  });
  if (generation.rows !== expectedRows) {
    // The comparison and the copy read the same rows, so a difference is a defect. The file is left as an orphan.
    throw new InsightsError('unexpected', `${generation.file} holds ${generation.rows} rows, expected ${expectedRows}`);
  }
  return generation;
}
