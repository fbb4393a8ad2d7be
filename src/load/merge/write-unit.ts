/** Writes the new generation of a unit: the old rows that are kept, and the staged rows. */
import { InsightsError } from '../../kernel/errors.ts';
import { sqlName } from '../../kernel/sql.ts';
import { DIGEST_COLUMN } from '../../model/fingerprint.ts';
import type { Window } from '../../kernel/instant.ts';
import type { Batch } from '../../model/page.ts';
import { lakeName } from '../../transform/lake.ts';
import { promotedSql } from '../../transform/promote.ts';
import type { Ledger } from '../ledger/ledger.ts';
import { contentHashSql, hourNumberSql, insideSql, parquetSql } from '../ledger/sql.ts';
import { heldRows } from '../store/form.ts';
import { copyRows } from '../store/generation.ts';
import type { Copied } from '../store/generation.ts';
import { loadedSql, missingButKeptSql } from './compare.ts';
import type { Comparison, Unit } from './compare.ts';
import { MOVED_OUT, STAGED } from './merge-tables.ts';

/** Copies the old rows outside the unit's windows and the unit's staged rows, ordered by (type, timestamp). */
export async function copyGeneration(
  ledger: Ledger,
  batch: Batch,
  unit: Unit,
  { rowsAfter, movedOut }: Comparison,
  keepMissing: readonly Window[],
): Promise<Copied> {
  const table = ledger.settings.tables[batch.table];
  const isKept = `(not ${insideSql(unit.windows)} or ${missingButKeptSql(table, keepMissing, 'old')})`;
  const row = `(${sqlName(lakeName(table, table.id))}, ${hourNumberSql()}, ${contentHashSql(table)})`;
  const old =
    unit.oldFile === undefined || (unit.whole && keepMissing.length === 0)
      ? undefined
      : heldRows(
          table,
          `from ${parquetSql([unit.oldFile])} as old where ${isKept}
         ${movedOut === 0 ? '' : `and ${row} not in (select (id, hour, content) from ${MOVED_OUT})`}`,
          [unit.oldForm],
        );
  const fresh = `from (${promotedSql(table, `from ${STAGED} where ${loadedSql(unit)}`, [DIGEST_COLUMN])})`;
  const generation = await copyRows(ledger, batch, unit.period, unit.nextGeneration, {
    sources: old === undefined ? [fresh] : [old, fresh],
    inOrder: true,
    rows: rowsAfter,
  });
  if (generation.rows !== rowsAfter) {
    // The comparison and the copy read the same rows, so a difference is a defect. The file is left as an orphan.
    throw new InsightsError('unexpected', `${generation.file} holds ${generation.rows} rows, expected ${rowsAfter}`);
  }
  return generation;
}
