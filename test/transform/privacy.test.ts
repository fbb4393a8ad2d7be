import { createHmac } from 'node:crypto';
import { sample, string } from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openEngine } from '../../src/load/ledger/engine.ts';
import { text as cell } from '../support/cells.ts';
import type { Engine } from '../../src/load/ledger/engine.ts';
import { hmacPads, privacyKey } from '../../src/model/privacy.ts';
import type { PrivacyAction, PrivacyRule } from '../../src/model/privacy.ts';
import { sqlText } from '../../src/kernel/sql.ts';
import { HMAC_VARIABLES, hmacSql, privateJsonSql } from '../../src/transform/privacy.ts';
import { CAMPAIGN } from '../support/campaign.ts';

const KEY = 'a key of the tests';
let engine: Engine;
beforeAll(async () => {
  engine = await openEngine(':memory:', '', { memoryLimit: '256MB', threads: 1 });
  await useKey(KEY);
});
afterAll(() => engine.close());

async function useKey(key: string): Promise<void> {
  const { inner, outer } = hmacPads(key);
  await engine.run(`set variable ${HMAC_VARIABLES.inner} = unhex($1)`, [inner]);
  await engine.run(`set variable ${HMAC_VARIABLES.outer} = unhex($1)`, [outer]);
}

function hmac(value: string, key = KEY): string {
  return `hmac:${createHmac('sha256', key).update(value).digest('hex')}`;
}

function rule(action: PrivacyAction, paths: readonly string[], types?: readonly string[]): PrivacyRule {
  return { action, types, paths };
}

/** A JSON text as the rules leave it. */
async function made(rules: readonly PrivacyRule[], json: string, { type = 'Pass:Created', stored = false } = {}): Promise<string> {
  const expression = privateJsonSql({ rules, json: 'given.p', type: 'given.t', stored });
  const [row] = await engine.rawRows(`select (${expression})::varchar as v from (select ${sqlText(json)}::json as p, ${sqlText(type)} as t) as given`);
  return cell(row ?? {}, 'v') ?? 'null';
} // oxfmt-ignore

async function value(rules: readonly PrivacyRule[], json: unknown, options = {}): Promise<unknown> {
  return JSON.parse(await made(rules, JSON.stringify(json), options));
}

describe('the keyed hash', () => {
  test('is HMAC-SHA-256 as node:crypto computes it, for any text and keys of any length', CAMPAIGN, async () => {
    const keys = ['k', 'x'.repeat(64), 'x'.repeat(65), 'ключ 🔑'.repeat(20), KEY];
    const texts = sample(string({ unit: 'binary', maxLength: 200 }), { numRuns: 400, seed: 11 });
    const clean = texts.filter((text) => !text.includes('\0'));
    expect(clean.length).toBeGreaterThan(300);
    for (const key of keys) {
      await useKey(key);
      const rows = await engine.rawRows(`select ${hmacSql('said')} as v from (select unnest(from_json($1::json, '["VARCHAR"]')) as said)`, [JSON.stringify(clean)]); // oxfmt-ignore
      expect(rows.map((row) => `hmac:${cell(row, 'v')}`)).toEqual(clean.map((text) => hmac(text, key)));
    }
    await useKey(KEY);
  });
});

