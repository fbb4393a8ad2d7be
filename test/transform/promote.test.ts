import { readFile } from 'node:fs/promises';
import * as fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { duckdbPath, parseJsonPath } from '../../src/kernel/json-path.ts';
import { openEngine } from '../../src/load/ledger/engine.ts';
import type { Engine } from '../../src/load/ledger/engine.ts';
import { promotionKey, withPromoted } from '../../src/model/promoted.ts';
import type { PromotedColumn, PromotedType } from '../../src/model/promoted.ts';
import { TABLES, TABLE_NAMES } from '../../src/model/tables.ts';
import { givenColumns, lakeColumns } from '../../src/transform/lake.ts';
import { sqlName, sqlText } from '../../src/kernel/sql.ts';
import { promotedSql } from '../../src/transform/promote.ts';
import { formatMarkdown } from '../support/markdown.ts';

let engine: Engine;
beforeAll(async () => {
  engine = await openEngine(':memory:', '', { memoryLimit: '256MB', threads: 1 });
});
afterAll(() => engine.close());

function column(type: PromotedType, paths: readonly string[], name = 'c'): PromotedColumn {
  return { name, type, paths, comment: '' };
}

/** What a column makes of each JSON text. */
async function promoted(promotedColumn: PromotedColumn, properties: readonly (string | null)[]): Promise<unknown[]> {
  const table = { ...TABLES.Events, promoted: [promotedColumn] };
  const nulls = givenColumns(table).map(({ name, type }) =>
    name === 'properties' ? `p::json as properties` : `null::${type} as ${sqlName(name)}`,
  );
  const rows = properties.map((text, index) => `(${index}, ${text === null ? 'null' : sqlText(text)})`).join(', ');
  const from = `from (select n, ${nulls.join(', ')} from (values ${rows}) as given(n, p))`;
  const found = await engine.rawRows(
    `select ${sqlName(promotedColumn.name)} as v from (${promotedSql(table, from, ['n'])}) order by n`,
  );
  return found.map((row) => row['v']);
}

describe('a promoted column', () => {
  test('takes the first of its candidate paths that has a value', async () => {
    const passId = column('text', ['passId', 'pass.id', 'pass_id']);
    const given = ['{"pass_id":"c","pass":{"id":"b"},"passId":"a"}', '{"pass_id":"c","pass":{"id":"b"}}', '{"pass_id":"c"}', '{"passId":null,"pass_id":"c"}', '{}', null, '"text"', '[1]']; // oxfmt-ignore
    expect(await promoted(passId, given)).toEqual(['a', 'b', 'c', 'c', null, null, null, null]);
  });

  test.each<[PromotedType, string, unknown]>([
    ['text', '""', null],
    ['text', '"Ünï \\"q\\""', 'Ünï "q"'],
    ['text', '5', '5'],
    ['text', '{"a": 1}', '{"a":1}'],
    ['integer', '"12"', '12'],
    ['integer', '200', '200'],
    ['integer', '"many"', null],
    ['number', '"1.5"', 1.5],
    ['number', '12', 12],
    ['number', '{}', null],
    ['boolean', 'true', true],
    ['boolean', '"false"', false],
    ['boolean', '"perhaps"', null],
    ['timestamp', '"2026-07-03T10:00:00"', '2026-07-03 10:00:00+00'],
    ['timestamp', '"2026-07-03T10:00:00.5+02:00"', '2026-07-03 08:00:00.5+00'],
    ['timestamp', '"2026-07-03T10:00:00Z"', '2026-07-03 10:00:00+00'],
    ['timestamp', '"soon"', null],
    ['list', '["a","b"]', ['a', 'b']],
    ['list', '"a"', ['a']],
    ['list', '""', null],
    ['list', '[]', []],
    ['host', '"https://Shop.Example/card?x=1"', 'shop.example'],
    ['host', '"shop.example:8080/x"', 'shop.example'],
    ['host', '"/card"', null],
    ['host', '"http://user:pw@host.x/"', 'host.x'],
    ['host', '"http://user:p@w:1@Host.x.:8080?q=a@b.c"', 'host.x'],
    ['host', '"https://[2001:DB8::1]:80/"', '[2001:db8::1]'],
    ['host', '"[::1]:80/x"', '[::1]'],
    ['host', '"https://[::1]"', '[::1]'],
    ['host', '"//cdn.example:/x"', 'cdn.example'],
    ['host', '" https://shop.example.. "', 'shop.example'],
    ['host', '"android-app://com.google.android.gm/"', 'com.google.android.gm'],
    ['host', '"https://müller.example#a/b@c"', 'müller.example'],
    ['host', '"https://XN--mller-kva.example"', 'xn--mller-kva.example'],
    ['host', '"https://shop.example/a@b.c"', 'shop.example'],
    ['host', '"file:///card"', null],
    ['host', '"mailto:someone@shop.example"', null],
    ['host', '"someone@shop.example"', null],
    ['host', '"https:///card"', null],
    ['host', '"about:blank"', null],
  ])('of type %s makes %s into %j', async (type, json, expected) => {
    expect(await promoted(column(type, ['k']), [`{"k":${json}}`])).toEqual([expected]);
  });

  test('reads a time without an offset as UTC in any time zone of the session', async () => {
    await engine.run(`set TimeZone = 'America/New_York'`);
    const [value] = await promoted(column('timestamp', ['k']), ['{"k":"2026-07-03T10:00:00"}']);
    await engine.run(`set TimeZone = 'UTC'`);
    // Shown in UTC. Read in the session's zone it would be 14:00.
    expect(value).toBe('2026-07-03 10:00:00+00');
  });

  test.each([
    ['"a.b".c', '{"a.b":{"c":"x"}}'],
    ['"it\'s"', `{"it's":"x"}`],
    ['"q\\"q"', '{"q\\"q":"x"}'],
    ['a-b.1', '{"a-b":{"1":"x"}}'],
    ['Ünï', '{"Ünï":"x"}'],
  ])('finds a key spelt %s', async (path, json) => {
    expect(await promoted(column('text', [path]), [json, '{"other":1}'])).toEqual(['x', null]);
  });
});

