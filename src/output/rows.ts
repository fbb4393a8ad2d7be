/** Query results as a table, CSV or JSON. CSV and JSON are written batch by batch: a result of any size passes through. */
import type { Json } from '@duckdb/node-api';
import type { ResultColumn, ResultRows } from '../reader.ts';
import { renderTable } from './table.ts';

export const FORMATS = ['table', 'csv', 'json'] as const;
export type Format = (typeof FORMATS)[number];

/** More lines than this help nobody on a screen. */
const TABLE_ROWS = 200;

export interface Printing {
  readonly colour: boolean;
  readonly print: (text: string) => Promise<void>;
}

/** Prints a result and returns how many rows it had. */
export async function printRows(result: ResultRows, format: Format, printing: Printing): Promise<number> {
  if (format === 'table') return printTable(result, printing);
  return format === 'csv' ? printCsv(result, printing) : printJson(result, printing);
}

async function printTable({ columns, batches }: ResultRows, { colour, print }: Printing): Promise<number> {
  const shown: string[][] = [];
  let rows = 0;
  for await (const batch of batches()) {
    for (const row of batch) if (shown.length < TABLE_ROWS) shown.push(row.map(plain));
    rows += batch.length;
  }
  await print(
    renderTable(
      columns.map(({ name, numeric }) => ({ title: name, align: numeric ? 'right' : 'left' })),
      shown,
      colour,
    ),
  );
  const hidden = rows - shown.length;
  if (hidden > 0) await print(`… ${hidden} more rows; --format csv or json gives all\n`);
  return rows;
}

async function printCsv({ columns, batches }: ResultRows, { print }: Printing): Promise<number> {
  await print(`${columns.map(({ name }) => quoted(name)).join(',')}\n`);
  let rows = 0;
  for await (const batch of batches()) {
    await print(
      batch.map((row) => `${row.map((cell) => (cell === null ? '' : quoted(plain(cell)))).join(',')}\n`).join(''),
    );
    rows += batch.length;
  }
  return rows;
}

async function printJson({ columns, batches }: ResultRows, { print }: Printing): Promise<number> {
  const names = columns.map(({ name }) => JSON.stringify(name));
  let rows = 0;
  await print('[');
  for await (const batch of batches()) {
    const objects = batch.map(
      (row) => `{${row.map((cell, index) => `${names[index] ?? '""'}:${jsonCell(cell, columns[index])}`).join(',')}}`,
    );
    if (objects.length > 0) await print(`${rows === 0 ? '' : ','}\n${objects.join(',\n')}`);
    rows += batch.length;
  }
  await print('\n]\n');
  return rows;
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

/** RFC 4180; an empty text is written as "" so that it differs from null. */
function quoted(text: string): string {
  return text === '' || /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
