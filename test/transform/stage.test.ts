import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { SourceError } from '../../src/kernel/errors.ts';
import { parseInstant } from '../../src/kernel/instant.ts';
import { openEngine } from '../../src/load/ledger/engine.ts';
import type { Engine } from '../../src/load/ledger/engine.ts';
import { createStage, STAGE, STAGED } from '../../src/load/merge/merge-tables.ts';
import type { LandedPage } from '../../src/model/page.ts';
import { TABLES } from '../../src/model/tables.ts';
import type { TableName } from '../../src/model/tables.ts';
import { disarm } from '../../src/transform/disarm.ts';
import { stageSql } from '../../src/transform/stage.ts';

let dir: string;
let engine: Engine;

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'stage-'));
  engine = await openEngine(':memory:', dir, { memoryLimit: '256MB', threads: 1 });
});

afterEach(async () => {
  await engine.close();
  await rm(dir, { recursive: true, force: true });
});

let pages = 0;

async function landed(rows: readonly unknown[], columns?: readonly string[]): Promise<LandedPage> {
  const file = join(dir, `${++pages}.ndjson`);
  const lines = rows.map((row) => (typeof row === 'string' ? row : JSON.stringify(row)));
  await writeFile(file, ['#{}', ...lines, '#{}', ''].join('\n'));
  const windows = [{ from: parseInstant('2026-07-03') ?? 0n, to: parseInstant('2026-07-04') ?? 0n }];
  const largestRow = Math.max(...lines.map((line) => Buffer.byteLength(line)));
  const page = { id: String(pages), windows, rows: rows.length, bytes: 0 };
  return { page, file, rows: rows.length, bytes: 0, largestRow, ...(columns ? { columns } : {}) };
}

/** Stages pages and selects an expression per row, ordered by it. */
async function staged(table: TableName, pages: readonly LandedPage[], expression: string): Promise<unknown[]> {
  await createStage(engine, TABLES[table]);
  for (const sql of stageSql({ table: TABLES[table], pages, pinned: undefined, into: STAGE })) await engine.run(sql);
  return (await engine.rawRows(`select ${expression} as v from ${STAGED} order by v`)).map((row) => row['v']);
}

function event(changes: Partial<Record<'id' | 'timestamp' | 'type' | 'operation' | 'properties', unknown>>): unknown[] {
  const row = { id: 'x', timestamp: '2026-07-03T10:00:00Z', type: 't', operation: 'o', properties: '', ...changes };
  return [row.id, row.timestamp, 'acme', row.type, row.operation, row.properties];
}

describe('a timestamp', () => {
  test('is truncated to microseconds, never rounded into the next hour', async () => {
    const page = await landed([event({ timestamp: '2026-07-03T10:59:59.9999999Z' })]);
    expect(await staged('Events', [page], `"timestamp"::varchar`)).toEqual(['2026-07-03 10:59:59.999999+00']);
  });

  test.each([
    ['2026-07-03T10:00:00Z', '10:00:00+00'],
    ['2026-07-03T10:00:00', '10:00:00+00'],
    ['2026-07-03 10:00:00.5', '10:00:00.5+00'],
    ['2026-07-03T10:00:00.0000001+00:00', '10:00:00+00'],
    ['2026-07-03T12:00:00.1200000+02:00', '10:00:00.12+00'],
    ['2026-07-03T10:00:00.1234560Z', '10:00:00.123456+00'],
  ])('of the form %s is read as UTC', async (text, expected) => {
    const page = await landed([event({ timestamp: text })]);
    expect(await staged('Events', [page], `coalesce(reason, "timestamp"::varchar)`)).toEqual([
      `2026-07-03 ${expected}`,
    ]);
  });
});

describe('text', () => {
  test('keeps quotes, line breaks, separators and every script; ids become lower-case', async () => {
    const odd = ['A"b', "it's", 'x\ny\r\nz', '\\', '\u0001', 'Ünï', '漢字', '😀', '[1]', '#', ','];
    const page = await landed(odd.map((text) => event({ id: text, type: text, operation: text })));
    const rows = await staged('Events', [page], `{id: event_id, type: event_type, op: operation_id, reason: reason}`);
    const expected = odd.map((text) => ({ id: text.toLowerCase(), type: text, op: text, reason: null }));
    expect(rows).toHaveLength(odd.length);
    expect(rows).toEqual(expect.arrayContaining(expected));
  });

  test('that is empty is null', async () => {
    const page = await landed([event({ type: '', operation: '' })]);
    expect(await staged('Events', [page], `{type: event_type, op: operation_id}`)).toEqual([{ type: null, op: null }]);
  });
});

