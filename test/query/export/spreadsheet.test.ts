import { readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readXlsx } from 'hucre/xlsx';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { EXIT } from '../../../src/kernel/errors.ts';
import type { ResultRows } from '../../../src/query/reader.ts';
import { writeArchive } from '../../../src/query/export/archive.ts';
import { readWorkbook } from '../../../src/query/export/workbook-check.ts';
import { writeSheets } from '../../../src/query/export/sheet.ts';
import { writeLake } from '../../support/lake.ts';
import { openStage, type Stage } from '../../support/shell.ts';
import { rowsOf, unzip } from './support/read.ts';

let stage: Stage;
beforeAll(async () => {
  stage = await openStage();
  await writeLake(join(stage.folder, 'data'), {});
});
afterAll(() => stage[Symbol.asyncDispose]());

async function exported(select: string, ending: string, ...flags: string[]): Promise<string> {
  const file = join(stage.folder, `out.${ending}`);
  const { code, err } = await stage.run(['export', '--query', select, '--out', file, '--force', ...flags]);
  expect(`${code} ${err}`).toBe('0 ');
  return file;
}

const DANGEROUS = ['=1+1', '+1', '-1', '@sum(a)', '\t=1', '\r=1'];
const VALUES = DANGEROUS.map((text, n) => `(${n}, '${text}')`).join(', ');
const FORMULAS = `select t from (values ${VALUES}) v (n, t) order by n`;

describe('a text that a spreadsheet would run', () => {
  it('gets an apostrophe in CSV, also in headers; negative numbers stay numbers', async () => {
    const file = await exported(`select t, -5 as "=n" from (${FORMULAS})`, 'csv');
    expect(await rowsOf(`from read_csv('${file}', header = false, all_varchar = true)`)).toEqual([
      ['t', "'=n"],
      ...DANGEROUS.map((text) => [`'${text}`, '-5']),
    ]);
  });

  it('gets an apostrophe in a workbook, and is reported', async () => {
    const file = join(stage.folder, 'reported.xlsx');
    const { out } = await stage.run(['export', '--query', FORMULAS, '--out', file]);
    expect(out).toContain('note:    6 cells prefixed with an apostrophe so that they do not run as formulas');
    const [sheet] = (await readXlsx(readFileSync(file))).sheets;
    expect(sheet?.rows).toEqual([['t'], ...DANGEROUS.map((text) => [`'${text}`])]);
    expect(unzip(file).get('xl/worksheets/sheet1.xml')).not.toContain('<f');
  });

  it('stays as it is with --verbatim, and in formats that no spreadsheet runs', async () => {
    const csv = await exported(FORMULAS, 'csv', '--verbatim');
    const expected = DANGEROUS.map((text) => [text]);
    expect(await rowsOf(`from read_csv('${csv}', header = true, all_varchar = true)`)).toEqual(expected);
    const json = await exported(FORMULAS, 'ndjson');
    expect(await rowsOf(`from read_json('${json}')`)).toEqual(expected);
    const parquet = await exported(FORMULAS, 'parquet');
    expect(await rowsOf(`from '${parquet}'`)).toEqual(expected);
  });

  it('gets an apostrophe in the CSV of sql and query as well', async () => {
    const { out } = await stage.run(['sql', `select '=1' as a, -1 as b, '' as c`, '--format', 'csv']);
    expect(out).toBe(`a,b,c\n'=1,-1,""\n`);
  });
});

