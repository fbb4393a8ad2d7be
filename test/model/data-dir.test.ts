/** The inventory of the data directory: its patterns, the documents made from it, and the rule that no other file spells its names. */
import { readdirSync, readFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { callsFile, DATA_DIR, setAsideName } from '../../src/model/data-dir.ts';
import { generationFile } from '../../src/model/partition-path.ts';
import type { DataEntry } from '../../src/model/data-dir.ts';
import { belongsToLake, knownFile, parseGenerationFile } from '../../src/model/data-path.ts';
import { formatMarkdown } from '../support/markdown.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const DAY = 'tenant_id=acme/month=2026-07/2026-07-03';

function entryAt(path: string): DataEntry {
  const found = DATA_DIR.find((entry) => entry.path === path);
  if (!found) throw new Error(`no entry ${path}`);
  return found;
}

const SAMPLES: Readonly<Record<string, string>> = {
  batch: 'b1',
  digest: 'a'.repeat(64),
  generation: '3',
  lake_table: 'events',
  month: '2026-07',
  number: '7',
  page: '0a',
  period: '2026-07-03',
  report: 'scans',
  table: 'Events',
  tenant: 'acme',
  time: '20261101T003000000Z',
  version: '0'.repeat(20),
};
const UNFINISHED = DATA_DIR.flatMap((entry) =>
  entry.unfinished.map((ending) => [entry.path.replaceAll(/<(\w+)>/g, (_, name: string) => SAMPLES[name] ?? '') + ending, entry] as const),
); // oxfmt-ignore

describe('a path', () => {
  test.each([
    [
      `store/events/${DAY}.3.parquet`,
      'store/<lake_table>/tenant_id=<tenant>/month=<month>/<period>.<generation>.parquet',
    ],
    ['store/marts/openings.12.parquet', 'store/marts/<report>.<generation>.parquet'],
    ['store/marts/active_passes/12.parquet', 'store/marts/<report>/<generation>.parquet'],
    ['store/events/_delta_log/00000000000000000012.json', 'store/<lake_table>/_delta_log/<version>.json'],
    ['store/marts/scans/_delta_log/_last_checkpoint', 'store/marts/<report>/_delta_log/_last_checkpoint'],
    [`lake/logs/v7/${DAY}.parquet`, 'lake/<lake_table>/v<number>/tenant_id=<tenant>/month=<month>/<period>.parquet'],
    [setAsideName(0), 'state.duckdb.<time>'],
    [`${setAsideName(0)}.wal`, 'state.duckdb.<time>.wal'],
    [callsFile('acme'), 'calls/<tenant>.log'],
    ['landing/acme/Events/b1/0a.ndjson', 'landing/<tenant>/<table>/<batch>/<page>.ndjson'],
    ['work/duckdb_temp_storage-0.tmp', 'work/**'],
  ])('%s belongs to %s', (path, entry) => {
    expect(knownFile(path)).toMatchObject({ entry: entryAt(entry), isUnfinished: false });
  });

  test.each([
    [`store/events/${DAY}.3.parquet.tmp`, `store/events/${DAY}.3.parquet`],
    ['store/marts/tmp_openings.2.parquet.tmp', 'store/marts/openings.2.parquet'],
    ['store/marts/scans/tmp_2.parquet.tmp', 'store/marts/scans/2.parquet'],
    ['store/events/_delta_log/_last_checkpoint.tmp', 'store/events/_delta_log/_last_checkpoint'],
    ['state.duckdb.tmp.wal', 'state.duckdb'],
    ['calls/acme.log.tmp', 'calls/acme.log'],
    ['schedule.json.tmp', 'schedule.json'],
  ])('%s is an unfinished form of %s', (path, complete) => {
    expect(knownFile(path)).toEqual({ ...knownFile(complete), isUnfinished: true });
  });

  test.each(UNFINISHED)('%s is unfinished, and no complete file of another entry', (path, entry) => {
    expect(knownFile(path)).toMatchObject({ entry, isUnfinished: true });
  });

  test.each([
    'notes.txt', 'state.duckdb.bak', 'state.duckdb.wal.tmp', 'insights.duckdb.wal', 'store/notes.parquet',
    `store/passes/${DAY}.1.parquet`, `store/events/${DAY}.parquet`, `lake/events/${DAY}.parquet`, 'landing/p1.ndjson',
    'calls/acme/acme.log', 'worker/page', '../store/x',
  ])('%s is not declared', (path) => {
    expect(knownFile(path)).toBeUndefined();
  }); // oxfmt-ignore

  test('of a generation is read back to what it was made from', () => {
    const file = generationFile('Metrics', 'acme.fr', '2026-07', 12);
    expect(parseGenerationFile(file)).toMatchObject({ table: 'Metrics', tenant: 'acme.fr', period: { name: '2026-07' }, generation: 12 }); // oxfmt-ignore
    expect(parseGenerationFile(`${file}.tmp`)).toBeUndefined();
  });

  test('where only the pipeline may write is distinguished from one next to it', () => {
    const own = ['state.duckdb', 'outcomes.json', 'store/my.csv', 'lake/events/my.csv', 'kept/my.csv', 'work/my.csv'];
    expect(own.filter((path) => !belongsToLake(path))).toEqual([]);
    expect(['my.csv', 'exports/my.csv', 'demo/my.csv', '../my.csv'].filter(belongsToLake)).toEqual([]);
  });
});

test('every entry that may hold data of a tenant says how a purge removes it', () => {
  const kept = DATA_DIR.filter(({ purge, sensitive }) => purge === 'leaves' && sensitive.length > 0);
  expect(kept.map(({ path }) => path)).toEqual(['shards/**', 'demo/**']);
});

test('a file that a restore downloads next to its name is known before it gets it', () => {
  const downloaded = DATA_DIR.filter(({ mirror }) => mirror !== undefined && mirror !== 'shown');
  expect(downloaded.length).toBeGreaterThan(10);
  expect(downloaded.filter(({ unfinished }) => !unfinished.includes('.tmp'))).toEqual([]);
});

test('a purge finds the tenant by its name in the path', () => {
  const named = DATA_DIR.filter(({ path }) => path.includes('<tenant>'));
  expect(named.filter(({ purge }) => purge !== 'deletes-of-tenant')).toEqual([]);
  expect(DATA_DIR.filter(({ purge }) => purge === 'deletes-of-tenant')).toEqual(named);
});

test('no other file of the source spells a name of the data directory', () => {
  const names = new Set(DATA_DIR.flatMap(({ path }) => path.split('/')).filter((name) => !/[<*]/.test(name)));
  const files = [...names].filter((name) => name.includes('.'));
  const folders = [...names].filter((name) => !name.includes('.')).join('|');
  expect(files.length).toBeGreaterThan(8);
  const spelled = [
    ...files.map((name) => new RegExp(`['"\`/]${name.replaceAll('.', '\\.')}['"\`]`)),
    // The name of a folder is also a common word, so it counts only as part of a path.
    new RegExp(`\\b(?:join|resolve)\\([^)]*['"\`](?:${folders})['"\`/]`),
    new RegExp(`['"\`](?:${folders})/`),
  ];
  const sources = readdirSync(join(ROOT, 'src'), { recursive: true, encoding: 'utf8' }).filter((path) => path.endsWith('.ts'));
  const lines = sources
    .filter((path) => !/^model.data-(?:dir|names)\.ts$/.test(path))
    .flatMap((path) => readFileSync(join(ROOT, 'src', path), 'utf8').split('\n').map((line) => `${path}: ${line.trim()}`))
    .filter((line) => !/^[^:]+: (?:\*|\/\*|\/\/)/.test(line));
  expect(lines.filter((line) => spelled.some((pattern) => pattern.test(line)))).toEqual([]);
}); // oxfmt-ignore

describe('the documents', () => {
  const PURGE: Readonly<Record<DataEntry['purge'], string>> = {
    'deletes-of-tenant': "deletes the tenant's",
    deletes: 'deletes all',
    rewrites: 'rewrites it',
    republishes: 'publishes it again',
    restarts: 'publishes it again',
    edits: "removes the tenant's entries",
    recovers: 'empties it',
    leaves: 'leaves it',
  };

  test('docs/lake.md lists every entry and what the commands do with it', async () => {
    const rows = DATA_DIR.map(
      ({ path, holds, mayBeDeleted, cost, purge, backup }) =>
        `| \`${path}\` | ${holds} | ${mayBeDeleted ? 'yes' : 'no'}: ${cost} | ${backup === 'copies' ? 'yes' : 'no'} | ${PURGE[purge]} |`,
    );
    const table = ['| path | holds | may it be deleted? | in a backup? | a purge |', '|---|---|---|---|---|', ...rows];
    const whole = withBlock(await readFile(join(ROOT, 'docs/lake.md'), 'utf8'), 'data directory', table);
    const formatted = await formatMarkdown(whole);
    await expect(formatted).toMatchFileSnapshot('../../docs/lake.md');
  });

  test('data/README.md lists every entry', async () => {
    const rows = DATA_DIR.map(
      ({ path, holds, mayBeDeleted, cost }) => `| \`${path}\` | ${holds} | ${mayBeDeleted ? 'yes' : 'no'}: ${cost} |`,
    );
    const table = ['| name | what it is | may I delete it? |', '|---|---|---|', ...rows];
    const whole = withBlock(await readFile(join(ROOT, 'data/README.md'), 'utf8'), 'files', table);
    await expect(whole).toMatchFileSnapshot('../../data/README.md');
  });

  function withBlock(document: string, name: string, lines: readonly string[]): string {
    const block = new RegExp(`(<!-- ${name}: [^>]* -->)[\\s\\S]*?(<!-- end -->)`);
    expect(document).toMatch(block);
    return document.replace(block, (_, start: string, end: string) => `${start}\n\n${lines.join('\n')}\n\n${end}`);
  }
});
