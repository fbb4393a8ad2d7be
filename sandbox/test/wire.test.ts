import { gunzipSync } from 'node:zlib';
import http from 'node:http';
import { afterAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { startSandbox, type Sandbox } from '../sandbox.ts';
import type { WireOptions } from '../wire.ts';
import { ask } from './support/client.ts';

/** One sandbox for each wire form. */
const sandboxes = new Map<string, Promise<Sandbox>>();
afterAll(async () => {
  for (const sandbox of sandboxes.values()) await (await sandbox).close();
});

async function serve(wire: Partial<WireOptions>): Promise<Sandbox> {
  const sandbox = await startSandbox({ rows: 100, now: '2026-11-01T00:00:00Z', rate: 0, memory: true, wire });
  await sandbox.apply({ action: 'erase', table: 'Metrics', tenant: 'demo' });
  await sandbox.apply({ action: 'rows', table: 'Metrics', tenant: 'demo', rows: [METRIC] });
  return sandbox;
}

async function sandboxOf(wire: Partial<WireOptions>): Promise<Sandbox> {
  const form = JSON.stringify(wire);
  const sandbox = sandboxes.get(form) ?? serve(wire);
  sandboxes.set(form, sandbox);
  return sandbox;
}

/** The text of the answer to `query`. */
async function body(query: string, wire: Partial<WireOptions> = {}): Promise<string> {
  const reply = await ask(await sandboxOf(wire), query);
  expect(reply.headers.get('content-type')).toContain('application/json');
  return reply.text;
}

const VALUE = String.raw`{"big":12345678901234567890,"e":1e5,"d":1.0,"u":"\u00e9","n":null}`;
const METRIC = `{"metricId":"A","timestamp":"2026-10-01T00:00:00.5Z","metricType":"t","value":${VALUE},"properties":null}`;

describe('the cells of a row', () => {
  it.each([
    ['a datetime has seven digits', 'datetime(2026-10-01T00:00:00.12Z)', '"2026-10-01T00:00:00.1200000Z"'],
    ['a long is a bare number, also beyond 2^53', 'long(9007199254740993)', '9007199254740993'],
    ['a real is a number', '1.5', '1.5'],
    ['NaN is text', 'real(nan)', '"NaN"'],
    ['infinity is text', 'real(+inf)', '"Infinity"'],
    ['a bool is a bool', 'true', 'true'],
    ['a timespan is text', '1d + 2h', '"1.02:00:00"'],
    [
      'a guid is text in lower case',
      'guid(74BE27DE-1E4E-49D9-B579-FE0B331D3642)',
      '"74be27de-1e4e-49d9-b579-fe0b331d3642"',
    ],
    ['text is escaped', String.raw`"a\"\\\né"`, String.raw`"a\"\\\né"`],
    ['a null of a number is null', 'long(null)', 'null'],
    ['a null of a datetime is null', 'datetime(null)', 'null'],
    ['a null of a dynamic is null', 'dynamic(null)', 'null'],
    ['a dynamic is JSON', 'dynamic({"a":[1,"x"]})', '{"a":[1,"x"]}'],
  ])('%s', async (_, expression, cell) => {
    expect(await body(`print ${expression}`)).toBe(`{"rows":[[${cell}]]}`);
  });

  it('hold a stored dynamic exactly as it was added', async () => {
    expect(await body('Metrics | project value, properties, operationId = tostring(properties)')).toBe(
      `{"rows":[[${VALUE},null,""]]}`,
    );
  });

  it('may hold a dynamic as a string of JSON', async () => {
    const text = await body('Metrics | project value, properties, s = dynamic("x")', { dynamic: 'text' });
    expect(JSON.parse(text)).toEqual({ rows: [[VALUE, null, 'x']] });
  });

  it.each([
    ['2026-10-01T00:00:00.1200000Z', '2026-10-01T00:00:00.12Z'],
    ['2026-10-01T00:00:00.0000000Z', '2026-10-01T00:00:00Z'],
    ['2026-10-01T00:00:10.0000001Z', '2026-10-01T00:00:10.0000001Z'],
  ])('may hold %s as %s', async (instant, cell) => {
    expect(await body(`print datetime(${instant})`, { datetime: 'trimmed' })).toBe(`{"rows":[["${cell}"]]}`);
  });
});

describe('the body', () => {
  const QUERY = 'print a = 1, b = "x"';

  it('has only rows by default, and an empty list when there are none', async () => {
    expect(await body(QUERY)).toBe('{"rows":[[1,"x"]]}');
    expect(await body('Events | where false')).toBe('{"rows":[]}');
  });

  it('may have line breaks and indents, while every number and text stays as it was written', async () => {
    const text = await body('Metrics | project value, s = "a, [\\"b\\"]: {"', { layout: 'indented', row: 'object' });
    // oxfmt-ignore
    expect(text.split('\n').map((line) => line.trim())).toEqual([
      '{', '"rows": [', '{', '"value": {', '"big": 12345678901234567890,', '"e": 1e5,', '"d": 1.0,', String.raw`"u": "\u00e9",`,
      '"n": null', '},', String.raw`"s": "a, [\"b\"]: {"`, '}', ']', '}',
    ]);
    expect(text).toContain('\n      "value": {\n        "big"');
  });

  it.each<[WireOptions['shape'], unknown]>([
    [
      'columns',
      {
        columns: [
          { name: 'a', type: 'long' },
          { name: 'b', type: 'string' },
        ],
        rows: [[1, 'x']],
      },
    ],
    [
      'tables',
      {
        tables: [
          {
            name: 'PrimaryResult',
            columns: [
              { name: 'a', type: 'long' },
              { name: 'b', type: 'string' },
            ],
            rows: [[1, 'x']],
          },
        ],
      },
    ],
    ['array', [[1, 'x']]],
    [
      'v1',
      {
        Tables: [
          {
            TableName: 'Table_0',
            Columns: [
              { ColumnName: 'a', DataType: 'Int64', ColumnType: 'long' },
              { ColumnName: 'b', DataType: 'String', ColumnType: 'string' },
            ],
            Rows: [[1, 'x']],
          },
        ],
      },
    ],
  ])('has the form %s if configured', async (shape, expected) => {
    expect(JSON.parse(await body(QUERY, { shape }))).toEqual(expected);
  });

  it('consists of v2 frames if configured: header, properties, primary result, completion', async () => {
    const frames = z.array(z.record(z.string(), z.unknown())).parse(JSON.parse(await body(QUERY, { shape: 'v2' })));
    expect(frames.map((frame) => frame['FrameType'])).toEqual([
      'DataSetHeader',
      'DataTable',
      'DataTable',
      'DataSetCompletion',
    ]);
    expect(frames[2]).toMatchObject({
      TableKind: 'PrimaryResult',
      Columns: [{ ColumnName: 'a', ColumnType: 'long' }, { ColumnName: 'b' }],
      Rows: [[1, 'x']],
    });
    expect(frames[3]).toMatchObject({ HasErrors: false });
  });

  it('has rows as objects if configured, with any column names', async () => {
    expect(JSON.parse(await body(`print ['it"s'] = 1, ["q'uote"] = 2`, { row: 'object' }))).toEqual({
      rows: [{ 'it"s': 1, "q'uote": 2 }],
    });
  });

  it('has one cell per column, even if two columns have the same name', async () => {
    expect(JSON.parse(await body('print a = 1 | join kind=inner (print a = 1) on a'))).toEqual({ rows: [[1, 1]] });
  });

  it('is compressed if configured and the client accepts gzip', async () => {
    const { url } = await sandboxOf({ gzip: true });
    const [packed, plain] = [await raw(url, 'gzip'), await raw(url, 'identity')];
    expect(packed.encoding).toBe('gzip');
    expect(gunzipSync(packed.body).toString()).toBe('{"rows":[[1]]}');
    expect([plain.encoding, plain.body.toString()]).toEqual([undefined, '{"rows":[[1]]}']);
  });
});

/** Uses http, because fetch decompresses: it does not show the bytes on the wire. */
async function raw(url: string, encoding: string): Promise<{ encoding: string | undefined; body: Buffer }> {
  return new Promise((resolve, reject) => {
    const headers = { 'x-api-key': 'sandbox-demo', 'accept-encoding': encoding };
    const request = http.request(`${url}/api/demo/insights/query`, { method: 'POST', headers }, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('end', () =>
        resolve({ encoding: response.headers['content-encoding'], body: Buffer.concat(chunks) }),
      );
    });
    request.on('error', reject);
    request.end(JSON.stringify({ query: 'print 1' }));
  });
}
