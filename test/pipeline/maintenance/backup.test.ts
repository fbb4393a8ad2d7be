/** Backups taken while nothing runs and in the middle of runs: each can be read directly and restored without losing a row. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { cp, mkdtemp, readFile, readdir, rm, stat, symlink, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { EXIT } from '../../../src/kernel/errors.ts';
import { systemFiles } from '../../../src/kernel/files.ts';
import { openReader, textRows } from '../../../src/query/reader.ts';
import { backupLake, checkBackupLake } from '../../../src/pipeline/maintenance/backup.ts';
import { restoreLake } from '../../../src/pipeline/maintenance/restore.ts';
import { repairLake } from '../../../src/pipeline/maintenance/inspect.ts';
import type { Runtime } from '../../../src/kernel/runtime.ts';
import type { Sandbox } from '../../../sandbox/sandbox.ts';
import { CAMPAIGN, LONG } from '../../support/campaign.ts';
import { openWorld, type World } from '../support/world.ts';
import { openSource } from '../../campaigns/soak/support/source.ts';
import { compareWithModel } from '../../campaigns/soak/support/judge.ts';
import { lineOf, SourceModel } from '../../campaigns/soak/support/model.ts';

const EVENTS = { tables: ['Events'] as const };
const NAMED = z.object({
  snapshot: z.number(),
  tables: z.object({
    events: z.object({
      tenants: z.record(
        z.string(),
        z.object({ partitions: z.array(z.object({ file: z.string(), rows: z.number() })) }),
      ),
    }),
  }),
});

let source: Sandbox;
let model: SourceModel;
let world: World;
let putLoadedLakeBack: () => Promise<void>;
let hasMarts: boolean;
let folder: string;
const outsides: string[] = [];
let n = 0;

/** Four days, of two months. */
const DAYS = ['2026-10-28', '2026-11-06', '2026-10-29', '2026-11-07'];

async function insert(count: number): Promise<void> {
  const rows = Array.from({ length: count }, () => {
    const id = `00000000-0000-4000-8000-${n.toString(16).padStart(12, '0')}`;
    const timestamp = `${DAYS[n % 4]}T06:${String(10 + (n % 50))}:00Z`;
    n++;
    model.insert('Events', { id, timestamp, properties: '{"a":1}' });
    return lineOf('Events', { id, timestamp, properties: '{"a":1}' });
  });
  await source.apply({ action: 'rows', table: 'Events', tenant: 'demo', rows });
}

/** The source that the loaded lake was copied from: 20 rows over four days. */
async function resetSource(): Promise<void> {
  await source.apply({ action: 'erase', table: 'Events', tenant: 'demo' });
  model = new SourceModel();
  n = 0;
  await insert(20);
}

const take = (handles: Partial<Runtime> = {}, dataDir = world.dataDir): ReturnType<typeof backupLake> =>
  backupLake(world.config({ dataDir }), folder, { ...world.runtime, ...handles }, new AbortController().signal);

/** The lake as another process sees it during a run. Without the ledger: its lock is shared within a process. */
async function seenFromOutside(): Promise<string> {
  const outside = await mkdtemp(join(folder, '..', 'insights-etl-outside-'));
  outsides.push(outside);
  for (const name of ['store', 'manifest.json']) await symlink(join(world.dataDir, name), join(outside, name));
  return outside;
}

/** Rows of the files that a folder's manifest names; fails where one is missing. */
async function rowsNamed(): Promise<number> {
  const manifest = NAMED.parse(JSON.parse(await readFile(join(folder, 'manifest.json'), 'utf8')));
  const files = Object.values(manifest.tables.events.tenants).flatMap(({ partitions }) => partitions);
  for (const { file } of files) await readFile(join(folder, file));
  return files.reduce((sum, { rows }) => sum + rows, 0);
}

/** Replaces the lake with the backup, as the guide says, and runs. */
async function restore(): Promise<void> {
  await rm(world.dataDir, { recursive: true });
  await cp(folder, world.dataDir, { recursive: true });
  if (!(await readdir(world.dataDir)).includes('state.duckdb')) await repairLake(world.config(), world.runtime);
  // With `keepHours` 0, files that the repair published and the run replaced are removed, so that only named files remain.
  expect((await world.run(EVENTS, { lake: { keepHours: 0, marts: hasMarts } })).exitCode).toBe(EXIT.ok);
  await compareWithModel(world.dataDir, model);
}

beforeAll(async () => {
  source = await openSource();
  await source.apply({ action: 'clock', set: '2026-11-10T12:00:00Z' });
});
afterAll(() => source.close());
beforeEach(async () => {
  await resetSource();
  await putLoadedLakeBack();
  folder = await mkdtemp(join(tmpdir(), 'insights-etl-backup-'));
});
afterEach(async () => {
  for (const path of [folder, ...outsides.splice(0)]) await rm(path, { recursive: true, force: true });
});

