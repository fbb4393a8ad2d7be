/**
 * The ledger, `state.duckdb`: what the lake holds and how far that is proven. DuckDB's lock on that file is the
 * pipeline's lock: one writer per data directory. Statements run one at a time, except where files are written (`sideBySide`).
 */
import { basename, join, resolve } from 'node:path';
import { ConfigError, DamagedError, DiskError, NewerStateError } from '../../kernel/errors.ts';
import { onDisk, pathExists, systemFiles, TEMPORARY } from '../../kernel/files.ts';
import type { Files } from '../../kernel/files.ts';
import type { Runtime } from '../../kernel/runtime.ts';
import { asCount } from './cells.ts';
import { openEngine } from './engine.ts';
import type { Engine, Lane } from './engine.ts';
import { LEDGER_FILE, RESTORE_FILE, STORE_FOLDER, WAL, WORK_FOLDER } from '../../model/data-dir.ts';
import { shardOfFolder } from '../../model/shard.ts';
import type { Shard } from '../../model/shard.ts';
import { unfinishedRestore } from '../../model/unfinished-restore.ts';
import { readMigrations } from './migrations.ts';
import { hmacPads } from '../../model/privacy.ts';
import { HMAC_VARIABLES } from '../../transform/privacy.ts';
import type { Tables } from '../../model/tables.ts';

/** A share of rows that is a limit only above a number of rows: three rows of four are no trend. */
interface ShareLimit {
  /** 0 to 1. */
  readonly maxShare: number;
  readonly minRows: number;
}

/** Limits beyond which a tenant's rows look like an accident. */
export interface Guards {
  /** Share of a page's rows that may go to quarantine; beyond it the page is refused. */
  readonly quarantine: ShareLimit;
  /** Share of a UTC day's rows that one merge may remove. */
  readonly deletes: ShareLimit;
}

export interface LakeSettings extends Guards {
  /** Engine threads. @default all cores */
  readonly threads?: number;
  /** DuckDB's memory limit; beyond it the engine spills to `<dataDir>/work`. */
  readonly memoryLimit: string;
  /** Hours for which superseded files are kept for readers in the middle of a query; 0 removes them at once. */
  readonly keepHours: number;
  /** Guards of the tenants that have their own. */
  readonly guards?: ReadonlyMap<string, Guards>;
  /** The tables, with the promoted columns and privacy rules that files are written with. */
  readonly tables: Tables;
  /** Keep results of reports by day (marts.ts); a list keeps only those reports. @default false */
  readonly marts?: boolean | readonly string[];
  /** Keep these reports by week and month, and by pass type and platform, too (split-marts.ts). @default false */
  readonly splitMarts?: boolean;
  /** Tenants with more rows get their split marts once a UTC day. @default 250,000 */
  readonly dailyAbove?: number;
  /** How much past data is processed at once (openings.ts): limits memory when years are loaded at first. @default 3 million rows, 300,000 events, 1 million rows */
  readonly together?: { readonly rows: number; readonly passEvents: number; readonly beforeOpening: number };
  /** A month that is expected to have at most this many rows gets one file (units.ts). @default 10,000 */
  readonly monthRows?: number;
  /** Keep a Delta log of each table and mart (publish/delta). @default false */
  readonly delta?: boolean;
  /** Run the checks over what changed (checks.ts). @default false */
  readonly checks?: boolean;
  /** Folders of the operator's own reports and checks. */
  readonly custom?: { readonly reports?: string | undefined; readonly checks?: string | undefined };
  /** Reads the key for hashed values; called once, and only if a privacy rule hashes. `unused`: no row is written. */
  readonly privacyKey?: (() => Promise<string>) | 'unused';
}

/**
 * Measured with events of 1,500 bytes: a nightly run that rewrites a month of 10,000 rows takes 3 % more CPU time than one that writes
 * a day, and with 20,000 rows 38 % more.
 */
const EXPECTED_IN_MONTH = 10_000;

/** When a month is one file. `expected`: rows at its end, as foreseen at its first row. `rows`: most rows that it may have indeed. */
export function monthLimits({ monthRows: expected = EXPECTED_IN_MONTH }: LakeSettings): {
  readonly expected: number;
  readonly rows: number;
} {
  return { expected, rows: 2 * expected };
}

export function guardsOf(settings: LakeSettings, tenant: string): Guards {
  return settings.guards?.get(tenant) ?? settings;
}

/** The wall clock stamps ledger rows and ages superseded files; it never decides what is loaded. */
export type LakeRuntime = Pick<Runtime, 'now' | 'monotonic' | 'log' | 'files' | 'onCommit'>;

