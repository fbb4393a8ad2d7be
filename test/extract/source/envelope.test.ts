import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { EnvelopeError } from '../../../src/extract/source/envelope-error.ts';
import { scanEnvelope } from '../../../src/extract/source/envelope.ts';
import type { EnvelopeResult } from '../../../src/extract/source/envelope.ts';
import { CAMPAIGN } from '../../support/campaign.ts';

interface Scan extends EnvelopeResult {
  readonly text: string;
  readonly lines: readonly string[];
}

/** Scans a body in chunks of the given sizes, which are repeated as often as needed. */
function scan(body: string | Buffer, sizes: readonly number[] = [1 << 20]): Scan {
  const bytes = Buffer.from(body);
  const parts: Buffer[] = [];
  const scanner = scanEnvelope((part) => parts.push(Buffer.from(part)));
  for (let at = 0, k = 0; at < bytes.length; k++) {
    const size = sizes[k % sizes.length] ?? 1;
    scanner.push(bytes.subarray(at, at + size));
    at += size;
  }
  const result = scanner.end();
  const text = Buffer.concat(parts).toString();
  return { ...result, text, lines: text === '' ? [] : text.slice(0, -1).split('\n') };
}

function faultOf(body: string | Buffer, sizes?: readonly number[]): string {
  try {
    scan(body, sizes);
  } catch (error) {
    if (error instanceof EnvelopeError) return error.fault;
    throw error;
  }
  return 'none';
}

const rows = [
  ['a', 'x\\"y', 'é\u{1f600}', '{"k":[1,{"z":"]}"}]}'],
  ['b', '', '\n\t', null],
  [1, 1.5, { a: [] }, 'c,d'],
];
const columns = ['id', 'a', 'b', 'c'];

describe('rows are found in every known envelope', () => {
  const shapes: Readonly<Record<string, readonly [body: unknown, columns: readonly string[] | undefined]>> = {
    'only rows': [{ rows }, undefined],
    'columns before': [{ columns, rows }, columns],
    'columns after, as objects': [{ rows, columns: columns.map((name) => ({ name, type: 'string' })) }, columns],
    'columnName members': [{ columns: columns.map((columnName) => ({ columnName })), rows }, columns],
    'lower-case tables': [{ tables: [{ name: 'PrimaryResult', columns, rows }] }, columns],
    'engine v1 with its status tables': [
      {
        Tables: [
          {
            TableName: 'Table_0',
            Columns: columns.map((ColumnName) => ({ ColumnName, DataType: 'String' })),
            Rows: rows,
          },
          {
            TableName: 'Table_1',
            Columns: [{ ColumnName: 'Severity' }, { ColumnName: 'StatusDescription' }],
            Rows: [[4, 'Query completed successfully']],
          },
        ],
      },
      columns,
    ],
    'engine v2 frames': [
      [
        { FrameType: 'DataSetHeader', IsProgressive: false, Version: 'v2.0' },
        {
          FrameType: 'DataTable',
          TableId: 0,
          TableKind: 'QueryProperties',
          Columns: [{ ColumnName: 'Key' }],
          Rows: [['k']],
        },
        {
          FrameType: 'DataTable',
          TableId: 1,
          TableKind: 'PrimaryResult',
          Columns: columns.map((ColumnName) => ({ ColumnName, ColumnType: 'string' })),
          Rows: rows,
        },
        { FrameType: 'DataTable', TableId: 2, TableKind: 'QueryCompletionInformation', Columns: [], Rows: [] },
        { FrameType: 'DataSetCompletion', HasErrors: false, Cancelled: false },
      ],
      columns,
    ],
    'rows without an object around them': [rows, undefined],
    'other members before and after': [
      { took: 3, 'rows ': [], nested: { rows: [1, 2] }, error: null, errors: [], rows, next: null },
      undefined,
    ],
  };
  for (const [name, [body, names]] of Object.entries(shapes))
    for (const indent of [undefined, 2])
      test(`${name}${indent ? ', indented with CR LF' : ''}`, () => {
        const text = JSON.stringify(body, null, indent).replaceAll('\n', '\r\n');
        for (const sizes of [[1 << 20], [1], [7, 3]]) {
          const found = scan(text, sizes);
          expect(found.lines.map((line) => JSON.parse(line) as unknown)).toEqual(rows);
          expect(found.rows).toBe(rows.length);
          expect(found.columns).toEqual(names);
          expect(found.failure).toBeUndefined();
          expect(found.bytes).toBe(Buffer.byteLength(text));
        }
      });

  test('rows that are objects', () => {
    const found = scan(JSON.stringify({ rows: [{ id: 1, OneApiErrorsCount: 0 }, { id: 2 }] }), [5]);
    expect(found.lines).toEqual(['{"id":1,"OneApiErrorsCount":0}', '{"id":2}']);
  });

  test('rows that are objects over several lines: each line begins with its bracket, wherever the chunk is cut', () => {
    const objects = [{ id: 1, list: [1, 2] }, { id: 2, text: 'a  b' }, { id: 3 }];
    const body = JSON.stringify({ rows: objects }, null, 2).replaceAll('\n', '\r\n');
    const whole = scan(body);
    expect(whole.lines.map((line) => line[0])).toEqual(['{', '{', '{']);
    expect(whole.lines.map((line) => JSON.parse(line) as unknown)).toEqual(objects);
    for (const size of [1, 2, 3, 7]) expect(scan(body, [size])).toEqual(whole);
  });

  test('no rows, with a byte order mark', () => {
    expect(scan('\uFEFF{"rows": [ \n ]}')).toMatchObject({ rows: 0, text: '', largestRow: 0 });
  });
});

