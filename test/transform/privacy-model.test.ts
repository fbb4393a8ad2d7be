/** Compares privacy rules over random documents with the same rules in plain TypeScript, applied one path after the other. */
import { createHmac } from 'node:crypto';
import { array, constantFrom, letrec, oneof, record, sample, tuple, uniqueArray } from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { parseJsonPath } from '../../src/kernel/json-path.ts';
import type { PathSegment } from '../../src/kernel/json-path.ts';
import { openEngine } from '../../src/load/ledger/engine.ts';
import { LONG } from '../support/campaign.ts';
import { text as cell } from '../support/cells.ts';
import type { Engine } from '../../src/load/ledger/engine.ts';
import { hmacPads, PRIVACY_ACTIONS } from '../../src/model/privacy.ts';
import type { PrivacyAction, PrivacyRule } from '../../src/model/privacy.ts';
import { sqlText } from '../../src/kernel/sql.ts';
import { HMAC_VARIABLES, privateJsonSql } from '../../src/transform/privacy.ts';

const KEY = 'a key of the model';
const DOCUMENTS = 40;

let engine: Engine;
beforeAll(async () => {
  engine = await openEngine(':memory:', '', { memoryLimit: '256MB', threads: 1 });
  const { inner, outer } = hmacPads(KEY);
  await engine.run(`set variable ${HMAC_VARIABLES.inner} = unhex($1)`, [inner]);
  await engine.run(`set variable ${HMAC_VARIABLES.outer} = unhex($1)`, [outer]);
});
afterAll(() => engine.close());

const FORGED = `hmac:${'0'.repeat(64)}`;
const KEYS = ['e', 'f', 'eMail', 'a', 'b', 'l', 'x.y', 'k/~"', 'é\u0001', '*'];
// No exact path is the beginning of another: the result of such a pair would depend on their order.
const PATHS = [
  'e',
  'a.e',
  'b.a.e',
  '"x.y"',
  '"k/~\\""',
  'e*',
  '*.e',
  '*.*.e',
  'a.*',
  'l.*',
  'l.*.e',
  'l.*.f',
  '*.*',
  '**',
  'b.*.a.*',
];

/** Replaces an object or a list inside a list that is hashed as a whole: its text depends on how the engine writes it. */
const WHOLE = '\u0000whole';

const documents = letrec<{ value: unknown; object: unknown }>((tie) => ({
  value: oneof(
    { depthSize: 'small', withCrossShrink: true },
    constantFrom<unknown>('jane@x.com', '06 12 34', 'ab', '', 'C-1', FORGED, 7, 0, true, false, null),
    tie('object'),
    array(tie('value'), { maxLength: 4 }),
  ),
  object: uniqueArray(tuple(constantFrom(...KEYS), tie('value')), { maxLength: 5, selector: ([key]) => key })
    .map((members) => Object.fromEntries(members)),
})); // oxfmt-ignore

const rules = array(
  record({
    action: constantFrom(...PRIVACY_ACTIONS),
    types: constantFrom<readonly string[] | undefined>(undefined, undefined, ['seen']),
    paths: uniqueArray(constantFrom(...PATHS), { minLength: 1, maxLength: 3 }),
  }),
  { minLength: 1, maxLength: 4 },
);

interface Pass {
  readonly action: PrivacyAction;
  /** Hashes made so far: they are not hashed again, but a forged one is. */
  readonly made: Set<string>;
}

