/** A lake that was moved, copied or mounted elsewhere after it was published: its readers, and `publish`. */
import { chmod, cp, mkdir, mkdtemp, readdir, readFile, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DuckDBInstance } from '@duckdb/node-api';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { exportFile } from '../../../src/query/export/write.ts';
import { selectTable } from '../../../src/query/export/selection.ts';
import { PLAIN_CSV } from '../../../src/query/export/csv.ts';
import { openReader, textRows } from '../../../src/query/reader.ts';
import { publishLake } from '../../../src/pipeline/maintenance/publish.ts';
import { openWorld, type World } from '../support/world.ts';
import { CAMPAIGN } from '../../support/campaign.ts';

const ENGINE = { threads: 1, memoryLimit: '256MB' };
const COUNT = 'select count(*) from events';
const SETTINGS = { privacy: { key: { env: 'NO_SUCH_KEY' }, rules: [] } };

let world: World;
let putBack: () => Promise<void>;
let rows: string;
let elsewhere: string;

async function countIn(folder: string, sql = COUNT): Promise<string | undefined> {
  await using reader = await openReader(folder, ENGINE);
  return (await textRows(reader, sql))[0]?.[0];
}

/** As a tool that knows only DuckDB. */
async function countWithDuckDb(folder: string, prepare: string): Promise<unknown> {
  const instance = await DuckDBInstance.create(join(folder, 'insights.duckdb'), { access_mode: 'READ_ONLY' });
  const connection = await instance.connect();
  try {
    await connection.run(prepare);
    return (await connection.runAndReadAll(COUNT)).getRowsJson()[0]?.[0];
  } finally {
    connection.closeSync();
    instance.closeSync();
  }
}

beforeAll(async () => {
  const source = { rows: 300, days: 2, seed: 5, now: '2026-11-01T00:30:00Z', frozen: true };
  world = await openWorld(source);
  await world.run();
  rows = (await countIn(world.dataDir)) ?? '';
  putBack = await world.keep();
});
afterAll(() => world[Symbol.asyncDispose]());
beforeEach(async () => {
  await putBack();
  elsewhere = await mkdtemp(join(tmpdir(), 'insights-etl-moved-'));
});
afterEach(() => rm(elsewhere, { recursive: true, force: true }));

describe('a lake that was moved', () => {
  it('is read in its new place without another step: views, tenants and exports', CAMPAIGN, async () => {
    const moved = join(elsewhere, 'lake');
    await rename(world.dataDir, moved);
    expect(Number(rows)).toBeGreaterThan(100);
    expect(await countIn(moved)).toBe(rows);
    expect(await countIn(moved, 'select count(*) from demo.events')).toBe(rows);
    // Without the program, a session says where the lake is.
    await expect(countWithDuckDb(moved, 'select 1')).rejects.toThrow('No files found');
    expect(await countWithDuckDb(moved, `set variable insights_folder = '${moved}'`)).toBe(rows);
    const out = join(elsewhere, 'events.csv');
    const settings = { dataDir: moved, engine: ENGINE, out, format: 'csv', force: false, csv: PLAIN_CSV } as const; // oxfmt-ignore
    const choose: Parameters<typeof exportFile>[1] = async (reader) => [await selectTable(reader, 'events', {})];
    expect(await exportFile(settings, choose, new AbortController().signal)).toMatchObject({ rows: Number(rows) });
  });

  it('reads its own files while the original is still there', CAMPAIGN, async () => {
    const copy = join(elsewhere, 'copy');
    await cp(world.dataDir, copy, { recursive: true });
    await rm(join(copy, 'store/events'), { recursive: true });
    expect(await countIn(world.dataDir)).toBe(rows);
    await expect(countIn(copy)).rejects.toMatchObject({ exitCode: 9, where: { file: expect.stringContaining(copy) } });
  });

  it('is readable by other tools after `publish`, which needs no key and no call', CAMPAIGN, async () => {
    const moved = join(elsewhere, 'lake');
    await rename(world.dataDir, moved);
    const calls = world.sandbox.calls.length;
    const before = (await readdir(join(moved, 'store'), { recursive: true })).toSorted();
    const report = await publishLake(world.config({ dataDir: moved, ...SETTINGS }), world.runtime);
    expect(report).toMatchObject({ dataDir: moved, snapshot: 2, missing: 0 });
    expect(await countWithDuckDb(moved, 'select 1')).toBe(rows);
    expect((await readdir(join(moved, 'store'), { recursive: true })).toSorted()).toEqual(before);
    expect(world.sandbox.calls.length).toBe(calls);
  });
});

describe('a catalogue', () => {
  it('that is damaged or missing has `publish` as the next step, and that works', CAMPAIGN, async () => {
    const path = join(world.dataDir, 'insights.duckdb');
    const bytes = await readFile(path);
    // The blocks hold the rows of the small tables; the start of the file is needed to open it.
    for (let at = 3 * 4096 + 1000; at < bytes.length; at += 262_144) bytes[at] = (bytes[at] ?? 0) ^ 1;
    const damages = [() => writeFile(path, bytes), () => writeFile(path, 'x'.repeat(20_000)), () => rm(path)];
    for (const damage of damages) {
      await damage();
      const hint = expect.stringContaining('insights-etl publish');
      await expect(countIn(world.dataDir, 'select count(*) from coverage')).rejects.toMatchObject({ hint });
      await publishLake(world.config(), world.runtime);
      expect(await countIn(world.dataDir)).toBe(rows);
    }
  });

  it.skipIf(process.getuid?.() === 0)('whose files may not be read is an error of the disk, not damage', async () => {
    await chmod(join(world.dataDir, 'store'), 0o000);
    await expect(countIn(world.dataDir)).rejects.toMatchObject({ exitCode: 10 });
    await chmod(join(world.dataDir, 'store'), 0o700);
  });

  it(
    'that cannot be looked at is an error of the disk, not a missing lake; a folder without a lake stays empty',
    CAMPAIGN,
    async () => {
      await symlink(join(elsewhere, 'loop'), join(elsewhere, 'loop'));
      await expect(countIn(join(elsewhere, 'loop'))).rejects.toMatchObject({ exitCode: 10 });
      const empty = join(elsewhere, 'empty');
      await mkdir(empty);
      await expect(countIn(empty)).rejects.toMatchObject({ exitCode: 2 });
      await expect(publishLake(world.config({ dataDir: empty }), world.runtime)).rejects.toMatchObject({ exitCode: 2 });
      expect(await readdir(empty)).toEqual([]);
    },
  );
});
