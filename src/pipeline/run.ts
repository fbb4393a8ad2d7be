/** A run over tenants and tables: what `run` and `backfill` do. One writer for each data directory. */
import { z } from 'zod';
import type { Config } from '../config/config.ts';
import type { Failure } from '../kernel/errors.ts';
import type { Runtime } from '../kernel/runtime.ts';
import { openLake } from './open-lake.ts';
import { startGenerations } from '../load/ledger/generation-floor.ts';
import { lossesOf } from '../load/ledger/losses.ts';
import { finishRun, latestRuns, startRun } from '../load/ledger/runs.ts';
import { recover } from '../load/maintenance/recover.ts';
import { countChecks } from '../model/check-counts.ts';
import { hasOutside } from '../model/outside.ts';
import type { ProgressEvent, ProgressListener, RunReport, TableReport } from '../model/report.ts';
import { eachTable } from './each-table.ts';
import { lakeSettings } from './lake-settings.ts';
import { exitCodeOf, reportedLoss } from './failure.ts';
import { writeLastRun } from './last-run.ts';
import { openProgressFile } from './progress-file.ts';
import { oldestProofs } from './proofs.ts';
import { createPublisher } from './publisher.ts';
import type { RunRequest } from './request.ts';
import { syncTable } from './sync-table.ts';
import { writtenBy } from '../kernel/version.ts';

/**
 * Makes the lake equal to the source and publishes it. A failure of a tenant or a table is reported and does not stop the
 * others. Throws LockedError, NewerStateError, DamagedError or DiskError when the run cannot begin.
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
  const run = request.run ?? newRun(runtime);
  const { log } = runtime;
  await using ledger = await openLake(config, lakeSettings(config, request), runtime);
  await recover(ledger);
  if (config.shard) await startGenerations(ledger);
  const [lastRun] = await latestRuns(ledger, 1);
  await startRun(ledger, run);
  log.info({ event: 'run.start', run }, 'run started');
  await using progress = openProgressFile(ledger.dataDir, { run, startedAt }, runtime);
  await using publisher = createPublisher(ledger, run, runtime, signal);
  const command = {
    config,
    request,
    ledger,
    run,
    runtime,
    signal,
    onProgress: (event: ProgressEvent) => {
      progress.listen(event);
      onProgress(event);
    },
    onMerged: () => publisher.afterMerge(),
    sinceMs,
    failedTenants: failedIn(lastRun?.stats),
  };
  const tables = (await eachTable(command, syncTable)).map(({ report }) => report);
  for (const { tenant, table, outcome, calls, pages, inserted, removed, error } of tables)
    log[outcome === 'verified' ? 'info' : 'warn'](
      { event: 'table.end', run, tenant, table, outcome, calls, pages, inserted, removed, failure: error?.failure },
      'table done',
    );
  for (const { tenant, table, outside } of tables)
    if (outside && hasOutside(outside))
      log.warn({ event: 'rows.outside', run, tenant, table, ...outside }, 'rows at the source lie in no hour');
  const expired = (await lossesOf(ledger, run)).map(reportedLoss);
  for (const loss of expired)
    log.warn({ event: 'hours.expired', run, ...loss }, 'the source deleted hours before they were proven');
  const failures = [...tables.flatMap(failureOf), ...(expired.length > 0 ? (['expired'] as const) : [])];
  await finishRun(ledger, run, failures[0] ?? 'ok', { ...writtenBy(), tables });
  const { published, isBehind, drift, checks } = await publisher.atEnd(tables);
  const exitCode = exitCodeOf(isBehind ? [...failures, 'stopped'] : failures);
  const failedChecks = checks.filter((check) => check.failures > 0 || check.error !== undefined);
  if (drift.length > 0)
    log.warn({ event: 'run.drift', run, changes: drift.length }, 'the shape of the rows has changed');
  if (failedChecks.length > 0) log.warn({ event: 'run.checks', run, ...countChecks(failedChecks) }, 'checks failed');
  const seconds = Math.round(runtime.monotonic() - sinceMs) / 1000;
  log.info({ event: 'run.end', run, seconds, exitCode, published }, 'run finished');
  const report: RunReport = {
    run,
    startedAt,
    seconds,
    tenants: [...new Set(tables.map(({ tenant }) => tenant))],
    tables,
    expired,
    published,
    drift,
    checks: failedChecks,
    isBehind,
    peakRssBytes: process.resourceUsage().maxRSS * 1024,
    exitCode,
  };
  const proofs = await oldestProofs(config, ledger, runtime);
  await writeLastRun(config.dataDir, report, proofs, runtime.now(), ledger.files);
  return report;
}

/** The id of a run: the second in which it started, and a random part. */
export function newRun({ now, random }: Pick<Runtime, 'now' | 'random'>): string {
  const second = new Date(now()).toISOString().replaceAll(/[-:]/g, '').slice(0, 15);
  const suffix = Math.floor(random() * 0x10000)
    .toString(16)
    .padStart(4, '0');
  return `${second}-${suffix}`;
}

const statsSchema = z.object({ tables: z.array(z.object({ tenant: z.string(), outcome: z.string() })) });

/** Tenants with a table that failed, from the figures that the ledger keeps of a run. */
function failedIn(stats: unknown): ReadonlySet<string> {
  const parsed = statsSchema.safeParse(stats);
  const tables = parsed.success ? parsed.data.tables : [];
  return new Set(tables.filter(({ outcome }) => outcome === 'failed').map(({ tenant }) => tenant));
}

function failureOf({ outcome, error }: TableReport): Failure[] {
  if (error) return [error.failure];
  return outcome === 'partial' ? ['partial'] : [];
}
