/** Writes the new generation of a unit: what is kept of the old rows, and the staged ones. */
import { InsightsError } from '../../kernel/errors.ts';
import type { Window } from '../../kernel/instant.ts';
import type { Batch } from '../../model/page.ts';
import { lakeName } from '../../transform/lake.ts';
import { promotedSql } from '../../transform/promote.ts';
import type { Ledger } from '../ledger/ledger.ts';
import { hourNumberSql, insideSql, parquetSql } from '../ledger/sql.ts';
import { heldRows } from '../store/form.ts';
import { copyRows } from '../store/generation.ts';
import type { Copied } from '../store/generation.ts';
import { hourInside, loadedSql } from './compare.ts';
import type { Unit } from './compare.ts';
import { MOVED_OUT, STAGED } from './merge-tables.ts';

/** Old rows outside the unit's windows ∪ staged rows, ordered by (type, timestamp). */
export async function copyGeneration(
  ledger: Ledger,
  batch: Batch,
  unit: Unit,
  expectedRows: number,
  keepMissing: readonly Window[],
): Promise<Copied> {
  const table = ledger.settings.tables[batch.table];
  const id = lakeName(table, table.id);
  // Tuples and no correlated `exists`: the engine would hold every old row until the join is done.
  const identity = `(old."${id}", ${hourOf('old')})`;
  const spared = `(${insideSql(keepMissing)} and ${identity} not in (
    select "${id}", ${hourNumberSql()} from ${STAGED} where ${loadedSql(unit)}))`;
  const isKept =
    keepMissing.length > 0 ? `(not ${insideSql(unit.windows)} or ${spared})` : `not ${insideSql(unit.windows)}`;
  const old =
    unit.oldFile === undefined || (unit.whole && keepMissing.length === 0)
      ? undefined
      : heldRows(
          table,
          `from ${parquetSql([unit.oldFile])} as old where ${isKept}
         and ${identity} not in (select id, hour from ${MOVED_OUT} where ${hourInside(unit)})`,
          [unit.oldForm],
        );
  const fresh = `from (${promotedSql(table, `from ${STAGED} where ${loadedSql(unit)}`)})`;
  const generation = await copyRows(ledger, batch, unit.period, unit.nextGeneration, {
    sources: old === undefined ? [fresh] : [old, fresh],
    inOrder: true,
    rows: expectedRows,
  });
  if (generation.rows !== expectedRows) {
    // The comparison and the copy read the same rows: a difference is a defect, and the file is an orphan.
    throw new InsightsError('unexpected', `${generation.file} holds ${generation.rows} rows, expected ${expectedRows}`);
  }
  return generation;
}

function hourOf(alias: string): string {
  return hourNumberSql(`${alias}."timestamp"`);
}
