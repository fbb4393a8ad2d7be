/** Reads and writes `batch.json`. Instants are in ISO form, so that people can read it. */
import { formatInstant, parseInstant } from '../../kernel/instant.ts';
import type { Window } from '../../kernel/instant.ts';
import type { Batch, Page, RowSlice } from '../../model/page.ts';
import { findTable } from '../../model/tables.ts';
import { isJsonObject, parseJson } from '../../kernel/json.ts';
import { writtenBy } from '../../kernel/version.ts';

const FORMAT = 1;

type WindowText = readonly [from: string, to: string];
type PageText = Omit<Page, 'windows' | 'rows'> & { readonly windows: readonly WindowText[]; readonly rows?: number };

export function writeBatch(batch: Batch): string {
  const { windows, pages, ...rest } = batch;
  const text = {
    format: FORMAT,
    ...writtenBy(),
    ...rest,
    windows: windows.map(windowText),
    pages: pages.map(pageText),
  };
  return `${JSON.stringify(text, null, 1)}\n`;
}

/** `undefined` when the text is not a batch of this format. */
export function readBatch(text: string): Batch | undefined {
  const value = parseJson(text);
  if (!isJsonObject(value) || value['format'] !== FORMAT) return undefined;
  const { id, tenant } = value;
  const table = findTable(value['table']);
  const windows = readWindows(value['windows']);
  const pages = Array.isArray(value['pages']) ? value['pages'].map(readPage) : [undefined];
  if (typeof id !== 'string' || typeof tenant !== 'string' || !table || !windows) return undefined;
  if (!pages.every((page) => page !== undefined)) return undefined;
  return { id, tenant, table, windows, pages, ...(value['isRemainder'] === true ? { isRemainder: true } : {}) };
}

/** A page as it is written in batch.json and in the header of its file. */
export function pageText(page: Page): PageText {
  const { windows, rows, ...rest } = page;
  return { ...rest, windows: windows.map(windowText), ...(rows === undefined ? {} : { rows }) };
}

function readPage(value: unknown): Page | undefined {
  if (!isJsonObject(value)) return undefined;
  const { id, rows, bytes, hash, slice, counted, isUnhashed, atRetentionEdge } = value;
  const windows = readWindows(value['windows']);
  if (typeof id !== 'string' || typeof bytes !== 'number' || !windows) return undefined;
  const range = isJsonObject(hash) ? { from: Number(hash['from']), to: Number(hash['to']) } : undefined;
  return {
    id,
    windows,
    rows: typeof rows === 'number' ? rows : undefined,
    bytes,
    ...(range ? { hash: range } : {}),
    ...(isJsonObject(slice) ? { slice: readSlice(slice) } : {}),
    ...(isJsonObject(counted) ? { counted: { id: String(counted['id']), rows: Number(counted['rows']) } } : {}),
    ...(isUnhashed === true ? { isUnhashed } : {}),
    ...(atRetentionEdge === true ? { atRetentionEdge } : {}),
  };
}

function readSlice({ from, to }: Readonly<Record<string, unknown>>): RowSlice {
  return { from: Number(from), ...(to === undefined ? {} : { to: Number(to) }) };
}

function windowText({ from, to }: Window): WindowText {
  return [formatInstant(from), formatInstant(to)];
}

function readWindows(value: unknown): Window[] | undefined {
  if (!Array.isArray(value)) return undefined;
  const windows = value.map((pair: unknown) => {
    const [from, to]: readonly unknown[] = Array.isArray(pair) ? pair : [];
    const window = { from: parseInstant(String(from)), to: parseInstant(String(to)) };
    return window.from === undefined || window.to === undefined ? undefined : { from: window.from, to: window.to };
  });
  return windows.every((window) => window !== undefined) ? windows : undefined;
}