describe('a failure inside a successful answer is detected', () => {
  const failures: Readonly<Record<string, unknown>> = {
    'an error object as the last row': {
      rows: [['a'], { OneApiErrors: [{ error: { code: 'LimitsExceeded', message: '80DA0003' } }] }],
    },
    'exceptions as the only row': { rows: [{ Exceptions: ['Query result set has exceeded … 80DA0003'] }] },
    'an error next to the rows': { rows: [], error: { code: 'x', message: '80DA0003' } },
    'errors without rows': { errors: ['80DA0003'] },
    'exceptions in a table': { Tables: [{ Columns: [], Rows: [['a']], Exceptions: ['80DA0003'] }] },
    'a status table': {
      Tables: [
        { Columns: ['a'], Rows: [['a']] },
        { Columns: ['Severity', 'StatusDescription'], Rows: [[2, '80DA0003']] },
      ],
    },
    'a completion frame': [
      { TableKind: 'PrimaryResult', Columns: [], Rows: [] },
      { FrameType: 'DataSetCompletion', HasErrors: true, OneApiErrors: [{ error: { code: '80DA0003' } }] },
    ],
  };
  test.each(Object.entries(failures))('%s', (_, body) => {
    for (const sizes of [[1 << 20], [1]]) expect(scan(JSON.stringify(body), sizes).failure).toContain('80DA0003');
  });
});

describe('a body that is not a complete answer is rejected', () => {
  test('a body that is cut anywhere counts as truncated, never as a shorter answer', () => {
    const body = JSON.stringify({ columns, rows, after: { k: ['v'] } });
    for (let length = 0; length < body.length; length++)
      expect(faultOf(body.slice(0, length)), `${length}`).toBe('truncated');
  });

  const malformed: Readonly<Record<string, string | Buffer>> = {
    'an HTML page': '<!DOCTYPE html><html>',
    'plain text': 'upstream connect error',
    'content after the end': '{"rows":[]} {"rows":[]}',
    'a trailing comma': '{"rows":[[1],]}',
    'a leading comma': '{"rows":[,[1]]}',
    'a missing comma': '{"rows":[[1][2]]}',
    'brackets that do not match': '{"rows":[[1}]}',
    'a line feed inside a string': '{"rows":[["a\nb"]]}',
    'a nesting bomb': `{"rows":[${'['.repeat(100_000)}`,
    'a nesting bomb outside the rows': '['.repeat(100_000),
    'bytes that are not UTF-8': Buffer.from([...Buffer.from('{"rows":[["a'), 0xff, ...Buffer.from('"]]}')]),
  };
  test.each(Object.entries(malformed))('%s', (_, body) => {
    expect(faultOf(body)).toBe('malformed');
    expect(faultOf(body, [1])).toBe('malformed');
  });

  const unexpected: Readonly<Record<string, string>> = {
    'no rows': '{"data":[[1]],"secret":"v"}',
    'rows that are numbers': '{"rows":[1,2]}',
    'rows of both kinds': '{"rows":[{"a":1},[1]]}',
    'rows twice': '{"rows":[],"rows":[[1],[2]]}',
    'rows twice, one with an escaped key': '{"rows":[[1]],"\\u0072ows":[[1],[2]]}',
    'rows, and rows that are null': '{"rows":[[1]],"rows":null}',
    'rows, and a table with rows': '{"rows":[],"tables":[{"rows":[[1]]}]}',
    'two lists of tables': '{"tables":[{"rows":[]}],"tables":[{"rows":[[1]]}]}',
    'two primary results': '[{"TableKind":"PrimaryResult","Rows":[]},{"TableKind":"PrimaryResult","Rows":[[1]]}]',
    'two primary results, one of which names its kind after its rows':
      '[{"TableKind":"PrimaryResult","Rows":[]},{"Rows":[[1]],"TableKind":"PrimaryResult"}]',
    'rows that are no array': '{"rows":null}',
    'rows deeper than any known form': '{"result":{"rows":[[1]]}}',
    'an endless envelope': `{"pad":"${'x'.repeat(1_100_000)}","rows":[]}`,
  };
  test.each(Object.entries(unexpected))('%s', (_, body) => {
    expect(faultOf(body)).toBe('unexpected');
  });

  test.each(['TableHeader', 'TableFragment', 'TableProgress'])(
    'rows in fragments (%s), and the error says so',
    (frame) => {
      const body = JSON.stringify([{ FrameType: 'DataSetHeader', IsProgressive: true }, { FrameType: frame, Rows: [['a']] }]); // oxfmt-ignore
      for (const sizes of [[1 << 20], [1]]) expect(faultOf(body, sizes)).toBe('unexpected');
      expect(() => scan(body)).toThrow(`fragments (frame ${frame})`);
    },
  );

  test('a control character that JSON does not allow, wherever the chunk is cut: it could end a line, or hide in it', () => {
    for (const body of [
      '{"rows":[["a\\\nb"],["c"]]}',
      '{"rows":[["a\nb"],["c"]]}',
      '{"rows":[["a",\u0000"b"]]}',
      '{"rows":[["a"],\u0001["b"]]}',
      '{"rows":[["a"]\u000b]}',
    ])
      for (const sizes of [[1 << 20], [1], [2], [3]])
        expect({ body, fault: faultOf(body, sizes) }).toEqual({ body, fault: 'malformed' });
  });

  test('the message about an answer without rows names its keys and no data', () => {
    expect(() => scan('{"data":[[1]],"token":"s3cret"}')).toThrow(/keys are: data, token\.$/);
  });
});

