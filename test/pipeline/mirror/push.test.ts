/** Pushes into a folder: whatever interrupts one, the mirror holds one whole snapshot, and the next push completes it. */
import { cp, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { basename, dirname, join, parse } from 'node:path';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { EXIT, MirrorError, MirrorTakenError } from '../../../src/kernel/errors.ts';
import { systemFiles, type Files } from '../../../src/kernel/files.ts';
import type { Runtime } from '../../../src/kernel/runtime.ts';
import { openFolder } from '../../../src/mirror/folder.ts';
import type { ObjectStore } from '../../../src/mirror/object-store.ts';
import { mirrorAfterRun } from '../../../src/pipeline/mirror/after-run.ts';
import { repairLake } from '../../../src/pipeline/maintenance/inspect.ts';
import { publishLake } from '../../../src/pipeline/maintenance/publish.ts';
import { checkMirror, mirrorStatus } from '../../../src/pipeline/mirror/inspect.ts';
import { pushMirror, type PushOptions } from '../../../src/pipeline/mirror/push.ts';
import { readRecord, requestPurge } from '../../../src/pipeline/mirror/record.ts';
import { restoreMirror } from '../../../src/pipeline/mirror/restore.ts';
import { CAMPAIGN, LONG } from '../../support/campaign.ts';
import type { World } from '../support/world.ts';
import { EVENTS, useMirroredLake, type MirroredLake } from './support/lake.ts';

const NEVER = new AbortController().signal;
const NOW = Date.parse('2026-11-10T12:00:00Z');
const HOUR = 3_600_000;

const HEAD = z.object({ snapshot: z.number(), writer: z.string(), superseded: z.record(z.string(), z.string()) });

let lake: MirroredLake;
let world: World;
let folder: string;
let mirror: string;
let nowMs = NOW;

const runtime = (): Runtime => ({ ...world.runtime, now: () => nowMs });
const settings = (values: object = {}): ReturnType<World['config']> =>
  world.config({ mirror: { to: mirror }, ...values });
const push = (options: PushOptions = {}, values: object = {}): ReturnType<typeof pushMirror> =>
  pushMirror(settings(values), runtime(), NEVER, options);
const head = async (): Promise<z.output<typeof HEAD>> =>
  HEAD.parse(JSON.parse(await readFile(join(mirror, 'mirror.json'), 'utf8')));

async function objects(): Promise<string[]> {
  const entries = await readdir(mirror, { recursive: true, withFileTypes: true });
  return entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name).slice(mirror.length + 1)).toSorted(); // oxfmt-ignore
}

/** Restores the mirror into a new folder and returns its rows. */
async function restoredRows(): Promise<number> {
  const to = await mkdtemp(join(folder, 'restored-'));
  const config = settings();
  const { exitCode, rows, withLedger } = await restoreMirror(config, config.mirrorAt({ kind: 'folder', path: mirror }), to, world.runtime, NEVER); // oxfmt-ignore
  expect([exitCode, withLedger]).toEqual([EXIT.ok, true]);
  return rows;
}

useMirroredLake((given) => {
  ({ lake, world, folder, mirror } = given);
  nowMs = NOW;
});

