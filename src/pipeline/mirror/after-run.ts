/** The push after a run. The run's data are published whatever comes of it, and the next run pushes what is missing. */
import { join } from 'node:path';
import type { Config } from '../../config/config.ts';
import { pathExists } from '../../kernel/files.ts';
import type { Failure } from '../../kernel/errors.ts';
import type { Runtime } from '../../kernel/runtime.ts';
import { MANIFEST_FILE } from '../../model/data-dir.ts';
import type { RunReport } from '../../model/report.ts';
import { addFailure, reported } from '../failure.ts';
import { amendLastRun } from '../last-run.ts';
import { pushMirror } from './push.ts';

/** These need the same help whatever finds them first. */
const OWN: ReadonlySet<Failure> = new Set(['damaged', 'disk', 'mirrorTaken', 'stopped']);

/** The report with what came of the push. Never throws. */
export async function mirrorAfterRun(
  config: Config,
  report: RunReport,
  runtime: Runtime,
  signal: AbortSignal,
): Promise<RunReport> {
  const { log } = runtime;
  // A process that is asked to stop has seconds. A run that failed before anything was published has reported its own error.
  if (!config.mirror || signal.aborted) return report;
  if (!(await pathExists(join(config.dataDir, MANIFEST_FILE), runtime.files))) return report;
  const { run } = report;
  try {
    const { mirror, snapshot, uploadedFiles, uploadedBytes, removedFiles } = await pushMirror(config, runtime, signal, {
      onlyNew: true,
    });
    const pushed = { mirror, snapshot, uploadedFiles, uploadedBytes, removedFiles };
    log.info({ event: 'mirror.pushed', run, ...pushed }, 'the mirror is up to date');
    return { ...report, mirror: pushed };
  } catch (error) {
    const shown = reported(error);
    const failure = OWN.has(shown.failure) ? shown.failure : 'mirror';
    const exitCode = addFailure(report.exitCode, failure);
    log.warn({ event: 'mirror.failed', run, failure: shown.failure, hint: shown.hint, where: shown.where }, shown.message); // oxfmt-ignore
    // What the run did is in its report; the record is only for `status`.
    await amendLastRun(config.dataDir, run, exitCode, runtime.files).catch(() => {});
    return { ...report, mirror: { error: shown }, exitCode };
  }
}
