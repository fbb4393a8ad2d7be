/**
 * The data of the sandbox: one DuckDB schema per tenant with the three tables, in the storage form that compiled KQL works
 * on (guid and dynamic as text, datetime as ticks of 100 ns, the null string as ''). Rows are stored in the order of their
 * timestamps, so that a page query reads few row groups, however large the table is.
 */
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { DuckDBInstance, type DuckDBConnection } from '@duckdb/node-api';
import { SandboxError } from './error.ts';
import { DAY, formatInstant, HOUR, type Instant } from './instant.ts';
import { TABLE_NAMES, TABLES, type KqlType, type TableName } from './tables.ts';
import type { Cell } from './ndjson.ts';

export interface StoreOptions {
  /** Keep everything in memory instead of a database file in a temporary folder. */
  readonly memory?: boolean;
  /** DuckDB's own limit, e.g. `1GB`. @default '1GB' */
  readonly memoryLimit?: string;
  /** @default all cores */
  readonly threads?: number | undefined;
}

/** Which rows an erasure removes: those that meet all given conditions. `share` picks a part of them by the id's hash. */
export interface RowFilter {
  readonly from?: Instant | undefined;
  readonly to?: Instant | undefined;
  readonly type?: string | undefined;
  readonly ids?: readonly string[] | undefined;
  readonly share?: number | undefined;
}

export interface HourCount {
  readonly tenant: string;
  readonly table: TableName;
  /** Start of the hour, ISO; null for rows that have no timestamp. */
  readonly hour: string | null;
  readonly rows: number;
}

export interface Visibility {
  readonly now: Instant;
  /** Days that Logs are kept. */
  readonly logsDays: number;
  /** Hide rows later than `now`, so that the rows of a recorded data set appear as time passes. */
  readonly replay: boolean;
  /** The value of the tenantId column when the service uses internal ids instead of the tenant's name. */
  readonly shownAs?: string | undefined;
}

const SQL_TYPE: Readonly<Record<KqlType, string>> = {
  guid: 'varchar',
  datetime: 'bigint',
  string: 'varchar not null',
  dynamic: 'varchar',
};
const FOLDER_PREFIX = 'insights-sandbox-';
const CONNECTIONS = 4;

export type Store = Awaited<ReturnType<typeof openStore>>;

/**
 * Opens an empty store. `definitions`: statements that create macros, which all queries may use. `close` (or `await using`) closes its
 * connections and removes its files.
 */
