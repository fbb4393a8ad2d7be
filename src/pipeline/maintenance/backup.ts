/** `backup` and its check: copies of the published lake. No call is sent and no key is needed. */
import { join, resolve, sep } from 'node:path';
import type { Config } from '../../config/config.ts';
import { ConfigError, EXIT } from '../../kernel/errors.ts';
import { onDisk, pathExists, systemFiles } from '../../kernel/files.ts';
import type { Runtime } from '../../kernel/runtime.ts';
import { backup } from '../../load/maintenance/backup.ts';
import { datedSnapshots, readSnapshot } from '../../load/maintenance/backup-folder.ts';
import { checkBackup } from '../../load/maintenance/check-backup.ts';
import type { BackupCheck, BackupReport } from '../../model/maintenance-report.ts';
import { MANIFEST_FILE } from '../../model/data-dir.ts';
import { manifestTenants, parseManifest } from '../../model/manifest.ts';
import { missingShards, shardFolder, shardOfDirectory, showShard } from '../../model/shard.ts';
import type { Shard } from '../../model/shard.ts';
import { requireNoRestore, shardFolders } from '../../query/shards.ts';
import { requireShards } from '../open-lake.ts';
import { lakeSettings } from '../lake-settings.ts';
import { requireTenantsOf, shardsOf } from './held-shards.ts';
import type { Held } from './held-shards.ts';

export interface BackupCheckReport {
  readonly snapshots: readonly BackupCheck[];
  /** Shards that the backup should hold and does not: `1/8`. */
  readonly missing: readonly string[];
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
  // It may have a manifest already, and its ledger would be missing in the copy.
  await requireNoRestore(config.dataDir, ({ of }) => of === 1);
  await requireOwnFolder(config, resolve(folder));
  return backup(config.dataDir, folder, { ...lakeSettings(config), privacyKey: 'unused' }, runtime, signal, keep);
}

/**
 * Throws ConfigError for a folder inside the data directory that all shards share, and for one with the backup of another shard: a backup
 * removes what its own snapshot does not name.
 */
async function requireOwnFolder({ shard, sharedDir }: Config, folder: string): Promise<void> {
  if (shard && `${folder}${sep}`.startsWith(`${resolve(sharedDir)}${sep}`))
    throw new ConfigError('A backup needs a folder of its own, outside of the data directory.', { where: { folder } });
  requireFolderOf(shard, folder);
  const hint = `Name another folder.${shard ? ' Without --shard, each shard gets a folder of its own.' : ''}`;
  if ((await onDisk(folder, () => shardFolders(folder))).length > 0)
    throw new ConfigError('The folder holds a backup of all shards of a lake.', { hint, where: { folder } });
  if (!shard) return;
  requireTenantsOf(shard, await tenantsOfBackup(folder), 'The folder holds a backup', { hint, where: { folder } });
}

/** Throws ConfigError if a folder has the name of the backup of another shard, where a lake or a shard (undefined: no shard) is to be copied. */
export function requireFolderOf(shard: Shard | undefined, folder: string): void {
  const place = shardOfDirectory(folder);
  if (!place || (shard && showShard(shard) === showShard(place.shard))) return;
  const what = shard ? `shard ${showShard(shard)}` : 'a whole lake';
  throw new ConfigError(`The folder is that of shard ${showShard(place.shard)}, and this is a backup of ${what}.`, {
    hint: 'Name another folder.',
    where: { folder },
  });
}

/** The tenants of the newest snapshot in a folder; none if there is no snapshot whose manifest can be read. */
export async function tenantsOfBackup(folder: string): Promise<readonly string[]> {
  return onDisk(folder, async () => {
    const newest = (await datedSnapshots(systemFiles, folder)).at(-1);
    const place = newest === undefined ? folder : join(folder, newest);
    const held = await readSnapshot(systemFiles, place).catch(() => undefined);
    return held ? manifestTenants(parseManifest(held.json)) : [];
  });
}

/** What is in the folder of a backup. A shard without a snapshot is left out: its first backup was cut off. */
export async function heldInBackup(folder: string): Promise<Held> {
  const folders = (await onDisk(folder, () => shardFolders(folder))).toSorted((a, b) => a.index - b.index);
  const isThere = await Promise.all(folders.map((shard) => isBackupOfOne(join(folder, shardFolder('', shard)))));
  return { isOne: await isBackupOfOne(folder), shards: folders.filter((_, nth) => isThere[nth]) };
}

/** True for a backup that is not of all shards. */
export async function isBackupOfOne(folder: string): Promise<boolean> {
  return onDisk(folder, async () => {
    if (await pathExists(join(folder, MANIFEST_FILE))) return true;
    return (await datedSnapshots(systemFiles, folder)).length > 0;
  });
}

/** Reads every file of a backup. The exit code is that of damage if one snapshot has a problem, or a shard is missing. */
export async function checkBackupLake(
  config: Config,
  folder: string,
  runtime: Runtime,
  signal: AbortSignal,
): Promise<BackupCheckReport> {
  const shards = shardsOf(await heldInBackup(folder), 'backup', folder);
  const missing = shardsMissing(config, shards);
  const folders = shards.length === 0 ? [folder] : shards.map((shard) => join(folder, shardFolder('', shard)));
  const snapshots: BackupCheck[] = [];
  for (const each of folders) snapshots.push(...(await checkBackup(each, runtime, signal)));
  const isDamaged = missing.length > 0 || snapshots.some(({ problems }) => problems.length > 0);
  return { snapshots, missing, exitCode: isDamaged ? EXIT.damaged : EXIT.ok };
}

/** The shards that are missing among those of a lake or of its backup, for all tenants that are configured. */
export function shardsMissing({ tenants, otherTenants }: Config, shards: readonly Shard[]): readonly string[] {
  return missingShards(shards, [...tenants.map(({ id }) => id), ...otherTenants]).map(showShard);
}
