/** Writes one generation of a period: an immutable Parquet file, complete before its name exists. */
import type { Sources } from './arrange.ts';
import { createHash } from 'node:crypto';
import { dirname, join } from 'node:path';
import { TEMPORARY, commitFile, syncPath } from '../../kernel/files.ts';
import type { Files } from '../../kernel/files.ts';
import type { Batch } from '../../model/page.ts';
import { lakeName } from '../../transform/lake.ts';
import { copyArranged } from './arrange.ts';
import { metadataSql, todaysForm } from './form.ts';
import type { Form } from './form.ts';
import type { Ledger } from '../ledger/ledger.ts';
import { generationFile } from '../../model/partition-path.ts';
import type { Period } from '../../model/period.ts';
import { columnListSql } from '../ledger/sql.ts';

export interface Generation {
  readonly period: Period;
  readonly generation: number;
  /** Relative to the data directory. */
  readonly file: string;
  readonly rows: number;
  readonly bytes: number;
  readonly sha256: string;
  readonly form: Form;
}

/** A generation under its temporary name. */
export interface Copied extends Omit<Generation, 'sha256'> {
  readonly temporary: string;
}

/** Copies rows into a new file under its temporary name. */
export async function copyRows(
  ledger: Ledger,
  { tenant, table }: Pick<Batch, 'tenant' | 'table'>,
  period: Period,
  generation: number,
  sources: Pick<Sources, 'sources' | 'inOrder' | 'rows'>,
): Promise<Copied> {
  const file = generationFile(table, tenant, period.name, generation);
  const path = join(ledger.dataDir, file);
  await makeFolder(ledger.files, dirname(path));
  const temporary = `${path}${TEMPORARY}`;
  const definition = ledger.settings.tables[table];
  const type = `"${lakeName(definition, definition.typeColumn)}"`;
  const form = todaysForm(definition);
  const metadata = metadataSql(form);
  const columns = columnListSql(definition);
  const stats = await copyArranged(ledger, { columns, type, metadata, ...sources }, temporary);
  return {
    period,
    generation,
    file,
    temporary,
    ...stats,
    form,
  };
}

/** Flushes a copy and gives it its final name. The ledger does not know it yet. */
export async function commitGeneration(ledger: Ledger, { temporary, ...generation }: Copied): Promise<Generation> {
  const path = join(ledger.dataDir, generation.file);
  await commitFile(temporary, path, ledger.files);
  return { ...generation, sha256: await sha256Of(path, ledger.files) };
}

/** Creates a folder and flushes the names of all folders that were created. */
async function makeFolder(files: Files, folder: string): Promise<void> {
  const topmost = await files.mkdir(folder, { recursive: true });
  if (topmost === undefined) return;
  for (let created = folder; created.length >= topmost.length; created = dirname(created))
    await syncPath(dirname(created), files);
}

/** Hex digest of a file's bytes. */
export async function sha256Of(path: string, files: Files): Promise<string> {
  const hash = createHash('sha256');
  const file = await files.open(path, 'r');
  try {
    // One reused buffer: the chunks of a stream would be as much garbage as the file is large.
    const buffer = Buffer.allocUnsafe(1 << 20);
    for (;;) {
      const { bytesRead } = await file.read(buffer, 0, buffer.length);
      if (bytesRead === 0) break;
      hash.update(buffer.subarray(0, bytesRead));
    }
  } finally {
    await file.close();
  }
  return hash.digest('hex');
}