export async function openStore(options: StoreOptions = {}, definitions = '') {
  await removeAbandoned();
  const folder = options.memory ? undefined : await mkdtemp(path.join(tmpdir(), `${FOLDER_PREFIX}${process.pid}-`));
  const { connect, end } = folder
    ? await ownInstance(folder, options, definitions)
    : await partOfInstance(options, definitions);
  const tenants = new Set<string>();
  const idle: DuckDBConnection[] = [];
  const waiting: ((connection: DuckDBConnection) => void)[] = [];
  for (let n = 0; n < CONNECTIONS; n++) idle.push(await connect());
  const all = [...idle];

  let closing: Promise<void> | undefined;
  async function borrow(): Promise<DuckDBConnection> {
    if (closing) throw new Error('The sandbox is closed.');
    return take();
  }
  async function take(): Promise<DuckDBConnection> {
    return idle.pop() ?? new Promise((resolve) => waiting.push(resolve));
  }
  function giveBack(connection: DuckDBConnection): void {
    const next = waiting.shift();
    if (next) next(connection);
    else idle.push(connection);
  }
  async function using<T>(work: (connection: DuckDBConnection) => Promise<T>): Promise<T> {
    const connection = await borrow();
    try {
      return await work(connection);
    } finally {
      giveBack(connection);
    }
  }

  async function createTenant(connection: DuckDBConnection, tenant: string): Promise<void> {
    if (tenants.has(tenant)) return;
    tenants.add(tenant);
    const tables = TABLE_NAMES.map((name) => createTable(`${quote(tenant)}.${quote(name)}`, name));
    await connection.run(`create schema ${quote(tenant)}; ${tables.join('; ')}`);
  }

  async function closeOnce(): Promise<void> {
    // Running statements must end first, because their connections cannot be closed before.
    const running = all.filter((connection) => !idle.includes(connection));
    const interrupting = setInterval(() => running.forEach((connection) => connection.interrupt()), 20);
    await Promise.all(all.map(take));
    clearInterval(interrupting);
    for (const connection of all) connection.closeSync();
    await end();
    if (folder) await rm(folder, { recursive: true, force: true });
  }
  async function close(): Promise<void> {
    return (closing ??= closeOnce());
  }

  return {
    tenants: () => [...tenants],
    async addTenant(tenant: string): Promise<void> {
      await using(async (connection) => createTenant(connection, tenant));
    },

    /** Runs statements without results: each batch on one connection, all batches in parallel. */
    async run(...batches: string[]): Promise<void> {
      await Promise.all(batches.map(async (sql) => using(async (connection) => connection.run(sql))));
    },

    /**
     * Adds rows, given in the column order of the table, to `tenant` or to the tenant that their `tenantId` names. Sorts
     * them by timestamp first. `only`: takes only rows of these tenants. Returns the number of rows added.
     */
    async addRows(
      name: TableName,
      rows: AsyncIterable<Cell[]> | Iterable<Cell[]>,
      target: { tenant?: string; only?: readonly string[] },
    ): Promise<number> {
      return using(async (connection) => {
        const stage = `stage_${name}`;
        await connection.run(createTable(`temp.${stage}`, name, 'or replace temp'));
        const appender = await connection.createAppender(stage, 'main', 'temp');
        for await (const row of rows) {
          for (const cell of row) {
            if (cell === null) appender.appendNull();
            else if (typeof cell === 'bigint') appender.appendBigInt(cell);
            else appender.appendVarchar(cell);
          }
          appender.endRow();
        }
        appender.closeSync();
        await refuseBadJson(connection, stage, name);
        const owners = target.tenant === undefined ? await distinctTenants(connection, stage) : [target.tenant];
        let added = 0;
        for (const tenant of owners) {
          if (target.only && !target.only.includes(tenant)) continue;
          if (tenant === '') {
            throw new SandboxError(`Some rows of ${name} have no tenantId.`, {
              hint: 'Each row must name its tenant.',
            });
          }
          await createTenant(connection, tenant);
          const own = target.tenant === undefined ? `where "tenantId" = ${literal(tenant)}` : '';
          const result = await connection.run(
            `insert into ${quote(tenant)}.${quote(name)} from temp.${stage} ${own} order by "timestamp", rowid`,
          );
          added += result.rowsChanged;
        }
        await connection.run(`drop table temp.${stage}`);
        return added;
      });
    },

    /** Removes rows permanently and returns their number. */
    async erase(tenant: string, name: TableName, filter: RowFilter): Promise<number> {
      const { id, typeColumn } = TABLES[name];
      const conditions = ['true'];
      if (filter.from !== undefined) conditions.push(`"timestamp" >= ${filter.from}`);
      if (filter.to !== undefined) conditions.push(`"timestamp" < ${filter.to}`);
      if (filter.type !== undefined) conditions.push(`${quote(typeColumn)} = ${literal(filter.type)}`);
      if (filter.ids) conditions.push(`${quote(id)} in (${filter.ids.map((each) => literal(each)).join(', ')})`);
      if (filter.share !== undefined) {
        conditions.push(`hash(coalesce(${quote(id)}, '')) % 1000000 < ${Math.round(filter.share * 1_000_000)}`);
      }
      const from = `${quote(tenant)}.${quote(name)}`;
      return using(async (connection) => {
        const result = await connection.run(`delete from ${from} where ${conditions.join(' and ')}`);
        return result.rowsChanged;
      });
    },

    /** The SQL of each table, limited to the rows that the tenant can see at an instant. */
    relations(tenant: string, { now, logsDays, replay, shownAs }: Visibility): Record<TableName, string> {
      const relation = (name: TableName): string => {
        const conditions: string[] = [];
        if (name === 'Logs') conditions.push(`"timestamp" >= ${now - BigInt(logsDays) * DAY}`);
        if (replay) conditions.push(`"timestamp" <= ${now}`);
        const where = conditions.length > 0 ? ` where ${conditions.join(' and ')}` : '';
        const columns = shownAs === undefined ? '*' : `* replace (${literal(shownAs)} as "tenantId")`;
        return `(select ${columns} from ${quote(tenant)}.${quote(name)}${where})`;
      };
      return { Logs: relation('Logs'), Events: relation('Events'), Metrics: relation('Metrics') };
    },

    /** Streams a query that has one text column, in chunks of rows. Aborting interrupts DuckDB. */
    async *stream(sql: string, signal: AbortSignal): AsyncGenerator<string[]> {
      const connection = await borrow();
      // DuckDB ignores an interrupt that comes before the statement has started, so it is repeated until the query ends.
      let repeat: NodeJS.Timeout | undefined;
      const interrupt = (): void => {
        connection.interrupt();
        repeat ??= setInterval(() => connection.interrupt(), 20);
      };
      signal.addEventListener('abort', interrupt);
      try {
        signal.throwIfAborted();
        const result = await connection.stream(sql);
        for (;;) {
          signal.throwIfAborted();
          const chunk = await result.fetchChunk();
          if (!chunk || chunk.rowCount === 0) return;
          yield chunk.getColumnValues(0).map(String);
        }
      } finally {
        signal.removeEventListener('abort', interrupt);
        clearInterval(repeat);
        giveBack(connection);
      }
    },

    /** Stored rows per tenant, table and hour, including those that are not visible. */
    async counts(): Promise<HourCount[]> {
      const hours: HourCount[] = [];
      for (const tenant of [...tenants].sort()) {
        for (const table of TABLE_NAMES) {
          const from = `${quote(tenant)}.${quote(table)}`;
          const sql = `select "timestamp" // ${HOUR}, count(*) from ${from} group by 1 order by 1`;
          const reader = await using(async (connection) => connection.runAndReadAll(sql));
          for (const [hour, rows] of reader.getRows()) {
            hours.push({
              tenant,
              table,
              hour: typeof hour === 'bigint' ? formatInstant(hour * HOUR) : null,
              rows: Number(rows),
            });
          }
        }
      }
      return hours;
    },

    close,
    [Symbol.asyncDispose]: close,
  };
}

