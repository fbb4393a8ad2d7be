/**
 * The published lake as a reader sees it: the catalogue, opened read-only in an engine that can read only files of the data
 * directory and cannot write, load an extension or change a setting.
 */
import { sqlName, sqlText } from '../kernel/sql.ts';
import { access, constants, realpath } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DuckDBInstance, DuckDBTypeId, StatementType } from '@duckdb/node-api';
import type { DuckDBConnection, DuckDBPreparedStatement, DuckDBType, Json } from '@duckdb/node-api';
import { lazyDefinitions } from './lazy-definitions.ts';
import type { Definitions } from './lazy-definitions.ts';
import { PUBLISH_HINT, readerError } from './reader-error.ts';
import { COVERAGE_MACROS, ofTenants } from './split-coverage.ts';
import { jsonCell } from './json-cell.ts';
import { attachShards, tenantsIn, type Lazy } from './across.ts';
import { refuseUnpublishedShard, requireNoRestore, requireOwnTenants, shardsToRead } from './shards.ts';
import { createSql, definitionsDigest, sharedDefinitions } from './definitions.ts';
import type { Definition } from './definitions.ts';
import { sqlFiles } from './sql-file.ts';
import { ConfigError, DamagedError } from '../kernel/errors.ts';
import { CATALOGUE_FILE, FOLDER_VARIABLE, MANIFEST_FILE } from '../model/data-dir.ts';
import { isCorruptDatabase } from '../kernel/engine-text.ts';
import { onDisk, pathExists, TEMPORARY } from '../kernel/files.ts';

export interface ResultColumn {
  readonly name: string;
  /** Numbers are aligned to the right. */
  readonly numeric: boolean;
  /** True if a text cell is written into JSON without quotes, because it holds digits or JSON. */
  readonly raw: boolean;
  /** As DuckDB spells it, `JSON` included. */
  readonly type: string;
}

/** Rows arrive in batches while they are computed. Big integers and decimals are text, so that no digit is lost. */
export interface ResultRows {
  readonly columns: readonly ResultColumn[];
  readonly batches: () => AsyncIterable<readonly (readonly Json[])[]>;
}

export interface Reader extends AsyncDisposable {
  /** Runs one select. Parameters are bound as text (or null); the statement casts them. Throws ConfigError. */
  query(sql: string, parameters?: Values): Promise<ResultRows>;
  /** Throws ConfigError unless the text is exactly one select. Runs nothing. */
  check(sql: string): Promise<void>;
  /** Runs statements that create temporary views in place of the published ones (`split-sql.ts`), in place of earlier ones. */
  replaceViews(statements: readonly string[]): Promise<void>;
}

type Values = Readonly<Record<string, string | null>>;

/** A reader that can also write into one folder. */
export interface Exporter extends Reader {
  /** Runs a statement built around selects that `check` has accepted. Returns the number of rows it wrote. */
  write(statement: string, parameters?: Values): Promise<number>;
}

const RAW_TYPES: readonly DuckDBTypeId[] = [
  DuckDBTypeId.BIGINT,
  DuckDBTypeId.UBIGINT,
  DuckDBTypeId.HUGEINT,
  DuckDBTypeId.UHUGEINT,
  DuckDBTypeId.DECIMAL,
];
const NUMBER_TYPES: readonly DuckDBTypeId[] = [
  ...RAW_TYPES,
  DuckDBTypeId.TINYINT,
  DuckDBTypeId.UTINYINT,
  DuckDBTypeId.SMALLINT,
  DuckDBTypeId.USMALLINT,
  DuckDBTypeId.INTEGER,
  DuckDBTypeId.UINTEGER,
  DuckDBTypeId.FLOAT,
  DuckDBTypeId.DOUBLE,
];

/** What `replaceViews` may create, by what `drop` calls it. */
const REPLACED: Readonly<Record<string, readonly string[]>> = {
  'macro table': COVERAGE_MACROS.flatMap((name) => [name, ofTenants(name)]),
  view: ['events', 'logs', 'metrics', 'coverage', 'history_limits', 'lake_files', 'split_limits'],
  table: ['split_passes', 'split_platforms', 'split_segments', 'split_coverage', 'split_beginnings'],
};

