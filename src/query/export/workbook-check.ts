/**
 * Reads a finished workbook back with a zip reader and a strict XML parser, which share nothing with the code that wrote it: the
 * same rows must come out, and every part must be well-formed. A workbook that fails here would not open in Excel.
 */
import { createHash } from 'node:crypto';
import type { Readable } from 'node:stream';
import { SaxesParser } from 'saxes';
import { openPromise } from 'yauzl';
import { DamagedError } from '../../kernel/errors.ts';
import type { Cell } from './cell.ts';

export interface ReadWorkbook {
  /** Without the headers. */
  readonly rows: number;
  readonly sheets: number;
  readonly digest: string;
}

/** Throws DamagedError for a file that is not a well-formed workbook. */
export async function readWorkbook(path: string, columns: number, signal?: AbortSignal): Promise<ReadWorkbook> {
  const hash = createHash('sha1');
  let [rows, sheets] = [0, 0];
  const zip = await openPromise(path, { lazyEntries: true });
  try {
    for await (const entry of zip.eachEntry()) {
      signal?.throwIfAborted();
      const isSheet = /^xl\/worksheets\/sheet\d+\.xml$/.test(entry.fileName);
      if (isSheet) sheets++;
      const stream = await zip.openReadStreamPromise(entry);
      await parse(stream, columns, (cells) => {
        if (!isSheet) return;
        hash.update(`${JSON.stringify(cells)}\n`);
        rows++;
      });
    }
  } catch (error) {
    if (signal?.aborted === true) throw error;
    throw new DamagedError('The workbook cannot be read back; it was not kept.', {
      hint: 'Export the same rows as CSV or Parquet, and report this with the output of --verbose.',
      cause: error,
    });
  } finally {
    zip.close();
  }
  return { rows: rows - sheets, sheets, digest: hash.digest('hex') };
}

async function parse(stream: Readable, columns: number, onRow: (cells: Cell[]) => void): Promise<void> {
  const parser = new SaxesParser({ position: false, xmlns: false });
  let cells: Cell[] = [];
  let [at, kind, text, isText] = [0, '', '', false];
  parser.on('opentag', ({ name, attributes }) => {
    if (name === 'row') cells = Array.from({ length: columns }, () => null);
    else if (name === 'c') [at, kind, text] = [columnOf(attributes['r'] ?? ''), attributes['t'] ?? 'n', ''];
    isText = name === 'v' || name === 't';
  });
  parser.on('text', (part) => {
    if (isText) text += part;
  });
  parser.on('closetag', ({ name }) => {
    isText = false;
    if (name === 'c') cells[at] = kind === 'n' ? Number(text) : kind === 'b' ? text === '1' : unescaped(text);
    else if (name === 'row') onRow(cells);
  });
  parser.on('error', (error) => {
    throw error;
  });
  for await (const chunk of stream.setEncoding('utf8')) parser.write(String(chunk));
  parser.close();
}

function columnOf(reference: string): number {
  let column = 0;
  for (const letter of reference.replace(/\d+$/, '')) column = column * 26 + letter.charCodeAt(0) - 64;
  return column - 1;
}

function unescaped(text: string): string {
  return text.replaceAll(/_x([0-9A-Fa-f]{4})_/g, (_, code: string) => String.fromCharCode(Number.parseInt(code, 16)));
}
