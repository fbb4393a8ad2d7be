/**
 * The inventory of a data directory: every file and folder, what it holds, and what each maintenance command does with it.
 * The names are spelled in `data-names.ts` and nowhere else. `purge`, `backup`, recovery and `doctor` iterate over the inventory, and its
 * tests fail when a run writes a file that is not declared here.
 */
import { TEMPORARY } from '../kernel/files.ts';
import type { DataEntry } from './data-entry.ts';
import {
  BATCH_FILE,
  CATALOGUE_FILE,
  DAMAGED,
  DEFINITIONS_FOLDER,
  DELTA_FOLDER,
  DELTA_POINTER,
  DEMO_FOLDER,
  HEAD_FOLDER,
  HISTORY_FILE,
  KEPT_FOLDER,
  LANDING_FOLDER,
  LAST_RUN_FILE,
  LEDGER_FILE,
  MANIFEST_FILE,
  OUTCOMES_FILE,
  PAGE_SUFFIX,
  PURGE_MARK,
  SCHEDULE_FILE,
  STORE_FOLDER,
  WAL,
  WEBHOOK_FILE,
  WORK_FOLDER,
  CALLS_FOLDER,
} from './data-names.ts';

export * from './data-names.ts';
export type { DataEntry, Purge } from './data-entry.ts';

const FILE = { unfinished: [TEMPORARY], backup: 'leaves', recovery: 'deletes-unfinished' } as const;
const DATABASE = { ...FILE, unfinished: [TEMPORARY, TEMPORARY + WAL] } as const;
const ROWS = { sensitive: ['rows', 'tenant names'] } as const;
const TENANTS = { sensitive: ['tenant names'] } as const;
const NEXT_RUN = { mayBeDeleted: true, cost: 'the next run publishes it again' } as const;

const MART = {
  writtenBy: 'src/load/marts',
  ...ROWS,
  mayBeDeleted: true,
  cost: 'the next run computes it again',
  ...FILE,
  purge: 'republishes',
  backup: 'copies',
  recovery: 'compares-with-ledger',
} as const;
const LOG_OF_TABLE = {
  writtenBy: 'src/load/publish/delta',
  ...TENANTS,
  ...NEXT_RUN,
  ...FILE,
  // Written in the work folder, because readers list the log.
  unfinished: [],
  purge: 'restarts',
  backup: 'leaves',
  recovery: 'leaves',
} as const;
const LOG_OF_MART = { ...LOG_OF_TABLE, sensitive: [], purge: 'republishes' } as const;

const BATCH = '<tenant>/<table>/<batch>';
const LANDED = {
  ...FILE,
  ...ROWS,
  writtenBy: 'src/extract/fetch',
  mayBeDeleted: true,
  cost: 'the next run fetches the pages again',
  purge: 'deletes-of-tenant',
  // The run that loads the batch removes what is unfinished.
  recovery: 'leaves',
  leftover: 'landed file',
} as const;
const KEPT = {
  ...ROWS,
  writtenBy: 'src/pipeline',
  mayBeDeleted: true,
  cost: 'no command reads it',
  unfinished: [],
  purge: 'deletes-of-tenant',
  backup: 'leaves',
  recovery: 'leaves',
} as const;
const SET_ASIDE = {
  ...ROWS,
  writtenBy: 'src/load/maintenance/repair.ts',
  mayBeDeleted: true,
  cost: 'no command reads it, but rows in quarantine at the time of the repair are only there',
  unfinished: [],
  // It may be damaged, so that rows could not be deleted from it one tenant at a time.
  purge: 'deletes',
  backup: 'leaves',
  recovery: 'leaves',
} as const;

const LOG = `${STORE_FOLDER}/<lake_table>/${DELTA_FOLDER}`;
const MART_LOG = `${STORE_FOLDER}/marts/<report>/${DELTA_FOLDER}`;

