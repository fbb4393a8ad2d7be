/** Writes one generation of a period: an immutable Parquet file, complete before its name exists. */
import { createHash } from 'node:crypto';
import { dirname, join } from 'node:path';
import { InsightsError } from '../errors.ts';
import { TEMPORARY, commitFile, syncPath } from '../files.ts';
import type { Files } from '../files.ts';
import type { Window } from '../instant.ts';
import type { Batch } from '../page.ts';
import { lakeName } from '../transform/lake.ts';
import { promotedSql } from '../transform/promote.ts';
import { copyArranged } from './arrange.ts';
import type { Sources } from './arrange.ts';
import { hourInside, loadedSql } from './compare.ts';
import type { Unit } from './compare.ts';
import { count } from './engine.ts';
import { heldRows, metadataSql, todaysForm } from './form.ts';
import type { Form } from './form.ts';
import type { Ledger } from './ledger.ts';
import { generationFile } from './layout.ts';
import type { Period } from './layout.ts';
import { columnListSql, HOUR_NUMBER, insideSql, parquetSql } from './sql.ts';

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

/** Old rows outside the unit's windows ∪ staged rows, ordered by (type, timestamp). */
export async function copyGeneration(
  ledger: Ledger,
  batch: Batch,
  unit: Unit,
  expectedRows: number,
  keepMissing: readonly Window[],
): Promise<Copied> {
  const table = ledger.settings.tables[batch.table];
  const id = lakeName(table, table.id);
  // Tuples and no correlated `exists`: the engine would hold every old row until the join is done.
  const identity = `(old."${id}", ${hourOf('old')})`;
  const spared = `(${insideSql(keepMissing)} and ${identity} not in (
    select "${id}", ${HOUR_NUMBER} from staged where ${loadedSql(unit)}))`;
  const isKept =
    keepMissing.length > 0 ? `(not ${insideSql(unit.windows)} or ${spared})` : `not ${insideSql(unit.windows)}`;
  const old =
    unit.oldFile === undefined || (unit.whole && keepMissing.length === 0)
      ? undefined
      : heldRows(
          table,
          `from ${parquetSql([unit.oldFile])} as old where ${isKept}
         and ${identity} not in (select id, hour from displaced where ${hourInside(unit)})`,
          [unit.oldForm],
        );
  const fresh = `from (${promotedSql(table, `from staged where ${loadedSql(unit)}`)})`;
  const generation = await copyRows(ledger, batch, unit.period, unit.nextGeneration, {
    sources: old === undefined ? [fresh] : [old, fresh],
    inOrder: true,
    rows: expectedRows,
  });
  if (generation.rows !== expectedRows) {
    // The comparison and the copy read the same rows: a difference is a defect, and the file is an orphan.
    throw new InsightsError('unexpected', `${generation.file} holds ${generation.rows} rows, expected ${expectedRows}`);
  }
  return generation;
}

/** Rows of a table's lake columns → a file of its own, complete, not yet named. */
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
    rows: count(stats, 'count'),
    bytes: count(stats, 'file_size_bytes'),
    form,
  };
}

/** Flushes a copy and gives it its name; the ledger does not know it yet. */
export async function commitGeneration(ledger: Ledger, { temporary, ...generation }: Copied): Promise<Generation> {
  const path = join(ledger.dataDir, generation.file);
  await commitFile(temporary, path, ledger.files);
  return { ...generation, sha256: await sha256Of(path, ledger.files) };
}

/** Makes a folder and flushes the names of all that had to be made. */
async function makeFolder(files: Files, folder: string): Promise<void> {
  const first = await files.mkdir(folder, { recursive: true });
  if (first === undefined) return;
  for (let made = folder; made.length >= first.length; made = dirname(made)) await syncPath(dirname(made), files);
}

/** Hex digest of a file's bytes. */
export async function sha256Of(path: string, files: Files): Promise<string> {
  const hash = createHash('sha256');
  const file = await files.open(path, 'r');
  try {
    // One buffer, used again: a stream's chunks would be garbage as large as the file.
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

function hourOf(alias: string): string {
  return HOUR_NUMBER.replace('"timestamp"', `${alias}."timestamp"`);
}