function isBag(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function modelled(given: readonly PrivacyRule[], document: unknown): unknown {
  const made = new Set<string>();
  const order = PRIVACY_ACTIONS.flatMap((action) => given.filter((rule) => rule.action === action));
  const steps = order.flatMap(({ action, paths }) =>
    paths.map((path) => ({ action, path: parseJsonPath(path) ?? [] })),
  );
  return steps.reduce<unknown>((value, { action, path }) => visited(value, path, { action, made }), document);
}

function visited(value: unknown, [segment, ...rest]: readonly PathSegment[], pass: Pass): unknown {
  if (!segment) return leafOf(value, pass);
  const isStar = segment.isPattern && /^\*+$/.test(segment.text);
  if (Array.isArray(value)) {
    if (!isStar) return value;
    if (rest.length === 0 && pass.action === 'drop') return value.map(() => null);
    return value.map((member: unknown) => visited(member, rest, pass));
  }
  if (!isBag(value)) return value;
  const pattern = segment.text.split(/\*+/).map((part) => part.replaceAll(/[.*+?^${}()|[\]\\]/g, String.raw`\$&`)).join('.*'); // oxfmt-ignore
  const isHit = (key: string): boolean => (segment.isPattern ? new RegExp(`^${pattern}$`, 's').test(key) : key === segment.text); // oxfmt-ignore
  const members = Object.entries(value).filter(([key]) => !(isHit(key) && rest.length === 0 && pass.action === 'drop'));
  return Object.fromEntries(members.map(([key, member]) => [key, isHit(key) ? visited(member, rest, pass) : member]));
}

function leafOf(value: unknown, pass: Pass): unknown {
  if (value === null || value === undefined) return null;
  if (Array.isArray(value))
    return value.map((member: unknown) => (Array.isArray(member) ? wholeOf(pass) : leafOf(member, pass)));
  if (value === WHOLE) return WHOLE;
  if (typeof value === 'object') return wholeOf(pass);
  if (pass.action === 'mask') return typeof value === 'boolean' ? '*' : maskOf(textOf(value));
  const said = textOf(value);
  if (pass.made.has(said)) return said;
  const hash = `hmac:${createHmac('sha256', KEY).update(said).digest('hex')}`;
  pass.made.add(hash);
  return hash;
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : JSON.stringify(value);
}

function wholeOf({ action }: Pass): string {
  return action === 'mask' ? '*' : WHOLE;
}

function maskOf(said: string): string {
  if (/^hmac:[0-9a-f]{64}$/.test(said)) return said;
  if (/^[^@\s]+@[\p{L}\p{N}.-]+$/u.test(said)) return said.replace(/^(.)[^@]*@/, '$1***@');
  const shown = said.length > 2 ? 1 : 0;
  return said.slice(0, shown) + said.slice(shown).replaceAll(/[\p{L}\p{N}]/gu, '*');
}

/** True if both are equal; a text in place of a whole value must reveal nothing of it. */
function agrees(found: unknown, expected: unknown): boolean {
  if (expected === WHOLE) return typeof found === 'string' && !/jane|06 12|C-1/.test(found);
  if (Array.isArray(expected))
    return Array.isArray(found) && found.length === expected.length && expected.every((member, index) => agrees(found[index], member)); // oxfmt-ignore
  if (!isBag(expected)) return found === expected;
  const keys = Object.keys(expected);
  return isBag(found) && Object.keys(found).length === keys.length && keys.every((key) => key in found && agrees(found[key], expected[key])); // oxfmt-ignore
}

for (const sets of [6, 30]) test(`${sets} sets of random rules change random documents as the model does, which applies them one by one`, sets === 6 ? {} : LONG, async () => {
  const differing: object[] = [];
  let hit = 0;
  for (const given of sample(rules, { numRuns: sets, seed: 20 })) {
    const texts = sample(documents.object, { numRuns: DOCUMENTS, seed: 21 + hit }).map((document) => JSON.stringify(document));
    for (const type of ['seen', 'other']) {
      const values = texts.map((text, index) => `(${index}, ${sqlText(text)}::json, ${sqlText(type)})`).join(', ');
      const made = privateJsonSql({ rules: given, json: 'given.p', type: 'given.t', stored: false });
      const rows = await engine.rawRows(`select (${made})::varchar as v from (values ${values}) as given(i, p, t) order by i`);
      const applicable = given.filter(({ types }) => types === undefined || type === 'seen');
      for (const [index, row] of rows.entries()) {
        const [before, found] = [texts[index] ?? '', cell(row, 'v') ?? 'null'];
        const expected = modelled(applicable, JSON.parse(before));
        if (!agrees(JSON.parse(found), expected)) differing.push({ rules: applicable, before, found, expected });
        if (found !== before) hit += 1;
      }
    }
  }
  expect(differing).toEqual([]);
  expect(hit).toBeGreaterThan(sets * 23);
}); // oxfmt-ignore
