/**
 * Keeps a Delta log next to each table and mart, so that engines that know Delta tables read the lake. The log is made from the
 * ledger: a commit is the difference between what the log says and what the ledger says. So a publish that was killed at any step
 * needs no repair: the next one commits what is missing. A log that is missing, damaged or of another version of the program starts
 * again, without a change to any data file.
 *
 * Entries come after the catalogue and before the manifest: a reader who finds snapshot N in the manifest finds tables of N or newer.
 * Until the manifest is written, the files of the snapshot before still exist. Each table is committed by itself; `txn` has the snapshot.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { DamagedError } from '../../../kernel/errors.ts';
import { lookAtEach } from '../../../kernel/files.ts';
import { DELTA_FOLDER, deltaNames } from '../../../model/data-dir.ts';
import type { Ledger } from '../../ledger/ledger.ts';
import { checkpointSql } from './checkpoint.ts';
import { entryText, isCheckpointDue, isCurrent, isReadable, metadataDigest } from './commit.ts';
import type { Change, Entry, Occasion, Own, TableNow } from './commit.ts';
import { foreignLog, headOf, isContiguous, listLog, putCheckpoint, putEntry, readEntry, readPaths, removeBefore } from './log.ts'; // oxfmt-ignore
import type { Listing } from './log.ts';
import { schemaText } from './schema.ts';
import { changeSince, deltaTables, filesDigest, logFolders } from './tables.ts';
import type { DeltaTable } from './tables.ts';

export interface DeltaOptions extends Pick<Occasion, 'snapshot' | 'run'> {
  /** Names of tables whose log starts again, without any entry from before. */
  readonly restart?: ReadonlySet<string> | undefined;
  readonly onStep?: ((step: string) => void | Promise<void>) | undefined;
}

interface Planned {
  readonly table: DeltaTable;
  readonly now: TableNow;
  readonly listing: Listing;
  readonly version: number;
  /** Undefined: the log starts, or starts again. */
  readonly before: Own | undefined;
  readonly change: Change;
  readonly text: string;
  readonly at: Occasion;
}

/**
 * Commits what has changed to the log of each table. Returns an error if another program has written to a log; the other logs are
 * up to date then. Without `lake.delta` it removes the logs, which would name files that no longer exist.
 */
export async function syncDelta(ledger: Ledger, options: DeltaOptions): Promise<DamagedError | undefined> {
  const tables = ledger.settings.delta === true ? await deltaTables(ledger) : [];
  await removeOthers(ledger, tables);
  const listings = await lookAtEach(tables, ({ folder }) => listLog(ledger, folder));
  const newest = await lookAtEach(listings, (listing) => newestOwn(ledger, listing));
  let refused: DamagedError | undefined;
  const planned: Planned[] = [];
  for (const [nth, table] of tables.entries()) {
    const [listing, found] = [listings[nth], newest[nth]];
    if (listing === undefined) continue;
    if (found instanceof DamagedError) refused ??= found;
    else {
      const plan = await planCommit(ledger, table, listing, options.restart?.has(table.name) ? undefined : found, options);
      if (plan !== undefined) planned.push(plan);
    }
  }
  // Most of the time goes into flushing, which the disk does for several files at once.
  await lookAtEach(planned, async ({ table, listing, version, text }) => {
    await putEntry(ledger, listing, version, text);
    await options.onStep?.(`delta ${table.name}`);
  });
  for (const plan of planned) await finish(ledger, plan, options);
  return refused;
} // oxfmt-ignore

/** Undefined: there is no log, or none that can be continued. An error: another program has written to it. */
async function newestOwn(ledger: Ledger, listing: Listing): Promise<Own | DamagedError | undefined> {
  for (const version of listing.commits.toReversed()) {
    const entry = await readEntry(ledger, listing, version);
    if (entry === undefined) return undefined;
    if (entry.own !== undefined) return isReadable(entry.own) && isContiguous(listing) ? entry.own : undefined;
    if (!entry.onlyInforms) return foreignLog(join(listing.folder, deltaNames(version).commit));
  }
  return undefined;
}

/** Undefined: the log says already what the ledger says. */
async function planCommit(
  ledger: Ledger,
  table: DeltaTable,
  listing: Listing,
  own: Own | undefined,
  { snapshot, run }: DeltaOptions,
): Promise<Planned | undefined> {
  const { name, description, partitionColumns, files } = table;
  const keepSeconds = Math.trunc(ledger.settings.keepHours * 3600);
  // The columns of a mart do not change while its file is the same.
  const isSame = own !== undefined && isCurrent(own, { files, keepSeconds });
  if (isSame && partitionColumns.length === 0) return undefined;
  const schema = schemaText(await table.columns());
  const now: TableNow = { name, description, schema, partitionColumns, files, keepSeconds };
  if (isSame && own.metadata === metadataDigest(now)) return undefined;
  const held = own === undefined ? undefined : await heldPaths(ledger, listing, own);
  const before = held === undefined ? undefined : own;
  const change = await changeSince(ledger, table, held);
  const at = { snapshot, run, nowMs: ledger.runtime.now(), coverage: table.coverage };
  const version = Math.max(listing.commits.at(-1) ?? -1, listing.checkpoints.at(-1) ?? -1) + 1;
  return { table, now, listing, version, before, change, text: entryText(now, before, change, at), at };
}