for (const marts of [false, true])
  describe(`of a lake ${marts ? 'with' : 'without'} marts`, () => {
    /** A file a month, and what there is of marts and openings. */
    const files = marts ? 22 : 2;
    const options = marts ? LONG : {};
    beforeAll(async () => {
      hasMarts = marts;
      await resetSource();
      world = await openWorld(source, { lake: { keepHours: 24, marts } });
      await world.run(EVENTS);
      putLoadedLakeBack = await world.keep();
    });
    afterAll(() => world[Symbol.asyncDispose]());

    describe('a backup', () => {
      it(
        'taken while nothing runs includes the ledger, and its restored lake needs one call to be proven complete',
        options,
        async () => {
          expect(await take()).toMatchObject({ withLedger: true, files, copiedFiles: files, removedFiles: 0 });
          expect(await rowsNamed()).toBe(n);
          const before = source.calls.length;
          await restore();
          expect(source.calls.length - before).toBe(1);
        },
      );

      it('taken a second time copies new files and removes replaced ones', LONG, async () => {
        await take();
        expect(await take()).toMatchObject({ copiedFiles: 0, removedFiles: 0 });
        await insert(1);
        await world.run(EVENTS);
        expect(await take()).toMatchObject({ files, copiedFiles: files - 1, removedFiles: files - 1 });
        await restore();
      });

      it(
        'taken after each transaction of a run is one whole snapshot, and restores a lake without lost or duplicated rows',
        LONG,
        async () => {
          await insert(4);
          const outside = await seenFromOutside();
          const snapshots: number[] = [];
          await world.run(EVENTS, {}, {
      onCommit: async () => {
        const { snapshot, withLedger } = await take({}, outside);
        expect(withLedger).toBe(false);
        expect([n - 4, n]).toContain(await rowsNamed());
        snapshots.push(snapshot);
      },
    }); // oxfmt-ignore
          expect(snapshots.length).toBeGreaterThan(5);
          await restore();
        },
      );

      it('that is cut off at any file never leaves an old ledger next to new files', LONG, async () => {
        await take();
        await insert(4);
        await world.run(EVENTS);
        let failing = 0;
        let done = false;
        while (!done) {
          let left = failing++;
          const rename: typeof systemFiles.rename = async (...paths) => {
            if (left-- === 0) throw Object.assign(new Error('no space'), { code: 'ENOSPC' });
            await systemFiles.rename(...paths);
          };
          done = await take({ files: { ...systemFiles, rename } }).then(
            () => true,
            (error: unknown) => {
              expect(error).toMatchObject({ failure: 'disk' });
              return false;
            },
          );
          expect((await readdir(folder)).includes('state.duckdb')).toBe(done);
        }
        expect(failing).toBeGreaterThan(3);
        await restore();
      });

      it('moves on to the next snapshot when a run removes files of the one being copied', options, async () => {
        const outside = await seenFromOutside();
        let first = true;
        const copyFile: typeof systemFiles.copyFile = async (...paths) => {
          if (first) {
            first = false;
            await insert(4);
            await world.run(EVENTS, { lake: { keepHours: 0, marts } });
          }
          await systemFiles.copyFile(...paths);
        };
        expect(await take({ files: { ...systemFiles, copyFile } }, outside)).toMatchObject({
          files,
          copiedFiles: files,
        });
        expect(await rowsNamed()).toBe(n);
      });

      it('leaves the ledger out while another process holds it', LONG, async () => {
        const script = `import { DuckDBInstance } from '@duckdb/node-api';
      await DuckDBInstance.create(process.argv[1]); console.log('held'); setInterval(() => {}, 1000);`;
        const holder = spawn(
          process.execPath,
          ['--input-type=module', '-e', script, join(world.dataDir, 'state.duckdb')],
          {
            stdio: ['ignore', 'pipe', 'inherit'],
          },
        );
        try {
          await once(holder.stdout, 'data');
          expect(await take()).toMatchObject({ withLedger: false, copiedFiles: files });
        } finally {
          holder.kill('SIGKILL');
          await once(holder, 'exit');
        }
        await restore();
      });
    });

    describe.skipIf(marts)('dated snapshots', () => {
      const events = 'select count(*) from events';
      const count = async (dataDir: string): Promise<number> => {
        await using reader = await openReader(dataDir, { threads: 1, memoryLimit: '256MB' });
        return Number((await textRows(reader, events))[0]?.[0]);
      };
      const daily = (day: number): ReturnType<typeof backupLake> => {
        const runtime = { ...world.runtime, now: () => Date.UTC(2026, 10, 10 + day, 3) };
        return backupLake(world.config(), folder, runtime, new AbortController().signal, 2);
      };
      const check = (): ReturnType<typeof checkBackupLake> =>
        checkBackupLake(world.config(), folder, world.runtime, new AbortController().signal);
      const restoreTo = async (from: string, to: string): ReturnType<typeof restoreLake> =>
        restoreLake(world.config(), from, to, world.runtime, new AbortController().signal);
      const target = async (): Promise<string> => {
        const made = await mkdtemp(join(tmpdir(), 'insights-etl-restored-'));
        outsides.push(made);
        return made;
      };

      it(
        'share unchanged files, are read in their place, and are restored by one command; only the newest are kept',
        CAMPAIGN,
        async () => {
          await daily(0);
          expect(await daily(1)).toMatchObject({ copiedFiles: 0, files });
          await insert(1);
          await world.run(EVENTS);
          const names = ['2026-11-11T03-00-00Z', '2026-11-12T03-00-00Z'];
          expect(await daily(2)).toMatchObject({ copiedFiles: 1, files, kept: names, withLedger: true });
          expect(await readdir(folder)).toEqual(names);
          const [older = '', newer = ''] = names.map((name) => join(folder, name));
          const shared = await readdir(join(older, 'store'), { recursive: true });
          const inNewer = new Set(await readdir(join(newer, 'store'), { recursive: true }));
          for (const name of shared.filter((file) => file.endsWith('.parquet') && inNewer.has(file)))
            expect((await stat(join(newer, 'store', name))).nlink).toBe(2);
          expect(await count(older)).toBe(n - 1);
          expect(await count(newer)).toBe(n);
          const { snapshots, exitCode } = await check();
          expect(snapshots.map(({ problems }) => problems)).toEqual([[], []]);
          expect(exitCode).toBe(EXIT.ok);

          const to = await target();
          expect(await restoreTo(folder, to)).toMatchObject({
            from: newer,
            rows: n,
            withLedger: true,
            exitCode: EXIT.ok,
          });
          expect(await count(to)).toBe(n);
          const before = source.calls.length;
          expect((await world.run(EVENTS, { dataDir: to })).exitCode).toBe(EXIT.ok);
          expect(source.calls.length - before).toBe(1);
          await expect(restoreTo(folder, to)).rejects.toMatchObject({ exitCode: EXIT.config });
          const used = await target();
          await writeFile(join(used, 'letter.txt'), 'mine');
          await expect(restoreTo(folder, used)).rejects.toMatchObject({ exitCode: EXIT.config });
        },
      );

      it(
        'with damage are named by the check, restored without it, and made whole by the next run',
        CAMPAIGN,
        async () => {
          const place = (await daily(0)).folder;
          const [name = ''] = (await readdir(join(place, 'store'), { recursive: true })).filter((file) => file.endsWith('.parquet')); // oxfmt-ignore
          const file = join('store', name);
          const bytes = await readFile(join(place, file));
          await writeFile(join(place, file), bytes.fill(0, 20, 30));
          await writeFile(join(place, 'state.duckdb'), (await readFile(join(place, 'state.duckdb'))).fill(0, 300_000));
          const { snapshots, exitCode } = await check();
          expect(snapshots[0]?.problems).toEqual([
            { file, problem: 'sha256' },
            { file: 'state.duckdb', problem: 'differs' },
          ]);
          expect(exitCode).toBe(EXIT.damaged);
          const to = await target();
          const damaged = [{ file, problem: 'sha256' }];
          expect(await restoreTo(folder, to)).toMatchObject({ withLedger: false, damaged, exitCode: EXIT.damaged });
          expect(await count(to)).toBeLessThan(n);
          expect((await world.run(EVENTS, { dataDir: to })).exitCode).toBe(EXIT.ok);
          await compareWithModel(to, model);
        },
      );
    });

    describe('a backup is refused', () => {
      it('inside the data directory, around it, and for a lake that was never published', options, async () => {
        const unpublished = await mkdtemp(join(tmpdir(), 'insights-etl-unpublished-'));
        outsides.push(unpublished);
        await expect(take({}, unpublished)).rejects.toMatchObject({
          failure: 'config',
          message: expect.stringContaining('Nothing is published'),
        });
        for (const place of [world.dataDir, join(world.dataDir, 'backup'), join(world.dataDir, '..')]) {
          const refused = backupLake(world.config(), place, world.runtime, new AbortController().signal);
          await expect(refused).rejects.toMatchObject({
            failure: 'config',
            message: expect.stringContaining('folder of its own'),
          });
        }
      });

      it(
        'for a file that differs from what was published, and keeps the earlier backup as it was',
        marts ? LONG : CAMPAIGN,
        async () => {
          await take();
          await insert(1);
          await world.run(EVENTS);
          const [file] = (await readdir(join(world.dataDir, 'store'), { recursive: true })).filter((name) => name.endsWith('.2.parquet') && !name.startsWith('marts')); // oxfmt-ignore
          await truncate(join(world.dataDir, 'store', file ?? ''), 100);
          await expect(take()).rejects.toMatchObject({ failure: 'damaged' });
          expect(await rowsNamed()).toBe(n - 1);
          await writeFile(join(world.dataDir, 'manifest.json'), '{');
          await expect(take()).rejects.toMatchObject({
            failure: 'damaged',
            message: expect.stringContaining('manifest'),
          });
        },
      );
    });
  });
