/** A run over tenants and tables: what `run` and `backfill` do. One writer per data directory. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import type { Config } from '../config/config.ts';
import type { Failure } from '../kernel/errors.ts';
import { parseInstant } from '../kernel/instant.ts';
import type { Instant } from '../kernel/instant.ts';
import { compactMonths } from '../load/maintenance/compact.ts';
import type { CheckResult } from '../model/report.ts';
import type { Drift } from '../model/report.ts';
import { CATALOGUE_FILE } from '../model/data-dir.ts';
import { openLedger } from '../load/ledger/ledger.ts';
import type { Ledger } from '../load/ledger/ledger.ts';
import { publish } from '../load/publish/publish.ts';
import type { PublishResult } from '../load/publish/publish.ts';
import { recover } from '../load/maintenance/recover.ts';
import { finishRun, latestRuns, startRun } from '../load/ledger/runs.ts';
import type { Runtime } from '../kernel/runtime.ts';
import { eachTable, lakeSettings } from './each-table.ts';
import { exitCodeOf } from './failure.ts';
import type { ProgressListener, RunReport, TableReport } from '../model/report.ts';
import { writeLastRun } from './status.ts';
import { syncTable } from './sync-table.ts';
import type { RunRequest } from './request.ts';

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
  const sinceMs = runtime.monotonic();
  const startedAt = new Date(runtime.now()).toISOString();
  const run = `${startedAt.replaceAll(/[-:]/g, '').slice(0, 15)}-${Math.floor(runtime.random() * 0x10000)
    .toString(16)
    .padStart(4, '0')}`;
  await using ledger = await openLedger(config.dataDir, lakeSettings(config, request), runtime);
  await recover(ledger);
  const [before] = await latestRuns(ledger, 1);
  await startRun(ledger, run);
  runtime.log.info({ event: 'run.start', run }, 'run started');
  await using publisher = createPublisher(ledger, run, runtime, signal);
  const command = {
    config,
    request,
    ledger,
    run,
    runtime,
    signal,
    onProgress,
    onMerged: () => publisher.now(),
    sinceMs,
    failedTenants: failedIn(before?.stats),
  };
  const tables = (await eachTable(command, syncTable)).map(({ report }) => report);
  for (const report of tables) {
    const { tenant, table, outcome, calls, pages, inserted, removed, error } = report;
    const level = outcome === 'verified' ? 'info' : 'warn';
    runtime.log[level](
      { event: 'table.end', run, tenant, table, outcome, calls, pages, inserted, removed, failure: error?.failure },
      'table done',
    );
  }
  const failures = tables.flatMap(failureOf);
  await finishRun(ledger, run, failures[0] ?? 'ok', { tables });
  const { published, isBehind } = await publisher.last(tables);
  const exitCode = exitCodeOf(isBehind ? [...failures, 'stopped'] : failures);
  const { drift } = publisher;
  const checks = publisher.checks.filter(({ failures, error }) => failures > 0 || error !== undefined);
  if (drift.length > 0)
    runtime.log.warn({ event: 'run.drift', run, changes: drift.length }, 'the shape of the rows has changed');
  if (checks.length > 0) {
    const of = (wanted: CheckResult['severity']): number =>
      checks.filter(({ severity, error }) => severity === wanted && error === undefined).length;
    const notRun = checks.filter(({ error }) => error !== undefined).length;
    runtime.log.warn(
      { event: 'run.checks', run, errors: of('error'), warnings: of('warning'), notRun },
      'checks failed',
    );
  }
  const seconds = (runtime.monotonic() - sinceMs) / 1000;
  runtime.log.info({ event: 'run.end', run, seconds, exitCode, published }, 'run finished');
  const report: RunReport = {
    run,
    startedAt,
    seconds,
    tenants: [...new Set(tables.map(({ tenant }) => tenant))],
    tables,
    published,
    drift,
    checks,
    isBehind,
    peakRssBytes: process.resourceUsage().maxRSS * 1024,
    exitCode,
  };
  await writeLastRun(config.dataDir, report, runtime.now(), ledger.files);
  return report;
}

const statsSchema = z.object({ tables: z.array(z.object({ tenant: z.string(), outcome: z.string() })) });

/** Tenants of which a run could not load some table. */
function failedIn(stats: unknown): ReadonlySet<string> {
  const parsed = statsSchema.safeParse(stats);
  const tables = parsed.success ? parsed.data.tables : [];
  return new Set(tables.filter(({ outcome }) => outcome === 'failed').map(({ tenant }) => tenant));
}

function failureOf({ outcome, error }: TableReport): Failure[] {
  if (error) return [error.failure];
  return outcome === 'partial' ? ['partial'] : [];
}

interface Publisher extends AsyncDisposable {
  /** Changes of shape that its publishes found. */
  readonly drift: readonly Drift[];
  /** What the checks said of what its publishes changed. */
  readonly checks: readonly CheckResult[];
  /** Publishes if the last time is long enough ago, else as soon as it is: what is merged never waits for a slow tenant. */
  now(): Promise<void>;
  /** Publishes what the run ended with, head links and all. `published`: readers see something new. */
  last(tables: readonly TableReport[]): Promise<{ readonly published: boolean; readonly isBehind: boolean }>;
}

function earliest(instants: readonly (Instant | undefined)[]): Instant | undefined {
  return instants.reduce(
    (first, at) => (first === undefined || (at !== undefined && at < first) ? at : first),
    undefined,
  );
}

function createPublisher(ledger: Ledger, run: string, runtime: Runtime, signal: AbortSignal): Publisher {
  let lastMs = runtime.monotonic();
  let some = false;
  const drift: Drift[] = [];
  const checks: CheckResult[] = [];
  const publishNow = async (head: boolean): Promise<PublishResult> => {
    const result = await publish(ledger, { run, head, signal });
    drift.push(...result.drift);
    checks.push(...result.checks);
    some = result.changed || some;
    return result;
  };
  let timer: NodeJS.Timeout | undefined;
  let later: Promise<void> = Promise.resolve();
  const go = async (): Promise<void> => {
    await publishNow(false);
    lastMs = runtime.monotonic();
  };
  const settle = async (): Promise<void> => {
    clearTimeout(timer);
    await later;
  };
  return {
    drift,
    checks,
    async now() {
      const waitMs = PUBLISH_EVERY_MS - (runtime.monotonic() - lastMs);
      if (waitMs <= 0) return go();
      timer ??= setTimeout(() => {
        timer = undefined;
        // What it fails for, the last publish fails for too, and that one is told.
        later = go().catch(() => {});
      }, waitMs);
    },
    [Symbol.asyncDispose]: settle,
    async last(tables) {
      await settle();
      // Refused at the door: a new data directory gets no empty catalogue. One that is there is told what is no longer proven.
      const refused = tables.every(({ outcome, changed }) => outcome === 'failed' && !changed);
      if (refused && !existsSync(join(ledger.dataDir, CATALOGUE_FILE))) return { published: some, isBehind: false };
      const at = earliest(tables.flatMap(({ sourceAt }) => (sourceAt === undefined ? [] : [parseInstant(sourceAt)])));
      if (at !== undefined) await compactMonths(ledger, { run, at, signal });
      const { isBehind } = await publishNow(true);
      return { published: some, isBehind };
    },
  };
}