interface Engine {
  readonly threads: number;
  readonly memoryLimit: string;
}

/**
 * Opens the catalogue of a data directory, or those of its shards as one. An abort interrupts the statement that is running. Throws
 * ShardsError if a tenant could be counted twice.
 */
export async function openReader(dataDir: string, engine: Engine, signal?: AbortSignal): Promise<Reader> {
  return open(dataDir, [], engine, signal);
}

/** As `openReader`; `scratch` is the only folder (absolute) in which `write` may create files. */
export async function openExporter(
  dataDir: string,
  scratch: string,
  engine: Engine,
  signal?: AbortSignal,
): Promise<Exporter> {
  return open(dataDir, [scratch], engine, signal);
}

async function open(
  dataDir: string,
  folders: readonly string[],
  engine: Engine,
  signal: AbortSignal | undefined,
): Promise<Exporter> {
  const catalogue = join(dataDir, CATALOGUE_FILE);
  const shards = await onDisk(dataDir, () => shardsToRead(dataDir));
  if (shards.length === 0) await requireReadable(dataDir, catalogue);
  // Read while the engine opens the catalogue.
  void sqlFiles('views');
  const spill = { temp_directory: catalogue + TEMPORARY, ...(await spillFolder(dataDir)) };
  const instance = await (shards.length === 0
    ? openReadOnly(catalogue, engine, await spillFolder(dataDir))
    : DuckDBInstance.create(':memory:', { ...spill, ...settingsOf(engine) }));
  const connection = await instance.connect();
  const interrupt = (): void => connection.interrupt();
  const close = (): void => {
    signal?.removeEventListener('abort', interrupt);
    connection.closeSync();
    instance.closeSync();
  };
  let definitions: Definitions;
  let isReplaced = false;
  try {
    const homes = await Promise.all(shards.map((shard) => realpath(shard.dataDir)));
    const ours = await sharedDefinitions();
    const names = ours.map(({ name }) => name);
    const views = shards.length === 0 ? [] : await attachShards(connection, shards, homes, names);
    await requireOwnTenants(dataDir, await tenantsIn(connection, shards));
    const home = await realpath(dataDir);
    // The views read from there, wherever the lake was when they were published. Of shards, those that lack the variable of their shard
    // read from where they were published: no shard is in the folder that all share.
    if (shards.length === 0) await connection.run(`set variable ${FOLDER_VARIABLE} = ${sqlText(home)}`);
    await lockDown(connection, [home, dataDir, ...homes, ...folders]);
    const missing = shards.length === 0 && (await hasDefinitions(connection, ours)) ? [] : ours;
    definitions = lazyDefinitions(connection, [
      ...views,
      ...missing.map((each) => lazyDefinition(each, shards.length > 0)),
    ]);
  } catch (error) {
    close();
    throw readerError(error, signal);
  }
  signal?.addEventListener('abort', interrupt, { once: true });
  const { define, forget } = definitions;
  return {
    query: async (sql, parameters = {}) => {
      await define(sql).catch((error: unknown) => {
        throw readerError(error, signal);
      });
      return runSelect(connection, sql, parameters, signal);
    },
    check: async (sql) => {
      try {
        await define(sql);
        await prepareSelect(connection, sql, [StatementType.SELECT]);
      } catch (error) {
        throw readerError(error, signal);
      }
    },
    replaceViews: async (statements) => {
      try {
        if (isReplaced) {
          for (const [kind, names] of Object.entries(REPLACED))
            for (const name of names) await connection.run(`drop ${kind} if exists temp.${name}`);
          forget(COVERAGE_MACROS);
        }
        isReplaced = statements.length > 0;
        for (const statement of statements) await define(statement).then(() => connection.run(statement));
      } catch (error) {
        throw readerError(error, signal);
      }
    },
    write: async (statement, parameters = {}) => {
      try {
        signal?.throwIfAborted();
        const result = await connection.run(statement, { ...parameters });
        return result.rowsChanged;
      } catch (error) {
        throw readerError(error, signal);
      }
    },
    [Symbol.asyncDispose]: async () => close(),
  };
}