export interface Ledger extends Omit<Engine, 'close'> {
  /** Absolute. */
  readonly dataDir: string;
  /** The shard that the folder is named after. One that is a link to a folder of another name has that name only as it was given. */
  readonly shard: Shard | undefined;
  readonly settings: LakeSettings;
  readonly runtime: LakeRuntime;
  readonly files: Files;
  /** SQL timestamptz of the wall clock. */
  nowSql(): string;
  close(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

/**
 * Opens the ledger of a data directory and takes the directory's lock. Creates both when they do not exist. Throws LockedError
 * (names the process that holds the lock), NewerStateError, DiskError, ConfigError (a restore is not complete), or DamagedError (the ledger is unreadable, or there are
 * Parquet files without a ledger: `repair` fixes both). `adopting`: for `repair`, which creates a new ledger under a temporary
 * name for existing files.
 */
export async function openLedger(
  folder: string,
  settings: LakeSettings,
  runtime: LakeRuntime,
  { adopting = false }: { adopting?: boolean } = {},
): Promise<Ledger> {
  const files = runtime.files ?? systemFiles;
  const dataDir = await makeDataDir(folder, files);
  const shard = shardOfFolder(basename(resolve(folder))) ?? shardOfFolder(basename(dataDir));
  const file = join(dataDir, adopting ? LEDGER_FILE + TEMPORARY : LEDGER_FILE);
  const mark = join(dataDir, RESTORE_FILE);
  const lacksLedger = !adopting && !(await onDisk(dataDir, () => pathExists(file, files)));
  if (lacksLedger && (await onDisk(dataDir, () => pathExists(mark, files))))
    throw unfinishedRestore(dataDir, shard ? [shard] : []);
  if (lacksLedger && (await onDisk(dataDir, () => holdsParquet(join(dataDir, STORE_FOLDER), files)))) {
    throw new DamagedError(`${dataDir} holds Parquet files, but their ledger ${LEDGER_FILE} is missing.`, {
      hint: 'Run `insights-etl repair`: it rebuilds the ledger from the files.',
    });
  }
  const work = join(dataDir, WORK_FOLDER);
  const engine = await openEngine(file, work, settings);
  try {
    await migrate(engine, dataDir, runtime);
    await setPrivacyKey(engine, settings);
    // The lake is used from now on, and the report of its restore no longer holds.
    if (!adopting)
      for (const suffix of ['', WAL])
        if (await onDisk(dataDir, () => pathExists(mark + suffix, files)))
          await files.rm(mark + suffix, { force: true });
  } catch (error) {
    await engine.close();
    throw error;
  }
  const close = async (): Promise<void> => {
    await engine.close();
  };
  return {
    ...engine,
    dataDir,
    shard,
    settings,
    runtime,
    files,
    exclusive: (work) => engine.exclusive(() => onDisk(dataDir, work)),
    onAllThreads: (work) => engine.onAllThreads(() => onDisk(dataDir, work)),
    transaction: withCommits(engine, runtime),
    nowSql: () => clockSql(runtime),
    close,
    [Symbol.asyncDispose]: close,
  };
}

/** The ledger, with the statements of a lane. */
export function onLane(ledger: Ledger, lane: Lane): Ledger {
  return { ...ledger, ...lane, transaction: withCommits(lane, ledger.runtime) };
}

function withCommits({ transaction }: Pick<Engine, 'transaction'>, { onCommit }: LakeRuntime): Engine['transaction'] {
  return async (work) => {
    const result = await transaction(work);
    await onCommit?.();
    return result;
  };
}

/** The real absolute path: published views name files by it, so that they work from any folder. */
async function makeDataDir(folder: string, files: Files): Promise<string> {
  try {
    await files.mkdir(join(folder, WORK_FOLDER), { recursive: true, mode: 0o700 });
    return await files.realpath(folder);
  } catch (error) {
    throw new DiskError(`The data directory ${folder} cannot be created or written.`, {
      hint: 'Check --data-dir, its owner and permissions.',
      cause: error,
    });
  }
}

/** Sets the key as session variables, so that no statement holds it: an error may quote a statement. */
async function setPrivacyKey(engine: Engine, { tables, privacyKey }: LakeSettings): Promise<void> {
  if (privacyKey === 'unused') return;
  if (!Object.values(tables).some(({ privacy }) => privacy.some(({ action }) => action === 'hash'))) return;
  if (!privacyKey)
    throw new ConfigError('A privacy rule hashes values, but there is no key.', { hint: 'Set privacy.key.' });
  const { inner, outer } = hmacPads(await privacyKey());
  await engine.set(`set variable ${HMAC_VARIABLES.inner} = unhex($1)`, [inner]);
  await engine.set(`set variable ${HMAC_VARIABLES.outer} = unhex($1)`, [outer]);
}

async function migrate(engine: Engine, dataDir: string, runtime: LakeRuntime): Promise<void> {
  await engine.run('create table if not exists migrations (version integer not null, applied_at timestamptz not null)');
  const { version } = await engine.row('select coalesce(max(version), 0) as version from migrations', {
    version: asCount,
  });
  const migrations = await readMigrations();
  if (version > migrations.length) {
    throw new NewerStateError(
      `${dataDir} was written by a newer version (ledger schema ${version}; this program supports up to ${migrations.length}).`,
      { hint: 'Upgrade insights-etl, or use another --data-dir.' },
    );
  }
  for (const migration of migrations.slice(version)) {
    await engine.transaction(async () => {
      await engine.run(`insert into migrations values (${migration.version}, ${clockSql(runtime)})`);
      await engine.run(await migration.sql());
    });
    runtime.log.debug({ event: 'ledger.migrated', version: migration.version }, 'ledger schema migrated');
  }
}

function clockSql(runtime: LakeRuntime): string {
  return `make_timestamptz(${Math.trunc(runtime.now()) * 1000})`;
}

async function holdsParquet(store: string, files: Files): Promise<boolean> {
  if (!(await pathExists(store, files))) return false;
  const names = await files.readdir(store, { recursive: true });
  return names.some((name) => name.endsWith('.parquet'));
}
