/**
 * Query results as a table, Markdown, CSV or JSON. All formats except the table are written batch by batch, so that a
 * result of any size passes through.
 */
import type { Json } from '@duckdb/node-api';
import type { ResultColumn, ResultRows } from '../query/reader.ts';
import { PLAIN_CSV, csvWriter } from '../query/export/csv.ts';
import type { CsvStyle } from '../query/export/csv.ts';
import { renderBox, type BoxRow } from './box.ts';
import { plural } from '../kernel/plural.ts';
import { wrapped } from './fold.ts';
import { renderTable } from './table.ts';
import type { Style } from './terminal.ts';
import { width } from './width.ts';

export const FORMATS = ['table', 'csv', 'json', 'ndjson', 'md'] as const;
export type Format = (typeof FORMATS)[number];

/** Longer cells of a table are cut: one long cell would widen every line. */
const CELL_CHARACTERS = 300;

/** Columns that a narrow terminal leaves out, the highest first. `coverage` sums up those of every report, `survival_d…` the counts. */
const RANKS: Readonly<Record<string, number>> = {
  loaded_at: 5,
  partial_share: 4,
  open_share: 3,
  is_cut: 2,
  verified_share: 1,
  ...Object.fromEntries([1, 7, 30, 90, 180, 365].map((days) => [`alive_d${days}`, 0])),
};

/** Rows of a table shown at most. */
const TABLE_ROWS = 200;

export interface Printing {
  readonly style: Style;
  readonly print: (text: string) => Promise<void>;
}

export async function printRows(
  result: ResultRows,
  format: Format,
  printing: Printing,
  csv: CsvStyle = PLAIN_CSV,
): Promise<void> {
  await PRINTERS[format](result, printing, csv);
}

type Printer = (result: ResultRows, printing: Printing, csv: CsvStyle) => Promise<void>;

const PRINTERS: Readonly<Record<Format, Printer>> = {
  table: printTable,
  csv: ({ columns, batches }, { print }, csv) => printLines(batches, print, csvWriter(columns, csv)),
  md: ({ columns, batches }, { print }) =>
    printLines(batches, print, {
      head:
        `| ${columns.map(({ name }) => markdown(name)).join(' | ')} |\n` +
        `| ${columns.map(({ numeric }) => (numeric ? '---:' : '---')).join(' | ')} |\n`,
      line: (row) => `| ${row.map((cell) => markdown(plain(cell))).join(' | ')} |\n`,
    }),
  ndjson: ({ columns, batches }, { print }) => {
    const names = columns.map(({ name }) => JSON.stringify(name));
    return printLines(batches, print, { head: '', line: (row) => `${jsonObject(row, names, columns)}\n` });
  },
  json: async ({ columns, batches }, { print }) => {
    const names = columns.map(({ name }) => JSON.stringify(name));
    let first = true;
    await printLines(batches, print, {
      head: '[',
      line: (row) => {
        const separator = first ? '\n' : ',\n';
        first = false;
        return separator + jsonObject(row, names, columns);
      },
    });
    await print('\n]\n');
  },
};

async function printLines(
  batches: ResultRows['batches'],
  print: Printing['print'],
  { head, line }: { head: string; line: (row: readonly Json[]) => string },
): Promise<void> {
  if (head !== '') await print(head);
  for await (const batch of batches()) if (batch.length > 0) await print(batch.map(line).join(''));
}

async function printTable({ columns, batches }: ResultRows, { style, print }: Printing): Promise<void> {
  const shown: (string | null)[][] = [];
  let [rows, cut] = [0, 0];
  for await (const batch of batches()) {
    for (const row of batch)
      if (shown.length < TABLE_ROWS)
        shown.push(
          row.map((cell) => {
            const text = plain(cell);
            if (cell === null || text.length <= CELL_CHARACTERS) return cell === null ? null : text;
            cut += 1;
            // Never between the two halves of a surrogate pair.
            return `${text.slice(0, CELL_CHARACTERS).replace(/[\ud800-\udbff]$/, '')}…`;
          }),
        );
    rows += batch.length;
  }
  const table = withDates(columns, shown);
  await print(style.width === undefined ? plainTable(columns, table, style) : boxed(columns, table, style));
  if (cut > 0)
    await print(
      `… ${plural(cut, 'cell')} cut at ${CELL_CHARACTERS} characters; --format csv or json shows all of it\n`,
    );
  const hidden = rows - shown.length;
  if (hidden > 0) await print(`… ${plural(hidden, 'more row')}; --format csv or json shows all\n`);
}

