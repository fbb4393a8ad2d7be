/** Cells of raw rows, for tests that compare whole answers. */
import type { Row } from '../../src/load/ledger/engine.ts';

/** A cell as text; null is undefined. */
export function text(row: Row, name: string): string | undefined {
  const value = row[name];
  return value === null || value === undefined ? undefined : typeof value === 'string' ? value : JSON.stringify(value);
}

/** A count as a number; a missing row counts as 0. */
export function count(row: Row | undefined, name: string): number {
  return row ? Number(text(row, name) ?? '0') : 0;
}
