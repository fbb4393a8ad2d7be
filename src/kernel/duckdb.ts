/**
 * DuckDB, loaded with `require`: it is CommonJS in two hundred files, which Node would otherwise read twice to find the names that
 * they export. That was a fifth of the start of a command.
 */
import { createRequire } from 'node:module';

type Package = typeof import('@duckdb/node-api');

const load: (name: '@duckdb/node-api') => Package = createRequire(import.meta.url);
const duckdb = load('@duckdb/node-api');

export const DuckDBInstance: Package['DuckDBInstance'] = duckdb.DuckDBInstance;
export const DuckDBTypeId: Package['DuckDBTypeId'] = duckdb.DuckDBTypeId;
export const JsonDuckDBValueConverter: Package['JsonDuckDBValueConverter'] = duckdb.JsonDuckDBValueConverter;
export const StatementType: Package['StatementType'] = duckdb.StatementType;

export type DuckDBInstance = import('@duckdb/node-api').DuckDBInstance;
export type DuckDBTypeId = import('@duckdb/node-api').DuckDBTypeId;
export type StatementType = import('@duckdb/node-api').StatementType;
