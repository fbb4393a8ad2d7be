/** `backup`, its check and `restore`: copies of the published lake. No call is sent and no key is needed. */
import { resolve } from 'node:path';
import type { Config } from '../../config/config.ts';
import { EXIT } from '../../kernel/errors.ts';
import type { Runtime } from '../../kernel/runtime.ts';
import { backup } from '../../load/maintenance/backup.ts';
import { checkBackup } from '../../load/maintenance/check-backup.ts';
import { restoreFiles } from '../../load/maintenance/restore.ts';
import type { Restored } from '../../load/maintenance/restore.ts';
import type { BackupCheck, BackupReport, PublishReport } from '../../model/maintenance-report.ts';
import { requireShards } from '../open-lake.ts';
import { lakeSettings } from '../lake-settings.ts';
import { repairLake } from './inspect.ts';
import { publishLake } from './publish.ts';

export interface BackupCheckReport {
  readonly snapshots: readonly BackupCheck[];
  readonly exitCode: number;
}

export interface RestoreReport extends Restored, Pick<PublishReport, 'dataDir' | 'rows'> {
  readonly exitCode: number;
}

/** Copies the published snapshot of a lake or of a shard into another folder, also while a run writes. With `keep`, as a dated snapshot: that many are kept. */
export async function backupLake(
  config: Config,
  folder: string,
  runtime: Runtime,
  signal: AbortSignal,
  keep?: number,
): Promise<BackupReport> {
  await requireShards(config);
  return backup(config.dataDir, folder, { ...lakeSettings(config), privacyKey: 'unused' }, runtime, signal, keep);
}

/** Reads every file of a backup. The exit code is that of damage if one snapshot has a problem. */
export async function checkBackupLake(
  folder: string,
  runtime: Runtime,
  signal: AbortSignal,
): Promise<BackupCheckReport> {
  const snapshots = await checkBackup(folder, runtime, signal);
  return { snapshots, exitCode: snapshots.some(({ problems }) => problems.length > 0) ? EXIT.damaged : EXIT.ok };
}

/** Makes a lake of a backup, ready for readers and for the next run. Damaged files are left out: the next run fetches their rows. */
export async function restoreLake(
  config: Config,
  from: string,
  folder: string,
  runtime: Runtime,
  signal: AbortSignal,
): Promise<RestoreReport> {
  const restored = await restoreFiles(from, folder, runtime, signal);
  const inPlace = { ...config, dataDir: resolve(folder), sharedDir: resolve(folder), shard: undefined };
  if (!restored.withLedger) await repairLake(inPlace, runtime);
  const { dataDir, rows } = await publishLake(inPlace, runtime);
  return { ...restored, dataDir, rows, exitCode: restored.damaged.length === 0 ? EXIT.ok : EXIT.damaged };
}
