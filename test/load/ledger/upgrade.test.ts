/** A data directory of an earlier version, opened by this one: migrated step by step, even when it is interrupted. */
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { copyFileSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DuckDBInstance } from '@duckdb/node-api';
import { pino } from 'pino';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { EXIT } from '../../../src/kernel/errors.ts';
import { QUERIES_FOLDER } from '../../../src/kernel/queries-folder.ts';
import { openLedger } from '../../../src/load/ledger/ledger.ts';
import { LAKE_SETTINGS } from '../support/lake.ts';
import { readMigrations } from '../../../src/load/ledger/migrations.ts';
import { verifyLake } from '../../../src/pipeline/maintenance/inspect.ts';
import { lakeStatus } from '../../../src/pipeline/status.ts';
import { CONTENT } from '../../pipeline/support/content.ts';
import { openWorld, type World } from '../../pipeline/support/world.ts';
import { CAMPAIGN } from '../../support/campaign.ts';

const SOURCE = { rows: 600, days: 2, seed: 6, now: '2026-11-01T00:30:00Z', frozen: true } as const;
const CREATE_MIGRATIONS = 'create table migrations (version integer not null, applied_at timestamptz not null)';
const TABLES = z.array(z.object({ table_name: z.string(), columns: z.string() }));
const MIGRATIONS = await readMigrations();
const VERSIONS = MIGRATIONS.map(({ version }) => version);
/** Versions before the present one. */
const EARLIER = VERSIONS.slice(0, -1);

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

/** The lake with a ledger that only the first `version` migrations created, holding what fits into that schema. */
async function lakeOf(version: number): Promise<string> {
  const file = join(world.dataDir, 'state.duckdb');
  const old = join(aside, 'old.duckdb');
  const instance = await DuckDBInstance.create(old);
  const connection = await instance.connect();
  await connection.run("set TimeZone = 'UTC'");
  await connection.run(CREATE_MIGRATIONS);
  for (const migration of MIGRATIONS.slice(0, version)) {
    await connection.run(await migration.sql());
    await connection.run(`insert into migrations values (${migration.version}, now())`);
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

/** Makes a ledger look as if a newer program had opened it. */
async function markAsNewer(file: string): Promise<void> {
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

/** The lake has the same content as before, and it matches its files and the source. */
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
  it('exists, so that there is something to migrate', () => {
    expect(EARLIER.length).toBeGreaterThan(0);
  });

  it.each(EARLIER)('%i is migrated when it is opened', async (version) => {
    const file = await lakeOf(version);
    const ledger = await openLedger(world.dataDir, LAKE_SETTINGS, world.runtime);
    await ledger.close();
    expect(await versionsIn(file)).toEqual(VERSIONS);
  });

  it('the first one is migrated without fetching anything again, and every file matches its ledger', async () => {
    const file = await lakeOf(1);
    await expectWhole();
    expect(await versionsIn(file)).toEqual(VERSIONS);
  });

  it('stays whole when the process is killed inside a migration and between two', CAMPAIGN, async () => {
    const file = await lakeOf(1);
    // Every migration but the last is committed, none is checkpointed. The process kills itself inside the last one.
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
    const given = JSON.stringify({ file, steps: await Promise.all(MIGRATIONS.slice(1).map(({ sql }) => sql())) });
    const child = spawn(process.execPath, ['--input-type=module', '-e', script, given], { stdio: 'inherit' });
    const [, signal]: unknown[] = await once(child, 'exit');
    expect(signal).toBe('SIGKILL');
    await expectWhole();
    expect(await versionsIn(file)).toEqual(VERSIONS);
  });

  it('is migrated from the last committed migration on, when the program was cut off after it', async () => {
    const file = await lakeOf(1);
    const before = await versionsIn(file);
    // A migration is logged after its commit.
    const write = (): never => {
      throw new Error('cut off');
    };
    const failing = { ...world.runtime, log: pino({ level: 'debug' }, { write }) };
    await expect(openLedger(world.dataDir, LAKE_SETTINGS, failing)).rejects.toThrow('cut off');
    expect(await versionsIn(file)).toEqual([...before, 2]);
    const ledger = await openLedger(world.dataDir, LAKE_SETTINGS, world.runtime);
    await ledger.close();
    expect(await versionsIn(file)).toHaveLength(MIGRATIONS.length);
  });

  it('every released migration is unchanged: ledgers in use were created by it', () => {
    const folder = join(QUERIES_FOLDER, 'ledger');
    const digests = readdirSync(folder)
      .sort()
      .map((file) => {
        const content = readFileSync(join(folder, file));
        return [file, createHash('sha256').update(content).digest('hex')];
      });
    // A new migration is added here; a line that is here never changes.
    expect(Object.fromEntries(digests)).toEqual({
      '001-first-schema.sql': 'c2827cfdfbe2b9e6854cd9ecda5222a213d4f2e2d9c933cdfde6b020c0b30678',
      '002-promoted-columns-of-files.sql': '96a68a26c248f251c11d527ad6f10d16158089c8205c5a74ae7ebb61462d1a33',
      '003-quarantine-replay.sql': 'c492ce41f9b8f5aa2ba75641920594b5a8a46cbd47c1c97dec904f00f1bbe812',
      '004-property-counts-and-typed-views.sql': '1108ed03e5a0fe060165468bdcae00e7eb30cf3b2dd04c6efc12103c7b995555',
      '005-property-drift.sql': '4ba34921c58eca47483ca3dcc6c4ad6b85522c5771ead5fdf235bd773a460acd',
      '006-privacy-rules-of-files.sql': 'f5937ac8a251fa7dc20fa1f3580baaeebdd1b2a934988a573b2f47f5452f174f',
      '007-marts.sql': '49ee33299eff92eedf7a9d2be7143771b6a8a4380be85ff24a3f8d9a0074657e',
      '008-checks.sql': '829db736931a26bc488c5fcc6e760243f27ef1913726227a7c944c93544538d2',
      '009-content-digests.sql': '216cbd179d5c3daaf461407e2909187da08f81225ecb4a8b04bdef071af90f68',
      '010-generation-floors.sql': 'dfdcf12911bdfe96fa90aa7f34de7550f62c65dee50b334eb16ba745facf17c7',
    });
  });

  it('migrations are numbered from 1 without gaps', () => {
    expect(VERSIONS).toEqual(MIGRATIONS.map((_, index) => index + 1));
  });
});

describe('a ledger of a newer version', () => {
  it('is refused with its own exit code and left unchanged', async () => {
    const file = await lakeOf(MIGRATIONS.length);
    await markAsNewer(file);
    const before = readFileSync(file);
    await expect(world.run({ tables: ['Events'] })).rejects.toMatchObject({ exitCode: EXIT.newerState });
    expect(readFileSync(file).equals(before)).toBe(true);
  });
});

describe('a catalogue of an earlier version', () => {
  it('does not make status ask for a rebuild when no column or rule of a file has changed', CAMPAIGN, async () => {
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
    // A catalogue older than privacy rules, then one older than promoted columns, which its files do lack.
    await alter('alter table lake_files drop column privacy');
    expect(await outdated()).toBe(0);
    await alter('alter table lake_files drop column promotion');
    expect(await outdated()).toBeGreaterThan(1);
  });
});
