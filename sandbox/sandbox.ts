/**
 * A faithful Insights API on loopback. It authenticates, limits the rate, expires Logs, executes KQL, and simulates faults.
 * `startSandbox` starts it with its data; closing it removes all the files it created.
 */
import { readFile, stat } from 'node:fs/promises';
import type { Server } from 'node:http';
import path from 'node:path';
import { z } from 'zod';
import { SandboxError } from './error.ts';
import { formatInstant, parseInstant, type Instant } from './instant.ts';
import { TABLE_NAMES, TABLES } from './tables.ts';
import { createActions, type ActionResult, type SandboxAction } from './actions.ts';
import { createAdminServer } from './admin.ts';
import { cap, type LimitMode } from './answer.ts';
import { createCallLog, type CallRecord } from './calls.ts';
import { createClock } from './clock.ts';
import { createFaults, faultRules, type FaultRule } from './faults.ts';
import { parseRow, readLines, type Cell } from './ndjson.ts';
import { createRateLimit } from './rate.ts';
import { scenarioSchema, startScenario, type ScenarioStep } from './scenario.ts';
import { createQueryServer, type Manner, type Service } from './server.ts';
import { openStore, type HourCount, type Store } from './store.ts';
import { fillTenant } from './synthetic.ts';
import type { Shape } from './synthetic-hours.ts';
import { DEFAULT_WIRE, type WireOptions } from './wire.ts';

export interface SandboxOptions {
  /** 0 = any free port. @default 0 */
  readonly port?: number | undefined;
  readonly adminPort?: number | undefined;
  /** Folder with `logs|events|metrics.ndjson(.gz)`; without it the data is synthetic. */
  readonly data?: string | undefined;
  /** Synthetic rows per tenant, in all three tables. @default 100000 */
  readonly rows?: number | undefined;
  /** How many days before now the synthetic rows begin. @default 60 */
  readonly days?: number | undefined;
  /** @default 1 */
  readonly seed?: number | undefined;
  /** @default 'wallet' */
  readonly shape?: Shape | undefined;
  /** Tenants to serve. @default all tenants in the data folder; `demo` for synthetic data */
  readonly tenants?: readonly string[] | undefined;
  /** The sandbox's time when it starts, ISO; it runs on from there. @default the machine's time */
  readonly now?: string | undefined;
  /** Move the sandbox's time only by actions. @default false */
  readonly frozen?: boolean | undefined;
  /** Hide rows later than the sandbox's time, so that recorded rows appear as time passes. @default false */
  readonly replay?: boolean | undefined;
  /** Rows that an answer may hold; 0 = no cap. @default 500000 */
  readonly rowCap?: number | undefined;
  /** Bytes of rows that an answer may hold; 0 = no cap. @default 67108864 (64 MB) */
  readonly byteCap?: number | undefined;
  /** @default 'one-api-errors' */
  readonly limitMode?: LimitMode | undefined;
  /** @default 240000 */
  readonly queryTimeoutMs?: number | undefined;
  /** Calls in any sliding minute, per tenant, in real time; 0 = no limit. @default 60 */
  readonly rate?: number | undefined;
  /** How a 429 of the rate limit gives the time to wait. @default 'seconds' */
  readonly retryAfter?: 'seconds' | 'date' | 'none' | undefined;
  /** @default 45 */
  readonly logsDays?: number | undefined;
  /** Rows have `internal-<tenant>` as their tenantId instead of the tenant in the path. @default false */
  readonly internalTenantIds?: boolean | undefined;
  readonly wire?: Partial<WireOptions> | undefined;
  /** Rules, or a JSON file of them. */
  readonly faults?: readonly FaultRule[] | string | undefined;
  /** Steps, or a JSON file of them. */
  readonly scenario?: readonly ScenarioStep[] | string | undefined;
  /** NDJSON file to which each call is appended. */
  readonly calls?: string | undefined;
  /** Keep the data in memory instead of a temporary file. @default false */
  readonly memory?: boolean | undefined;
  /** @default '1GB' */
  readonly memoryLimit?: string | undefined;
  /** Aborting it stops the sandbox, even while it is still loading. */
  readonly signal?: AbortSignal | undefined;
  /** Called when a step of the scenario fails or the file of calls cannot be written. */
  readonly onError?: ((error: unknown) => void) | undefined;
}

