/** DuckDB, loaded with `require`: it is CommonJS, which an `import` reads twice, first to find the names that it exports. */
import { createRequire } from 'node:module';

type Package = typeof import('#duckdb');

const load: (name: '#duckdb') => Package = createRequire(import.meta.url);
const duckdb = load('#duckdb');

export const DuckDBInstance: Package['DuckDBInstance'] = duckdb.DuckDBInstance;
export const DuckDBTypeId: Package['DuckDBTypeId'] = duckdb.DuckDBTypeId;
export const JsonDuckDBValueConverter: Package['JsonDuckDBValueConverter'] = duckdb.JsonDuckDBValueConverter;
export const StatementType: Package['StatementType'] = duckdb.StatementType;

export type DuckDBInstance = import('#duckdb').DuckDBInstance;
export type DuckDBTypeId = import('#duckdb').DuckDBTypeId;
export type StatementType = import('#duckdb').StatementType;
