/** Writes one generation of a period: an immutable Parquet file, complete before its name exists. */
import type { Sources } from './arrange.ts';
import { dirname, join } from 'node:path';
import { TEMPORARY, commitFile, makeFolder, sha256Of } from '../../kernel/files.ts';
import type { Batch } from '../../model/page.ts';
import { lakeName } from '../../transform/lake.ts';
import { copyArranged, copyByDay } from './arrange.ts';
import { metadataSql, todaysForm } from './form.ts';
import { writtenColumnsSql } from './json-columns.ts';
import { provenancePairs } from '../../model/provenance.ts';
import type { Form } from './form.ts';
import type { Lane } from '../ledger/engine.ts';
import type { Ledger } from '../ledger/ledger.ts';
import { DAY } from '../../kernel/instant.ts';
import { WORK_FOLDER } from '../../model/data-dir.ts';
import { generationFile } from '../../model/partition-path.ts';
import type { Period } from '../../model/period.ts';

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

type Key = Pick<Batch, 'tenant' | 'table'>;

/** Copies rows into a new file under its temporary name. `lane`: for a copy that is one of several at the same time. */
export async function copyRows(
  ledger: Ledger,
  key: Key,
  period: Period,
  generation: number,
  sources: Pick<Sources, 'sources' | 'inOrder' | 'rows'>,
  lane?: Lane,
): Promise<Copied> {
  const next = await nextGeneration(ledger, key, period, generation);
  const temporary = `${join(ledger.dataDir, next.file)}${TEMPORARY}`;
  const arranged = { ...(await arrangement(ledger, key)), ...sources };
  const stats = await copyArranged(lane ?? ledger, arranged, temporary, ledger.runtime.log);
  // The copies of a merge do so together.
  if (lane === undefined) await ledger.release();
  return { ...next, temporary, ...stats };
}

/** Where `copyDays` writes; `commitGeneration` moves the files away. */
const DAYS_FOLDER = join(WORK_FOLDER, 'days');

interface Days {
  /** Each is one day, or the first of a period that gets one file. */
  readonly days: readonly { readonly period: Period; readonly generation: number }[];
  /** The rows, with the number of the day since 1970 as DAY_COLUMN. */
  readonly source: string;
  readonly inOrder: boolean;
}

/** Copies rows into a new file for each of the days. */
export async function copyDays(
  ledger: Ledger,
  key: Key,
  { days, source, inOrder }: Days,
  lane: Lane,
): Promise<Copied[]> {
  // Named for its first period, which no other copy has.
  const folder = join(ledger.dataDir, DAYS_FOLDER, days[0]?.period.name ?? '');
  await ledger.files.rm(folder, { recursive: true, force: true });
  await ledger.files.mkdir(dirname(folder), { recursive: true });
  const copied = await copyByDay(lane, { ...(await arrangement(ledger, key)), source, inOrder }, folder);
  const copies: Copied[] = [];
  for (const { period, generation } of days) {
    const { path: temporary, rows, bytes } = copied.get(String(period.from / DAY)) ?? { path: '', rows: 0, bytes: 0 };
    copies.push({ ...(await nextGeneration(ledger, key, period, generation)), temporary, rows, bytes });
  }
  return copies;
}

/** Removes the empty folders that `copyDays` leaves when its files have been moved away. */
export async function clearDays({ dataDir, files }: Ledger): Promise<void> {
  await files.rm(join(dataDir, DAYS_FOLDER), { recursive: true, force: true });
}

async function nextGeneration(
  ledger: Ledger,
  { tenant, table }: Key,
  period: Period,
  generation: number,
): Promise<Pick<Copied, 'period' | 'generation' | 'file' | 'form'>> {
  const file = generationFile(table, tenant, period.name, generation);
  await makeFolder(dirname(join(ledger.dataDir, file)), ledger.files);
  return { period, generation, file, form: todaysForm(ledger.settings.tables[table]) };
}

/** How the files of a table are written. */
async function arrangement(
  ledger: Ledger,
  { tenant, table }: Key,
): Promise<Pick<Sources, 'columns' | 'type' | 'metadata'>> {
  const definition = ledger.settings.tables[table];
  // No version of the program: the same rows give the same bytes, also after an upgrade.
  const origin = provenancePairs({ table: definition.lakeName, tenant });
  return {
    columns: await writtenColumnsSql(ledger, table),
    type: `"${lakeName(definition, definition.typeColumn)}"`,
    metadata: [metadataSql(todaysForm(definition)), origin].filter((pairs) => pairs !== '').join(', '),
  };
}

/** Flushes a copy and gives it its final name. The ledger does not know it yet. */
export async function commitGeneration(ledger: Ledger, { temporary, ...generation }: Copied): Promise<Generation> {
  const path = join(ledger.dataDir, generation.file);
  await commitFile(temporary, path, ledger.files);
  return { ...generation, sha256: await sha256Of(path, ledger.files) };
}
