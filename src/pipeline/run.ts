/** A run over tenants and tables: what `run`, `backfill` and `plan` do. One writer per data directory. */
import pLimit from 'p-limit';
import type { Config, TenantConfig } from '../config.ts';
import { InsightsError, StoppedError } from '../errors.ts';
import type { Failure } from '../errors.ts';
import { costOf } from '../extract/batch.ts';
import type { Client } from '../extract/client.ts';
import { openLedger } from '../load/ledger.ts';
import type { LakeSettings, Ledger } from '../load/ledger.ts';
import { publish } from '../load/publish.ts';
import { recover } from '../load/recover.ts';
import { finishRun, startRun } from '../load/runs.ts';
import type { Runtime } from '../runtime.ts';
import type { TableName } from '../tables.ts';
import { exitCodeOf, reported } from './failure.ts';
import { pagesOf } from './plan-pages.ts';
import type { PlanReport, ProgressListener, RunReport, TablePlan, TableReport } from './report.ts';
import { writeLastRun } from './status.ts';
import { compareTable, syncTable } from './sync-table.ts';
import type { RunRequest, TableWork } from './table-work.ts';
import { openSource } from './tenant.ts';

/** Tenants side by side; each has its own limiter, and the engine does one merge at a time. */
const TENANTS_AT_ONCE = 8;
/** A backfill publishes as it goes; more often would only rewrite the catalogue. */
const PUBLISH_EVERY_MS = 30_000;

/**
 * Makes the lake equal to the source and publishes it. A tenant's or table's failure is told in the report and spares the
 * others; throws LockedError, NewerStateError, DamagedError, DiskError when nothing could be begun.
 */
export async function runPipeline(
  config: Config,
  request: RunRequest,
  runtime: Runtime,
  signal: AbortSignal,
  onProgress: ProgressListener = () => {},
): Promise<RunReport> {
  const startedMs = runtime.now();
  const startedAt = new Date(startedMs).toISOString();
  const run = `${startedAt.replaceAll(/[-:]/g, '').slice(0, 15)}-${Math.floor(runtime.random() * 0x10000)
    .toString(16)
    .padStart(4, '0')}`;
  await using ledger = await openLedger(config.dataDir, lakeSettings(config, request), runtime);
  await recover(ledger);
  await startRun(ledger, run);
  runtime.log.info({ run }, 'run started');
  const publisher = createPublisher(ledger, run, runtime);
  const tables = await eachTable(config, request, runtime, signal, async (place, client, report) => {
    await syncTable({
      ...place,
      config,
      request,
      ledger,
      client,
      run,
      runtime,
      signal,
      onProgress,
      report,
      merged: publisher.now,
    });
  });
  for (const report of tables) {
    const { tenant, table, outcome, calls, pages, inserted, removed, error } = report;
    const level = outcome === 'verified' ? 'info' : 'warn';
    runtime.log[level](
      { run, tenant, table, outcome, calls, pages, inserted, removed, failure: error?.failure },
      'table done',
    );
  }
  const exitCode = exitCodeOf(tables.flatMap(failureOf));
  const stats = { tables };
  await finishRun(ledger, run, exitCode === 0 ? 'ok' : (tables.flatMap(failureOf)[0] ?? 'unexpected'), stats);
  const published = await publisher.last(tables);
  const seconds = (runtime.now() - startedMs) / 1000;
  runtime.log.info({ run, seconds, exitCode, published }, 'run finished');
  const report: RunReport = {
    run,
    startedAt,
    seconds,
    tenants: [...new Set(tables.map(({ tenant }) => tenant))],
    tables,
    published,
    peakRssBytes: process.resourceUsage().maxRSS * 1024,
    exitCode,
  };
  await writeLastRun(config.dataDir, report, runtime.now());
  return report;
}

/** What a run would fetch. Compares and counts at the source, fetches no page, changes no row. */
export async function planRun(
  config: Config,
  request: RunRequest,
  runtime: Runtime,
  signal: AbortSignal,
): Promise<PlanReport> {
  await using ledger = await openLedger(config.dataDir, lakeSettings(config, request), runtime);
  const plans: TablePlan[] = [];
  const reports = await eachTable(config, request, runtime, signal, async (place, client, report) => {
    const work: TableWork = {
      ...place,
      config,
      request,
      ledger,
      client,
      run: 'plan',
      runtime,
      signal,
      report,
      onProgress: () => {},
      merged: async () => {},
    };
    const { found, held } = await compareTable(work);
    const pages = (await pagesOf(work, found, held)).filter((page) => page.rows !== 0);
    const tenant = config.tenants.find(({ id }) => id === place.tenant);
    const { calls, rows, bytes, minutes } = costOf(pages, tenant?.callsPerMinute ?? 0);
    const reasons = { new: 0, changed: 0, vanished: 0 };
    for (const { reason } of found.stale) reasons[reason]++;
    const { grade } = report;
    plans.push({
      tenant: place.tenant,
      table: place.table,
      grade,
      staleHours: found.stale.length,
      rows,
      bytes,
      pages: pages.length,
      calls,
      minutes,
      reasons,
    });
  });
  const order = reports.map(({ tenant, table }) => `${tenant} ${table}`);
  const failed = reports.flatMap(({ tenant, table, grade, error }): TablePlan[] =>
    error === undefined
      ? []
      : [
          {
            tenant,
            table,
            grade,
            error,
            staleHours: 0,
            rows: 0,
            bytes: 0,
            pages: 0,
            calls: 0,
            minutes: 0,
            reasons: { new: 0, changed: 0, vanished: 0 },
          },
        ],
  );
  const all = [...plans, ...failed].sort(
    (a, b) => order.indexOf(`${a.tenant} ${a.table}`) - order.indexOf(`${b.tenant} ${b.table}`),
  );
  return {
    tables: all,
    callsUsed: reports.reduce((sum, { calls }) => sum + calls, 0),
    exitCode: exitCodeOf(reports.flatMap(({ error }) => (error ? [error.failure] : []))),
  };
}