describe('properties', () => {
  test.each([
    ['{"a":1.0,"b":1e5,"c":12345678901234567890123,"a":2}', '{"a":1.0,"b":1e5,"c":12345678901234567890123,"a":2}'],
    ['{ "spaced" : [ 1 , 2 ] }', '{ "spaced" : [ 1 , 2 ] }'],
    ['{"u":"\\u00e9\\n","e":"é😀"}', '{"u":"\\u00e9\\n","e":"é😀"}'],
    ['[1,{"deep":[null]}]', '[1,{"deep":[null]}]'],
    ['', null],
    [null, null],
    ['plain "text"', '"plain \\"text\\""'],
    ['5', '5'],
    ['"5"', '"5"'],
    ['""', null],
    ['{"half":"\\ud83d","kept":1}', '{"half":"\\ufffd","kept":1}'],
    ['{"text":"\\\\ud83d","pair":"\\ud83d\\ude00"}', '{"text":"\\\\ud83d","pair":"\\ud83d\\ude00"}'],
    ['{"cut":', '"{\\"cut\\":"'],
    [{ nested: [1, 'x'] }, '{"nested":[1,"x"]}'],
  ])('%j is kept as %s', async (cell, expected) => {
    const page = await landed([event({ properties: cell })]);
    expect(await staged('Events', [page], `properties::varchar`)).toEqual([expected]);
  });
});

describe('the shape of a page', () => {
  test('is the order of the projection, or the order of the names in the answer', async () => {
    const names = ['properties', 'timestamp', 'eventId', 'operationId', 'tenantId', 'eventType'];
    const named = await landed([['{"n":1}', '2026-07-03T10:00:00Z', 'named', 'o', 'acme', 't']], names);
    const plain = await landed([event({ id: 'plain', properties: '{"n":1}' })]);
    const rows = await staged(
      'Events',
      [named, plain],
      `{id: event_id, type: event_type, p: properties::varchar, reason: reason}`,
    );
    expect(rows).toEqual([
      { id: 'named', type: 't', p: '{"n":1}', reason: null },
      { id: 'plain', type: 't', p: '{"n":1}', reason: null },
    ]);
  });

  test('may be objects, in any order of keys', async () => {
    const row = {
      properties: { n: 1 },
      timestamp: '2026-07-03T10:00:00Z',
      eventId: 'O',
      operationId: 'o',
      tenantId: 'acme',
      eventType: 'it"s',
    };
    const page = await landed([row]);
    expect(
      await staged('Events', [page], `{id: event_id, type: event_type, p: properties::varchar, reason: reason}`),
    ).toEqual([{ id: 'o', type: 'it"s', p: '{"n":1}', reason: null }]);
  });

  test('that lacks a column is refused, and the error names the column', async () => {
    const page = await landed([['x']], ['eventId']);
    await expect(staged('Events', [page], '1')).rejects.toThrow(SourceError);
    await expect(staged('Events', [page], '1')).rejects.toThrow(
      'An answer lacks columns: timestamp, tenantId, eventType, operationId, properties.',
    );
  });

  test('may include rows of many megabytes', async () => {
    const big = `{"blob":"${'x'.repeat(5_000_000)}"}`;
    const page = await landed([event({ properties: big }), event({ id: 'small' })]);
    expect(await staged('Events', [page], `coalesce(length(properties::varchar), 0)`)).toEqual([
      '0',
      String(big.length),
    ]);
  });

  test('accepts each row only in the windows of its own page', async () => {
    const page = await landed([event({ id: 'in' })]);
    const other = await landed([event({ id: 'out' })]);
    const elsewhere = {
      from: parseInstant('2026-07-03T11:00:00Z') ?? 0n,
      to: parseInstant('2026-07-03T12:00:00Z') ?? 0n,
    };
    const moved = {
      ...other,
      page: { ...other.page, windows: [elsewhere, { ...elsewhere, from: elsewhere.to, to: elsewhere.to + 10n }] },
    };
    expect(await staged('Events', [page, moved], `event_id || ' ' || coalesce(reason, 'loaded')`)).toEqual([
      'in loaded',
      'out outside_window',
    ]);
  });
});

test('disarming marks only the lines that are not valid text', async () => {
  const file = join(dir, 'raw.ndjson');
  const copy = join(dir, 'copy.ndjson');
  await writeFile(
    file,
    Buffer.concat([Buffer.from('["é"]\n["'), Buffer.from([0xff]), Buffer.from('"]\n["a\tb"]\n["ok"]')]),
  );
  expect(await disarm(file, copy, { order: ['id'], id: 'id' })).toBe(2);
  const lines = await engine.rawRows(`select unnest(string_split(content, chr(10))) as line from read_text('${copy}')`);
  expect(lines.map((row) => row['line'])).toEqual(['["é"]', '!["�"]', '!["a b"]', '["ok"]', '']);
});