describe('a push', () => {
  it('uploads the files of the snapshot, its state and what readers need, and a second one nothing', async () => {
    const first = await push();
    expect(first).toMatchObject({ files: 2, removedFiles: 0, conditional: true });
    // The logs of tables have a test of their own.
    const others = (await objects()).filter((name) => !/_delta_log|logs\.json$/.test(name));
    const names = others.map((name) => name.replaceAll(/\d+-[0-9a-f]{8}/g, '<push>'));
    expect(names).toEqual([
      'lake/coverage.parquet',
      'manifest.json',
      'mirror.json',
      'state/<push>/insights.duckdb',
      'state/<push>/manifest.json',
      'state/<push>/state.duckdb',
      'store/events/tenant_id=demo/month=2026-10/2026-10.1.parquet',
      'store/events/tenant_id=demo/month=2026-11/2026-11.1.parquet',
    ]);
    const before = await objects();
    for (const options of [{ onlyNew: true }, {}]) {
      expect(await push(options)).toMatchObject({ uploadedFiles: 0, removedFiles: 0, pushedAt: first.pushedAt });
      expect(await objects()).toEqual(before);
    }
    expect(await checkMirror(settings(), runtime(), NEVER, true)).toMatchObject({ problems: [], exitCode: 0 });
    expect(await mirrorStatus(settings(), runtime(), NEVER)).toMatchObject({ missing: 0, held: { isOwn: true } });
    expect(await restoredRows()).toBe(lake.rows());
  });

  it('deletes superseded objects when their grace period is over, and only those that it wrote', CAMPAIGN, async () => {
    await push();
    const strangers = ['dashboard/CNAME', 'dashboard/index.html', 'store/events/notes.txt'];
    await mkdir(join(mirror, 'dashboard'));
    for (const name of strangers) await writeFile(join(mirror, name), 'mine');
    const old = await objects();
    await lake.load(2);
    await push();
    expect(await objects()).toEqual(expect.arrayContaining(old));
    const superseded = Object.keys((await head()).superseded);
    expect(superseded.filter((name) => !/_delta_log|logs\.json$/.test(name))).toHaveLength(5);
    nowMs += 25 * HOUR;
    expect(await push({ onlyNew: true })).toMatchObject({ removedFiles: superseded.length });
    expect(await objects()).toEqual(expect.arrayContaining(strangers));
    expect(await checkMirror(settings(), runtime(), NEVER, true)).toMatchObject({ problems: [] });
    expect(await restoredRows()).toBe(lake.rows());
  });

  for (const [part, options] of [
    ['the ledger', CAMPAIGN],
    ['any step', LONG],
  ] as const)
    it(`that is cut off after ${part} leaves a whole snapshot, and the next one completes it`, options, async () => {
      await push();
      const before = lake.rows();
      await lake.load(2);
      await cp(mirror, join(folder, 'kept'), { recursive: true });
      const steps: string[] = [];
      await push({ onStep: (step) => void steps.push(step) }, { lake: { keepHours: 0 } });
      expect(steps.length).toBeGreaterThan(10);
      for (const [index, step] of steps.entries()) {
        if (part === 'the ledger' && !/^state .*state.duckdb$/.test(step)) continue;
        await rm(mirror, { recursive: true });
        await cp(join(folder, 'kept'), mirror, { recursive: true });
        let left = index;
        const onStep = (): void => {
          if (left-- === 0) throw new RangeError('cut off');
        };
        await expect(push({ onStep }, { lake: { keepHours: 0 } })).rejects.toThrow('cut off');
        const isNew = steps.indexOf('head') <= index;
        expect([step, await restoredRows()]).toEqual([step, isNew ? lake.rows() : before]);
        await push({}, { lake: { keepHours: 0 } });
        expect([step, await restoredRows()]).toEqual([step, lake.rows()]);
      }
    });

  it('that is killed while it replaces the head of a folder is completed by the next one, or by the data directory that takes over', async () => {
    await push();
    const files: Files = {
      ...systemFiles,
      rename: async (from, to) => {
        if (basename(String(to)) === 'mirror.json') throw new RangeError('killed');
        await systemFiles.rename(from, to);
      },
    };
    for (const options of [{}, { takeOver: true }]) {
      await lake.load(1);
      await expect(pushMirror(settings(), { ...runtime(), files }, NEVER)).rejects.toThrow('killed');
      if (options.takeOver) await rm(join(world.dataDir, 'mirrored.json'));
      await push(options);
      expect(await checkMirror(settings(), runtime(), NEVER, true)).toMatchObject({ problems: [] });
      expect(await mirrorStatus(settings(), runtime(), NEVER)).toMatchObject({ missing: 0, held: { isOwn: true } });
    }
    expect((await objects()).filter((name) => name.includes('.next-'))).toEqual([]);
  });

  it('is no other writer for one of the same data directory that claims the mirror at the same moment', async () => {
    const store = openFolder(mirror, systemFiles, NEVER);
    let isFirst = true;
    const read: ObjectStore['read'] = async (name) => {
      const found = await store.read(name);
      if (isFirst) await push();
      isFirst = false;
      return found;
    };
    expect(await push({ store: { ...store, read } })).toMatchObject({ uploadedFiles: 0, removedFiles: 0 });
    expect(await checkMirror(settings(), runtime(), NEVER, true)).toMatchObject({ problems: [] });
  });

  it('into an empty place can be cut off before anything is in it', async () => {
    await expect(push({ onStep: () => { throw new RangeError('cut off'); } })).rejects.toThrow('cut off'); // oxfmt-ignore
    expect(await head()).toMatchObject({ snapshot: 0 });
    const config = settings();
    await expect(restoreMirror(config, config.mirrorAt({ kind: 'folder', path: mirror }), join(folder, 'to'), world.runtime, NEVER)).rejects.toThrow('There is no snapshot'); // oxfmt-ignore
    await push();
    expect(await restoredRows()).toBe(lake.rows());
  });

  it('replaces what a push left that no snapshot needs, and refuses to replace what one needs', CAMPAIGN, async () => {
    await push();
    await lake.load(2);
    const [file = ''] = (await objects()).filter((name) => name.startsWith('store/'));
    const next = file.replace('.1.', '.2.');
    await writeFile(join(mirror, next), 'of a push that was cut off');
    await push();
    expect(await checkMirror(settings(), runtime(), NEVER, true)).toMatchObject({ problems: [] });
    // The lake is set back to its first state, with other rows in the next file.
    await lake.reset();
    await lake.load(3);
    const before = await readFile(join(mirror, 'mirror.json'), 'utf8');
    await rm(join(world.dataDir, 'mirrored.json'), { force: true });
    const hint = expect.stringContaining('Give `mirror.to` a new prefix: the next push fills it, in a divided lake that of each shard.'); // oxfmt-ignore
    await expect(push({ takeOver: true })).rejects.toMatchObject({ reason: 'conflict', exitCode: EXIT.mirror, hint });
    // The machine that writes the mirror goes on.
    expect(await readFile(join(mirror, 'mirror.json'), 'utf8')).toBe(before);
  });

  it('repairs an object that was deleted or damaged in the mirror', async () => {
    await push();
    const [first = '', second = ''] = (await objects()).filter((name) => name.startsWith('store/'));
    await rm(join(mirror, first));
    await writeFile(join(mirror, second), 'damaged');
    const [ledger = ''] = (await objects()).filter((name) => name.endsWith('state.duckdb'));
    await rm(join(mirror, ledger));
    const check = await checkMirror(settings(), runtime(), NEVER, false);
    expect(check).toMatchObject({ exitCode: EXIT.damaged, problems: expect.arrayContaining([{ object: ledger, problem: 'missing' }, { object: first, problem: 'missing' }, { object: second, problem: 'size' }]) }); // oxfmt-ignore
    await push();
    expect(await checkMirror(settings(), runtime(), NEVER, true)).toMatchObject({ problems: [] });
    // A push takes equal size for whole. After the object is deleted, as `mirror verify` says, it writes it again.
    const bytes = await readFile(join(mirror, second));
    await writeFile(join(mirror, second), bytes.fill(0, 0, 4));
    await push();
    expect(await checkMirror(settings(), runtime(), NEVER, false)).toMatchObject({ problems: [{ object: second, problem: 'sha256' }] }); // oxfmt-ignore
    await rm(join(mirror, second));
    await push();
    expect(await checkMirror(settings(), runtime(), NEVER, true)).toMatchObject({ problems: [] });
  });
});