export function lakeSettings(config: Config, request: Pick<RunRequest, 'allowDeletes'> = {}): LakeSettings {
  const { engine, lake, quarantine, deletes } = config;
  return {
    threads: engine.threads,
    memoryLimit: engine.memoryLimit,
    keepHours: lake.keepHours,
    quarantine,
    deletes: request.allowDeletes === true ? { maxShare: 1, minRows: deletes.minRows } : deletes,
  };
}

type Place = Pick<TableWork, 'tenant' | 'table' | 'settings'>;

/** Tenants in parallel, a tenant's tables in order of urgency; errors end up in the reports. */
export async function eachTable(
  config: Config,
  request: RunRequest,
  runtime: Runtime,
  signal: AbortSignal,
  work: (place: Place, client: Client, report: TableReport) => Promise<void>,
): Promise<TableReport[]> {
  const limit = pLimit(TENANTS_AT_ONCE);
  let disk: InsightsError | undefined;
  const ofTenant = async (tenant: TenantConfig): Promise<TableReport[]> => {
    const reports: TableReport[] = [];
    await using source = await openSource(config, tenant, runtime);
    const { stats } = source.client;
    let stop: unknown;
    for (const [table, settings] of tenant.tables) {
      if (request.tables && !request.tables.includes(table)) continue;
      const report = emptyReport(tenant.id, table);
      reports.push(report);
      const before = { ...stats };
      try {
        if (signal.aborted) throw signal.reason ?? new StoppedError('Stopped.');
        if (stop ?? disk) throw stop ?? disk;
        await work({ tenant: tenant.id, table, settings }, source.client, report);
      } catch (error) {
        const { failure } = (report.error = reported(error));
        report.outcome = failure === 'massLoss' ? 'refused' : failure === 'stopped' ? 'stopped' : 'failed';
        // A missing or refused credential is so for every table; a full disk is full for every tenant.
        if (failure === 'auth' || failure === 'config') stop = error;
        if (failure === 'disk' && error instanceof InsightsError) disk = error;
        if (error !== stop || reports.length === 1)
          runtime.log.error({ tenant: tenant.id, table, ...report.error, stack: stackOf(error) }, 'table failed');
      }
      report.calls = stats.calls - before.calls;
      report.retries = stats.retries - before.retries;
      report.waitedMs = Math.round(stats.waitedMs - before.waitedMs);
    }
    return reports;
  };
  const wanted = config.tenants.filter(({ id }) => request.tenants?.includes(id) ?? true);
  return (await Promise.all(wanted.map((tenant) => limit(() => ofTenant(tenant))))).flat();
}

/** Where our own code threw; the message may quote what it worked on, so it is left out. */
function stackOf(error: unknown): string | undefined {
  if (error instanceof InsightsError || !(error instanceof Error)) return undefined;
  return error.stack
    ?.split('\n')
    .filter((line) => /^\s+at /.test(line))
    .join('\n');
}

function emptyReport(tenant: string, table: TableName): TableReport {
  return {
    tenant,
    table,
    outcome: 'failed',
    grade: 'checksum',
    calls: 0,
    retries: 0,
    waitedMs: 0,
    planned: 0,
    pages: 0,
    splits: 0,
    rowsFetched: 0,
    bytes: 0,
    inserted: 0,
    replaced: 0,
    removed: 0,
    duplicates: 0,
    quarantined: 0,
    hours: { verified: 0, partial: 0, open: 0, expired: 0 },
    changed: false,
    seconds: {},
  };
}

function failureOf({ outcome, error }: TableReport): Failure[] {
  if (error) return [error.failure];
  return outcome === 'partial' ? ['partial'] : [];
}

interface Publisher {
  /** Publishes if the last time is long enough ago. */
  now(): Promise<void>;
  /** Publishes what the run ended with, head links and all; true when readers see something new. */
  last(tables: readonly TableReport[]): Promise<boolean>;
}

function createPublisher(ledger: Ledger, run: string, runtime: Runtime): Publisher {
  let lastMs = runtime.monotonic();
  let some = false;
  return {
    async now() {
      if (runtime.monotonic() - lastMs < PUBLISH_EVERY_MS) return;
      some = (await publish(ledger, { run, head: false })).changed || some;
      lastMs = runtime.monotonic();
    },
    async last() {
      return (await publish(ledger, { run, head: true })).changed || some;
    },
  };
}