describe('a rule', () => {
  test('that matches nothing keeps the exact text', async () => {
    const text = '{ "b" : 1.0, "a":1e5, "big":12345678901234567890123, "email":null }';
    expect(await made([rule('hash', ['email', 'x.*', 'b.c', '*.y']), rule('drop', ['z'])], text)).toBe(text);
  });

  test('keeps every other value, including numbers of any size', async () => {
    const text = '{"n":12345678901234567890123,"e":"x","o":{"null":null,"l":[1,null]}}';
    const left = await made([rule('hash', ['e'])], text);
    expect(left).toContain('"n":12345678901234567890123');
    expect(left).toContain('"o":{"null":null,"l":[1,null]}');
    expect(left).toContain(hmac('x'));
  });

  test.each<[string, unknown, unknown]>([
    ['email', { email: 'a', x: 1 }, { x: 1 }],
    ['a.b', { a: { b: 1, c: 2 } }, { a: { c: 2 } }],
    ['"a.b"', { 'a.b': 1, a: { b: 2 } }, { a: { b: 2 } }],
    ['identifiers.*', { identifiers: { a: 1, b: { c: 2 } }, x: null }, { identifiers: {}, x: null }],
    ['*Mail', { eMail: 1, Mail: 2, mail: 3, Mails: 4 }, { mail: 3, Mails: 4 }],
    ['*.email', { a: { email: 1, k: 2 }, b: { email: null }, c: 'email' }, { a: { k: 2 }, b: {}, c: 'email' }],
    ['people.*.email', { people: [{ email: 1, n: null }, { x: 2 }, 5] }, { people: [{ n: null }, { x: 2 }, 5] }],
  ])('drops %s', async (path, given, expected) => {
    expect(await value([rule('drop', [path])], given)).toEqual(expected);
  });

  test('also applies to a key that the JSON has twice', async () => {
    expect(await made([rule('drop', ['e'])], '{"e":"a","x":1,"e":"b"}')).toBe('{"x":1}');
    expect(await made([rule('hash', ['e'])], '{"e":"a","x":1,"e":"b"}')).not.toMatch(/"[ab]"/);
  });

  test('hashes text, numbers, elements of lists, and objects as a whole; null stays null', async () => {
    const given = { e: 'jane', n: 5, b: true, z: null, l: ['x', null, 7], o: { p: 1 } };
    expect(await value([rule('hash', ['e', 'n', 'b', 'z', 'l', 'o'])], given)).toEqual({
      e: hmac('jane'),
      n: hmac('5'),
      b: hmac('true'),
      z: null,
      l: [hmac('x'), null, hmac('7')],
      o: hmac('{"p":1}'),
    });
    expect(await value([rule('hash', ['l.*'])], given)).toMatchObject({ l: [hmac('x'), null, hmac('7')] });
  });

  test('gives the same value the same hash at every path', async () => {
    const made = await value([rule('hash', ['customerId', 'identifiers.*', '*.mail'])], {
      customerId: 'C-1',
      identifiers: { 'a/b~c': 'C-1', 'it"s': 'C-1' },
      who: { mail: 'C-1' },
    });
    expect(made).toEqual({ customerId: hmac('C-1'), identifiers: { 'a/b~c': hmac('C-1'), 'it"s': hmac('C-1') }, who: { mail: hmac('C-1') } }); // oxfmt-ignore
  });

  test.each([
    ['jane.doe@example.com', 'j***@example.com'],
    ['j@example.com', 'j***@example.com'],
    ['+33 6 12 34', '+** * ** **'],
    ['192.168.1.10', '1**.***.*.**'],
    ['Ünï 漢字', 'Ü** **'],
    ['ab', '**'],
    ['jane@example.com/secret', 'j***@*******.***/******'],
    ['', ''],
  ])('masks %j as %j, and a masked value no further', async (given, masked) => {
    expect(await value([rule('mask', ['k'])], { k: given })).toEqual({ k: masked });
    expect(await value([rule('mask', ['k'])], { k: masked }, { stored: true })).toEqual({ k: masked });
  });

  test('applies only to its types, ignoring case and the difference between . and :', async () => {
    const only = [rule('drop', ['e'], ['pass.*', 'Page[View'])];
    for (const type of ['Pass:Created', 'PASS.INSTALLED', 'page[view']) expect(await value(only, { e: 1 }, { type })).toEqual({}); // oxfmt-ignore
    for (const type of ['passing', 'PageView', '']) expect(await value(only, { e: 1 }, { type })).toEqual({ e: 1 });
  });

  test('is applied in the order of actions: a dropped value is not hashed, a hashed one is not masked', async () => {
    const rules = [rule('mask', ['*']), rule('hash', ['a', 'b']), rule('drop', ['a'])];
    expect(await value(rules, { a: 'x', b: 'yy', c: 'zzz' })).toEqual({ b: hmac('yy'), c: 'z**' });
  });

  test('does not hash stored values again, and does not trust a source that sends the mark', async () => {
    const once = { k: hmac('x') };
    expect(await value([rule('hash', ['k'])], once, { stored: true })).toEqual(once);
    expect(await value([rule('hash', ['k'])], once)).toEqual({ k: hmac(hmac('x')) });
  });

  test.each(['"text"', '[{"e":1}]', '5', 'null'])('does not change %s, which has no such path', async (json) => {
    expect(await made([rule('hash', ['e', 'e.f', '"0"'])], json)).toBe(json);
  });
});

describe('JSON that cannot be processed', () => {
  const rules = [rule('hash', ['*.e']), rule('drop', ['x'])];

  test.each([
    ['nested a million levels', `${'['.repeat(1_000_000)}${']'.repeat(1_000_000)}`],
    ['nested 100 levels among many members', `[${'{"e":1},'.repeat(10_000)}${'['.repeat(100)}${']'.repeat(100)}]`],
    ['the text of an object that is none', JSON.stringify('{"e":"jane@example.com"')],
  ])('is null: %s', async (_, json) => {
    expect(await made(rules, json)).toBe('null');
    // Without a rule it is kept.
    expect(await made([], json)).toBe(json);
  });

  test('does not include JSON that is merely wide or has brackets in its texts', async () => {
    const wide = Array.from({ length: 6_000 }, (_, n) => ({ n, said: '[[{"\\' }));
    expect(await value(rules, { wide, k: { e: 'x' }, x: 1 })).toEqual({ wide, k: { e: hmac('x') } });
  });
});

test('two rules for members of the same list protect both', async () => {
  const people = [{ e: 'jane', f: 'joe' }, { e: 'jane' }];
  const hashed = [{ e: hmac('jane'), f: hmac('joe') }, { e: hmac('jane') }];
  expect(await value([rule('hash', ['people.*.e', 'people.*.f'])], { people })).toEqual({ people: hashed });
  expect(await value([rule('hash', ['people.*.e', 'people.*.f', 'people.*.*'])], { people })).toEqual({ people: hashed });
}); // oxfmt-ignore

test('the key of the rules changes with each of their parts, and there is none without rules', () => {
  const sets = [
    [rule('drop', ['a'])], [rule('hash', ['a'])], [rule('drop', ['b'])], [rule('drop', ['a'], ['t'])], [rule('drop', ['a']), rule('drop', ['b'])],
  ]; // oxfmt-ignore
  expect(new Set(sets.map(privacyKey)).size).toBe(sets.length);
  expect(privacyKey([])).toBeUndefined();
});
