/** Cells of raw rows, for tests that compare whole answers. */
import type { Row } from '../../src/load/ledger/engine.ts';

/** A cell as text; null is undefined. */
export function text(row: Row, name: string): string | undefined {
  const value = row[name];
  return value === null || value === undefined ? undefined : typeof value === 'string' ? value : JSON.stringify(value);
}