describe('a folder', () => {
  const to = (path: string): ReturnType<typeof push> => push({}, { mirror: { to: path } });
  it('that holds other files, and one around the data directory or in it, is refused and stays as it is', async () => {
    const links = { inside: world.dataDir, 'new-inside': join(world.dataDir, 'store'), around: dirname(world.dataDir) };
    for (const [link, target] of Object.entries(links)) await symlink(target, join(folder, link));
    const linked = Object.keys(links).map((link) => join(folder, link, link.startsWith('new') ? 'mirror' : ''));
    for (const path of [parse(world.dataDir).root, world.dataDir, join(world.dataDir, 'mirror'), ...linked])
      await expect(to(path)).rejects.toMatchObject({ exitCode: EXIT.config, message: expect.stringContaining('outside of the data directory'), hint: expect.stringContaining('empty') }); // oxfmt-ignore
    await mkdir(join(mirror, 'dashboard'), { recursive: true });
    await writeFile(join(mirror, 'dashboard', 'mine.txt'), 'mine');
    for (const takeOver of [false, true])
      await expect(push({ takeOver })).rejects.toThrow('The folder of the mirror holds other files, and no mirror.');
    expect(await objects()).toEqual(['dashboard/mine.txt']);
  });

  it('that is a new disk is used, and nothing is restored into a mirror or a lake', async () => {
    await mkdir(join(mirror, 'lost+found'), { recursive: true });
    await push();
    const config = settings();
    await symlink(join(mirror, 'lost+found'), join(folder, 'link'));
    for (const inside of [join(mirror, 'drill'), join(world.dataDir, 'a', 'drill'), join(folder, 'link')])
      await expect(restoreMirror(config, config.mirrorAt({ kind: 'folder', path: mirror }), inside, world.runtime, NEVER)).rejects.toThrow('The folder is inside of a'); // oxfmt-ignore
    expect(await readdir(join(mirror, 'lost+found'))).toEqual([]);
  });
});

