/**
 * Query results as a table, Markdown, CSV or JSON. All but the table are written batch by batch: a result of any size
 * passes through.
 */
import type { Json } from '@duckdb/node-api';
import type { ResultColumn, ResultRows } from '../query/reader.ts';
import { neutralised } from '../query/export/spreadsheet-text.ts';
import { plural } from './format.ts';
import { renderTable } from './table.ts';

export const FORMATS = ['table', 'csv', 'json', 'ndjson', 'md'] as const;
export type Format = (typeof FORMATS)[number];

/** A longer cell makes every line of a table as wide as itself. */
const CELL_CHARACTERS = 300;

/** More lines than this help nobody on a screen. */
const TABLE_ROWS = 200;

export interface Printing {
  readonly colour: boolean;
  readonly print: (text: string) => Promise<void>;
}

/** Prints a result and returns how many rows it had. */
export async function printRows(result: ResultRows, format: Format, printing: Printing): Promise<number> {
  return PRINTERS[format](result, printing);
}

type Printer = (result: ResultRows, printing: Printing) => Promise<number>;

const PRINTERS: Readonly<Record<Format, Printer>> = {
  table: printTable,
  csv: ({ columns, batches }, { print }) =>
    printLines(batches, print, {
      head: `${columns.map(({ name }) => quoted(neutralised(name))).join(',')}\n`,
      line: (row) => `${row.map((cell, index) => csvCell(cell, columns[index])).join(',')}\n`,
    }),
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
    const rows = await printLines(batches, print, {
      head: '[',
      line: (row) => {
        const separator = first ? '\n' : ',\n';
        first = false;
        return separator + jsonObject(row, names, columns);
      },
    });
    await print('\n]\n');
    return rows;
  },
};

async function printLines(
  batches: ResultRows['batches'],
  print: Printing['print'],
  { head, line }: { head: string; line: (row: readonly Json[]) => string },
): Promise<number> {
  let rows = 0;
  if (head !== '') await print(head);
  for await (const batch of batches()) {
    if (batch.length > 0) await print(batch.map(line).join(''));
    rows += batch.length;
  }
  return rows;
}

async function printTable({ columns, batches }: ResultRows, { colour, print }: Printing): Promise<number> {
  const shown: string[][] = [];
  let [rows, cut] = [0, 0];
  for await (const batch of batches()) {
    for (const row of batch)
      if (shown.length < TABLE_ROWS)
        shown.push(
          row.map((cell) => {
            const text = plain(cell);
            if (text.length <= CELL_CHARACTERS) return text;
            cut += 1;
            // Not through the middle of a character of two halves.
            return `${text.slice(0, CELL_CHARACTERS).replace(/[\ud800-\udbff]$/, '')}…`;
          }),
        );
    rows += batch.length;
  }
  await print(
    renderTable(
      columns.map(({ name, numeric }) => ({ title: name, align: numeric ? 'right' : 'left' })),
      shown,
      colour,
    ),
  );
  if (cut > 0)
    await print(`… ${plural(cut, 'cell')} cut at ${CELL_CHARACTERS} characters; --format csv or json gives all\n`);
  const hidden = rows - shown.length;
  if (hidden > 0) await print(`… ${hidden} more rows; --format csv or json gives all\n`);
  return rows;
}

function jsonObject(row: readonly Json[], names: readonly string[], columns: readonly ResultColumn[]): string {
  return `{${row.map((cell, index) => `${names[index] ?? '""'}:${jsonCell(cell, columns[index])}`).join(',')}}`;
}

/** Exact digits and JSON documents go out as they are; everything else is encoded. */
function jsonCell(cell: Json, column: ResultColumn | undefined): string {
  return typeof cell === 'string' && column?.raw === true ? cell : JSON.stringify(cell);
}

/** An empty text is not null: both CSV and table show null as nothing. */
function plain(cell: Json): string {
  if (cell === null) return '';
  return typeof cell === 'string' ? cell : JSON.stringify(cell);
}

function csvCell(cell: Json, column: ResultColumn | undefined): string {
  if (cell === null) return '';
  const isText = typeof cell === 'string' && column?.numeric !== true;
  return quoted(isText ? neutralised(cell) : plain(cell));
}

/** RFC 4180; an empty text is written as "" so that it differs from null. */
function quoted(text: string): string {
  return text === '' || /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

function markdown(text: string): string {
  return text
    .replaceAll('\\', '\\\\')
    .replaceAll('|', String.raw`\|`)
    .replaceAll('<', '&lt;')
    .replaceAll(/\r\n|\r|\n/g, '<br>');
}