/** All rows of a small result as text. Null becomes the empty text. */
export async function textRows(reader: Reader, sql: string, parameters?: Values): Promise<string[][]> {
  const { batches } = await reader.query(sql, parameters);
  const rows: string[][] = [];
  for await (const batch of batches())
    for (const row of batch)
      rows.push(row.map((cell) => (typeof cell === 'string' ? cell : JSON.stringify(cell ?? ''))));
  return rows;
}

/** Throws ConfigError when nothing is published in the folder, DiskError when that cannot be known. */
async function requireReadable(dataDir: string, catalogue: string): Promise<void> {
  const where = { folder: dataDir };
  const isThere = async (file: string): Promise<boolean> => onDisk(file, () => pathExists(file));
  if (await isThere(catalogue)) return onDisk(catalogue, () => access(catalogue, constants.R_OK));
  await onDisk(dataDir, () => requireNoRestore(dataDir, () => true));
  if (await isThere(join(dataDir, MANIFEST_FILE)))
    throw new ConfigError('The lake in this data directory has no catalogue.', {
      hint: 'Run `insights-etl publish`. It writes the catalogue from the files, without a call to the source. For a backup, run `insights-etl restore` first.',
      where,
    });
  await refuseUnpublishedShard(dataDir);
  throw new ConfigError('There is no published lake in this data directory.', {
    hint: 'Load one with `insights-etl run`, or name another folder with --data-dir.',
    where,
  });
}

/** Where large queries spill: next to the catalogue, or among temporary files if the lake is mounted read-only. */
async function spillFolder(dataDir: string): Promise<Record<string, string>> {
  return access(dataDir, constants.W_OK).then(
    () => ({}),
    () => ({ temp_directory: join(tmpdir(), `insights-etl-${process.pid}`) }),
  );
}

function settingsOf({ threads, memoryLimit }: Engine): Record<string, string> {
  return {
    threads: String(threads),
    memory_limit: memoryLimit,
    autoinstall_known_extensions: 'false',
    autoload_known_extensions: 'false',
  };
}

async function openReadOnly(
  path: string,
  engine: Engine,
  spill: Readonly<Record<string, string>>,
): Promise<DuckDBInstance> {
  try {
    return await DuckDBInstance.create(path, {
      ...spill,
      access_mode: 'READ_ONLY',
      ...settingsOf(engine),
    });
  } catch (error) {
    throw new DamagedError('The catalogue cannot be opened.', {
      hint: PUBLISH_HINT,
      where: { file: path },
      cause: error,
    });
  }
}

/** From now on, statements read files in these folders only. */
async function lockDown(connection: DuckDBConnection, folders: readonly string[]): Promise<void> {
  const allowed = [...new Set(folders)].map((folder) => sqlText(`${folder}/`)).join(', ');
  const settings = [
    "set TimeZone = 'UTC'",
    // Estimates of reports are low, and a loop over all hours for each period takes seconds in a lake of a year.
    'set asof_loop_join_threshold = 0',
    `set allowed_directories = [${allowed}]`,
    'set enable_external_access = false',
    'set lock_configuration = true',
  ];
  await connection.run(settings.join(';\n'));
}

/** Whether the catalogue has the definitions of this program. Otherwise all of them are created here. */
async function hasDefinitions(connection: DuckDBConnection, ours: readonly Definition[]): Promise<boolean> {
  try {
    const result = await connection.runAndReadAll('select definitions from snapshot');
    return result.getRowsJson()[0]?.[0] === definitionsDigest(ours);
  } catch (error) {
    if (error instanceof Error && isCorruptDatabase(error.message)) throw error;
    // A catalogue of an older version does not record its definitions.
    return false;
  }
}

