/** For the operator's tools: collects metrics, records how runs end, and calls the webhook. */
import { statfs } from 'node:fs/promises';
import { join } from 'node:path';
import type { Config } from '../config/config.ts';
import { ConfigError, InsightsError, EXIT, errorCode } from '../kernel/errors.ts';
import { pathExists } from '../kernel/files.ts';
import { packageVersion } from '../kernel/version.ts';
import { exposition } from '../operate/exposition.ts';
import { families, type Measured } from '../operate/metrics.ts';
import { readOutcomes, recordOutcome } from '../operate/outcomes.ts';
import type { Traffic } from '../operate/traffic.ts';
import { pingsOf, pingStart } from '../operate/ping.ts';
import { writeTextfile } from '../operate/textfile.ts';
import { notifyWebhook } from '../operate/webhook.ts';
import { CATALOGUE_FILE, LEDGER_FILE } from '../model/data-dir.ts';
import type { RunReport } from '../model/report.ts';
import type { Runtime } from '../kernel/runtime.ts';

type Live = Pick<Measured, 'traffic' | 'schedule'>;

/** The metrics of a data directory in the Prometheus format, also of tables that were never loaded. */
export async function metricsText(config: Config, runtime: Runtime, live: Live = {}): Promise<string> {
  const { lakeStatus } = await import('../pipeline/status.ts');
  const { tableDeadlines } = await import('../pipeline/deadlines.ts');
  const [status, deadlines, outcomes, disk] = await Promise.all([
    ifReadable(lakeStatus(config, runtime)),
    ifReadable(tableDeadlines(config, runtime)),
    readOutcomes(config.dataDir),
    statfs(config.dataDir).catch(() => undefined),
  ]);
  // Without tenants in the configuration, as for `status` of a copied lake, every table of the lake counts.
  const configured = config.tenants.flatMap(({ id, tables }) =>
    [...tables.keys()].map((table) => ({ tenant: id, table })),
  );
  return exposition(
    families({
      version: packageVersion(),
      configured: configured.length > 0 ? configured : undefined,
      status: status.found,
      deadlines: deadlines.found ?? [],
      isUnreadable: status.isUnreadable || deadlines.isUnreadable,
      outcomes,
      isMirrored: config.mirror !== undefined,
      diskFreeBytes: disk && disk.bavail * disk.bsize,
      ...live,
    }),
  );
}

/**
 * Nothing is found before the first publish, when there is no catalogue to read yet, and when it cannot be read: then the other
 * metrics are all the more important.
 */
async function ifReadable<T>(found: Promise<T>): Promise<{ found?: T; isUnreadable: boolean }> {
  try {
    return { found: await found, isUnreadable: false };
  } catch (error) {
    return { isUnreadable: !(error instanceof ConfigError) };
  }
}

/** What is done about the end of a run depends on what it was. */
export interface ObservedRun {
  readonly traffic: Traffic;
  /** It compares whatever a run compares: not a backfill of a range. */
  readonly isRegular: boolean;
}

/**
 * Does a run, writes the dashboard's files, pushes to the mirror, and reports the run: pings at its start and end, its record, also if it
 * throws, the textfile and the webhook. Of these only the mirror affects the outcome of the run: what else fails is logged.
 */
export async function observed(
  config: Config,
  runtime: Runtime,
  { traffic, isRegular }: ObservedRun,
  signal: AbortSignal,
  run: () => Promise<RunReport>,
): Promise<RunReport> {
  const startedMs = runtime.monotonic();
  const ping = config.ping && isRegular ? pingStart(pingsOf(config.ping), runtime, signal) : undefined;
  const ended = async (report: RunReport | undefined, exitCode: number): Promise<void> => {
    const seconds = (runtime.monotonic() - startedMs) / 1000;
    const record = { finishedMs: runtime.now(), exitCode, seconds, isRegular };
    // A run that was refused before it opened a ledger leaves nothing: neither the folder of a shard that the lake does not have, nor a
    // record in the directory that all shards share.
    const hasBegun = report !== undefined || (await isLake(config.dataDir));
    // The process that holds the directory writes its own record.
    if (exitCode !== EXIT.locked && hasBegun) {
      await recordOutcome(config.dataDir, report, record, traffic.take(), runtime.files).catch((error: unknown) => {
        const code = errorCode(error) ?? 'error';
        runtime.log.error({ event: 'outcome.unrecorded', code }, 'cannot write outcomes.json');
      });
      await publishTextfile(config, runtime);
    }
    await ping?.end(exitCode, report);
    // Somebody stopped the run on purpose: no notification.
    if (config.webhook && exitCode !== EXIT.stopped)
      await notifyWebhook(config.webhook, hasBegun ? config.dataDir : undefined, exitCode, report, runtime, signal);
  };
  let report: RunReport;
  try {
    report = await run();
  } catch (error) {
    const exitCode = error instanceof InsightsError ? error.exitCode : EXIT.unexpected;
    await writePage(config, runtime, signal, exitCode);
    await ended(undefined, exitCode);
    throw error;
  }
  await writePage(config, runtime, signal, report.exitCode);
  // After the page, which the mirror has, too.
  if (config.mirror) {
    const { mirrorAfterRun } = await import('../pipeline/mirror/after-run.ts');
    report = await mirrorAfterRun(config, report, runtime, signal);
  }
  await ended(report, report.exitCode);
  return report;
}

/** True where a run has been, also if its ledger is lost. */
async function isLake(dataDir: string): Promise<boolean> {
  const names = [LEDGER_FILE, CATALOGUE_FILE];
  return (await Promise.all(names.map((name) => pathExists(join(dataDir, name)).catch(() => true)))).includes(true);
}

/** A process that is asked to stop has seconds. The next run writes the page. */
async function writePage(config: Config, runtime: Runtime, signal: AbortSignal, exitCode: number): Promise<void> {
  if (config.dashboard.out === undefined || exitCode === EXIT.locked || signal.aborted) return;
  const { writeSite } = await import('./site.ts');
  await writeSite(config, runtime, signal);
}

async function publishTextfile(config: Config, runtime: Runtime): Promise<void> {
  const { textfile } = config.health;
  if (textfile === undefined) return;
  try {
    await writeTextfile(textfile, await metricsText(config, runtime));
  } catch (error) {
    const code = errorCode(error) ?? 'error';
    runtime.log.error({ event: 'textfile.failed', code, file: textfile }, 'cannot write the metrics');
  }
}
