/** What columns mean, from `queries/columns.yaml`: the comments of the catalogue. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parse } from 'yaml';
import { z } from 'zod';
import { QUERIES_FOLDER } from '../kernel/queries-folder.ts';

export interface ColumnWords {
  /** The meaning of a column of a table, view or mart; undefined for those that it does not describe. */
  readonly of: (holder: string, column: string) => string | undefined;
  /** Changes with any of the words. */
  readonly text: string;
}

/** Meanings by table and column. */
const WORDS = z.record(z.string(), z.record(z.string(), z.string()));

let known: Promise<ColumnWords> | undefined;

/** Read once: parsing takes as long as writing many a small file. */
export function columnWords(): Promise<ColumnWords> {
  return (known ??= readWords());
}

/** A column without words of its own has those under `any`. A mart by dimension and grain has the words of its report. */
async function readWords(): Promise<ColumnWords> {
  const text = await readFile(join(QUERIES_FOLDER, 'columns.yaml'), 'utf8');
  const words = WORDS.parse(parse(text));
  return {
    of: (holder, column) =>
      words[holder]?.[column] ?? words[holder.replace(/^(mart_\w+)_by$/, '$1')]?.[column] ?? words['any']?.[column],
    text,
  };
}