const MIDNIGHT = / 00:00:00$/;

/** Local times that are all midnights, such as the periods of a report by day or month, are shown as dates. */
function withDates(columns: readonly ResultColumn[], rows: readonly BoxRow[]): readonly BoxRow[] {
  const areDates = columns.map(
    ({ type }, index) =>
      type === 'TIMESTAMP' && rows.every((row) => typeof row[index] !== 'string' || MIDNIGHT.test(row[index])),
  );
  if (!areDates.includes(true)) return rows;
  return rows.map((row) =>
    row.map((cell, index) => (areDates[index] === true ? (cell?.replace(MIDNIGHT, '') ?? null) : cell)),
  );
}

/** In a pipe: no borders, and null is empty. */
function plainTable(columns: readonly ResultColumn[], rows: readonly BoxRow[], style: Style): string {
  const heads = columns.map(({ name, numeric }) => ({
    title: name,
    align: numeric ? ('right' as const) : ('left' as const),
  }));
  return renderTable(
    heads,
    rows.map((row) => row.map((cell) => cell ?? '')),
    style,
  );
}

/** On a terminal. Where the table is too wide, the columns that say how complete a figure is are left out first. */
function boxed(columns: readonly ResultColumn[], rows: readonly BoxRow[], style: Style): string {
  const kept = new Set(columns.keys());
  const widthOf = (index: number): number =>
    Math.max(width(columns[index]?.name ?? ''), ...rows.map((row) => width(row[index] ?? 'NULL'))) + 3;
  const sizes = columns.map((_, index) => widthOf(index));
  const ranked = [...kept]
    .filter((index) => RANKS[columns[index]?.name ?? ''] !== undefined)
    .sort((a, b) => (RANKS[columns[b]?.name ?? ''] ?? 0) - (RANKS[columns[a]?.name ?? ''] ?? 0));
  for (const index of ranked) {
    if ([...kept].reduce((sum, each) => sum + (sizes[each] ?? 0), 1) <= (style.width ?? Infinity)) break;
    kept.delete(index);
  }
  const shown = columns.filter((_, index) => kept.has(index)).map(({ name, numeric }) => ({ title: name, numeric }));
  const hidden = columns.filter((_, index) => !kept.has(index)).map(({ name }) => name);
  const box = renderBox(
    shown,
    rows.map((row) => row.filter((_, index) => kept.has(index))),
    style,
  );
  if (hidden.length === 0) return box;
  return `${box}${wrapped(`not shown: ${hidden.join(', ')}`, style.width ?? Infinity).join('\n')}\n`;
}

function jsonObject(row: readonly Json[], names: readonly string[], columns: readonly ResultColumn[]): string {
  return `{${row.map((cell, index) => `${names[index] ?? '""'}:${jsonCell(cell, columns[index])}`).join(',')}}`;
}

/** Exact numbers and JSON documents are printed as they are; everything else is encoded. */
function jsonCell(cell: Json, column: ResultColumn | undefined): string {
  return typeof cell === 'string' && column?.raw === true ? cell : JSON.stringify(cell);
}

/** Null becomes empty. */
function plain(cell: Json): string {
  if (cell === null) return '';
  return typeof cell === 'string' ? cell : JSON.stringify(cell);
}

function markdown(text: string): string {
  return text
    .replaceAll('\\', '\\\\')
    .replaceAll('|', String.raw`\|`)
    .replaceAll('<', '&lt;')
    .replaceAll(/\r\n|\r|\n/g, '<br>');
}
