/** A real source, a real data directory and the pipeline between them: the sandbox over HTTP, DuckDB and files. */
import { cp, link, mkdtemp, readdir, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { DuckDBInstance } from '@duckdb/node-api';
import { pino } from 'pino';
import { loadConfig, type Config } from '../../../src/config/config.ts';
import type { Tree } from '../../../src/config/layers.ts';
import type { RunReport, TableReport } from '../../../src/model/report.ts';
import { runPipeline } from '../../../src/pipeline/run.ts';
import type { RunRequest } from '../../../src/pipeline/request.ts';
import { systemRuntime, type Runtime } from '../../../src/kernel/runtime.ts';
import { startSandbox, type Sandbox, type SandboxOptions } from '../../../sandbox/sandbox.ts';
import type { TableName } from '../../../src/model/tables.ts';

export interface World extends AsyncDisposable {
  readonly sandbox: Sandbox;
  readonly dataDir: string;
  readonly runtime: Runtime;
  config(values?: Tree): Config;
  run(request?: RunRequest, values?: Tree, handles?: Partial<Runtime>): Promise<RunReport>;
  /** Rows of a query on the published catalogue, as JSON values. */
  sql(query: string): Promise<Record<string, unknown>[]>;
  /** Every published file by its path, with inode, time and size: they change when the file is written or replaced. */
  published(): Promise<Map<string, string>>;
  /**
   * Copies the data directory, and returns what puts it back as it was: a fortieth of the work of loading it again. It goes back
   * to the same path, since catalogue and manifest hold absolute paths and a run elsewhere would publish again.
   */
  keep(): Promise<() => Promise<void>>;
}

/** A data directory with its own source, or with a shared one that its owner closes. `givenDir` belongs to its owner too. */
export async function openWorld(
  source: SandboxOptions | Sandbox,
  settings: Tree = {},
  givenDir?: string,
): Promise<World> {
  const dataDir = givenDir ?? (await mkdtemp(join(tmpdir(), 'insights-etl-test-')));
  const kept = `${dataDir}-kept`;
  const shared = 'url' in source;
  const sandbox = shared ? source : await startSandbox({ rate: 0, memory: true, ...source });
  const runtime: Runtime = { ...systemRuntime(pino({ level: 'silent' })), ...skippedTime() };
  const config = (values: Tree = {}): Config =>
    loadConfig({
      file: false,
      env: Object.fromEntries(sandbox.tenants.map((tenant) => [keyName(tenant), sandbox.keyOf(tenant)])),
      cwd: dataDir,
      flags: {
        values: {
          baseUrl: sandbox.url,
          dataDir,
          callsPerMinute: 0,
          // For so few rows, more threads only cost time.
          engine: { threads: 1 },
          tenants: sandbox.tenants.map((id) => ({ id, apiKey: { env: keyName(id) } })),
          ...settings,
          ...values,
          // Only tests of marts and checks switch them on.
          lake: {
            marts: false,
            splitMarts: false,
            checks: false,
            ...objectAt(settings, 'lake'),
            ...objectAt(values, 'lake'),
          },
        },
        names: {},
      },
    });
  return {
    sandbox,
    dataDir,
    runtime,
    config,
    run: (request = {}, values = {}, handles = {}) =>
      runPipeline(config(values), request, { ...runtime, ...handles }, new AbortController().signal),
    async sql(query) {
      const options = { access_mode: 'READ_ONLY', threads: '1' };
      const instance = await DuckDBInstance.create(join(dataDir, 'insights.duckdb'), options);
      const connection = await instance.connect();
      try {
        return (await connection.runAndReadAll(query)).getRowObjectsJson();
      } finally {
        connection.closeSync();
        instance.closeSync();
      }
    },
    async published() {
      const files = new Map<string, string>();
      for (const name of await readdir(dataDir, { recursive: true })) {
        if (!/\.parquet$|^insights\.duckdb$|^manifest\.json$/.test(name)) continue;
        const { ino, mtimeMs, size } = await stat(join(dataDir, name));
        files.set(name, `${ino} ${mtimeMs} ${size}`);
      }
      return files;
    },
    async keep() {
      await copyFolder(dataDir, kept);
      return async () => copyFolder(kept, dataDir);
    },
    async [Symbol.asyncDispose]() {
      if (!shared) await sandbox.close();
      for (const folder of givenDir ? [] : [dataDir, kept]) await rm(folder, { recursive: true, force: true });
    },
  };
}

export interface LoadedWorlds extends AsyncDisposable {
  /** A new source, and the lake that was loaded from one like it. Only the newest of these worlds can be used. */
  next(): Promise<World>;
}

/** Loads a lake once for many tests: each starts with a copy of it, and with a source as it was then. */
export async function loadOnce(
  source: SandboxOptions,
  request: RunRequest,
  settings: Tree = {},
): Promise<LoadedWorlds> {
  const first = await openWorld(source, settings);
  await first.run(request);
  const putBack = await first.keep();
  return {
    async next() {
      await putBack();
      const sandbox = await startSandbox({ rate: 0, memory: true, ...source });
      const world = await openWorld(sandbox, settings, first.dataDir);
      return { ...world, [Symbol.asyncDispose]: () => sandbox.close() };
    },
    [Symbol.asyncDispose]: () => first[Symbol.asyncDispose](),
  };
}

/** Makes a folder the same as another, with its modification times and hard links: `lake/` holds links into the store. */
async function copyFolder(from: string, to: string): Promise<void> {
  await rm(to, { recursive: true, force: true });
  const copies = new Map<number, string>();
  await cp(from, to, { recursive: true, preserveTimestamps: true });
  for (const entry of await readdir(from, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const original = join(entry.parentPath, entry.name);
    const { ino, nlink } = await stat(original);
    if (nlink === 1) continue;
    const copy = join(to, relative(from, original));
    const first = copies.get(ino);
    if (first === undefined) copies.set(ino, copy);
    else {
      await rm(copy);
      await link(first, copy);
    }
  }
}

/** Waits end at once, and the monotonic clock moves forward by their length. */
export function skippedTime(): Pick<Runtime, 'sleep' | 'monotonic'> {
  let skippedMs = 0;
  return {
    monotonic: () => performance.now() + skippedMs,
    async sleep(ms, signal) {
      signal?.throwIfAborted();
      skippedMs += ms;
    },
  };
}

/** The report of a table. Throws when the run did not include it. */
export function reportOf(report: RunReport, table: TableName, tenant?: string): TableReport {
  const found = report.tables.find((other) => other.table === table && (tenant ?? other.tenant) === other.tenant);
  if (!found) throw new Error(`the run had no table ${table}`);
  return found;
}

/** Rows of the source by tenant and table, as the sandbox counts them. */
export async function sourceRows(sandbox: Sandbox): Promise<Map<string, number>> {
  const rows = new Map<string, number>();
  for (const { tenant, table, rows: n } of await sandbox.counts()) {
    const key = `${tenant} ${table}`;
    rows.set(key, (rows.get(key) ?? 0) + n);
  }
  return rows;
}

/** All bytes below a folder, to search them for values that must not be stored. */
export async function bytesBelow(folder: string): Promise<string> {
  let all = '';
  for (const name of await readdir(folder, { recursive: true })) {
    const path = join(folder, name);
    if ((await stat(path)).isFile()) all += (await readFile(path)).toString('latin1');
  }
  return all;
}

function objectAt(settings: Tree, key: string): object {
  const value = settings[key];
  return typeof value === 'object' && value !== null ? value : {};
}

function keyName(tenant: string): string {
  return `KEY_${tenant.replaceAll(/\W/g, '_').toUpperCase()}`;
}
