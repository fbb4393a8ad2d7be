/** Invariant 3, at every step: after each kind of file operation and each ledger transaction of a real run. */
import { cpSync } from 'node:fs';
import { mkdtemp, readdir, readFile, rename, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Tree } from '../../../src/config/layers.ts';
import type { Runtime } from '../../../src/kernel/runtime.ts';
import type { Sandbox } from '../../../sandbox/sandbox.ts';
import { openWorld, type World } from '../../pipeline/support/world.ts';
import { CAMPAIGN, LONG } from '../../support/campaign.ts';
import { watchedFiles, type Operation } from './support/disk.ts';
import { openSource } from './support/source.ts';
import { compareWithModel } from './support/judge.ts';
import { lineOf, SourceModel } from './support/model.ts';

const SETTINGS = { page: { maxRows: 12 }, lake: { keepHours: 0 }, engine: { threads: 1 } };
const MARTS = { lake: { keepHours: 0, marts: true } };
const guid = (n: number): string => `00000000-0000-4000-8000-${n.toString(16).padStart(12, '0')}`;

let source: Sandbox;
let world: World;
let model: SourceModel;
let frozen: string;
let numbers = 0;
beforeAll(async () => {
  source = await openSource();
  await source.apply({ action: 'clock', set: '2026-11-10T12:00:00Z' });
});
afterAll(() => source.close());
beforeEach(async () => {
  await source.apply({ action: 'erase', table: 'Events', tenant: 'demo' });
  world = await openWorld(source, SETTINGS);
  model = new SourceModel();
  frozen = await mkdtemp(join(tmpdir(), 'insights-kills-'));
});
afterEach(async () => {
  await world[Symbol.asyncDispose]();
  await rm(frozen, { recursive: true, force: true });
});

async function insert(id: string | undefined, timestamp: string, properties = '{"a":1}'): Promise<void> {
  model.insert('Events', { id, timestamp, properties });
  const row = lineOf('Events', { id, timestamp, properties });
  await source.apply({ action: 'rows', table: 'Events', tenant: 'demo', rows: [row] });
}

/** After these the disk shows something new. The flush of a folder does not: what it makes last was there before. */
const changesDisk = ({ name, path }: Operation): boolean =>
  ['rename', 'link', 'rm'].includes(name) || (name === 'sync' && /\.(tmp|parquet)$/.test(path));

/** One step of each kind: numbers and the names of marts do not make a kind, the folder and the operation do. */
function kindOf({ name, path }: Operation): string {
  return `${name} ${path.replaceAll(/\b\d[\da-fT.-]*\d\b|\bp\d+/g, '#').replace(/marts\/[a-z_]+/, 'marts/#')}`;
}

/** Runs once, and keeps the data directory as it was after each kind of step. */
async function recordSteps(settings: Tree = {}): Promise<Map<string, string>> {
  const copies = new Map<string, string>();
  const keep = (kind: string): void => {
    if (copies.has(kind)) return;
    const copy = join(frozen, String(++numbers));
    copies.set(kind, copy);
    cpSync(world.dataDir, copy, { recursive: true, preserveTimestamps: true });
  };
  let commits = 0;
  const handles: Pick<Runtime, 'files' | 'onCommit'> = {
    files: watchedFiles(world.dataDir, {
      after: (operation) => {
        if (changesDisk(operation)) keep(kindOf(operation));
      },
    }),
    onCommit: () => keep(`commit ${++commits}`),
  };
  expect((await world.run({ tables: ['Events'] }, settings, handles)).exitCode).toBe(0);
  return copies;
}

async function queriesLanded(): Promise<string[]> {
  const landing = join(world.dataDir, 'landing');
  const names = await readdir(landing, { recursive: true }).catch(() => []);
  const queries: string[] = [];
  for (const name of names.filter((name) => name.endsWith('.ndjson'))) {
    const [header = ''] = (await readFile(join(landing, name), 'utf8')).split('\n');
    const parsed: unknown = JSON.parse(header.slice(1));
    if (typeof parsed === 'object' && parsed !== null && 'query' in parsed) queries.push(String(parsed.query));
  }
  return queries;
}

async function expectRecovery(copies: ReadonlyMap<string, string>, settings: Tree = {}): Promise<void> {
  for (const [step, copy] of copies) {
    await rm(world.dataDir, { recursive: true });
    await rename(copy, world.dataDir);
    const landed = await queriesLanded();
    const before = source.calls.length;
    expect({ step, code: (await world.run({ tables: ['Events'] }, settings)).exitCode }).toEqual({ step, code: 0 });
    await compareWithModel(world.dataDir, model).catch((error: unknown) => {
      throw new Error(`killed after "${step}": ${String(error)}`);
    });
    const again = source.calls.slice(before).filter(({ query }) => landed.includes(query));
    expect({ step, again: again.map(({ query }) => query) }).toEqual({ step, again: [] });
  }
}

