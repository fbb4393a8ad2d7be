/** Reads packed answers (`kql.ts`). Pure, and strict: an incomplete histogram would look like deleted rows. */
import { parseInstant } from '../../kernel/instant.ts';
import type { Instant } from '../../kernel/instant.ts';
import type { OutsideRows } from '../../model/outside.ts';

export interface Packed {
  /** The source's clock. */
  readonly at: Instant;
  readonly lower: Instant | undefined;
  readonly upper: Instant;
  /** The fields of each cell. */
  readonly items: readonly (readonly string[])[];
  /** The rows that lie in no hour; undefined where they were not counted. */
  readonly outside: OutsideRows | undefined;
}

/** Every cell begins with three whole numbers: cell, rows and bytes, or cell, bucket and rows. */
const NUMBERS_OF_A_CELL = 3;

/**
 * `undefined` when the answer is not complete, because it was cut or is not an answer to the query: it must have exactly one meta
 * row, and as many readable cells as that row says.
 */
export function readPacked(rows: readonly (readonly unknown[])[]): Packed | undefined {
  const items: string[][] = [];
  let meta: Omit<Packed, 'items'> | undefined;
  let total: number | undefined;
  for (const [part, at, lower, upper, count, outside] of rows) {
    if (typeof part === 'string' && part !== '') {
      for (const item of part.split(';')) items.push(item.split(' '));
      continue;
    }
    const [now, to] = [instantOf(at), instantOf(upper)];
    if (meta || now === undefined || to === undefined) return undefined;
    meta = { at: now, lower: instantOf(lower), upper: to, outside: readOutside(outside) };
    total = isWhole(String(count)) ? Number(count) : undefined;
  }
  const isReadable = items.every((item) => {
    const numbers = item.slice(0, NUMBERS_OF_A_CELL);
    return numbers.length === NUMBERS_OF_A_CELL && numbers.every(isWhole);
  });
  return meta && isReadable && items.length === total ? { ...meta, items } : undefined;
}

/** `undefined` for a text without these counts. The hours can be proven all the same. */
export function readOutside(cell: unknown): OutsideRows | undefined {
  const [future = '', unknown = '', timeless = '', ...rest] = typeof cell === 'string' ? cell.split(' ') : [];
  if (![future, unknown, timeless].every((text) => /^\d+$/.test(text))) return undefined;
  const key = timeless === '0' ? '' : [unknown, timeless, ...rest].join(' ');
  const noTimestamp = Number(unknown);
  return { future: Number(future), noTimestamp, impossible: Number(timeless) - noTimestamp, key };
}

function isWhole(text: string): boolean {
  return /^-?\d+$/.test(text);
}

function instantOf(cell: unknown): Instant | undefined {
  return typeof cell === 'string' ? parseInstant(cell) : undefined;
}
