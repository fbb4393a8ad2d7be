/** Typed rows of the published catalogue. */
import { DamagedError } from '../kernel/errors.ts';
import { readRow } from '../load/ledger/cells.ts';
import type { Cell, RowOf, Shape } from '../load/ledger/cells.ts';
import { findLakeTable } from '../model/tables.ts';
import type { TableName } from '../model/tables.ts';
import type { Reader } from '../query/reader.ts';

/** All rows of a small result. Integers of 64 bits and more may be read with `asCount`. */
export async function catalogueRows<S extends Shape>(
  reader: Reader,
  sql: string,
  shape: S,
  parameters: Readonly<Record<string, string>> = {},
): Promise<RowOf<S>[]> {
  const { columns, batches } = await reader.query(sql, parameters);
  const rows: RowOf<S>[] = [];
  for await (const batch of batches())
    for (const cells of batch)
      rows.push(readRow(shape, Object.fromEntries(cells.map((cell, index) => [columns[index]?.name ?? '', cell]))));
  return rows;
}

/** A table by its name in the lake. */
export const asLakeTable: Cell<TableName> = (value) => {
  const table = findLakeTable(value);
  if (table) return table;
  throw new DamagedError('The catalogue names a table that does not exist.', {
    hint: 'Run `insights-etl publish`: it writes the catalogue again, without a call to the source.',
  });
};
