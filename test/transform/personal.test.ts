import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openEngine } from '../../src/load/ledger/engine.ts';
import { count, text as cell } from '../support/cells.ts';
import type { Engine } from '../../src/load/ledger/engine.ts';
import { sqlText } from '../../src/kernel/sql.ts';
import { looksSql, pointerSegments } from '../../src/transform/personal.ts';

let engine: Engine;
beforeAll(async () => {
  engine = await openEngine(':memory:', '', { memoryLimit: '256MB', threads: 1 });
});
afterAll(() => engine.close());

/** `path look matching/total` of each path of some documents. */
async function looks(documents: readonly unknown[], ...pointers: string[]): Promise<string[]> {
  const rows = documents.map((document) => `('t', ${sqlText(JSON.stringify(document))}::json)`).join(', ');
  const found = await engine.rawRows(
    looksSql(`select * from (values ${rows}) as given(type, body)`, pointers.map(pointerSegments)),
  );
  return found.map((row) => `${pointers[count(row, 'place')]} ${cell(row, 'look')} ${count(row, 'matching')}/${count(row, 'total')}`).sort(); // prettier-ignore
}

async function looksOf(value: unknown): Promise<string[]> {
  return (await looks([{ k: value }], '/k')).map((line) => line.slice(3, -4));
}

describe('a value', () => {
  test.each([
    ['jane.doe+x@mail.example.com', 'e-mail address'],
    ['Jane <jane@example.com>, twice', 'e-mail address'],
    ['jürgen@bücher.example', 'e-mail address'],
    ['+33 6 12 34 56 78', 'phone number'],
    ['+33612345678', 'phone number'],
    ['0033612345678', 'phone number'],
    ['0612345678', 'phone number'],
    ['06.12.34.56.78', 'phone number'],
    ['(020) 7946-0958', 'phone number'],
    ['192.168.1.10', 'IP address'],
    ['192.168.1.10:443', 'IP address'],
    ['2001:db8::ff00:42:8329', 'IP address'],
    ['2001:0db8:0000:0000:0000:ff00:0042:8329', 'IP address'],
    ['Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X)', 'user agent'],
    ['okhttp/4.9.3', 'user agent'],
  ])('%s looks like: %s', async (value, look) => {
    expect(await looksOf(value)).toEqual([look]);
  });

  test.each([
    'j***@example.com', '+** * ** **', `hmac:${'0'.repeat(64)}`, '2026-07-01', '2026-07-01T10:00:00Z', '10:00:00', '01/07/2026', '1234567890',
    '12345678.90', '0.123456789', '6f1c9b1e-2b3a-4c5d-8e9f-001122334455', '300.1.2.3', '1.2.3', 'pass@home', '@handle', 'PAR-001', '', 'a:b', 'https://example.com/a',
    '20.5', 'order 12', 12345678901, 5, true, null,
  ])('%s looks like nothing', async (value) => {
    expect(await looksOf(value)).toEqual([]);
  }); // prettier-ignore
});

test('values are counted by path, those of a list one by one, empty ones not', async () => {
  const documents = [
    { mail: 'a@x.com', people: [{ 'e.mail': 'b@x.com' }, { 'e.mail': 'none' }, {}], l: ['c@x.com'] },
    { mail: '', people: [] },
    { mail: 'free text', people: 'no list' },
  ];
  expect(await looks(documents, '/mail', '/people/[]/e.mail', '/l/[]', '/absent')).toEqual([
    '/l/[] e-mail address 1/1',
    '/mail e-mail address 1/2',
    '/people/[]/e.mail e-mail address 1/2',
  ]);
});
