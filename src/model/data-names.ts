/** The names of the files and folders of a data directory. The inventory (data-dir.ts) says what each holds. */
import { basename, join } from 'node:path';
import { TEMPORARY } from '../kernel/files.ts';

export const LEDGER_FILE = 'state.duckdb';
export const CATALOGUE_FILE = 'insights.duckdb';
export const MANIFEST_FILE = 'manifest.json';
export const LAST_RUN_FILE = 'last-run.json';
export const OUTCOMES_FILE = 'outcomes.json';
export const WEBHOOK_FILE = 'webhook.json';
export const SCHEDULE_FILE = 'schedule.json';
/** Which mirrors this data directory writes. */
export const MIRRORED_FILE = 'mirrored.json';
export const HISTORY_FILE = '.sql_history';
export const STORE_FOLDER = 'store';
export const HEAD_FOLDER = 'lake';
/** The files of the marts, below the data directory: a folder for each mart. */
export const MARTS_FOLDER = join(STORE_FOLDER, 'marts');
/** The log that makes the folder of a table or a mart a Delta table. */
export const DELTA_FOLDER = '_delta_log';
/** In a log: where its newest checkpoint is. */
export const DELTA_POINTER = '_last_checkpoint';
export const HEAD_MARTS_FOLDER = join(HEAD_FOLDER, 'marts');
export const HEAD_COVERAGE_FILE = join(HEAD_FOLDER, 'coverage.parquet');
/** A catalogue without rows, with the views of a lake that has many types (reuse.ts). */
export const DEFINITIONS_FOLDER = 'definitions';
/** Digest of the content that the coverage file was made from. */
export const HEAD_COVERAGE_MARK = join(HEAD_FOLDER, '.coverage');
/** Fetched pages on their way into the lake. */
export const LANDING_FOLDER = 'landing';
/** Pages that are merged, kept as received where `landing.keep` is set and the table has no privacy rules. */
export const KEPT_FOLDER = 'kept';
/** In the folder of a batch, below `landing` and `kept`. */
export const BATCH_FILE = 'batch.json';
export const PAGE_SUFFIX = '.ndjson';
/** Spill files of the engine and copies made for reading; emptied at the start of a run. */
export const WORK_FOLDER = 'work';
/** What the run that is going on has done so far, for `status`. */
export const PROGRESS_FILE = join(WORK_FOLDER, 'progress.json');
/** How far a change of the number of shards has come. */
export const RESHARD_FILE = 'reshard.json';
/** In a shard that is made or deleted by a change of their number: while it is missing, so is the shard. */
export const RESHARD_TAG = 'reshard.tag';
/** The mark and the lock of a restore. */
export const RESTORE_FILE = 'restore.duckdb';
/** The data directories of the shards, inside the one that they share. */
export const SHARDS_FOLDER = 'shards';
/** A data directory of its own, inside the default one. */
export const DEMO_FOLDER = 'demo';
export const CALLS_FOLDER = 'calls';
export const PURGES_FOLDER = 'purges';
export const PURGE_MARK = `${PURGES_FOLDER}/<tenant>`;
/** DuckDB's log of changes that are not yet in the database file itself. */
export const WAL = '.wal';
/** Ending of a file of the store that `repair` found damaged. */
export const DAMAGED = '.damaged';
/** A file among the marts that is not published: what later days are computed from (openings.ts). */
export const OPENINGS = 'openings';
/** The variable with the current path of the data directory, for the views of a catalogue. Without it, they use the path at which it was published. */
export const FOLDER_VARIABLE = 'insights_folder';
/** The same of one shard: who attaches the catalogues of several sets one for each. */
export function folderVariable({ index, of }: { readonly index: number; readonly of: number }): string {
  return `${FOLDER_VARIABLE}_${index}_of_${of}`;
}
/** Selects the rows of `mart_files` that readers see. */
export const PUBLISHED_MARTS_SQL = `superseded_at is null and mart <> '${OPENINGS}'`;

/** Path of a mart's file, relative to the data directory. No table is made of the openings, which keep their place. */
export function martFile(mart: string, generation: number): string {
  return mart === OPENINGS
    ? join(MARTS_FOLDER, `${mart}.${generation}.parquet`)
    : join(MARTS_FOLDER, mart, `${generation}.parquet`);
}

/** The names of an entry of a Delta log, and of the checkpoint of its version. */
export function deltaNames(version: number): { readonly commit: string; readonly checkpoint: string } {
  const digits = String(version).padStart(20, '0');
  return { commit: `${digits}.json`, checkpoint: `${digits}.checkpoint.parquet` };
}

/** Path of a tenant's record of calls, relative to the data directory. */
export function callsFile(tenant: string): string {
  return join(CALLS_FOLDER, `${tenant}.log`);
}

/**
 * Where a file that readers list or open is written before it gets its name: in the work folder, which no reader looks at and
 * every run empties.
 */
export function unfinishedPath(dataDir: string, file: string): string {
  return join(dataDir, WORK_FOLDER, basename(file) + TEMPORARY);
}

/** Name of the ledger that `repair` sets aside. */
export function setAsideName(nowMs: number): string {
  return `${LEDGER_FILE}.${new Date(nowMs).toISOString().replaceAll(/[-:.]/g, '')}`;
}
