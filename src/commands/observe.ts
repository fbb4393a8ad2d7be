/** For the operator's tools: collects metrics, records how runs end, and calls the webhook. */
import { statfs } from 'node:fs/promises';
import type { Config } from '../config/config.ts';
import { ConfigError, InsightsError, EXIT, errorCode } from '../kernel/errors.ts';
import { exposition } from '../operate/exposition.ts';
import { families, type Measured } from '../operate/metrics.ts';
import { readOutcomes, recordOutcome } from '../operate/outcomes.ts';
import type { Traffic } from '../operate/traffic.ts';
import { notifyWebhook } from '../operate/webhook.ts';
import type { RunReport } from '../model/report.ts';
import type { Runtime } from '../kernel/runtime.ts';

type Live = Pick<Measured, 'traffic' | 'schedule'>;

/** The metrics of a data directory in the Prometheus format. Families without a value yet are omitted. */
export async function metricsText(config: Config, runtime: Runtime, live: Live = {}): Promise<string> {
  const { lakeStatus } = await import('../pipeline/status.ts');
  const { tableDeadlines } = await import('../pipeline/deadlines.ts');
  const [status, deadlines, outcomes, disk] = await Promise.all([
    ifPublished(lakeStatus(config, runtime)),
    ifPublished(tableDeadlines(config, runtime)),
    readOutcomes(config.dataDir),
    statfs(config.dataDir).catch(() => undefined),
  ]);
  const diskFreeBytes = disk && disk.bavail * disk.bsize;
  return exposition(families({ status, deadlines: deadlines ?? [], outcomes, diskFreeBytes, ...live }));
}

/** Undefined before the first publish, when there is no catalogue to read yet. */
async function ifPublished<T>(found: Promise<T>): Promise<T | undefined> {
  try {
    return await found;
  } catch (error) {
    if (error instanceof ConfigError) return undefined;
    throw error;
  }
}

/**
 * Does a run, records how it ended, also if it throws, then calls the webhook. Neither affects the outcome of the run: a
 * record that cannot be written is logged.
 */
export async function observed(
  config: Config,
  runtime: Runtime,
  traffic: Traffic,
  signal: AbortSignal,
  run: () => Promise<RunReport>,
): Promise<RunReport> {
  const startedMs = runtime.monotonic();
  const ended = async (report: RunReport | undefined, exitCode: number): Promise<void> => {
    const seconds = (runtime.monotonic() - startedMs) / 1000;
    const record = { finishedMs: runtime.now(), exitCode, seconds };
    // The process that holds the directory writes its own record.
    if (exitCode !== EXIT.locked)
      await recordOutcome(config.dataDir, report, record, traffic.take(), runtime.files).catch((error: unknown) => {
        const code = errorCode(error) ?? 'error';
        runtime.log.error({ event: 'outcome.unrecorded', code }, 'cannot write outcomes.json');
      });
    // Somebody stopped the run on purpose: no notification.
    if (config.webhook && exitCode !== EXIT.stopped)
      await notifyWebhook(config.webhook, config.dataDir, exitCode, report, runtime, signal);
  };
  let report: RunReport;
  try {
    report = await run();
  } catch (error) {
    await ended(undefined, error instanceof InsightsError ? error.exitCode : EXIT.unexpected);
    throw error;
  }
  await ended(report, report.exitCode);
  return report;
}
