import { describe, expect, test } from 'vitest';
import { spellJsonPath } from '../../src/kernel/json-path.ts';
import { Places, looksOf } from '../../src/transform/personal.ts';

/** `path look matching/values` of each finding in some documents. */
function findings(...documents: string[]): string[] {
  const places = new Places();
  for (const document of documents) places.add(document);
  return places.findings().map(({ path, look, matching, values }) => `${spellJsonPath(path)} ${look} ${matching}/${values}`).sort(); // oxfmt-ignore
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
  ])('%s looks like: %s', (value, look) => {
    expect(looksOf(value)).toEqual([look]);
  });

  test.each([
    'j***@example.com', '+** * ** **', `hmac:${'0'.repeat(64)}`, '2026-07-01', '2026-07-01T10:00:00Z', '10:00:00', '01/07/2026', '1234567890',
    '12345678.90', '0.123456789', '6f1c9b1e-2b3a-4c5d-8e9f-001122334455', '300.1.2.3', '1.2.3', 'pass@home', '@handle', 'PAR-001', '', 'a:b', 'https://example.com/a',
    '20.5', 'order 12', '12345678901', '-1234567890', '1.5e+21', 'true',
  ])('%s looks like nothing', (value) => {
    expect(looksOf(value)).toEqual([]);
  }); // oxfmt-ignore
});

test('values are counted by path, those of a list one by one, empty ones not', () => {
  const documents = [
    { mail: 'a@x.com', people: [{ 'e.mail': 'b@x.com' }, { 'e.mail': 'none' }, {}], l: ['c@x.com', null] },
    { mail: '', people: [] },
    { mail: 'free text', people: 'no list' },
  ];
  expect(findings(...documents.map((document) => JSON.stringify(document)))).toEqual([
    'l.* e-mail address 1/1',
    'mail e-mail address 1/2',
    'people.*."e.mail" e-mail address 1/2',
  ]);
});

test.each([
  ['an empty key', '{"":{"x":"x@y.zz"}}', '*.x'],
  ['a number as key', '{"7":{"x":"x@y.zz"}}', '7.x'],
  ['dots and quotes', String.raw`{"a.b\"c":"x@y.zz"}`, String.raw`"a.b\"c"`],
  ['a slash and a tilde', '{"/~":"x@y.zz"}', '/~'],
  ['brackets', '{"k[*]":["x@y.zz"]}', '"k[*]".*'],
  ['a star', '{"*":"x@y.zz"}', '*'],
  ['the name of a prototype', '{"__proto__":{"x":"x@y.zz"}}', '__proto__.x'],
  ['a NUL', String.raw`{"a\u0000b":"x@y.zz"}`, 'a\0b'],
  ['a lone surrogate', String.raw`{"\ud800":"x@y.zz"}`, '\ud800'],
  ['other scripts', '{"電話":{"α 😀":"x@y.zz"}}', '電話."α 😀"'],
  ['lists in lists', '{"l":[[{"m":["x@y.zz"]}]]}', 'l.*.*.m.*'],
])('a value below %s is found', (_, document, path) => {
  expect(findings(document)).toEqual([`${path} e-mail address 1/1`]);
});

test('deep nesting and thousands of keys do not end the examination, and text that is no JSON is refused', () => {
  const deep = `${'{"a":['.repeat(5_000)}"x@y.zz"${']}'.repeat(5_000)}`;
  const places = new Places();
  places.add(deep);
  expect(places.findings()).toMatchObject([{ look: 'e-mail address', matching: 1, path: { length: 10_000 } }]);
  const ids = Object.fromEntries(Array.from({ length: 3_000 }, (_, index) => [`id${index}`, 'x@y.zz']));
  const found = findings(JSON.stringify(ids));
  expect(found).toHaveLength(1_001);
  expect(found).toContain('* e-mail address 2000/2000');
  expect(() => places.add('{"a":')).toThrow(SyntaxError);
});