describe('a second writer', () => {
  it('is refused before it writes anything, and takes over with --take-over', async () => {
    await push();
    // A ledger that is rebuilt is that of the same writer.
    await repairLake(settings(), runtime());
    await publishLake(settings(), runtime());
    await push();
    const before = await objects();
    await rm(join(world.dataDir, 'mirrored.json'));
    await expect(push()).rejects.toMatchObject({ exitCode: EXIT.mirrorTaken });
    expect(await objects()).toEqual(before);
    await push({ takeOver: true });
    expect(await push()).toMatchObject({ removedFiles: 0 });
  });

  it(
    'that has purged a tenant before it takes over deletes what the lake no longer has at once',
    CAMPAIGN,
    async () => {
      await push();
      await lake.load(2);
      await rm(join(world.dataDir, 'mirrored.json'));
      await requestPurge(systemFiles, settings());
      const { removedFiles } = await push({ takeOver: true });
      expect(removedFiles).toBeGreaterThan(0);
      expect(await head()).toMatchObject({ superseded: {} });
    },
  );

  it('that is a copy of the first is refused once they differ', CAMPAIGN, async () => {
    await push();
    const restore = await world.keep();
    await lake.load(1);
    await push();
    await restore();
    await expect(push()).rejects.toThrow('was written by a copy of this data directory');
  });

  it('that writes at the same moment is refused at the end, and the first snapshot stays whole', CAMPAIGN, async () => {
    await push();
    const { snapshot } = await head();
    await lake.load(1);
    const onStep = async (step: string): Promise<void> => {
      if (!step.includes('state.duckdb')) return;
      const text = await readFile(join(mirror, 'mirror.json'), 'utf8');
      await writeFile(join(mirror, 'mirror.json'), text.replace(/"writer": "[^"]*"/, '"writer": "another"'));
    };
    await expect(push({ onStep })).rejects.toThrow(MirrorTakenError);
    expect(await head()).toMatchObject({ snapshot });
    expect(await restoredRows()).toBe(lake.rows() - 1);
  });
});

describe('after a run', () => {
  it('a mirror that fails is reported, and the next run pushes what is missing', async () => {
    await writeFile(mirror, 'a file where the folder should be');
    const report = await mirrorAfterRun(settings(), await world.run(EVENTS), runtime(), NEVER);
    expect(report).toMatchObject({ mirror: { error: {} }, exitCode: EXIT.mirror });
    await rm(mirror);
    const next = await mirrorAfterRun(settings(), await world.run(EVENTS), runtime(), NEVER);
    const uploadedFiles = (await objects()).filter((name) => !/^mirror\.json$|logs\.json$/.test(name)).length;
    expect(next).toMatchObject({ mirror: { uploadedFiles }, exitCode: EXIT.ok });
    expect(uploadedFiles).toBeGreaterThan(6);
  });

  it('on a restored machine compares and fetches only what is new', async () => {
    await push();
    await rm(world.dataDir, { recursive: true });
    const config = settings();
    await restoreMirror(config, config.mirrorAt({ kind: 'folder', path: mirror }), world.dataDir, world.runtime, NEVER);
    const before = lake.source.calls.length;
    const run = await world.run(EVENTS);
    expect([run.exitCode, run.tables.map(({ rowsFetched }) => rowsFetched)]).toEqual([0, [0]]);
    expect(lake.source.calls.length - before).toBeLessThan(4);
    const refused = await mirrorAfterRun(config, run, runtime(), NEVER);
    expect(refused.exitCode).toBe(EXIT.mirrorTaken);
    await push({ takeOver: true });
  });
});

it('the record of an earlier version is read, with a purge that is due', async () => {
  const push = { snapshot: 2, publishedAt: '2026-11-10T12:00:00.000Z' };
  const old = { writer: 'w', pushes: [push], done: { ...push, to: mirror }, purgeDue: true };
  await writeFile(join(folder, 'mirrored.json'), JSON.stringify(old));
  const mirrors = [{ to: mirror, done: push, purgeDue: true }];
  expect(await readRecord(systemFiles, folder)).toEqual({ writer: 'w', pushes: [push], mirrors });
});

it('errors of the mirror are errors of their own', () => {
  expect([new MirrorError('x', { reason: 'denied' }).exitCode, new MirrorTakenError('x').exitCode]).toEqual([15, 16]);
});
