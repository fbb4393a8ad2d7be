/**
 * The ledger's schema, as numbered SQL files in `queries/ledger/` that are never edited once released. A file's row in
 * `migrations` is written in the same transaction as its statements. A ledger with a higher number than the last file
 * belongs to a newer program.
 */
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { QUERIES_FOLDER } from '../../kernel/queries-folder.ts';

export interface Migration {
  /** Counted from 1, without gaps. */
  readonly version: number;
  readonly sql: () => Promise<string>;
}

/** All migrations, in the order in which they are applied. */
export async function readMigrations(folder = join(QUERIES_FOLDER, 'ledger')): Promise<readonly Migration[]> {
  const files = (await readdir(folder)).filter((file) => file.endsWith('.sql')).sort();
  return files.map((file, index) => {
    const version = Number(file.slice(0, 3));
    if (version !== index + 1) throw new RangeError(`${file} is not migration ${index + 1} of the ledger.`);
    return { version, sql: () => readFile(join(folder, file), 'utf8') };
  });
}
