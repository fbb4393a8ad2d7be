/** What a value of the lake becomes in a cell of a workbook. */
import type { Json } from '@duckdb/node-api';
import type { ResultColumn } from '../reader.ts';
import { exactNumber } from './spreadsheet-text.ts';

export type Cell = string | number | boolean | null;

const DAY_MS = 86_400_000;
/** 1 March 1900 to the end of 9999: before that the calendar of Excel is wrong, and it has no later dates. */
const FIRST_DATE = Date.UTC(1900, 2, 1);
const LAST_DATE = Date.UTC(10_000, 0, 1);
/** Days from Excel's day 0 to 1970. */
const EPOCH_SERIAL = 25_569;

/** Converts the values of a column; `text` makes a text safe. */
export function converterOf({ type, numeric }: ResultColumn, text: (value: string) => string): (cell: Json) => Cell {
  if (numeric)
    return (cell) => {
      const number = typeof cell === 'string' ? (exactNumber(cell) ?? cell) : cell;
      if (typeof number === 'string') return number;
      // A spreadsheet has neither NaN nor infinity.
      return typeof number === 'number' && Number.isFinite(number) ? number : null;
    };
  if (type === 'DATE' || type.startsWith('TIMESTAMP'))
    return (cell) => (typeof cell === 'string' ? (serial(cell) ?? text(cell)) : null);
  return (cell) => {
    if (cell === null || typeof cell === 'boolean') return cell;
    return text(typeof cell === 'string' ? cell : JSON.stringify(cell));
  };
}

/** The date number of Excel for `2026-03-01` or `2026-03-01 09:00:00.123456+00`; undefined outside its calendar. */
function serial(cell: string): number | undefined {
  const instant = Date.parse(
    cell.length === 10 ? cell : `${cell.slice(0, 10)}T${cell.slice(11, 23).replace(/[+Z].*$/, '')}Z`,
  );
  if (!(instant >= FIRST_DATE && instant < LAST_DATE)) return undefined;
  return instant / DAY_MS + EPOCH_SERIAL;
}
