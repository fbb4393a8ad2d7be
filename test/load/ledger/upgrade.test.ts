/** A data directory of an earlier version, opened by this one: migrated step by step, whatever interrupts it. */
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { copyFileSync, readFileSync, rmSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DuckDBInstance } from '@duckdb/node-api';
import { pino } from 'pino';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { EXIT } from '../../../src/kernel/errors.ts';
import { LAKE_DEFAULTS, openLedger } from '../../../src/load/ledger/ledger.ts';
import { MIGRATIONS } from '../../../src/load/ledger/migrations.ts';
import { verifyLake } from '../../../src/pipeline/maintenance/inspect.ts';
import { lakeStatus } from '../../../src/pipeline/status.ts';
import { CONTENT } from '../../pipeline/support/content.ts';
import { openWorld, type World } from '../../pipeline/support/world.ts';

const SOURCE = { rows: 600, days: 2, seed: 6, now: '2026-11-01T00:30:00Z', frozen: true } as const;
const NOTED = 'create table migrations (version integer not null, applied_at timestamptz not null)';
const TABLES = z.array(z.object({ table_name: z.string(), columns: z.string() }));
/** Versions before the present one. */
const EARLIER = MIGRATIONS.slice(0, -1).map((_, index) => index + 1);

let world: World;
let content: unknown;
let aside: string;
beforeAll(async () => {
  world = await openWorld(SOURCE);
  aside = await mkdtemp(join(tmpdir(), 'insights-upgrade-'));
  await world.run({ tables: ['Events'] });
  content = await world.sql(CONTENT);
  copyFileSync(join(world.dataDir, 'state.duckdb'), join(aside, 'present.duckdb'));
});
afterAll(async () => {
  await world[Symbol.asyncDispose]();
  await rm(aside, { recursive: true, force: true });
});

/** The lake with a ledger that the first `version` steps alone have made, and what these can hold of it. */
async function lakeOf(version: number): Promise<string> {
  const file = join(world.dataDir, 'state.duckdb');
  const old = join(aside, 'old.duckdb');
  const instance = await DuckDBInstance.create(old);
  const connection = await instance.connect();
  await connection.run("set TimeZone = 'UTC'");
  await connection.run(NOTED);
  for (const [index, step] of MIGRATIONS.slice(0, version).entries()) {
    await connection.run(step);
    await connection.run(`insert into migrations values (${index + 1}, now())`);
  }
  await connection.run(`attach '${join(aside, 'present.duckdb')}' as present (read_only)`);
  const tables = await connection.runAndReadAll(
    `select table_name, string_agg(column_name, ', ') as columns from duckdb_columns()
     where database_name = 'old' and table_name <> 'migrations' group by all`,
  );
  for (const { table_name: name, columns } of TABLES.parse(tables.getRowObjectsJson()))
    await connection.run(`insert into ${name} select ${columns} from present.${name}`);
  connection.closeSync();
  instance.closeSync();
  for (const suffix of ['', '.wal']) rmSync(file + suffix, { force: true });
  copyFileSync(old, file);
  rmSync(old);
  return file;
}

/** Leaves a ledger that a program of a later version has opened. */
async function noteNewer(file: string): Promise<void> {
  const instance = await DuckDBInstance.create(file);
  const connection = await instance.connect();
  await connection.run(`insert into migrations values (${MIGRATIONS.length + 1}, now())`);
  connection.closeSync();
  instance.closeSync();
}

async function versionsIn(file: string): Promise<unknown[]> {
  const instance = await DuckDBInstance.create(file, { access_mode: 'READ_ONLY' });
  const connection = await instance.connect();
  try {
    const rows = await connection.runAndReadAll('select version from migrations order by 1');
    return rows.getRowsJson().flat();
  } finally {
    connection.closeSync();
    instance.closeSync();
  }
}

/** The lake still says what it said, proven against its files and the source. */
async function expectWhole(): Promise<void> {
  const run = await world.run({ tables: ['Events'] });
  expect(run.exitCode).toBe(EXIT.ok);
  expect(run.tables.map(({ rowsFetched, outcome }) => [rowsFetched, outcome])).toEqual([[0, 'verified']]);
  const deep = await verifyLake(
    world.config(),
    { deep: true, tables: ['Events'] },
    world.runtime,
    new AbortController().signal,
  );
  expect(deep.exitCode).toBe(EXIT.ok);
  expect(await world.sql(CONTENT)).toEqual(content);
}