export interface Sandbox extends AsyncDisposable {
  /** `http://127.0.0.1:PORT`, the base address of the API. */
  readonly url: string;
  readonly adminUrl: string;
  readonly tenants: readonly string[];
  readonly calls: readonly CallRecord[];
  now(): Instant;
  /** The key of a tenant. */
  keyOf(tenant: string): string;
  /** Adds or erases rows, moves the clock, replaces the fault rules, changes the caps and the wire form. */
  apply(action: SandboxAction): Promise<ActionResult>;
  counts(): Promise<HourCount[]>;
  close(): Promise<void>;
}

const FEW_ROWS = 50_000;

export async function startSandbox(options: SandboxOptions = {}): Promise<Sandbox> {
  const faults = createFaults(await listOf(options.faults, 'faults', faultRules));
  const steps = await listOf(options.scenario, 'scenario', scenarioSchema);
  const start = options.now === undefined ? undefined : parseInstant(options.now);
  if (options.now !== undefined && start === undefined) {
    throw new SandboxError(`now: "${options.now}" is not an instant.`, { hint: 'Write it as 2026-11-01T00:00:00Z.' });
  }
  const clock = createClock({ ...(start === undefined ? {} : { start }), frozen: options.frozen ?? false });
  const { KQL_MACROS } = await import('./kql/macros.ts');
  const store = await openStore(
    {
      memory: options.memory ?? false,
      memoryLimit: options.memoryLimit ?? '1GB',
      // With few rows, coordinating threads costs more than it saves.
      threads: options.rows !== undefined && options.rows <= FEW_ROWS ? 1 : undefined,
    },
    KQL_MACROS,
  );
  const log = createCallLog(options.calls);
  const servers: Server[] = [];
  let stopScenario = (): void => undefined;
  const close = async (): Promise<void> => {
    stopScenario();
    await Promise.all(servers.map(closeServer));
    await store.close();
    log.close();
  };
  options.signal?.addEventListener('abort', () => void close());
  try {
    options.signal?.throwIfAborted();
    // The parser takes a second to load, while DuckDB loads the data.
    const [compile] = await Promise.all([loadEngine(), loadData(store, options, clock.now())]);
    options.signal?.throwIfAborted();
    // Loading takes a while. The sandbox's time starts when it begins to serve, so that runs are repeatable.
    if (start !== undefined) clock.set(start);
    const manner: Manner = {
      limits: {
        rows: cap(options.rowCap ?? 500_000),
        bytes: cap(options.byteCap ?? 64 * 1024 * 1024),
        mode: options.limitMode ?? 'one-api-errors',
        timeoutMs: options.queryTimeoutMs ?? 240_000,
      },
      wire: { ...DEFAULT_WIRE, ...options.wire },
    };
    const apply = createActions({ store, clock, faults, manner });
    const scenario = await startScenario(steps, apply, options.onError ?? (() => undefined));
    stopScenario = () => scenario.stop();
    const { logsDays = 45, replay = false, internalTenantIds = false } = options;
    const service: Service = {
      store,
      compile,
      faults,
      now: () => clock.now(),
      relations: (tenant, now) => {
        const shownAs = internalTenantIds ? `internal-${tenant}` : undefined;
        return store.relations(tenant, { now, logsDays, replay, shownAs });
      },
      rate: createRateLimit(options.rate ?? 60, () => performance.now()),
      retryAfter: options.retryAfter ?? 'seconds',
      manner,
      onCall: async (call) => {
        try {
          log.add(call);
        } catch (error) {
          options.onError?.(error);
        }
        await scenario.callDone();
      },
    };
    const api = createQueryServer(service);
    const admin = createAdminServer({
      apply,
      calls: () => log.calls,
      counts: async () => store.counts(),
      now: () => formatInstant(clock.now()),
    });
    servers.push(api, admin);
    return {
      url: await listen(api, options.port ?? 0),
      adminUrl: await listen(admin, options.adminPort ?? 0),
      tenants: store.tenants(),
      calls: log.calls,
      now: () => clock.now(),
      keyOf: (tenant) => `sandbox-${tenant}`,
      apply,
      counts: async () => store.counts(),
      close,
      [Symbol.asyncDispose]: close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

async function loadEngine(): Promise<Service['compile']> {
  const { loadKql } = await import('./kql/compile.ts');
  const compile = loadKql();
  // The first analysis takes a second. Doing it here keeps it out of the time of the first call.
  compile('print now()', { nowTicks: 0n, parameters: {}, relations: { Logs: '', Events: '', Metrics: '' } });
  return compile;
}

async function loadData(store: Store, options: SandboxOptions, now: Instant): Promise<void> {
  const { data, tenants } = options;
  if (data !== undefined) return loadFolder(store, data, tenants);
  const { rows = 100_000, days = 60, seed = 1, shape = 'wallet' } = options;
  for (const tenant of tenants ?? ['demo']) await fillTenant(store, tenant, { rows, days, seed, shape, now });
}

/** Loads every table that has a file, for the given tenants or for all tenants that the rows name. */
async function loadFolder(store: Store, folder: string, only: readonly string[] | undefined): Promise<void> {
  let found = 0;
  for (const tenant of only ?? []) await store.addTenant(tenant);
  for (const name of TABLE_NAMES) {
    const base = path.join(folder, `${TABLES[name].fileName}.ndjson`);
    const file = (await exists(`${base}.gz`)) ? `${base}.gz` : base;
    if (!(await exists(file))) continue;
    found++;
    await store.addRows(name, rowsOf(file, name), only ? { only } : {});
  }
  if (found > 0) return;
  throw new SandboxError('The data folder has no file named logs, events or metrics with .ndjson or .ndjson.gz.', {
    hint: 'Point --data at a folder with at least one of these files, or omit it for synthetic data.',
    where: { folder },
  });
}

async function* rowsOf(file: string, name: (typeof TABLE_NAMES)[number]): AsyncGenerator<Cell[]> {
  let number = 0;
  for await (const line of readLines(file)) {
    number++;
    if (line.trim() !== '') yield parseRow(line, TABLES[name], `${path.basename(file)} line ${number}`);
  }
}

/** A list that is given directly or read from a JSON file. */
async function listOf<S extends z.ZodType>(given: unknown, what: string, schema: S): Promise<z.output<S>> {
  const where: Record<string, string> = typeof given === 'string' ? { file: given } : {};
  let list: unknown = given ?? [];
  if (typeof given === 'string') {
    try {
      list = JSON.parse(await readFile(given, 'utf8'));
    } catch (error) {
      throw new SandboxError(`The ${what} file cannot be read as JSON.`, {
        hint: 'The file must exist and contain one JSON list.',
        where,
        cause: error,
      });
    }
  }
  const parsed = schema.safeParse(list);
  if (parsed.success) return parsed.data;
  throw new SandboxError(`The ${what} list is not valid:\n${z.prettifyError(parsed.error)}`, {
    hint: 'docs/sandbox.md describes the formats.',
    where,
  });
}

async function exists(file: string): Promise<boolean> {
  return stat(file).then(
    (found) => found.isFile(),
    () => false,
  );
}

async function listen(server: Server, port: number): Promise<string> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, '127.0.0.1', resolve);
  });
  const address = server.address();
  return `http://127.0.0.1:${typeof address === 'object' && address ? address.port : port}`;
}

async function closeServer(server: Server): Promise<void> {
  server.closeAllConnections();
  await new Promise<void>((resolve) => server.close(() => resolve()));
}
