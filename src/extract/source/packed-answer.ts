/** Reads packed answers (`kql.ts`). Pure, and strict: an incomplete histogram would look like deleted rows. */
import { parseInstant } from '../../kernel/instant.ts';
import type { Instant } from '../../kernel/instant.ts';

export interface Packed {
  /** The source's clock. */
  readonly at: Instant;
  readonly lower: Instant | undefined;
  readonly upper: Instant;
  /** The fields of each cell. */
  readonly items: readonly (readonly string[])[];
}

/** `undefined` when cells or the meta row are missing, because the answer was cut. */
export function readPacked(rows: readonly (readonly unknown[])[]): Packed | undefined {
  const items: string[][] = [];
  let meta: Omit<Packed, 'items'> | undefined;
  let total = -1;
  for (const [part, at, lower, upper, count] of rows) {
    if (typeof part === 'string' && part !== '') for (const item of part.split(';')) items.push(item.split(' '));
    const [now, to] = [instantOf(at), instantOf(upper)];
    if (now === undefined || to === undefined) continue;
    meta = { at: now, lower: instantOf(lower), upper: to };
    total = Number(count);
  }
  return meta && items.length === total ? { ...meta, items } : undefined;
}

function instantOf(cell: unknown): Instant | undefined {
  return typeof cell === 'string' ? parseInstant(cell) : undefined;
}
