/** Views and macros that a reader creates for its connection, because the catalogue lacks them. */
import type { DuckDBConnection } from '@duckdb/node-api';
import type { Lazy } from './across.ts';

export interface Definitions {
  /** Creates what a statement names. */
  readonly define: (sql: string) => Promise<void>;
  /** Has these created again when a statement names them: they have been dropped. So are those that read them. */
  readonly forget: (names: readonly string[]) => void;
}

/** Statements that list the catalogue need every definition. No definition is a table. */
const SHOWS_ALL = /\b(show|duckdb_(?!tables\b)\w+|information_schema|pg_catalog)\b/i;

/**
 * Creates a definition when a statement first names it, after the definitions that it uses. Creating a view opens the files
 * under it (3 s for 90,000 files), and a query that does not use the view should not wait for that.
 */
export function lazyDefinitions(connection: DuckDBConnection, definitions: readonly Lazy[]): Definitions {
  const defined = new Set<Lazy>();
  const patterns = new Map(definitions.map((each) => [each, patternOf(each.name)]));
  const define: Definitions['define'] = async (sql) => {
    const lists = SHOWS_ALL.test(sql);
    for (const each of definitions) {
      const { reads, create, onlyIfNamed = false } = each;
      const all = lists && !onlyIfNamed;
      if (defined.has(each) || !(all || patterns.get(each)?.test(sql) === true)) continue;
      defined.add(each);
      try {
        await define(reads);
        for (const statement of create) await connection.run(statement);
      } catch (error) {
        defined.delete(each);
        // A catalogue of an older version may lack what the definition reads. Then it is not listed, and using it is an error.
        if (!all) throw error;
      }
    }
  };
  const forget = (names: readonly string[]): void => {
    for (const each of defined) {
      if (!names.includes(each.name) && !names.some((name) => patternOf(name).test(each.reads))) continue;
      defined.delete(each);
      if (!names.includes(each.name)) forget([each.name]);
    }
  };
  return { define, forget };
}

function patternOf(name: string): RegExp {
  return new RegExp(`\\b${name.replaceAll(/[^\w]/g, String.raw`\$&`)}\\b`, 'i');
}
