/** The two ends of a purge that was cut off: a run completes it, or an operator gives it up. */
import { join } from 'node:path';
import type { Config } from '../../config/config.ts';
import { InsightsError, LockedError } from '../../kernel/errors.ts';
import type { Failure } from '../../kernel/errors.ts';
import { onDisk, pathExists, systemFiles } from '../../kernel/files.ts';
import type { Runtime } from '../../kernel/runtime.ts';
import { LEDGER_FILE } from '../../model/data-dir.ts';
import type { RunReport } from '../../model/report.ts';
import { cutOffPurges, isConfigured, purgeDecision, removeMark, requireCutOff } from '../cut-off-purges.ts';
import { addFailure } from '../failure.ts';
import { amendLastRun } from '../last-run.ts';
import { openExisting } from './existing.ts';
import { heldRows, purgeTenant } from './purge.ts';

/**
 * Completes the purges that can be completed, and then does the run, also if one of them fails: the exit code of the run reports that
 * failure. Throws LockedError and what the run throws. `config`: with all tenants.
 */
export async function afterPurges(
  config: Config,
  runtime: Runtime,
  removeElsewhere: () => Promise<void>,
  run: () => Promise<RunReport>,
): Promise<RunReport> {
  const failure = await completePurges(config, runtime, removeElsewhere);
  const report = await run();
  if (!failure) return report;
  const exitCode = addFailure(report.exitCode, failure);
  await amendLastRun(config.dataDir, report.run, exitCode, runtime.files).catch(() => {});
  return { ...report, exitCode };
}

/**
 * Completes the purges of tenants that are not configured. What fails is logged, and the mark stays: other tenants
 * can be loaded nevertheless. Returns how it failed.
 */
async function completePurges(
  config: Config,
  runtime: Runtime,
  removeElsewhere: () => Promise<void>,
): Promise<Failure | undefined> {
  const files = runtime.files ?? systemFiles;
  const { dataDir } = config;
  const { log } = runtime;
  // Without a ledger there is no lake yet, or it has to be repaired first.
  const found = await onDisk(dataDir, async () =>
    (await pathExists(join(dataDir, LEDGER_FILE), files)) ? cutOffPurges(files, dataDir) : [],
  );
  let failure: Failure | undefined;
  for (const { tenant, mark, keptOut } of found) {
    // A run reports it for each of its tables.
    if (isConfigured(tenant, config)) continue;
    if (!keptOut) {
      log.warn(
        { event: 'purge.undecided', tenant, hint: purgeDecision(tenant) },
        'an earlier version left a purge that was cut off',
      );
      continue;
    }
    try {
      const {
        rows,
        files: deleted,
        formerMirrors,
        mirrorsOfOldShards,
      } = await purgeTenant(config, tenant, runtime, {
        mustBeCutOff: true,
        removeElsewhere,
      });
      const mayHold = [...formerMirrors, ...mirrorsOfOldShards];
      log.warn(
        { event: 'purge.completed', tenant, rows, files: deleted, ...(mayHold.length > 0 ? { mayHold } : {}) },
        'completed a purge that was cut off',
      );
    } catch (error) {
      if (!(error instanceof InsightsError) || error instanceof LockedError) throw error;
      // Another process has completed it meanwhile.
      if (!(await onDisk(dataDir, () => pathExists(mark, files)))) continue;
      failure = error.failure;
      log.error(
        { event: 'purge.failed', tenant, failure, where: error.where, hint: error.hint },
        `a purge that was cut off could not be completed: ${error.message}`,
      );
    }
  }
  return failure;
}

export interface KeptReport {
  readonly tenant: string;
  /** What the lake still holds of the tenant. */
  readonly rows: number;
  readonly files: number;
}

/** Removes the mark, so that runs load the tenant again. Throws ConfigError if no purge of it was cut off, and what `openExisting` throws. */
export async function giveUpPurge(config: Config, tenant: string, runtime: Runtime): Promise<KeptReport> {
  const files = runtime.files ?? systemFiles;
  return onDisk(config.dataDir, async () => {
    await using ledger = await openExisting(config, runtime, { privacyKey: 'unused' });
    const { mark } = await requireCutOff(files, config.dataDir, tenant);
    const { rows, files: kept } = await heldRows(ledger, tenant);
    await removeMark(files, mark);
    return { tenant, rows, files: kept };
  });
}
