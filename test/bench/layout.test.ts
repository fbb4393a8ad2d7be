/** What `npm run layout` prints follows from its figures, and each layout that it writes has the rows of the file that it is made from. */
import { join } from 'node:path';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { DuckDBInstance } from '@duckdb/node-api';
import { expect, onTestFinished, test } from 'vitest';
import { layoutPart, layoutTables } from './layout-page.mjs';
import { VARIANTS, copySql } from './layout-variants.mjs';

const took = (seconds: number): object => ({ isRight: true, seconds });
const all = { whole: took(1), installs: took(0.0123), pass: took(0.004), day: took(2), id: took(0.0099) };
const result = {
  at: '2026-11-29',
  machine: { commit: 'abc1234', node: 'v24.0.0', processor: 'a processor', cores: 2 },
  lake: { name: 'Sandbox', rows: 1_234_567, files: 31 },
  readers: { DuckDB: '1.5.6', Spark: '4.0.1' },
  rounds: 5,
  variants: [
    { property: '–', name: 'as written', bytes: 2_000_000, readers: { DuckDB: all, Spark: all } },
    { property: 'columns', name: 'without ids', bytes: 1_500_000, seconds: 12.34, readers: { DuckDB: { ...all, id: undefined }, Spark: { ...all, whole: { isRight: false }, day: { isRight: false, seconds: 1 } } } },
    { property: 'columns', name: 'ids as UUID', bytes: 1_000_000, seconds: 1, readers: { DuckDB: all, Spark: { whole: { refused: 'no' }, installs: { refused: 'no' }, pass: { refused: 'no' }, day: { refused: 'no' }, id: { refused: 'no' } } } },
    { property: 'order', name: 'none', isImpossible: true },
  ],
}; // oxfmt-ignore
const rowsOf = (text: string, name: string): string[][] =>
  text
    .split('\n')
    .filter((line) => line.includes(`| ${name} |`))
    .map((line) => line.split('|').slice(3, -1).map((cell) => cell.trim())); // oxfmt-ignore

test('the first table has the bytes and their ratio to the files as written, each further one the milliseconds of a reader', () => {
  const text = layoutTables(result);
  expect(rowsOf(text, 'as written')).toEqual([
    ['2.0', '1.000', '–'],
    ['12', '4.0', '2,000', '9.9', 'yes'],
    ['12', '4.0', '2,000', '9.9', 'yes'],
  ]);
  expect(rowsOf(text, 'without ids')[0]).toEqual(['1.5', '0.750', '12.3']);
  for (const part of [
    '1,234,567 events in 31 files',
    'DuckDB 1.5.6',
    'Spark 4.0.1',
    'abc1234',
    'v24.0.0',
    '2026-11-29',
  ])
    expect(text).toContain(part);
});

test('a refusal, other rows, a question that makes no sense and a layout that is not possible are named', () => {
  const text = layoutTables(result);
  expect(rowsOf(text, 'without ids').slice(1)).toEqual([
    ['12', '4.0', '2,000', '–', 'yes'],
    ['12', '4.0', 'wrong rows', '9.9', 'no'],
  ]);
  expect(rowsOf(text, 'ids as UUID')[2]).toEqual(['refused', 'refused', 'refused', 'refused', 'refused']);
  expect(rowsOf(text, 'none')).toEqual([['not possible', '', '']]);
});

test('the page has every lake that was measured', () => {
  const text = layoutPart([result, { ...result, lake: { ...result.lake, name: 'A real lake' } }]);
  expect(text).toMatch(/^Sandbox: [^]*\n\nA real lake: /);
});

test('each layout has every row, the metadata and, but for the one without them, the ids of the file', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'insights-layout-'));
  onTestFinished(() => rm(folder, { recursive: true }));
  const db = await DuckDBInstance.create(':memory:', { threads: '1' });
  const connection = await db.connect();
  onTestFinished(() => {
    connection.closeSync();
    db.closeSync();
  });
  const values = async (sql: string): Promise<string[]> =>
    (await connection.runAndReadAll(sql)).getRowsJson().flat().map(String);
  const from = join(folder, "it's.parquet");
  const quoted = from.replaceAll("'", "''");
  await connection.run(`copy (
    select uuid()::varchar as event_id, '2026-01-01'::timestamptz + to_minutes(range) as "timestamp", 'T' || range % 3 as event_type,
      'P' || range % 7 as pass_id, '{"n":' || range || '}' as properties, range as row_digest from range(5000)
  ) to '${quoted}' (format parquet)`);
  const content = `count(*), sum(epoch("timestamp")::bigint), sum(strlen(properties)), count(distinct pass_id)`;
  const expected = await values(`select ${content} from '${quoted}'`);
  for (const variant of VARIANTS) {
    const to = join(folder, `${variant.property}.parquet`);
    await connection.run(copySql(variant, from, to, [['insights.table', "it's"]]));
    const written = await values(`select ${content} from '${to}'`);
    expect({ name: variant.name, written }).toEqual({ name: variant.name, written: expected });
    expect(await values(`select decode(value) from parquet_kv_metadata('${to}')`)).toEqual(["it's"]);
    const ids = await values(`select count(*) from parquet_schema('${to}') where name = 'event_id'`);
    expect(ids).toEqual([variant.name === 'without ids' ? '0' : '1']);
  }
});