/** The paths that the log has. Undefined: it is damaged, or not what its newest entry says. */
async function heldPaths(ledger: Ledger, listing: Listing, own: Own): Promise<ReadonlySet<string> | undefined> {
  const newest = listing.commits.at(-1);
  const entry = own.isWhole && newest !== undefined ? await readEntry(ledger, listing, newest) : undefined;
  const paths = entry?.own === undefined ? await readPaths(ledger, listing) : new Set(entry.added);
  return paths !== undefined && filesDigest(paths) === own.files ? paths : undefined;
}

/** After an entry: the checkpoint, and removal of entries that nothing needs. */
async function finish(ledger: Ledger, plan: Planned, { onStep }: DeltaOptions): Promise<void> {
  const { table, now, listing, version, before, change, at } = plan;
  const isRestart = before === undefined && version > 0;
  if (!isRestart && !isCheckpointDue(version, change)) return;
  const entry = await readEntry(ledger, listing, version);
  if (entry?.own === undefined) return;
  await putCheckpoint(ledger, listing, version, checkpointSql(table, now, entry.own, at));
  await onStep?.(`checkpoint ${table.name}`);
  if (isRestart) return removeBefore(ledger, listing, version);
  const bound = await expiredBefore(ledger, { ...listing, checkpoints: [...listing.checkpoints, version] }, now, at);
  if (bound !== undefined) await removeBefore(ledger, listing, bound);
}

/** The newest checkpoint whose version was already replaced when the grace period of today's readers began. */
async function expiredBefore(
  ledger: Ledger,
  listing: Listing,
  { keepSeconds }: TableNow,
  { nowMs }: Occasion,
): Promise<number | undefined> {
  for (const version of listing.checkpoints.toReversed()) {
    const entry: Entry | undefined = await readEntry(ledger, listing, version).catch(() => undefined);
    if (entry !== undefined && entry.timestamp <= nowMs - keepSeconds * 1000) return version;
  }
  return undefined;
}

/** Removes the logs of tables and marts that are none any more. */
async function removeOthers(ledger: Ledger, tables: readonly DeltaTable[]): Promise<void> {
  const { files, dataDir } = ledger;
  const kept = new Set(tables.map(({ folder }) => folder));
  for (const folder of await logFolders(ledger)) {
    const log = join(dataDir, folder, DELTA_FOLDER);
    if (!kept.has(folder) && existsSync(log)) await files.rm(log, { recursive: true, force: true });
  }
}

/** The newest entries of all logs, which change with every commit. Without `lake.delta`, nothing. */
export async function deltaHeads(ledger: Ledger): Promise<readonly string[]> {
  if (ledger.settings.delta !== true) return [];
  const folders = (await logFolders(ledger)).toSorted();
  const heads = await lookAtEach(folders, async (folder) => `${folder} ${(await headOf(ledger, folder)) ?? '-'}`);
  return heads;
}

export interface DeltaFault {
  readonly table: string;
  readonly fault: 'missing' | 'damaged' | 'differs' | 'foreign';
}

/** Reads every log and compares the files that it has with the ledger's. Call it when everything is published. */
export async function checkDelta(ledger: Ledger): Promise<{ readonly tables: number; readonly faults: readonly DeltaFault[] }> {
  if (ledger.settings.delta !== true) return { tables: 0, faults: [] };
  const faults: DeltaFault[] = [];
  const tables = await deltaTables(ledger);
  for (const table of tables) {
    const listing = await listLog(ledger, table.folder);
    const own = await newestOwn(ledger, listing);
    const paths = own === undefined || own instanceof DamagedError ? undefined : await readPaths(ledger, listing);
    if (listing.commits.length === 0) faults.push({ table: table.name, fault: 'missing' });
    else if (own instanceof DamagedError) faults.push({ table: table.name, fault: 'foreign' });
    else if (paths === undefined) faults.push({ table: table.name, fault: 'damaged' });
    else if (filesDigest(paths) !== table.files) faults.push({ table: table.name, fault: 'differs' });
  }
  return { tables: tables.length, faults };
} // oxfmt-ignore
