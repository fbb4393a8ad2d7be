/** A disk that refuses: at any file operation, with any word, the run says so, and the next one makes everything good. */
import { cp, mkdir, readFile, readdir, rename, rm, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { DuckDBInstance } from '@duckdb/node-api';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { EXIT, InsightsError } from '../../src/kernel/errors.ts';
import { repairLake, verifyLake } from '../../src/pipeline/maintenance/inspect.ts';
import type { VerifyReport } from '../../src/model/report.ts';
import type { Runtime } from '../../src/kernel/runtime.ts';
import type { Sandbox } from '../../sandbox/sandbox.ts';
import { openWorld, type World } from '../pipeline/support/world.ts';
import { CAMPAIGN, LONG, campaign, caseOfMany } from '../support/campaign.ts';
import { diskFault, watchedFiles, type Operation } from './soak/support/disk.ts';
import { openSource } from './soak/support/source.ts';
import { compareWithModel } from './soak/support/judge.ts';
import { lineOf, SourceModel } from './soak/support/model.ts';

const EVENTS = { tables: ['Events'] as const };
let source: Sandbox;
let model: SourceModel;
let world: World;
let putLoadedLakeBack: () => Promise<void>;
beforeAll(async () => {
  source = await openSource();
  await source.apply({ action: 'clock', set: '2026-11-10T12:00:00Z' });
  model = new SourceModel();
  for (let n = 0; n < 20; n++) {
    const id = `00000000-0000-4000-8000-${n.toString(16).padStart(12, '0')}`;
    const timestamp = `2026-11-0${8 + (n % 2)}T06:${String(10 + n)}:00Z`;
    model.insert('Events', { id, timestamp, properties: '{"a":1}' });
    const row = lineOf('Events', { id, timestamp, properties: '{"a":1}' });
    await source.apply({ action: 'rows', table: 'Events', tenant: 'demo', rows: [row] });
  }
  world = await openWorld(source, { lake: { keepHours: 0 }, engine: { threads: 1 } });
  await world.run(EVENTS);
  putLoadedLakeBack = await world.keep();
});
afterAll(async () => {
  await world[Symbol.asyncDispose]();
  await source.close();
});

/** Exit code of a run, thrown or reported. */
async function codeOf(handles: Partial<Runtime> = {}): Promise<number> {
  return exitCodeOf(async () => (await world.run(EVENTS, {}, handles)).exitCode);
}

async function exitCodeOf(step: () => Promise<number>): Promise<number> {
  try {
    return await step();
  } catch (error) {
    if (error instanceof InsightsError) return error.exitCode;
    throw error;
  }
}

/** Exit code of a run without a fault, after which the lake is compared with the model. */
async function repairedRun(): Promise<number> {
  const code = await codeOf();
  await compareWithModel(world.dataDir, model);
  return code;
}

async function generation(): Promise<string> {
  const names = await readdir(join(world.dataDir, 'store'), { recursive: true });
  return join(world.dataDir, 'store', names.filter((name) => name.endsWith('.parquet')).sort()[0] ?? '');
}

async function verified(deep: boolean, handles: Partial<Runtime> = {}): Promise<VerifyReport> {
  return verifyLake(
    world.config(),
    { ...EVENTS, deep },
    { ...world.runtime, ...handles },
    new AbortController().signal,
  );
}

const deeply = (): Promise<VerifyReport> => verified(true);

/** The operation and the folder or file at the top; a ledger that was set aside bears the time. */
function kindOf({ name, path }: Operation): string {
  return `${name} ${path.split('/')[0] ?? ''}`.replace(/\d+T\d+Z/, '#');
}

function failingAt(kind: string, code: string): Partial<Runtime> {
  const before = (operation: Operation): void => {
    if (kindOf(operation) === kind) throw diskFault(code, operation);
  };
  return { files: watchedFiles(world.dataDir, { before }) };
}

describe('a disk that refuses an operation', () => {
  beforeEach(async () => {
    await rm(world.dataDir, { recursive: true });
    await mkdir(world.dataDir);
  });

  const kinds = [
    'mkdir work', 'realpath ', 'mkdir landing', 'writeFile landing', 'open landing', 'sync landing', 'rename landing', 'rm landing', 'mkdir store',
    'sync store', 'rename store', 'sync work', 'rename insights.duckdb', 'writeFile work',
    'rename manifest.json', 'link work', 'rename lake', 'rename last-run.json', 'appendFile calls', 'rename calls',
  ]; // oxfmt-ignore
  const representatives = ['sync store'];
  for (const [index, kind] of kinds.entries()) {
    const code = ['ENOSPC', 'EACCES', 'EIO', 'EROFS', 'EFBIG'][index % 5] ?? 'EIO';
    const options = caseOfMany(index, representatives.includes(kind));
    it(`${code} at ${kind}: exit code ${EXIT.disk}, and the next run makes it good`, options, async () => {
      expect(await codeOf(failingAt(kind, code))).toBe(EXIT.disk);
      expect(await repairedRun()).toBe(EXIT.ok);
    });
  }

  it('without hard links the head holds copies, which follow the store', CAMPAIGN, async () => {
    const handles = failingAt('link work', 'EPERM');
    expect(await codeOf(handles)).toBe(EXIT.ok);
    expect(await codeOf(handles)).toBe(EXIT.ok);
    expect(await world.sql(`select count(*)::int as n from '${world.dataDir}/lake/events/**/*.parquet'`)).toEqual([{ n: 20 }]); // oxfmt-ignore
    expect(await repairedRun()).toBe(EXIT.ok);
  });
});

describe('a disk that refuses under verify or repair', () => {
  beforeEach(() => putLoadedLakeBack());

  /** Each operation on files that a command makes on a whole lake, by name and first folder. */
  async function operationsOf(step: (handles: Partial<Runtime>) => Promise<number>): Promise<string[]> {
    const kinds = new Set<string>();
    const before = (operation: Operation): void => void kinds.add(kindOf(operation));
    expect(await step({ files: watchedFiles(world.dataDir, { before }) })).toBe(EXIT.ok);
    // The manifest is read only for the number of its snapshot, which the ledger has, too. What is read in the work folder are
    // definitions of the catalogue, which a process reads once and keeps.
    const others = ['readFile manifest.json', 'readFile work'];
    return [...kinds].filter((kind) => !kind.startsWith('close') && !others.includes(kind));
  }
  const commands = {
    'verify --deep': async (handles: Partial<Runtime>) => {
      await rm(join(world.dataDir, 'manifest.json'), { force: true });
      return (await verified(true, handles)).exitCode;
    },
    repair: async (handles: Partial<Runtime>) => {
      await repairLake(world.config(), { ...world.runtime, ...handles });
      return EXIT.ok;
    },
  };
  const loops = Object.entries(commands).flatMap(([name, command]) => [
    { name, command, where: 'two operations', isAny: false },
    { name, command, where: 'every operation', isAny: true },
  ]);
  for (const { name, command, where, isAny } of loops) {
    it(
      `${name}: at ${where} it says so, gives no file up for it, and the next run ends verified`,
      isAny || name === 'repair' ? LONG : CAMPAIGN,
      async () => {
        const kinds = await operationsOf(command);
        expect(kinds.length).toBeGreaterThan(4);
        const calls = source.calls.length;
        for (const [index, kind] of (isAny ? kinds : kinds.slice(2, 4)).entries()) {
          // EIO of one file says that this file cannot be read: it is set aside, and its rows are fetched.
          const isOfFile = /^(open|read) store$/.test(kind);
          const code = ['ENOSPC', 'EACCES', isOfFile ? 'ENOSPC' : 'EIO'][index % 3] ?? 'EIO';
          expect({ kind, code: await exitCodeOf(() => command(failingAt(kind, code))) }).toEqual({
            kind,
            code: EXIT.disk,
          });
          // When the ledger was set aside and there is no new one yet, the run names `repair` as the next step.
          let next = await codeOf();
          if (next === EXIT.damaged) {
            await repairLake(world.config(), world.runtime);
            next = await codeOf();
          }
          expect({ kind, next }).toEqual({ kind, next: EXIT.ok });
        }
        // The rows were never lost: they were compared, not fetched.
        expect(source.calls.slice(calls).filter(({ query }) => query.includes('| take'))).toEqual([]);
        expect(await repairedRun()).toBe(EXIT.ok);
      },
    );
  }
});

describe('a lake that was damaged', () => {
  beforeEach(() => putLoadedLakeBack());

  it('a generation deleted: the next run fetches its rows again', CAMPAIGN, async () => {
    await rm(await generation());
    expect(await repairedRun()).toBe(EXIT.ok);
  });

  const damages = { garbage: 'size', 'a flipped byte': 'sha256' };
  for (const [name, problem] of Object.entries(damages)) {
    it(
      `a generation with ${name}: verify --deep names file and fault, exit code ${EXIT.damaged}, the next run repairs it`,
      problem === 'sha256' ? CAMPAIGN : LONG,
      async () => {
        const file = await generation();
        const bytes = await readFile(file);
        bytes.writeUInt8(bytes.readUInt8(40) ^ 4, 40);
        await writeFile(file, name === 'garbage' ? 'garbage' : bytes);
        const report = await deeply();
        expect(report.exitCode).toBe(EXIT.damaged);
        expect(report.tables[0]?.filesDamaged).toEqual([{ file: file.slice(world.dataDir.length + 1), problem }]);
        expect(await repairedRun()).toBe(EXIT.ok);
        expect((await deeply()).exitCode).toBe(EXIT.ok);
      },
    );
  }

  for (const [name, spoil] of [
    ['deleted', (file: string) => rm(file)],
    ['cut short', (file: string) => truncate(file, 300)],
  ] as const) {
    it(
      `a generation ${name}: verify says so without reading any file, exit code ${EXIT.damaged}, the next run repairs it`,
      name === 'deleted' ? CAMPAIGN : LONG,
      async () => {
        const file = await generation();
        await spoil(file);
        const report = await verified(false);
        expect(report.exitCode).toBe(EXIT.damaged);
        expect(report.tables[0]).toMatchObject({ filesRead: 0, filesDamaged: [{ file: file.slice(world.dataDir.length + 1) }] }); // oxfmt-ignore
        expect(await repairedRun()).toBe(EXIT.ok);
      },
    );
  }

  it(
    'a generation whose end was overwritten: publishing it is refused with its name and the way on, which repairs it',
    CAMPAIGN,
    async () => {
      const file = await generation();
      const bytes = await readFile(file);
      await writeFile(file, bytes.fill('x', bytes.length - 4));
      await rm(join(world.dataDir, 'insights.duckdb'));
      await expect(world.run(EVENTS)).rejects.toMatchObject({ failure: 'damaged', where: { file }, hint: expect.stringContaining('verify --deep') }); // oxfmt-ignore
      expect((await deeply()).exitCode).toBe(EXIT.damaged);
      expect(await repairedRun()).toBe(EXIT.ok);
    },
  );

  it('the whole store out of sight, as on a disk that is not mounted: refused, and nothing is given up', async () => {
    const store = join(world.dataDir, 'store');
    await rename(store, `${store}.away`);
    expect(await codeOf()).toBe(EXIT.damaged);
    await rename(`${store}.away`, store);
    const calls = source.calls.length;
    expect(await repairedRun()).toBe(EXIT.ok);
    expect(source.calls.length - calls).toBe(1);
  });

  for (const name of ['insights.duckdb', 'manifest.json']) {
    it(`${name} deleted: published again`, campaign(name === 'insights.duckdb'), async () => {
      await rm(join(world.dataDir, name));
      expect(await repairedRun()).toBe(EXIT.ok);
    });
  }

  for (const [name, spoil] of [
    ['deleted', (file: string) => rm(file)],
    ['cut short', (file: string) => truncate(file, 5000)],
    ['replaced by garbage', (file: string) => writeFile(file, 'garbage'.repeat(2000))],
  ] as const) {
    it(
      `the ledger ${name}: refused with the way on, repair rebuilds it without a row lost`,
      name === 'deleted' ? LONG : CAMPAIGN,
      async () => {
        await spoil(join(world.dataDir, 'state.duckdb'));
        expect(await codeOf()).toBe(EXIT.damaged);
        expect(await repairLake(world.config(), world.runtime)).toMatchObject({ rows: 20, leftOut: 0 });
        expect(await repairedRun()).toBe(EXIT.ok);
      },
    );
  }

  it('a ledger of a newer version is refused by run and by repair, and stays as it is', async () => {
    const file = join(world.dataDir, 'state.duckdb');
    const instance = await DuckDBInstance.create(file);
    const connection = await instance.connect();
    await connection.run('insert into migrations values (999, now())');
    connection.closeSync();
    instance.closeSync();
    expect(await codeOf()).toBe(EXIT.newerState);
    await expect(repairLake(world.config(), world.runtime)).rejects.toMatchObject({ failure: 'newerState' });
  });

  it('the folder copied elsewhere is published again by a run there', CAMPAIGN, async () => {
    const elsewhere = join(world.dataDir, '..', `${Date.now()}-copied`);
    try {
      await mkdir(elsewhere);
      await cp(world.dataDir, elsewhere, { recursive: true });
      expect((await world.run(EVENTS, { dataDir: elsewhere })).exitCode).toBe(EXIT.ok);
      await compareWithModel(elsewhere, model);
    } finally {
      await rm(elsewhere, { recursive: true, force: true });
    }
  });
});
