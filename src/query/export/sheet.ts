/**
 * Streams rows into an XLSX workbook, batch by batch: a bold, frozen header with a filter, columns as wide as their contents, real
 * dates. Integers of more than 15 digits become text, and text that would run as a formula gets an apostrophe. Rows beyond the
 * 1,048,576 of a sheet continue in another sheet with the same header.
 */
import { createHash } from 'node:crypto';
import type { Hash } from 'node:crypto';
import { ConfigError } from '../../kernel/errors.ts';
import type { ResultColumn, ResultRows } from '../reader.ts';
import { converterOf } from './cell.ts';
import type { Cell } from './cell.ts';
import { neutralised } from './spreadsheet-text.ts';
import { FORMATS, attributeText, cellXml, columnName, workbookParts } from './workbook-parts.ts';
import type { FormatName } from './workbook-parts.ts';
import { writeArchive } from './archive.ts';
import type { Part } from './archive.ts';

/** Excel's limits. */
const SHEET_ROWS = 1_048_576;
const SHEET_COLUMNS = 16_384;
const CELL_LENGTH = 32_767;

/** Characters that one column is wide at least and at most. */
const WIDTH = { least: 8, most: 60 } as const;

export interface WrittenSheets {
  readonly rows: number;
  readonly sheets: number;
  /** Cells cut at Excel's 32,767 characters. */
  readonly cut: number;
  /** Cells that would have run as a formula. */
  readonly neutralised: number;
  /** Of the headers and rows; `readWorkbook` computes it from the file. */
  readonly digest: string;
}

interface SheetOptions {
  readonly name: string;
  readonly verbatim: boolean;
  /** Properties of the document, such as the snapshot. */
  readonly properties?: Readonly<Record<string, string>>;
  /** Counts the header; only tests set it. */
  readonly sheetRows?: number;
  readonly signal?: AbortSignal | undefined;
}

/** Writes a workbook. */
export async function writeSheets(result: ResultRows, path: string, options: SheetOptions): Promise<WrittenSheets> {
  const { columns, batches } = result;
  const { verbatim, sheetRows = SHEET_ROWS, signal } = options;
  if (columns.length > SHEET_COLUMNS)
    throw new ConfigError(`The result has ${columns.length} columns, but a sheet can have at most ${SHEET_COLUMNS}.`, {
      hint: 'Select fewer columns with --query, or export to Parquet.',
    });
  const tally = { rows: 0, sheets: 0, cut: 0, neutralised: 0 };
  const hash = createHash('sha1');
  const text = (value: string): string => {
    const safe = verbatim ? value : neutralised(value);
    if (safe !== value) tally.neutralised++;
    // A spreadsheet, like XML, has no place for half a surrogate pair.
    if (safe.length <= CELL_LENGTH) return safe.replaceAll(/\p{Surrogate}/gu, '\uFFFD');
    tally.cut++;
    return safe
      .slice(0, CELL_LENGTH)
      .replace(/[\uD800-\uDBFF]$/, '')
      .replaceAll(/\p{Surrogate}/gu, '\uFFFD');
  };
  const header = columns.map(({ name }) => text(name));
  const converters = columns.map((column) => converterOf(column, text));
  const name = sheetName(options.name);
  const sheets: Sheet[] = [];

  async function* parts(): AsyncGenerator<Part> {
    const source = batches()[Symbol.asyncIterator]();
    const next = async (): Promise<Cell[][] | undefined> => {
      const { done, value } = await source.next();
      return done === true
        ? undefined
        : value.map((row) => row.map((cell, index) => converters[index]?.(cell) ?? null));
    };
    let batch = await next();
    const second = batch && (await next());
    const shape = shapeOf(columns, header, batch ?? [], second === undefined);
    const waiting = second === undefined ? [] : [second];
    const advance = async (): Promise<void> => {
      batch = waiting.shift() ?? (await next());
    };
    do {
      sheets.push({ name: sheets.length === 0 ? name : numbered(name, sheets.length + 1), rows: 1 });
      yield { name: `xl/worksheets/sheet${sheets.length}.xml`, data: sheetXml() };
    } while (batch !== undefined);
    yield* workbookParts(sheets, header.length, options.properties ?? {});

    async function* sheetXml(): AsyncGenerator<string> {
      hash.update(`${JSON.stringify(header)}\n`);
      yield `${shape.head}<row r="1">${header.map((title, column) => cellXml(0, column, title, FORMATS.header)).join('')}</row>`;
      let row = 1;
      while (batch !== undefined && row < sheetRows) {
        const taken = batch.slice(0, sheetRows - row);
        const first = row;
        if (taken.length > 0) yield taken.map((cells, nth) => rowXml(first + nth, cells, shape.formats, hash)).join('');
        row += taken.length;
        tally.rows += taken.length;
        if (taken.length < batch.length) batch = batch.slice(taken.length);
        else await advance();
      }
      const sheet = sheets.at(-1);
      if (sheet) sheet.rows = row;
      const area = `A1:${columnName(header.length - 1)}${row}`;
      yield `</sheetData><autoFilter ref="${attributeText(area)}"/></worksheet>`;
    }
  }

  await writeArchive(path, parts(), signal);
  return { ...tally, sheets: sheets.length, digest: hash.digest('hex') };
}

