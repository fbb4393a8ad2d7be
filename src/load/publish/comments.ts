/**
 * Comments on the columns of the catalogue that is being written. A comment costs a quarter of a millisecond, so those that are
 * the same at every publish belong to a layer that is kept (`reuse.ts`).
 */
import { sqlName, sqlText } from '../../kernel/sql.ts';
import { asText } from '../ledger/cells.ts';
import type { Ledger } from '../ledger/ledger.ts';

/**
 * One text of statements for the columns in `catalogue.main` that have no comment; none if there are none. `wordsOf` may leave some
 * without one. `prefix`: only columns of tables and views with such a name; a lake with many types has 20,000 columns.
 */
export async function commentColumns(
  ledger: Ledger,
  wordsOf: (holder: string, column: string) => string | undefined,
  prefix = '',
): Promise<readonly string[]> {
  const columns = await ledger.rows(
    `select table_name as holder, column_name as name from duckdb_columns()
     where database_name = 'catalogue' and schema_name = 'main' and comment is null and starts_with(table_name, ${sqlText(prefix)})`,
    { holder: asText, name: asText },
  );
  const statements = columns.flatMap(({ holder, name }) => {
    const words = wordsOf(holder, name);
    if (words === undefined) return [];
    return [`comment on column catalogue.main.${sqlName(holder)}.${sqlName(name)} is ${sqlText(words)}`];
  });
  return statements.length === 0 ? [] : [statements.join(';\n')];
}