/** Where a store keeps its tables. */
interface Place {
  /** Opens a connection. */
  readonly connect: () => Promise<DuckDBConnection>;
  readonly end: () => Promise<void>;
}

async function ownInstance(folder: string, options: StoreOptions, definitions: string): Promise<Place> {
  const spill = { temp_directory: path.join(folder, 'spill') };
  const instance = await createInstance(path.join(folder, 'sandbox.duckdb'), options, spill, definitions);
  return { connect: async () => instance.connect(), end: async () => instance.closeSync() };
}

/** Instances in memory, by their options. They stay open until the process ends. */
const shared = new Map<string, Promise<DuckDBInstance>>();
let parts = 0;

/** A database in an instance that all stores in memory share: creating the macros takes longer than filling a small store. */
async function partOfInstance(options: StoreOptions, definitions: string): Promise<Place> {
  const key = JSON.stringify([options.memoryLimit, options.threads, definitions]);
  const creating = shared.get(key) ?? createInstance(':memory:', options, {}, definitions);
  shared.set(key, creating);
  const instance = await creating;
  const name = `sandbox${++parts}`;
  const run = async (sql: string): Promise<void> => {
    const connection = await instance.connect();
    await connection.run(sql);
    connection.closeSync();
  };
  await run(`attach ':memory:' as ${name}`);
  const connect = async (): Promise<DuckDBConnection> => {
    const connection = await instance.connect();
    await connection.run(`set search_path = '${name}.main,memory.main'`);
    return connection;
  };
  return { connect, end: async () => run(`detach ${name}`) };
}

async function createInstance(
  file: string,
  { memoryLimit = '1GB', threads }: StoreOptions,
  more: Readonly<Record<string, string>>,
  definitions: string,
): Promise<DuckDBInstance> {
  const instance = await DuckDBInstance.create(file, {
    memory_limit: memoryLimit,
    ...more,
    ...(threads === undefined ? {} : { threads: String(threads) }),
    // A query must never try to download an extension.
    autoinstall_known_extensions: 'false',
    autoload_known_extensions: 'false',
  });
  const connection = await instance.connect();
  if (definitions !== '') await connection.run(definitions);
  connection.closeSync();
  return instance;
}

/** An SQL identifier. */
export function quote(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}

/** An SQL text literal. */
export function literal(value: string): string {
  return `'${value.replaceAll("'", "''")}'`;
}

function createTable(target: string, name: TableName, mode = ''): string {
  const columns = TABLES[name].columns.map((column) => `${quote(column.name)} ${SQL_TYPE[column.type]}`);
  return `create ${mode} table ${target} (${columns.join(', ')})`;
}

/** Dynamic values are cut out of their lines unparsed. Invalid JSON must be found here, not in the middle of a query. */
async function refuseBadJson(connection: DuckDBConnection, stage: string, name: TableName): Promise<void> {
  const dynamic = TABLES[name].columns.filter((column) => column.type === 'dynamic');
  const bad = dynamic.map((column) => `not json_valid(${quote(column.name)})`).join(' or ');
  const reader = await connection.runAndReadAll(`select min(rowid) + 1 from temp.${stage} where ${bad}`);
  const row = reader.getRows()[0]?.[0] ?? undefined;
  if (row === undefined) return;
  throw new SandboxError(`Row ${String(row)} of ${name} has a dynamic value that is not JSON.`, {
    hint: 'The columns properties and value must contain JSON.',
    where: { table: name },
  });
}

async function distinctTenants(connection: DuckDBConnection, stage: string): Promise<string[]> {
  const reader = await connection.runAndReadAll(`select distinct "tenantId" from temp.${stage} order by 1`);
  return reader.getRows().map(([tenant]) => String(tenant));
}

/** Removes folders of sandboxes that were killed. The process id in a folder's name shows whether it is still running. */
async function removeAbandoned(): Promise<void> {
  for (const name of await readdir(tmpdir())) {
    const pid = new RegExp(`^${FOLDER_PREFIX}(\\d+)-`).exec(name)?.[1];
    if (pid !== undefined && !isAlive(Number(pid))) {
      // The folder belongs to another user. That user's next sandbox will remove it.
      await rm(path.join(tmpdir(), name), { recursive: true, force: true }).catch(() => undefined);
    }
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    // EPERM: the process is running as another user.
    return error instanceof Error && 'code' in error && error.code === 'EPERM';
  }
}