describe('a workbook', () => {
  it('stores dates, numbers, booleans and nulls as Excel does', async () => {
    const file = await exported(
      `select date '2026-03-01' as d, timestamptz '2026-03-01 06:00:00.5Z' as t, 1.5::double as x, 12.10::decimal(5,2) as m,
         true as yes, null::integer as nothing, [1, 2] as list, timestamp '1800-01-01' as old`,
      'xlsx',
    );
    const xml = unzip(file).get('xl/worksheets/sheet1.xml') ?? '';
    const cell = (ref: string): string | undefined => new RegExp(`<c r="${ref}"[^>]*>(.*?)</c>`).exec(xml)?.[1];
    expect(['A2', 'B2', 'C2', 'D2', 'E2'].map(cell)).toEqual([
      '<v>46082</v>',
      `<v>${46082.25 + 0.5 / 86_400}</v>`,
      '<v>1.5</v>',
      '<v>12.1</v>',
      '<v>1</v>',
    ]);
    expect(cell('F2')).toBeUndefined();
    expect(cell('G2')).toContain('1');
    expect(cell('H2')).toContain('1800-01-01 00:00:00');
    expect(unzip(file).get('xl/styles.xml')).toContain('yyyy-mm-dd hh:mm:ss.000');
  });

  it('has a cell for a value of every type of the engine', async () => {
    const types = z
      .array(z.object({ sql: z.string(), cell: z.union([z.string(), z.number(), z.boolean(), z.null()]) }))
      .parse(JSON.parse(readFileSync(new URL('../../interop/types.json', import.meta.url), 'utf8')));
    const file = await exported(`select ${types.map(({ sql }, nth) => `${sql} as c${nth}`).join(', ')}`, 'xlsx');
    const [sheet] = (await readXlsx(readFileSync(file))).sheets;
    // Dates as text in ISO.
    expect(JSON.parse(JSON.stringify(sheet?.rows[1]))).toEqual(types.map(({ cell }) => cell));
  });

  it('keeps all digits: integers beyond 15 digits are text', async () => {
    const file = await exported(
      `select 999999999999999 as safe, 9007199254740993 as big, -9007199254740993 as low, 170141183460469231731687303715884105727::hugeint as huge, 1234567890.1234567890::decimal(30,10) as money`,
      'xlsx',
    );
    const [sheet] = (await readXlsx(readFileSync(file))).sheets;
    expect(sheet?.rows[1]).toEqual([
      999_999_999_999_999,
      '9007199254740993',
      '-9007199254740993',
      '170141183460469231731687303715884105727',
      '1234567890.1234567890',
    ]);
  });

  it('keeps unicode, newlines, markup, control characters and spaces at the ends', async () => {
    const texts = [
      'é 漢字 🎟 العربية',
      'two\nlines',
      '<a href="x">&amp;</a>',
      'bell \u0007 end',
      '  spaces  ',
      'literal _x0041_',
    ];
    const values = texts.map((text, n) => `(${n}, '${text}')`).join(', ');
    const file = await exported(`select t from (values ${values}) v (n, t) order by n`, 'xlsx');
    const [sheet] = (await readXlsx(readFileSync(file))).sheets;
    expect(sheet?.rows.slice(1).map(([cell]) => cell)).toEqual(texts);
    const xml = unzip(file).get('xl/worksheets/sheet1.xml') ?? '';
    // XML forbids them: a single one makes Excel refuse the file.
    const controls = xml.split('').filter((unit) => unit < ' ' && !'\t\n\r'.includes(unit));
    expect(controls).toEqual([]);
  });

  it('cuts a cell at 32,767 characters, never through a character, and reports it', async () => {
    const file = join(stage.folder, 'long.xlsx');
    const { code, out } = await stage.run([
      'export',
      '--query',
      `select 'a' || repeat('🎟', 20000) as t`,
      '--out',
      file,
    ]);
    expect(code).toBe(EXIT.partial);
    expect(out).toContain('note:    1 cell cut at 32,767 characters');
    const [sheet] = (await readXlsx(readFileSync(file))).sheets;
    expect(sheet?.rows[1]?.[0]).toBe(`a${'🎟'.repeat(16_383)}`);
  });

  it('has a bold, frozen header with a filter, wide columns, times of the zone, and no character that XML forbids', async () => {
    const select = `select 'a bad \uFFFE\uFFFF character, and a long text' as t, timestamptz '2026-07-01 22:00:00Z' as day, '007' as id, 12 as n`;
    const file = await exported(select, 'xlsx', '--zone', 'Europe/Paris');
    const xml = unzip(file).get('xl/worksheets/sheet1.xml') ?? '';
    expect(xml).toContain('<pane ySplit="1" topLeftCell="A2" activePane="bottomLeft" state="frozen"/>');
    expect(xml).toContain('<autoFilter ref="A1:D2"/>');
    expect(xml).toMatch(/<col min="1" max="1" width="36" customWidth="1"\/>/);
    expect(xml).toContain('<c r="A1" s="1" t="inlineStr">');
    expect(unzip(file).get('xl/styles.xml')).toContain('<font><b/>');
    // Midnight in Paris, shown as a date.
    expect(xml).toContain('<c r="B2" s="3"><v>46205</v></c><c r="C2" s="2" t="inlineStr">');
    expect(xml).toContain('<c r="D2"><v>12</v></c>');
    expect(xml).toContain('a bad _xFFFE__xFFFF_ character');
  });

  it('is read back by a strict reader, which refuses one that would not open', async () => {
    const path = join(stage.folder, 'damaged.xlsx');
    const write = async (xml: string): Promise<void> => {
      async function* parts(): AsyncGenerator<{ name: string; data: string[] }> {
        yield { name: 'xl/worksheets/sheet1.xml', data: [xml] };
      }
      await writeArchive(path, parts());
    };
    await write('<worksheet><row><c r="A1" t="inlineStr"><is><t>fine</t></is></c></row></worksheet>');
    expect(await readWorkbook(path, 1)).toMatchObject({ rows: 0, sheets: 1 });
    for (const bad of ['\uFFFE', '\u0007', '<', '&']) {
      await write(`<worksheet><row><c r="A1" t="inlineStr"><is><t>${bad}</t></is></c></row></worksheet>`);
      await expect(readWorkbook(path, 1)).rejects.toThrow('The workbook cannot be read back');
    }
  });

  it('continues in another sheet with the same header when one is full', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'insights-sheets-'));
    try {
      const result: ResultRows = {
        columns: [{ name: 'n', numeric: true, raw: false, type: 'INTEGER' }],
        async *batches() {
          yield [[1], [2], [3]];
          yield [[4], [5]];
        },
      };
      const path = join(folder, 'split.xlsx');
      const written = await writeSheets(result, path, { name: 'a/b:c', verbatim: false, sheetRows: 3 });
      expect(written).toMatchObject({ rows: 5, sheets: 3 });
      const { sheets } = await readXlsx(readFileSync(path));
      expect(sheets.map(({ name, rows }) => [name, rows])).toEqual([
        ['a b c', [['n'], [1], [2]]],
        ['a b c_2', [['n'], [3], [4]]],
        ['a b c_3', [['n'], [5]]],
      ]);
    } finally {
      await rm(folder, { recursive: true });
    }
  });
});