export const DATA_DIR: readonly DataEntry[] = [
  {
    path: `${STORE_FOLDER}/<lake_table>/tenant_id=<tenant>/month=<month>/<period>.<generation>.parquet`,
    holds: 'the rows; each file is immutable',
    writtenBy: 'src/load/store',
    ...ROWS,
    mayBeDeleted: false,
    cost: 'the only copy of the rows',
    ...FILE,
    purge: 'deletes-of-tenant',
    backup: 'copies',
    recovery: 'compares-with-ledger',
  },
  {
    path: `${STORE_FOLDER}/<lake_table>/tenant_id=<tenant>/month=<month>/<period>.<generation>.parquet${DAMAGED}`,
    holds: 'a damaged file that `repair` set aside',
    writtenBy: 'src/load/maintenance/examine.ts',
    ...ROWS,
    mayBeDeleted: true,
    cost: 'no command reads it, but rows that the source no longer has may be readable in it',
    unfinished: [],
    purge: 'deletes-of-tenant',
    backup: 'leaves',
    recovery: 'leaves',
    leftover: 'damaged file that `repair` set aside',
  },
  {
    path: `${STORE_FOLDER}/marts/<report>/<generation>.parquet`,
    holds: 'results of reports by day, and `<report>_by` by grain and dimension; each file is immutable',
    ...MART,
  },
  {
    path: `${STORE_FOLDER}/marts/<report>.<generation>.parquet`,
    holds: 'the openings, from which marts are computed; of earlier versions also marts',
    ...MART,
  },
  { path: `${LOG}/<version>.json`, holds: 'a commit of the Delta table: which files it has', ...LOG_OF_TABLE },
  { path: `${LOG}/<version>.checkpoint.parquet`, holds: 'the files of the Delta table at a version', ...LOG_OF_TABLE },
  { path: `${LOG}/${DELTA_POINTER}`, holds: 'the version of the newest checkpoint', ...LOG_OF_TABLE, sensitive: [] },
  { path: `${MART_LOG}/<version>.json`, holds: 'the same of a mart', ...LOG_OF_MART },
  { path: `${MART_LOG}/<version>.checkpoint.parquet`, holds: 'the same of a mart', ...LOG_OF_MART },
  { path: `${MART_LOG}/${DELTA_POINTER}`, holds: 'the same of a mart', ...LOG_OF_MART },
  {
    path: LEDGER_FILE,
    holds: 'the ledger: what the lake holds and what was proven; its lock is the lock of the data directory',
    writtenBy: 'src/load/ledger',
    ...ROWS,
    mayBeDeleted: false,
    cost: '`repair` rebuilds it from the store, without quarantine and proofs',
    ...DATABASE,
    purge: 'rewrites',
    backup: 'copies',
  },
  {
    path: LEDGER_FILE + WAL,
    holds: 'changes that a killed run has not yet written into the ledger’s file',
    writtenBy: 'src/load/ledger',
    ...ROWS,
    mayBeDeleted: false,
    cost: 'part of the ledger',
    unfinished: [],
    purge: 'rewrites',
    backup: 'leaves',
    recovery: 'leaves',
  },
  { path: `${LEDGER_FILE}.<time>`, holds: 'the old ledger that `repair` set aside', ...SET_ASIDE, leftover: 'set-aside ledger' }, // oxfmt-ignore
  { path: `${LEDGER_FILE}.<time>${WAL}`, holds: 'changes that belong to the ledger set aside', ...SET_ASIDE },
  {
    path: CATALOGUE_FILE,
    holds: 'the catalogue: open this one with DuckDB',
    writtenBy: 'src/load/publish',
    ...ROWS,
    mayBeDeleted: true,
    cost: '`publish` writes it again',
    ...DATABASE,
    purge: 'republishes',
    backup: 'copies',
  },
  {
    path: `${DEFINITIONS_FOLDER}/<digest>.duckdb`,
    holds: 'the views of the catalogue without rows, if there are many, to start the next catalogue from',
    writtenBy: 'src/load/publish/reuse.ts',
    sensitive: ['tenant names'],
    mayBeDeleted: true,
    cost: 'the next run creates the views again',
    ...FILE,
    unfinished: [],
    purge: 'republishes',
  },
  {
    path: `${CATALOGUE_FILE}${TEMPORARY}/**`,
    holds: 'spill files of readers that have the catalogue open',
    writtenBy: 'DuckDB',
    ...ROWS,
    mayBeDeleted: true,
    cost: 'only while no reader is at work',
    unfinished: [],
    purge: 'recovers',
    backup: 'leaves',
    recovery: 'deletes',
  },
  {
    path: MANIFEST_FILE,
    holds: 'the published snapshot, for readers without DuckDB',
    writtenBy: 'src/load/publish',
    ...TENANTS,
    ...NEXT_RUN,
    ...FILE,
    purge: 'republishes',
    backup: 'copies',
  },
  {
    path: `${HEAD_FOLDER}/<lake_table>/v<number>/tenant_id=<tenant>/month=<month>/<period>.parquet`,
    holds: 'hard links to the current files, for readers that glob',
    writtenBy: 'src/load/publish',
    ...ROWS,
    ...NEXT_RUN,
    ...FILE,
    purge: 'deletes-of-tenant',
  },
  {
    path: `${HEAD_FOLDER}/marts/<report>.parquet`,
    holds: 'hard links to the current files of the marts',
    writtenBy: 'src/load/publish',
    ...ROWS,
    ...NEXT_RUN,
    ...FILE,
    purge: 'republishes',
  },
  {
    path: `${HEAD_FOLDER}/coverage.parquet`,
    holds: 'what was proven, hour by hour',
    writtenBy: 'src/load/publish',
    ...TENANTS,
    ...NEXT_RUN,
    ...FILE,
    purge: 'republishes',
  },
  {
    path: `${HEAD_FOLDER}/.coverage`,
    holds: 'digest of the content that `coverage.parquet` was made from',
    writtenBy: 'src/load/publish',
    sensitive: [],
    ...NEXT_RUN,
    ...FILE,
    unfinished: [],
    purge: 'republishes',
  },
  { path: `${LANDING_FOLDER}/${BATCH}/${BATCH_FILE}`, holds: 'which pages belong to a batch that is not merged yet', ...LANDED }, // oxfmt-ignore
  { path: `${LANDING_FOLDER}/${BATCH}/<page>${PAGE_SUFFIX}`, holds: 'a fetched page that is not merged yet', ...LANDED }, // oxfmt-ignore
  { path: `${KEPT_FOLDER}/${BATCH}/${BATCH_FILE}`, holds: 'which pages belonged to a merged batch', ...KEPT },
  { path: `${KEPT_FOLDER}/${BATCH}/<page>${PAGE_SUFFIX}`, holds: 'a merged page as received (`landing.keep`)', ...KEPT }, // oxfmt-ignore
  {
    path: `${WORK_FOLDER}/**`,
    holds: 'spill files and scratch copies',
    writtenBy: 'all of the pipeline',
    ...ROWS,
    mayBeDeleted: true,
    cost: 'only while nothing runs; every run empties it',
    unfinished: [],
    purge: 'recovers',
    backup: 'leaves',
    recovery: 'deletes',
  },
  {
    path: `${CALLS_FOLDER}/<tenant>.log`,
    holds: 'when the source was last called, for its rate limit',
    writtenBy: 'src/extract/source',
    ...TENANTS,
    mayBeDeleted: true,
    cost: 'wait a minute before the next run, or it may exceed the rate limit',
    ...FILE,
    purge: 'deletes-of-tenant',
  },
  {
    path: PURGE_MARK,
    holds: 'a mark: the purge of the tenant has begun and is not complete',
    writtenBy: 'src/pipeline/maintenance/purge.ts',
    ...TENANTS,
    mayBeDeleted: false,
    cost: 'without it, the purge cannot be completed',
    ...FILE,
    // As the last step: until then it says that the purge is not complete.
    purge: 'deletes-of-tenant',
    leftover: 'purge that was cut off',
  },
  {
    path: LAST_RUN_FILE,
    holds: 'how the last run ended, for `status`',
    writtenBy: 'src/pipeline',
    sensitive: [],
    mayBeDeleted: true,
    cost: '`status` shows no last run until there is another',
    ...FILE,
    purge: 'edits',
  },
  {
    path: OUTCOMES_FILE,
    holds: 'how the last run of each table ended and the calls sent so far, for `metrics`',
    writtenBy: 'src/operate',
    ...TENANTS,
    mayBeDeleted: true,
    cost: 'the counters start again at zero',
    ...FILE,
    purge: 'edits',
  },
  {
    path: WEBHOOK_FILE,
    holds: 'the exit code that the webhook last received',
    writtenBy: 'src/operate',
    sensitive: [],
    mayBeDeleted: true,
    cost: 'the webhook may be sent the same failure again',
    ...FILE,
    purge: 'edits',
  },
  {
    path: SCHEDULE_FILE,
    holds: 'the last slot that was done of each table',
    writtenBy: 'src/schedule',
    ...TENANTS,
    mayBeDeleted: true,
    cost: 'missed slots are not caught up',
    ...FILE,
    purge: 'edits',
    // The schedule writes it without the lock: another process may be writing it now.
    recovery: 'leaves',
  },
  {
    path: HISTORY_FILE,
    holds: 'statements typed at the prompt of `sql`',
    writtenBy: 'src/commands',
    ...ROWS,
    mayBeDeleted: true,
    cost: 'the prompt starts without history',
    unfinished: [],
    // A statement may quote an id or a name of the tenant without naming the tenant.
    purge: 'deletes',
    backup: 'leaves',
    recovery: 'leaves',
  },
  {
    path: 'README.md',
    holds: 'this table',
    writtenBy: 'by hand',
    sensitive: [],
    mayBeDeleted: false,
    cost: 'under version control',
    unfinished: [],
    purge: 'leaves',
    backup: 'leaves',
    recovery: 'leaves',
  },
  {
    path: `${DEMO_FOLDER}/**`,
    holds: 'the data directory of `npm start`',
    writtenBy: 'src/commands',
    ...ROWS,
    mayBeDeleted: true,
    cost: 'the next `npm start` makes it again',
    unfinished: [],
    // A data directory of its own: its tenants are those of the sandbox.
    purge: 'leaves',
    backup: 'leaves',
    recovery: 'leaves',
  },
];