describe('lines are the rows, byte for byte', () => {
  test('any rows in any chunks give the lines that JSON.parse would give', () => {
    const cell = fc.oneof(fc.string({ unit: 'binary' }), fc.jsonValue({ maxDepth: 3 }), fc.bigInt());
    fc.assert(
      fc.property(
        fc.array(fc.array(cell, { maxLength: 5 }), { maxLength: 20 }),
        fc.array(fc.integer({ min: 1, max: 60 }), { minLength: 1, maxLength: 6 }),
        fc.boolean(),
        (given, sizes, spaced) => {
          const texts = given.map((row) => `[${row.map(toJson).join(',')}]`);
          const body = `{"rows":[${texts.join(spaced ? '\r\n,\n' : ',')}]}`;
          const found = scan(body, sizes);
          expect(found.lines.map((line) => line.trim())).toEqual(texts);
          expect(found.rows).toBe(texts.length);
          expect(found.largestRow).toBe(Math.max(0, ...texts.map((text) => Buffer.byteLength(text))));
        },
      ),
      { seed: 11, numRuns: 500 },
    );
  });

  test('blanks after a row stay on its line, wherever the chunk is cut', () => {
    const body = '{"rows": [ [1]\n,\r\n\t[2] \n]}';
    const whole = scan(body);
    expect(whole.lines.map((line) => line.trim())).toEqual(['[1]', '[2]']);
    for (const size of [1, 2, 3, 5]) expect(scan(body, [size])).toEqual(whole);
  });

  test('200 MB of rows full of escaped quotes are scanned in a few seconds', CAMPAIGN, () => {
    const row = JSON.stringify([
      '0f1d2c9e',
      '2026-01-01T00:00:00Z',
      JSON.stringify({ a: 'b'.repeat(40), c: 'd', e: 1, f: 'gh' }),
    ]);
    const chunk = Buffer.from(`,${row}`.repeat(Math.floor(65_536 / row.length)));
    const scanner = scanEnvelope(() => {});
    scanner.push(Buffer.from('{"rows":[[]'));
    // Measured in CPU time, because a busy machine does not make the scanner slow.
    const started = process.cpuUsage();
    let bytes = 0;
    // The scanner replaces the commas between rows in place, so each push gets a fresh copy of the chunk.
    for (; bytes < 200e6; bytes += chunk.length) scanner.push(Buffer.from(chunk));
    scanner.push(Buffer.from(']}'));
    expect(scanner.end().bytes).toBeGreaterThan(200e6);
    const { user, system } = process.cpuUsage(started);
    const rate = bytes / (user + system);
    if (process.env['MEASURE']) process.stdout.write(`envelope: ${rate.toFixed(0)} MB/s\n`);
    expect(rate).toBeGreaterThan(20);
  });
});

function toJson(value: unknown): string {
  return typeof value === 'bigint' ? value.toString() : JSON.stringify(value);
}
