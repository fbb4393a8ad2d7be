/** What the engine says about a file that ends too early: which of its files it is about. */
import { truncateSync, statSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DuckDBInstance } from '@duckdb/node-api';
import { expect, it } from 'vitest';
import { isCorruptDatabase, isDamagedParquet } from '../../src/kernel/engine-text.ts';

async function messageOf(file: string, sql: string): Promise<string> {
  try {
    const instance = await DuckDBInstance.create(file);
    const connection = await instance.connect();
    try {
      await connection.run(sql);
    } finally {
      connection.closeSync();
      instance.closeSync();
    }
    return '';
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

it('a database that was cut off is not taken for a Parquet file, nor the other way round', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'insights-engine-text-'));
  try {
    const halve = (path: string): void => truncateSync(path, Math.floor(statSync(path).size / 2));
    const database = join(folder, 'state.duckdb');
    const parquet = join(folder, 'x.parquet');
    expect(await messageOf(database, 'create table t as select range as i, hash(range) as h from range(200000)')).toBe(
      '',
    );
    expect(await messageOf(':memory:', `copy (select hash(range) as h from range(200000)) to '${parquet}'`)).toBe('');
    halve(database);
    halve(parquet);
    const cut = await messageOf(database, 'select sum(h) from t');
    expect([cut, isCorruptDatabase(cut), isDamagedParquet(cut)]).toEqual([
      expect.stringContaining('.duckdb'),
      true,
      false,
    ]);
    const other = await messageOf(':memory:', `select sum(h) from '${parquet}'`);
    expect([other, isCorruptDatabase(other), isDamagedParquet(other)]).toEqual([expect.any(String), false, true]);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});