describe('a CSV', () => {
  it('keeps unicode, newlines, quotes and every digit, and distinguishes an empty text from null', async () => {
    const file = await exported(`select 'é🎟\n"x",' as t, 9007199254740993 as big, '' as empty, null as nothing`, 'csv');
    expect(readFileSync(file, 'utf8')).toBe('t,big,empty,nothing\n"é🎟\n""x"",",9007199254740993,"",\n');
  });

  it('--excel: a byte order mark, and digits that Excel would cut are marked as text', async () => {
    const select = `select 'é' as "a,b", 9007199254740993 as big, -9007199254740993 as low, 999999999999999 as safe, '00420' as code, '1234567890123456' as id`;
    const file = await exported(select, 'csv', '--excel');
    expect(readFileSync(file, 'utf8')).toBe(
      "\uFEFFa b,big,low,safe,code,id\né,'9007199254740993,'-9007199254740993,999999999999999,'00420,'1234567890123456\n",
    );
  });

  it('--excel: ids that look like numbers, dates or truth values stay text, in files and on standard output', async () => {
    const protect = ['1E5', 'MARCH1', '1-Mar', 'SEPT2', 'märz1', '3/4', '007', '12.50', '5%', '2026-10', '12:30', '5 PM', 'true', ' 7', '123456789012', '+1']; // oxfmt-ignore
    const keep = ['42', '0', 'PAR001', 'store12', 'March', 'may', '2026-10-01T05:00:00Z', 'deadbeef12', 'v1.2', 'é'];
    const ids = [...protect, ...keep];
    const rows = ids.map((id, n) => `(${n}, '${id}')`).join(', ');
    const select = `select id, 1.5::double as x, timestamptz '2026-07-01 22:00:00.5Z' as at from (values ${rows}) v (n, id) order by n`;
    const flags = ['--excel', '--separator', ';', '--decimal', ',', '--zone', 'Europe/Paris'];
    const file = readFileSync(await exported(select, 'csv', ...flags), 'utf8');
    expect(file).toBe(
      ['\uFEFFid;x;at', ...ids.map((id) => `${protect.includes(id) ? "'" : ''}${id};1,5;2026-07-02 00:00:00`), ''].join(
        '\n',
      ),
    );
    expect((await stage.run(['sql', select, '--format', 'csv', ...flags])).out).toBe(file);
    const tabs = await stage.run(['sql', `select 'a;b' as t, '1E5' as id`, '--format', 'csv', '--separator', 'tab']);
    expect(tabs.out).toBe('t\tid\na;b\t1E5\n');
    for (const [words, message] of [
      [['--separator', 'x', '--format', 'csv'], 'A CSV cannot be separated by "x".'],
      [['--separator', ';'], '--separator applies to CSV only, not to table.'],
      [['--zone', 'Paris'], 'There is no time zone "Paris".'],
    ] as const)
      expect(await stage.run(['sql', 'select 1', ...words])).toMatchObject({
        code: EXIT.config,
        err: expect.stringContaining(message),
      });
  });

  it('JSON gets null for NaN and infinity', async () => {
    const file = await exported(`select 'nan'::double as a, 'inf'::float as b, 1.5::double as c`, 'ndjson');
    expect(readFileSync(file, 'utf8')).toBe('{"a":null,"b":null,"c":1.5}\n');
  });
});