/** Across shards, the definitions are next to the views that they read, as in a catalogue. */
function lazyDefinition(definition: Definition, isAcross: boolean): Lazy {
  const { kind, name, comment } = definition;
  const create = isAcross
    ? [createSql(definition, 'create or replace'), `comment on ${kind} ${sqlName(name)} is ${sqlText(comment)}`]
    : [createSql(definition, 'create or replace temp')];
  return { name: definition.name, reads: definition.select, create };
}

async function runSelect(
  connection: DuckDBConnection,
  sql: string,
  parameters: Readonly<Record<string, string | null>>,
  signal: AbortSignal | undefined,
): Promise<ResultRows> {
  try {
    const prepared = await prepareSelect(connection, sql, [StatementType.SELECT, StatementType.EXPLAIN]);
    prepared.bind(onlyNamed(prepared, parameters));
    signal?.throwIfAborted();
    const result = await prepared.stream();
    return {
      columns: result.columnNames().map((name, index) => describe(name, result.columnType(index))),
      batches: () => checkedBatches(result.yieldConvertedRows(jsonCell), signal),
    };
  } catch (error) {
    throw readerError(error, signal);
  }
}

/** The values of the parameters that the statement has. */
function onlyNamed(prepared: DuckDBPreparedStatement, values: Values): Record<string, string | null> {
  const names = Array.from({ length: prepared.parameterCount }, (_, index) => prepared.parameterName(index + 1));
  return Object.fromEntries(Object.entries(values).filter(([name]) => names.includes(name)));
}

const EXPLAIN = /^(?:\s|--[^\n]*\n|\/\*[\s\S]*?\*\/)*explain\b\s*(?:analyze\b)?\s*(?:\([^()]*\))?([\s\S]+)$/i;

async function prepareSelect(
  connection: DuckDBConnection,
  sql: string,
  allowed: readonly StatementType[],
): Promise<DuckDBPreparedStatement> {
  const statements = await extract(connection, sql);
  const prepared = await statements.prepare(0);
  const type = prepared.statementType;
  // `explain analyze` runs the statement, so that must be a select too.
  const explained = type === StatementType.EXPLAIN ? EXPLAIN.exec(sql)?.[1] : undefined;
  if (!allowed.includes(type) || (type === StatementType.EXPLAIN && explained === undefined))
    throw new ConfigError(`Only a select can be run here, not ${StatementType[type].toLowerCase()}.`, {
      hint: 'The lake is read-only; `insights-etl export` writes a result to a file.',
    });
  if (explained !== undefined) await prepareSelect(connection, explained, [StatementType.SELECT]);
  return prepared;
}

/** Passes the batches on, and translates the errors of the engine. */
async function* checkedBatches<T>(batches: AsyncIterable<T>, signal: AbortSignal | undefined): AsyncGenerator<T> {
  try {
    for await (const batch of batches) {
      // An interrupt between two batches has no effect, because no statement is running.
      signal?.throwIfAborted();
      yield batch;
    }
  } catch (error) {
    throw readerError(error, signal);
  }
}

async function extract(connection: DuckDBConnection, sql: string): ReturnType<DuckDBConnection['extractStatements']> {
  const hint = 'Give one select, such as "select count(*) from events"; "show tables" lists what there is.';
  // For text without a statement, the binding's own error does not say what is wrong.
  if (sql.replaceAll(/--.*$|\/\*[\s\S]*?\*\//gm, '').trim() === '')
    throw new ConfigError('The statement is empty.', { hint });
  const statements = await connection.extractStatements(sql);
  if (statements.count !== 1) throw new ConfigError(`There are ${statements.count} statements.`, { hint });
  return statements;
}

function describe(name: string, type: DuckDBType): ResultColumn {
  const numeric = NUMBER_TYPES.includes(type.typeId);
  const raw = RAW_TYPES.includes(type.typeId) || type.alias === 'JSON';
  return { name, numeric, raw, type: type.alias ?? type.toString() };
}
