/**
 * Streams rows into an XLSX workbook, batch by batch. Dates become Excel dates (in UTC, to the millisecond), integers of
 * more than 15 digits become text, and text that would run as a formula gets an apostrophe. Rows beyond the 1,048,576 of a
 * sheet continue in another sheet with the same header.
 */
import { createWriteStream } from 'node:fs';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { Json } from '@duckdb/node-api';
import { ConfigError } from '../../kernel/errors.ts';
import type { ResultColumn, ResultRows } from '../reader.ts';
import { exactNumber, neutralised } from './spreadsheet-text.ts';

/** Excel's limits. */
const SHEET_ROWS = 1_048_576;
const SHEET_COLUMNS = 16_384;
const CELL_LENGTH = 32_767;

const DAY_MS = 86_400_000;
/** 1 March 1900 to the end of 9999: before that the calendar of Excel is wrong, and it has no later dates. */
const FIRST_DATE = Date.UTC(1900, 2, 1);
const LAST_DATE = Date.UTC(10_000, 0, 1);
/** Days from Excel's day 0 to 1970. */
const EPOCH_SERIAL = 25_569;

type Cell = string | number | boolean | null;

export interface WrittenSheets {
  readonly rows: number;
  readonly sheets: number;
  /** Cells cut at Excel's 32,767 characters. */
  readonly cut: number;
  /** Cells that would have run as a formula. */
  readonly neutralised: number;
}

/** Writes a workbook. `sheetRows` counts the header; only tests set it. */
export async function writeSheets(
  result: ResultRows,
  path: string,
  options: { name: string; verbatim: boolean; sheetRows?: number; signal?: AbortSignal | undefined },
): Promise<WrittenSheets> {
  const { columns, batches } = result;
  const { verbatim, sheetRows = SHEET_ROWS, signal } = options;
  if (columns.length > SHEET_COLUMNS)
    throw new ConfigError(`The result has ${columns.length} columns, but a sheet can have at most ${SHEET_COLUMNS}.`, {
      hint: 'Select fewer columns with --query, or export to Parquet.',
    });
  const tally = { rows: 0, cut: 0, neutralised: 0 };
  const text = (value: string): string => {
    const safe = verbatim ? value : neutralised(value);
    if (safe !== value) tally.neutralised++;
    if (safe.length <= CELL_LENGTH) return escaped(safe);
    tally.cut++;
    // Half a surrogate pair would make the file invalid.
    return escaped(safe.slice(0, CELL_LENGTH).replace(/[\uD800-\uDBFF]$/, ''));
  };
  const converters = columns.map((column) => converterOf(column, text));
  async function* rows(): AsyncGenerator<Cell[]> {
    for await (const batch of batches()) {
      for (const row of batch) yield row.map((cell, index) => converters[index]?.(cell) ?? null);
      tally.rows += batch.length;
    }
  }
  // Loaded only when needed.
  const { writeXlsxStream } = await import('hucre/xlsx');
  const stream = writeXlsxStream(rows(), {
    name: sheetName(options.name),
    columns: columns.map((column) => ({ header: text(column.name), ...formatOf(column) })),
    freezePane: { rows: 1 },
    maxRowsPerSheet: sheetRows,
  });
  const source = Readable.fromWeb(stream);
  await pipeline(source, createWriteStream(path, { mode: 0o600 }), signal === undefined ? {} : { signal });
  return { ...tally, sheets: Math.max(1, Math.ceil(tally.rows / (sheetRows - 1))) };
}

/** Excel decodes `_x0041_` to a character. Escaping the underscore keeps such text as it is. */
function escaped(text: string): string {
  return text.replaceAll(/_(?=x[0-9A-Fa-f]{4}_)/g, '_x005F_');
}

/** A name that Excel accepts: at most 31 characters, none of `[]:*?/\`. */
function sheetName(name: string): string {
  return (
    name
      .replaceAll(/[[\]:*?/\\']/g, ' ')
      .trim()
      .slice(0, 31) || 'rows'
  );
}

function formatOf({ type }: ResultColumn): { numFmt?: string } {
  if (type === 'DATE') return { numFmt: 'yyyy-mm-dd' };
  return type.startsWith('TIMESTAMP') ? { numFmt: 'yyyy-mm-dd hh:mm:ss.000' } : {};
}

function converterOf({ type, numeric }: ResultColumn, text: (value: string) => string): (cell: Json) => Cell {
  if (numeric)
    return (cell) => (typeof cell === 'string' ? (exactNumber(cell) ?? cell) : typeof cell === 'number' ? cell : null);
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
