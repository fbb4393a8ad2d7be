import { readdirSync, readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { KqlScalarType } from '../../kql/compile.ts';
import { campaign } from '../../../test/support/campaign.ts';
import { KqlError } from '../../kql/error.ts';
import { openEngine } from './support.ts';
import type { Engine } from './support.ts';

/**
 * Examples from Microsoft's documentation of the language. Each block of a file in `documented/` has the name of the page,
 * the query, and then one line `//= a | b` for each row of the documented answer (`∅` for null and for empty text), or one
 * line `//! text` if this engine rejects the query with that text.
 */
interface Case {
  readonly page: string;
  readonly query: string;
  readonly rows: readonly string[][];
  readonly refusal: string | undefined;
}

const REFUSALS = 'refusals.kql';
const folder = new URL('documented/', import.meta.url);

function readCases(file: string): Case[] {
  const blocks = readFileSync(new URL(file, folder), 'utf8').trim().split(/\n\n+/);
  return blocks.map((block) => {
    const [heading = '', ...lines] = block.split('\n');
    const marked = (mark: string): string[] =>
      lines.filter((line) => line.startsWith(mark)).map((line) => line.slice(mark.length + 1));
    return {
      page: heading.replace('// ', ''),
      query: lines.filter((line) => !/^\/\/[=!]/.test(line)).join('\n'),
      rows: marked('//=').map((line) => line.split(' | ')),
      refusal: marked('//!')[0],
    };
  });
}

const files = readdirSync(folder).filter((file) => file.endsWith('.kql'));
const cases = new Map(files.map((file) => [file, readCases(file)]));

let engine: Engine;
beforeAll(async () => {
  engine = await openEngine();
});
afterAll(async () => {
  await engine[Symbol.asyncDispose]();
});

const answered = files.filter((file) => file !== REFUSALS);

describe.each(answered)('answered as documented: %s', (file) => {
  for (const [nth, { page, query, rows }] of (cases.get(file) ?? []).entries())
    test(`${page}: ${query}`, campaign(nth % 3 === 0), async () => {
      const answer = await engine.run(query);
      const types = answer.columns.map((column) => column.type);
      const got = answer.rows.map((row) => row.map((value, index) => canonical(value ?? '', types[index])));
      const expected = rows.map((row) =>
        row.map((value, index) => canonical(value === '∅' ? '' : value, types[index])),
      );
      const ordered = /\b(sort|order|top)\b/.test(query);
      expect(ordered ? got : got.map(String).toSorted()).toEqual(ordered ? expected : expected.map(String).toSorted());
    });
});

describe('rejected with the name of the construct, where the documented answer is not possible', () => {
  test.each(cases.get(REFUSALS) ?? [])('$page: $query', ({ query, refusal }) => {
    const compile = (): unknown => engine.compile(query);
    expect(compile).toThrow(KqlError);
    expect(compile).toThrow(refusal);
  });
});

test('at least 100 documented cases of at least 80 pages are answered as documented', () => {
  const documented = answered.flatMap((file) => cases.get(file) ?? []);
  expect(documented.length).toBeGreaterThanOrEqual(100);
  expect(new Set(documented.map((item) => item.page)).size).toBeGreaterThanOrEqual(80);
  expect(documented.filter((item) => item.rows.length === 0)).toEqual([]);
});

/** Normalises values that the pages print in several ways: trailing zeros, grouped digits, the order of a bag's keys. */
function canonical(value: string, type: KqlScalarType | undefined): string {
  if (value === 'null') return '';
  if (type === 'datetime')
    return value
      .replace(' ', 'T')
      .replace(/Z$/, '')
      .replace(/(\.\d*?)0+$/, '$1')
      .replace(/\.$/, '');
  if (type === 'dynamic') return json(value);
  if (type === 'bool') return value.toLowerCase();
  return type && NUMBERS.has(type) ? number(value.replaceAll(',', '')) : value;
}

const NUMBERS: ReadonlySet<KqlScalarType> = new Set(['int', 'long', 'real', 'decimal']);

/** Rounds to twelve digits, as on the pages. Whole numbers that JavaScript would round are not changed. */
function number(text: string): string {
  if (text === '' || /^-?\d{13,}$/.test(text) || Number.isNaN(Number(text))) return text.toLowerCase();
  return String(Number(Number(text).toPrecision(12)));
}

function json(text: string): string {
  try {
    return JSON.stringify(JSON.parse(text), (_key, value: unknown) =>
      typeof value === 'object' && value !== null && !Array.isArray(value)
        ? Object.fromEntries(Object.entries(value).toSorted(([a], [b]) => (a < b ? -1 : 1)))
        : value,
    );
  } catch {
    return JSON.stringify(text);
  }
}
