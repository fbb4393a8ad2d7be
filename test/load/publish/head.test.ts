/** What a reader finds that lists the head while it changes, or after a kill: at each step the disk is looked at as it is. */
import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { expect, test } from 'vitest';
import { publish } from '../../../src/load/publish/publish.ts';
import { recover } from '../../../src/load/maintenance/recover.ts';
import { knownFile } from '../../../src/model/data-path.ts';
import type { Ledger } from '../../../src/load/ledger/ledger.ts';
import { watchedFiles, type Watcher } from '../../campaigns/soak/support/disk.ts';
import { CAMPAIGN, LONG } from '../../support/campaign.ts';
import { event, load, metric, scratchLake, span } from '../support/lake.ts';
import type { Scratch } from '../support/lake.ts';

const TWO_DAYS = span('2026-07-03T00:00:00Z', '2026-07-05T00:00:00Z');
const SETTINGS = { marts: ['passes_created'], keepHours: 24 };

/** Files below a folder except hidden ones, which every reader skips. */
function listed(folder: string): string[] {
  const below = readdirSync(folder, { recursive: true, withFileTypes: true });
  return below
    .filter((entry) => entry.isFile() && !entry.name.startsWith('.'))
    .map((entry) => join(entry.parentPath, entry.name))
    .sort();
}

/** What `lake/` shows, by table; a mart and the coverage count as tables. Each file is known by its name, bytes and time. */
function shownBy(dir: string): Map<string, string> {
  const shown = new Map<string, string>();
  for (const file of listed(join(dir, 'lake'))) {
    const path = relative(dir, file);
    const found = {
      path,
      isUnfinished: knownFile(path)?.isUnfinished,
      end: readFileSync(file).subarray(-4).toString(),
    };
    expect(found).toEqual({ path, isUnfinished: false, end: 'PAR1' });
    const table = /^lake\/(?:marts\/)?[^/]+/.exec(path)?.[0] ?? '';
    const { size, mtimeMs } = statSync(file);
    const name = path.replace(/\/v\d+\//, '/');
    shown.set(table, `${shown.get(table) ?? ''}${name} ${size} ${mtimeMs}\n`);
  }
  return shown;
}

function unfinishedAtTop(dir: string): string[] {
  return readdirSync(dir).filter((name) => name.endsWith('.tmp'));
}

const watching = (lake: Scratch, watcher: Watcher): Ledger => ({
  ...lake.ledger,
  files: watchedFiles(lake.dir, watcher),
});

async function publishedLake(): Promise<Scratch> {
  const lake = await scratchLake(SETTINGS);
  await load(lake, TWO_DAYS, [
    event('a', '2026-07-03T10:10:00Z'),
    event('b', '2026-07-04T11:00:00Z'),
    event('c', '2026-07-04T11:00:00Z'),
  ]);
  await load(lake, TWO_DAYS, [metric('m', '2026-07-03T10:00:00Z', '1')], { table: 'Metrics' });
  await publish(lake.ledger, { run: 'run-1', head: true });
  return lake;
}

/** One day has another row, one is empty now, and a new one in another month has its first. */
async function change(lake: Scratch): Promise<void> {
  await load(lake, TWO_DAYS, [event('a', '2026-07-03T10:10:00Z'), event('new', '2026-07-03T10:20:00Z')]);
  await load(lake, span('2026-08-01T00:00:00Z', '2026-08-02T00:00:00Z'), [event('d', '2026-08-01T10:10:00Z')]);
}

for (const [which, link] of [
  ['with hard links', undefined],
  ['with copies, on a disk without links', 'EPERM'],
] as const)
  test(
    `at every step of a change, a reader that lists the head ${which} finds only whole files of one snapshot`,
    link === undefined ? CAMPAIGN : LONG,
    async () => {
      await using lake = await publishedLake();
      const watcher: Watcher = {
        before: ({ name }) => {
          look();
          if (name === 'link' && link) throw Object.assign(new Error(link), { code: link });
        },
        after: () => look(),
      };
      const seen: Map<string, string>[] = [];
      const look = (): void => {
        seen.push(shownBy(lake.dir));
        expect(unfinishedAtTop(lake.dir)).toEqual([]);
      };
      const before = shownBy(lake.dir);
      await change(lake);
      await publish(watching(lake, watcher), { run: 'run-2', head: true });
      const after = shownBy(lake.dir);
      expect(after.get('lake/events')).toContain('month=2026-08');
      expect(after.get('lake/events')).not.toContain('2026-07-04');
      expect([...after.keys()]).toEqual(expect.arrayContaining(['lake/coverage.parquet', 'lake/marts/passes_created.parquet'])); // oxfmt-ignore
      expect(seen.length).toBeGreaterThan(20);
      for (const shown of seen)
        for (const [table, files] of shown) expect([before.get(table), after.get(table)]).toContain(files);
      expect(readdirSync(join(lake.dir, 'work'))).toEqual([]);
    },
  );

test('a reader that spills next to the catalogue does not disturb a publish', LONG, async () => {
  await using lake = await publishedLake();
  // DuckDB names the folder after the database file.
  mkdirSync(join(lake.dir, 'insights.duckdb.tmp'));
  const spilled = join(lake.dir, 'insights.duckdb.tmp', 'duckdb_temp_storage_DEFAULT-0.tmp');
  writeFileSync(spilled, 'spilled');
  await change(lake);
  expect(await publish(lake.ledger, { run: 'run-2', head: true })).toMatchObject({ snapshot: 2, changed: true });
  expect(readFileSync(spilled, 'utf8')).toBe('spilled');
});

test(
  'recovery removes what earlier versions left unfinished in the head and next to the catalogue',
  CAMPAIGN,
  async () => {
    await using lake = await publishedLake();
    const before = shownBy(lake.dir);
    const [day = ''] = listed(join(lake.dir, 'lake/events'));
    const left = ['insights.duckdb.tmp', 'insights.duckdb.tmp.wal', 'manifest.json.tmp', 'lake/coverage.parquet.tmp', 'lake/marts/passes_created.parquet.tmp']; // oxfmt-ignore
    for (const path of [...left, relative(lake.dir, `${day}.tmp`)]) writeFileSync(join(lake.dir, path), 'half');
    expect(await recover(lake.ledger)).toMatchObject({ temporary: 6 });
    expect(unfinishedAtTop(lake.dir)).toEqual([]);
    expect(shownBy(lake.dir)).toEqual(before);
  },
);