/** The first step of each of these kinds. */
function stepsLike(copies: ReadonlyMap<string, string>, kinds: readonly string[]): Map<string, string> {
  const steps = kinds.map((kind) => [...copies].find(([step]) => step.startsWith(kind)));
  expect(steps).not.toContain(undefined);
  return new Map(steps.filter((step) => step !== undefined));
}

/** Rows of two months, which are two files. */
async function insertFirstRows(): Promise<void> {
  for (let n = 0; n < 30; n++) {
    await insert(guid(n), `${n % 2 === 0 ? '2026-10-31' : '2026-11-09'}T0${6 + (n % 3)}:${String(10 + n)}:00Z`);
  }
  await insert(guid(3), '2026-11-09T06:59:00Z', '{"again":true}');
  await insert(undefined, '2026-11-09T06:59:00Z');
}

for (const [which, kinds] of [
  [
    'a step of a few kinds',
    {
      first: ['rename landing', 'rename store', 'rename insights.duckdb'],
      later: ['rename store/marts', 'rm store'],
    },
  ],
  ['any step', undefined],
] as const)
  describe(`a run that ends after ${which} and never comes back`, kinds ? CAMPAIGN : LONG, () => {
    it('of a first load: the next run ends as an undisturbed one, and asks for no page that had landed', async () => {
      await insertFirstRows();
      const copies = await recordSteps();
      const steps = [...copies.keys()].join('\n');
      for (const step of ['rename landing', 'sync work/days', 'rename store', 'rename insights.duckdb', 'rename manifest.json', 'rename lake', 'rename last-run.json', 'commit 5'])
        expect(steps).toContain(step);
      await expectRecovery(kinds ? stepsLike(copies, kinds.first) : copies);
    }, 600_000); // oxfmt-ignore

    it('of a run with late rows and erasures: likewise, and the files it replaced are gone', LONG, async () => {
      await insertFirstRows();
      expect((await world.run({ tables: ['Events'] })).exitCode).toBe(0);
      for (let n = 40; n < 60; n++) await insert(guid(n), `2026-11-08T07:${String(n - 30)}:00Z`);
      for (const n of [4, 5]) {
        model.erase('Events', guid(n));
        await source.apply({ action: 'erase', table: 'Events', tenant: 'demo', ids: [guid(n)] });
      }
      const copies = await recordSteps(MARTS);
      const steps = [...copies.keys()].join('\n');
      expect(steps).toContain('rm store');
      expect(steps).toContain('rename store/marts');
      await expectRecovery(kinds ? stepsLike(copies, kinds.later) : copies, MARTS);
    });
  });

describe('the order of durability', () => {
  it(
    'no name points at bytes that may be lost, and no transaction relies on a name that may be',
    CAMPAIGN,
    async () => {
      await insertFirstRows();
      expect((await world.run({ tables: ['Events'] }, MARTS)).exitCode).toBe(0);
      await insert(guid(70), '2026-11-08T07:50:00Z');
      const unsynced: string[] = [];
      const written = new Map<string, boolean>();
      const isDurable = (path: string): boolean => /^(store|landing|insights|manifest|last-run|calls)/.test(path);
      const folderOf = (path: string): string => path.split('/').slice(0, -1).join('/');
      const renamed = new Map<string, string>();
      const files = watchedFiles(world.dataDir, {
        before: ({ name, path, from = '' }) => {
          if (name === 'rename' && isDurable(path) && written.get(from) !== true)
            unsynced.push(`${from} was not flushed`);
        },
        after: ({ name, path }) => {
          if (name === 'sync') {
            written.set(path, true);
            renamed.delete(path);
          }
          if (name === 'writeFile' || name === 'appendFile') written.set(path, false);
          if (name === 'rename' && isDurable(path)) renamed.set(folderOf(path), path);
        },
      });
      const onCommit = (): void => {
        for (const path of renamed.values()) unsynced.push(`the name ${path} was not flushed`);
      };
      expect((await world.run({ tables: ['Events'] }, {}, { files, onCommit })).exitCode).toBe(0);
      expect(unsynced).toEqual([]);
      expect([...renamed.values()]).toEqual([]);
    },
  );
});
