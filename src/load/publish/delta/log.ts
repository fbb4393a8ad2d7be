/** The files of a Delta log: which there are, reading and writing them. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { DamagedError, errorCode } from '../../../kernel/errors.ts';
import { commitFile, isMissing, makeFolder, syncPath, writeDurably } from '../../../kernel/files.ts';
import { sqlText } from '../../../kernel/sql.ts';
import { DELTA_FOLDER, DELTA_POINTER, deltaNames, unfinishedPath } from '../../../model/data-dir.ts';
import { asText } from '../../ledger/cells.ts';
import type { Ledger } from '../../ledger/ledger.ts';
import { activePaths, parseEntry } from './commit.ts';
import type { Entry } from './commit.ts';

export interface Listing {
  /** The folder of the log, absolute. */
  readonly folder: string;
  /** Versions in ascending order. */
  readonly commits: readonly number[];
  readonly checkpoints: readonly number[];
}

export async function listLog({ dataDir, files }: Ledger, tableFolder: string): Promise<Listing> {
  const folder = join(dataDir, tableFolder, DELTA_FOLDER);
  const names = existsSync(folder) ? await files.readdir(folder) : [];
  const versions = (pattern: RegExp): number[] =>
    names.flatMap((name) => pattern.exec(name)?.slice(1).map(Number) ?? []).toSorted((a, b) => a - b);
  return {
    folder,
    commits: versions(/^(\d{20})\.json$/),
    checkpoints: versions(/^(\d{20})\.checkpoint\.parquet$/),
  };
}

/** The version of the newest checkpoint that entries follow or belong to; -1 if there is none. */
function baseOf({ commits, checkpoints }: Listing): number {
  return checkpoints.findLast((version) => version <= (commits.at(-1) ?? -1)) ?? -1;
}

/** False if an entry is missing that readers need. */
export function isContiguous(listing: Listing): boolean {
  const tail = listing.commits.filter((version) => version > baseOf(listing));
  return tail.every((version, nth) => version === baseOf(listing) + 1 + nth);
}

export async function readEntry({ files }: Ledger, { folder }: Listing, version: number): Promise<Entry | undefined> {
  return parseEntry(version, await files.readFile(join(folder, deltaNames(version).commit), 'utf8'));
}

/** The paths that the log says the table has. Undefined: the log is damaged. */
export async function readPaths(ledger: Ledger, listing: Listing): Promise<Set<string> | undefined> {
  if (!isContiguous(listing)) return undefined;
  const base = baseOf(listing);
  const entries: Entry[] = [];
  for (const version of listing.commits.filter((each) => each > base)) {
    const entry = await readEntry(ledger, listing, version);
    if (entry === undefined) return undefined;
    entries.push(entry);
  }
  if (base < 0) return activePaths([], entries);
  const checkpoint = sqlText(join(listing.folder, deltaNames(base).checkpoint));
  try {
    const held = await ledger.rows(`select add.path as path from read_parquet(${checkpoint}) where add is not null`, {
      path: asText,
    });
    return activePaths(held.map(({ path }) => path), entries); // oxfmt-ignore
  } catch (error) {
    if (errorCode(error) === undefined) return undefined;
    throw error;
  }
}

/** Gives an entry its version, which no other entry may have. */
export async function putEntry(ledger: Ledger, { folder }: Listing, version: number, text: string): Promise<void> {
  const { files, dataDir } = ledger;
  const path = join(folder, deltaNames(version).commit);
  if (version === 0) await makeFolder(folder, files);
  // Tables are committed side by side, and their versions are often the same.
  const temporary = unfinishedPath(dataDir, path.slice(dataDir.length + 1).replaceAll(/[\\/]/g, '-'));
  await files.writeFile(temporary, text, { flush: true });
  try {
    await files.link(temporary, path);
  } catch (error) {
    // Only this process holds the lock of the data directory. Another program that writes is found here, or by the next publish.
    if (errorCode(error) === 'EEXIST' || existsSync(path)) throw foreignLog(path);
    await files.rename(temporary, path);
  }
  await syncPath(folder, files);
  await files.rm(temporary, { force: true });
}

/** Writes the checkpoint of a version. `rows`: a select of its rows. */
export async function putCheckpoint(ledger: Ledger, { folder }: Listing, version: number, rows: string): Promise<void> {
  const { files, dataDir } = ledger;
  const path = join(folder, deltaNames(version).checkpoint);
  const temporary = unfinishedPath(dataDir, path);
  await files.rm(temporary, { force: true });
  const { size } = await ledger.row(`copy (${rows}) to ${sqlText(temporary)} (format parquet, compression snappy, return_stats)`, {
    count: (value) => Number(value),
  }).then(({ count }) => ({ size: count })); // oxfmt-ignore
  await commitFile(temporary, path, files);
  const pointer = join(folder, DELTA_POINTER);
  await writeDurably(pointer, JSON.stringify({ version, size }), files, unfinishedPath(dataDir, pointer));
}

/** Removes all of the log before a version that has a checkpoint. The order lets a reader find the checkpoint at any time. */
export async function removeBefore({ files }: Ledger, listing: Listing, version: number): Promise<void> {
  for (const each of listing.commits.filter((other) => other < version))
    await files.rm(join(listing.folder, deltaNames(each).commit), { force: true });
  for (const each of listing.checkpoints.filter((other) => other < version))
    await files.rm(join(listing.folder, deltaNames(each).checkpoint), { force: true });
}

/** The versions in a log and the size of its newest entry: changes with every commit, and where an entry is missing. Undefined: there is no log. */
export async function headOf(ledger: Ledger, tableFolder: string): Promise<string | undefined> {
  const { folder, commits, checkpoints } = await listLog(ledger, tableFolder);
  const newest = commits.at(-1);
  if (newest === undefined) return undefined;
  const { commit } = deltaNames(newest);
  try {
    return `${commits.join(',')} ${checkpoints.join(',')} ${(await ledger.files.stat(join(folder, commit))).size}`;
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
}

export function foreignLog(path: string): DamagedError {
  return new DamagedError('Another program has written to the Delta log of a table', {
    hint: 'Other programs may only read the lake. Move the folder `_delta_log` away: the next run writes a new log, and no row is lost.',
    where: { file: path },
  });
}