describe('a ledger of an earlier version', () => {
  it('there are some', () => {
    expect(EARLIER.length).toBeGreaterThan(0);
  });

  it.each(EARLIER)('%i is migrated when it is opened', async (version) => {
    const file = await lakeOf(version);
    const ledger = await openLedger(world.dataDir, LAKE_DEFAULTS, world.runtime);
    await ledger.close();
    expect(await versionsIn(file)).toEqual(MIGRATIONS.map((_, index) => index + 1));
  });

  it('of the first one is enough: nothing is fetched again, and every file is what its ledger says', async () => {
    const file = await lakeOf(1);
    await expectWhole();
    expect(await versionsIn(file)).toEqual(MIGRATIONS.map((_, index) => index + 1));
  });

  it('is still whole when the process is killed inside of a step, and between two', async () => {
    const file = await lakeOf(1);
    // Every step but the last is done and committed, none is checkpointed; in the last the process ends by itself.
    const script = `
      import { DuckDBInstance } from '@duckdb/node-api';
      const { file, steps } = JSON.parse(process.argv[1]);
      const connection = await (await DuckDBInstance.create(file)).connect();
      for (const [index, step] of steps.entries()) {
        await connection.run('begin');
        await connection.run('insert into migrations values (' + (index + 2) + ', now())');
        await connection.run(step);
        if (index === steps.length - 1) process.kill(process.pid, 'SIGKILL');
        await connection.run('commit');
      }`;
    const given = JSON.stringify({ file, steps: MIGRATIONS.slice(1) });
    const child = spawn(process.execPath, ['--input-type=module', '-e', script, given], { stdio: 'inherit' });
    const [, signal]: unknown[] = await once(child, 'exit');
    expect(signal).toBe('SIGKILL');
    await expectWhole();
    expect(await versionsIn(file)).toEqual(MIGRATIONS.map((_, index) => index + 1));
  });

  it('goes on from the last step that was committed, when it was cut off after it', async () => {
    const file = await lakeOf(1);
    const before = await versionsIn(file);
    // The step is committed when it is logged.
    const write = (): never => {
      throw new Error('cut off');
    };
    const failing = { ...world.runtime, log: pino({ level: 'debug' }, { write }) };
    await expect(openLedger(world.dataDir, LAKE_DEFAULTS, failing)).rejects.toThrow('cut off');
    expect(await versionsIn(file)).toEqual([...before, 2]);
    const ledger = await openLedger(world.dataDir, LAKE_DEFAULTS, world.runtime);
    await ledger.close();
    expect(await versionsIn(file)).toHaveLength(MIGRATIONS.length);
  });

  it('the first step is as it was released: a ledger out there was made by it', () => {
    const digest = createHash('sha256')
      .update(MIGRATIONS[0] ?? '')
      .digest('hex');
    expect(digest).toBe('5a91a257629411fa6154d23a82d7927a2cf54a745dc56d7b17dcb4251c3c4fcb');
  });
});

describe('a ledger of a newer version', () => {
  it('is refused with an exit code of its own, and left as it is', async () => {
    const file = await lakeOf(MIGRATIONS.length);
    await noteNewer(file);
    const before = readFileSync(file);
    await expect(world.run({ tables: ['Events'] })).rejects.toMatchObject({ exitCode: EXIT.newerState });
    expect(readFileSync(file).equals(before)).toBe(true);
  });
});

describe('a catalogue of an earlier version', () => {
  it('does not make status ask for a rebuild where no column and no rule of a file has changed', async () => {
    rmSync(join(world.dataDir, 'state.duckdb.wal'), { force: true });
    copyFileSync(join(aside, 'present.duckdb'), join(world.dataDir, 'state.duckdb'));
    rmSync(join(world.dataDir, 'insights.duckdb'));
    await world.run({ tables: ['Events'] });
    const outdated = async (): Promise<number | undefined> =>
      (await lakeStatus(world.config(), world.runtime)).tables.find(({ table }) => table === 'Events')?.outdatedFiles;
    const alter = async (statement: string): Promise<void> => {
      const instance = await DuckDBInstance.create(join(world.dataDir, 'insights.duckdb'));
      const connection = await instance.connect();
      await connection.run(statement);
      connection.closeSync();
      instance.closeSync();
    };
    expect(await outdated()).toBe(0);
    // Before there were privacy rules, then before there were promoted columns: those its files do lack.
    await alter('alter table lake_files drop column privacy');
    expect(await outdated()).toBe(0);
    await alter('alter table lake_files drop column promotion');
    expect(await outdated()).toBeGreaterThan(1);
  });
});
