/** The catalogue as an analyst opens it: read-only, by another engine. */
import { join } from 'node:path';
import { DuckDBInstance } from '@duckdb/node-api';

export async function readCatalogue(dir: string, sql: string): Promise<Record<string, unknown>[]> {
  return queryOn(join(dir, 'insights.duckdb'), sql, { access_mode: 'READ_ONLY' });
}

/** Rows of a query on a database file or `:memory:`, as JSON values, with times in UTC. */
export async function queryOn(
  path: string,
  sql: string,
  options: Readonly<Record<string, string>> = {},
): Promise<Record<string, unknown>[]> {
  const instance = await DuckDBInstance.create(path, { threads: '1', ...options });
  const connection = await instance.connect();
  try {
    await connection.run(`set TimeZone = 'UTC'`);
    return (await connection.runAndReadAll(sql)).getRowObjectsJson();
  } finally {
    connection.closeSync();
    instance.closeSync();
  }
}
