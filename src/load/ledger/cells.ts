/**
 * How the cells of an answer become values. Every answer is read with the shape of its rows, so that a misspelt column or an
 * unexpected null fails at once instead of becoming an empty text or a zero:
 *
 *     const rows = await ledger.rows('select file, rows from partitions', { file: asText, rows: asCount });
 */
import type { Json } from '@duckdb/node-api';
import { DamagedError } from '../../kernel/errors.ts';
import type { Instant } from '../../kernel/instant.ts';
import type { Fingerprint } from '../../model/fingerprint.ts';
import { findTable } from '../../model/tables.ts';
import type { TableName } from '../../model/tables.ts';

/** Reads one cell. Throws TypeError when the value is of another kind; the error names the column, never the value. */
export type Cell<T> = (value: Json, column: string) => T;

/** The columns to read, by name. Other columns of the answer are ignored. */
export type Shape = Readonly<Record<string, Cell<unknown>>>;

export type RowOf<S extends Shape> = { readonly [K in keyof S]: S[K] extends Cell<infer T> ? T : never };

type RawRow = Readonly<Record<string, Json>>;

export function readRow<S extends Shape>(shape: S, raw: RawRow): RowOf<S> {
  const row: Record<string, unknown> = {};
  for (const [column, read] of Object.entries(shape)) {
    const value = raw[column];
    if (value === undefined) throw new TypeError(`The answer has no column "${column}".`);
    row[column] = read(value, column);
  }
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- every column of the shape was read by its own cell
  return row as RowOf<S>;
}

export const asText: Cell<string> = (value, column) => {
  if (typeof value === 'string') return value;
  throw wrongKind(column, 'text', value);
};

/** A whole number that fits a JavaScript number. The binding sends wide integers as text. */
export const asCount: Cell<number> = (value, column) => {
  const number = typeof value === 'string' && value !== '' ? Number(value) : value;
  if (typeof number === 'number' && Number.isSafeInteger(number)) return number;
  throw wrongKind(column, 'a whole number', value);
};

/** A whole number of any size. */
export const asBigInt: Cell<bigint> = (value, column) => {
  if (typeof value === 'string' && /^-?\d+$/.test(value)) return BigInt(value);
  if (typeof value === 'number' && Number.isSafeInteger(value)) return BigInt(value);
  throw wrongKind(column, 'a whole number', value);
};

export const asFlag: Cell<boolean> = (value, column) => {
  if (typeof value === 'boolean') return value;
  throw wrongKind(column, 'true or false', value);
};

/** An instant, selected as microseconds: `epoch_us(hour)::varchar as hour`. */
export const asInstant: Cell<Instant> = (value, column) => asBigInt(value, column) * 10n;

/** A fingerprint, as the struct (n, s0, s1, x, c) that the ledger keeps. */
export const asFingerprint: Cell<Fingerprint> = (value, column) => {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw wrongKind(column, 'a fingerprint', value);
  const shape = { n: asBigInt, s0: asBigInt, s1: asBigInt, x: asBigInt, c: asOptional(asBigInt) };
  const { n, s0, s1, x, c } = readRow(shape, value);
  return { rows: n, sum0: s0, sum1: s1, xor: x, content: c };
};

/** A source table's name, as the ledger writes it. Throws DamagedError for any other text. */
export const asTable: Cell<TableName> = (value) => {
  const table = findTable(value);
  if (table) return table;
  throw new DamagedError('The ledger names a table that does not exist.', { hint: 'Run `insights-etl repair`.' });
};

/** One of some words. */
export function asOneOf<const W extends string>(words: readonly W[]): Cell<W> {
  return (value, column) => {
    const word = words.find((candidate) => candidate === value);
    if (word !== undefined) return word;
    throw wrongKind(column, words.join(' or '), value);
  };
}

/** null becomes undefined. */
export function asOptional<T>(read: Cell<T>): Cell<T | undefined> {
  return (value, column) => (value === null ? undefined : read(value, column));
}

/** A list whose members are all read the same way. */
export function asList<T>(read: Cell<T>): Cell<readonly T[]> {
  return (value, column) => {
    if (Array.isArray(value)) return value.map((member) => read(member, column));
    throw wrongKind(column, 'a list', value);
  };
}

/** Rows of text cells, as `cellsSql` (sql.ts) aggregates them. */
export const asCells: Cell<readonly (readonly string[])[]> = (value, column) => {
  const rows: unknown = JSON.parse(asText(value, column));
  if (isTextRows(rows)) return rows;
  throw new TypeError(`Column "${column}" has cells that are not text.`);
};

function isTextRows(rows: unknown): rows is readonly (readonly string[])[] {
  return (
    Array.isArray(rows) && rows.every((row) => Array.isArray(row) && row.every((cell) => typeof cell === 'string'))
  );
}

function wrongKind(column: string, expected: string, value: Json): TypeError {
  const found = value === null ? 'null' : Array.isArray(value) ? 'a list' : `of type ${typeof value}`;
  return new TypeError(`Column "${column}" is ${found}, expected ${expected}.`);
}