/** Keys that differ only in case, keys that JavaScript orders or treats in a way of its own, and a key with signs. */
const KEYS = ['k', 'K', '1', '0', '__proto__', 'a.b"c'];
const PATHS = KEYS.flatMap((key) => [
  [key],
  ...KEYS.flatMap((inner) => [
    [key, inner],
    [key, inner, 'k'],
  ]),
]);

/** A JSON text; keys may occur twice in an object. */
const JSON_TEXT = fc.letrec<{ value: string }>((tie) => ({
  value: fc.oneof(
    { depthSize: 'small' },
    fc.constantFrom('null', '1.10', '-0', '1e400', '12345678901234567890123', 'true', '""', '"x"', '"{\\"k\\":1}"', String.raw`"\u0041\ud83d\ude00"`),
    fc.array(tie('value')).map((members) => `[${members.join(', ')}]`),
    fc.array(fc.tuple(fc.constantFrom(...KEYS), tie('value'))).map((members) => `{${members.map(([key, value]) => `${JSON.stringify(key)}: ${value}`).join(', ')}}`),
  ),
})).value; // oxfmt-ignore

test('every column has the text at its path, whatever other paths there are', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(JSON_TEXT, { minLength: 20, maxLength: 20 }), fc.subarray(PATHS, { minLength: 1, maxLength: 15 }), async (texts, paths) => {
      const written = paths.map((path) => path.map((key) => `"${key.replaceAll('"', String.raw`\"`)}"`).join('.'));
      const table = { ...TABLES.Events, promoted: written.map((path, n) => column('text', [path], `c${n}`)) };
      const given = givenColumns(table).map(({ name, type }) => name === 'properties' ? 'p::json as properties' : `null::${type} as ${sqlName(name)}`);
      const from = `from (select n, p, ${given.join(', ')} from (values ${texts.map((text, n) => `(${n}, ${sqlText(text)})`).join(', ')}) as given(n, p))`;
      const names = paths.map((_, n) => `c${n}`).join(', ');
      const alone = paths.map((path, n) => `nullif(json_extract_string(p, ${sqlText(duckdbPath(path.map((text) => ({ text, isPattern: false }))))}), '') as c${n}`);
      const found = await engine.rawRows(`select n, ${names} from (${promotedSql(table, from, ['n'])}) order by n`);
      expect(found).toEqual(await engine.rawRows(`select n, ${alone.join(', ')} ${from} order by n`));
    }),
    { numRuns: 20 },
  );
}); // oxfmt-ignore

describe('the set of columns', () => {
  test('of the configuration is added to the default set; a default name gets other paths', () => {
    const own = [column('text', ['shop.code'], 'store_id'), column('number', ['price'], 'price')];
    const all = withPromoted(TABLES.Events.promoted, own);
    expect(all.map(({ name }) => name)).toEqual([...TABLES.Events.promoted.map(({ name }) => name), 'price']);
    expect(all.find(({ name }) => name === 'store_id')).toMatchObject({
      paths: ['shop.code'],
      comment: 'Store that it is attributed to',
    });
  });

  test('has a key that changes with names, types, paths and order, and not with comments', () => {
    const base = [column('text', ['a', 'b'])];
    const others = [
      [column('list', ['a', 'b'])], [column('text', ['b', 'a'])], [column('text', ['a'])], [column('text', ['a', 'b'], 'd')], [],
    ]; // oxfmt-ignore
    const keys = [base, ...others].map(promotionKey);
    expect(new Set(keys).size).toBe(keys.length);
    expect(promotionKey([{ ...column('text', ['a', 'b']), comment: 'other' }])).toBe(promotionKey(base));
  });
});

describe('the key of a set', () => {
  test('of the default sets changes only with their columns: with another key every lake has to rebuild all of its files', () => {
    const keys = Object.values(TABLES).map(({ name, promoted }) => [name, promotionKey(promoted)]);
    expect(Object.fromEntries(keys)).toEqual({ Logs: '18b32b5976abb8a2', Events: 'f4ac58355e0d863a', Metrics: '9f2ec75dcc4213c8' }); // oxfmt-ignore
  });

  test('does not depend on how a path is written, nor on the order of the configured columns', () => {
    const [plain, quoted] = [column('text', ['a.b', 'c']), column('text', ['"a"."b"', 'c', '"c"'])];
    expect(promotionKey([quoted])).toBe(promotionKey([plain]));
    expect(promotionKey([column('text', ['"a.b"', 'c'])])).not.toBe(promotionKey([plain]));
    const own = [column('text', ['x'], 'zone'), column('number', ['y'], 'area')];
    const [there, back] = [own, own.toReversed()].map((list) => withPromoted(TABLES.Events.promoted, list));
    expect(promotionKey(there ?? [])).toBe(promotionKey(back ?? []));
  });
});

test.each([
  ['a.b', ['a', 'b']],
  ['"a.b".c', ['a.b', 'c']],
  ['identifiers.*', ['identifiers', '*']],
])('the path %s has the keys %j', (path, keys) => {
  expect(parseJsonPath(path)?.map(({ text }) => text)).toEqual(keys);
});

test.each(['', '.', 'a.', '.a', 'a..b', 'a b', '"a', 'a"b"', '""', '"*"'])('%j is no path', (path) => {
  expect(parseJsonPath(path)).toBeUndefined();
});

test('docs/lake.md lists the default columns', async () => {
  const rows = TABLE_NAMES.flatMap((name) => {
    const types = new Map(lakeColumns(TABLES[name]).map((lake) => [lake.name, lake.type]));
    return TABLES[name].promoted.map(
      ({ name: own, paths, comment }) =>
        `| ${TABLES[name].lakeName} | \`${own}\` | ${types.get(own)} | ${paths.map((path) => `\`${path}\``).join(', ')} | ${comment} |`,
    );
  });
  const document = await readFile(new URL('../../docs/lake.md', import.meta.url), 'utf8');
  const block = /(<!-- promoted columns: [^>]* -->)[\s\S]*?(<!-- end -->)/;
  expect(document).toMatch(block);
  const table = ['| table | column | type | looked up in | holds |', '|---|---|---|---|---|', ...rows].join('\n');
  const whole = document.replace(block, (_, start: string, end: string) => `${start}\n\n${table}\n\n${end}`);
  const formatted = await formatMarkdown(whole, 160);
  await expect(formatted).toMatchFileSnapshot('../../docs/lake.md');
});
