/** The catalogue as an analyst opens it: read-only, by another engine. */
import { join } from 'node:path';
import { DuckDBInstance } from '@duckdb/node-api';

export async function readCatalogue(dir: string, sql: string): Promise<Record<string, unknown>[]> {
  const options = { access_mode: 'READ_ONLY', threads: '1' };
  const instance = await DuckDBInstance.create(join(dir, 'insights.duckdb'), options);
  const connection = await instance.connect();
  try {
    await connection.run(`set TimeZone = 'UTC'`);
    return (await connection.runAndReadAll(sql)).getRowObjectsJson();
  } finally {
    connection.closeSync();
    instance.closeSync();
  }
}
