/** What an operator's tools are told: metrics gathered from the data directory, outcomes recorded, the webhook called. */
import { statfs } from 'node:fs/promises';
import type { Config } from '../config/config.ts';
import { ConfigError, InsightsError, EXIT } from '../kernel/errors.ts';
import { exposition } from '../operate/exposition.ts';
import { families, type Measured } from '../operate/metrics.ts';
import { readOutcomes, recordOutcome } from '../operate/outcomes.ts';
import type { Traffic } from '../operate/traffic.ts';
import { tell } from '../operate/webhook.ts';
import type { RunReport } from '../model/report.ts';
import type { Runtime } from '../kernel/runtime.ts';

type Live = Pick<Measured, 'traffic' | 'schedule'>;

/** The metrics of a data directory in the Prometheus format; what is not there yet is left out. */
export async function metricsText(config: Config, runtime: Runtime, live: Live = {}): Promise<string> {
  const { lakeStatus } = await import('../pipeline/status.ts');
  const { tableDeadlines } = await import('../pipeline/deadlines.ts');
  const [status, deadlines, outcomes, disk] = await Promise.all([
    unlessUnpublished(lakeStatus(config, runtime)),
    unlessUnpublished(tableDeadlines(config, runtime)),
    readOutcomes(config.dataDir),
    statfs(config.dataDir).catch(() => undefined),
  ]);
  const diskFreeBytes = disk && disk.bavail * disk.bsize;
  return exposition(families({ status, deadlines: deadlines ?? [], outcomes, diskFreeBytes, ...live }));
}

/** Before the first publish there is no catalogue, which is no failure of the metrics. */
async function unlessUnpublished<T>(found: Promise<T>): Promise<T | undefined> {
  try {
    return await found;
  } catch (error) {
    if (error instanceof ConfigError) return undefined;
    throw error;
  }
}

/**
 * Does a run and records how it ended, whatever that is; then tells the webhook. Neither changes the run's own outcome:
 * a record that cannot be written is logged.
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
    // Another process holds the directory: its records are not ours to write.
    if (exitCode !== EXIT.locked)
      await recordOutcome(config.dataDir, report, record, traffic.take(), runtime.files).catch((error: unknown) => {
        const code = error instanceof Error && 'code' in error ? String(error.code) : 'error';
        runtime.log.error({ event: 'outcome.unrecorded', code }, 'the outcome cannot be recorded on disk');
      });
    // A stop by a person is no failure to wake another one for.
    if (config.webhook && exitCode !== EXIT.stopped)
      await tell(config.webhook, config.dataDir, exitCode, report, runtime, signal);
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