interface Sheet {
  readonly name: string;
  /** With the header. */
  rows: number;
}

function rowXml(row: number, cells: readonly Cell[], formats: readonly number[], hash: Hash): string {
  hash.update(`${JSON.stringify(cells)}\n`);
  return `<row r="${row + 1}">${cells.map((cell, column) => cellXml(row, column, cell, formats[column] ?? 0)).join('')}</row>`;
}

/** The start of each sheet, and the format of each column, from the first rows; `isAll`: there are no others. */
function shapeOf(
  columns: readonly ResultColumn[],
  header: readonly string[],
  rows: readonly (readonly Cell[])[],
  isAll: boolean,
): { readonly head: string; readonly formats: readonly number[] } {
  const names = columns.map((column, index) => formatOf(column, rows, index, isAll));
  const widths = columns.map((_, index) => {
    const lengths = rows.map((row) => lengthOf(row[index] ?? null, names[index] ?? 'general'));
    // The button of the filter covers the end of the title.
    const widest = lengths.reduce((most, length) => Math.max(most, length), (header[index]?.length ?? 0) + 2);
    return Math.min(WIDTH.most, Math.max(WIDTH.least, widest + 1));
  });
  const cols = widths.map(
    (width, index) => `<col min="${index + 1}" max="${index + 1}" width="${width}" customWidth="1"/>`,
  );
  const head =
    '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main">' +
    '<sheetViews><sheetView workbookViewId="0"><pane ySplit="1" topLeftCell="A2" activePane="bottomLeft" state="frozen"/></sheetView></sheetViews>' +
    `<sheetFormatPr defaultRowHeight="15"/><cols>${cols.join('')}</cols><sheetData>`;
  return { head, formats: names.map((name) => FORMATS[name]) };
}

function formatOf(
  { type, numeric }: ResultColumn,
  rows: readonly (readonly Cell[])[],
  index: number,
  isAll: boolean,
): FormatName {
  if (type === 'DATE') return 'date';
  if (!type.startsWith('TIMESTAMP')) return numeric || type === 'BOOLEAN' ? 'general' : 'text';
  const times = rows.map((row) => row[index]).filter((cell) => typeof cell === 'number');
  // Every time is a midnight, as in a report by day: the hours would only be noise.
  if (isAll && times.length > 0 && times.every((time) => Number.isInteger(time))) return 'date';
  return times.some((time) => Math.round(time * 86_400_000) % 1000 !== 0) ? 'milliseconds' : 'seconds';
}

function lengthOf(cell: Cell, format: FormatName): number {
  if (cell === null) return 0;
  if (typeof cell === 'number' && format !== 'general' && format !== 'text')
    return { date: 10, seconds: 19, milliseconds: 23, header: 0 }[format];
  return Math.max(
    ...String(cell)
      .split('\n', 20)
      .map((line) => line.length),
  );
}

/** A name that Excel accepts: at most 31 characters, none of `[]:*?/\`. */
function sheetName(name: string): string {
  return (
    name
      .replaceAll(/[[\]:*?/\\'\p{Cc}\p{Surrogate}]/gu, ' ')
      .trim()
      .slice(0, 31) || 'rows'
  );
}

function numbered(name: string, number: number): string {
  return `${name.slice(0, 31 - String(number).length - 1)}_${number}`;
}
