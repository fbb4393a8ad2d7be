/** The oldest proof of a table in `status`: from the last run and from the published hours. */
import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { DuckDBInstance } from '@duckdb/node-api';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { publishLake } from '../../src/pipeline/maintenance/publish.ts';
import { lakeStatus } from '../../src/pipeline/status.ts';
import { openWorld, type World } from './support/world.ts';

let world: World;
beforeAll(async () => {
  world = await openWorld({ rows: 60, days: 3, now: '2026-11-01T00:30:00Z', frozen: true });
  await world.run();
}, 60_000);
afterAll(() => world[Symbol.asyncDispose]());

type Values = Parameters<World['config']>[0];
/** As of the source's day, whatever day it is here. */
const now = (): number => Date.parse('2026-11-01T00:30:00Z');
const oldest = async (values?: Values): Promise<Record<string, unknown>> =>
  Object.fromEntries(
    (await lakeStatus(world.config(values), { ...world.runtime, now })).tables.map((table) => [
      table.table,
      table.oldestProof,
    ]),
  );

it('is that of the published hours, of those that the source still has, unless the last run knows of a later one', async () => {
  const path = join(world.dataDir, 'last-run.json');
  const record = await readFile(path, 'utf8');
  const compared = await oldest();
  expect(Object.values(compared)).toEqual([expect.any(String), expect.any(String), expect.any(String)]);
  await rm(path);
  // As after a restore.
  expect(await oldest()).toEqual(compared);

  const instance = await DuckDBInstance.create(join(world.dataDir, 'state.duckdb'));
  const connection = await instance.connect();
  await connection.run(`update hours set checked_at = timestamptz '2026-10-02T03:04:05.123456Z' where hour < '2026-10-30T12:00:00Z'`);
  connection.closeSync();
  instance.closeSync();
  await publishLake(world.config(), world.runtime);
  const old = '2026-10-02T03:04:05.1234560Z';
  expect(await oldest()).toEqual({ Events: old, Logs: old, Metrics: old });
  const short = { tables: { Events: { retentionDays: 1 } } };
  expect(await oldest(short)).toEqual({ ...compared, Logs: old, Metrics: old });
  await writeFile(path, record);
  expect(await oldest()).toEqual(compared);
}); // oxfmt-ignore
