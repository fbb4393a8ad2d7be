/** `backup`, its check and `restore`: copies of the published lake. No call is sent and no key is needed. */
import { join, resolve, sep } from 'node:path';
import type { Config } from '../../config/config.ts';
import { ConfigError, EXIT } from '../../kernel/errors.ts';
import { onDisk, pathExists, systemFiles } from '../../kernel/files.ts';
import { plural } from '../../kernel/plural.ts';
import type { Runtime } from '../../kernel/runtime.ts';
import { backup } from '../../load/maintenance/backup.ts';
import {
  datedSnapshots,
  hasLedger,
  ledgerAgrees,
  readSnapshot,
  snapshotFolders,
  storedFault,
} from '../../load/maintenance/backup-folder.ts';
import type { Snapshot } from '../../load/maintenance/backup-folder.ts';
import { checkBackup } from '../../load/maintenance/check-backup.ts';
import { restoreFiles } from '../../load/maintenance/restore.ts';
import type { Restored } from '../../load/maintenance/restore.ts';
import type { BackupCheck, BackupReport, PublishReport } from '../../model/maintenance-report.ts';
import { MANIFEST_FILE, SHARDS_FOLDER } from '../../model/data-dir.ts';
import { manifestTenants, parseManifest } from '../../model/manifest.ts';
import { misplacedTenants, missingShards, shardFolder, shardOfDirectory, showShard } from '../../model/shard.ts';
import type { Shard } from '../../model/shard.ts';
import { shardFolders } from '../../query/shards.ts';
import { requireShards } from '../open-lake.ts';
import { lakeSettings } from '../lake-settings.ts';
import { repairLake } from './inspect.ts';
import { publishLake } from './publish.ts';

export interface BackupCheckReport {
  readonly snapshots: readonly BackupCheck[];
  /** Shards that the backup should hold and does not: `1/8`. */
  readonly missing: readonly string[];
  readonly exitCode: number;
}

export interface RestoreReport extends Restored, Pick<PublishReport, 'dataDir' | 'rows'> {
  /** The folder held this snapshot already: an earlier restore, which was cut off at another shard. */
  readonly restoredBefore?: true;
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
  await requireTenantsOf(shard, folder, hint);
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

/** Throws ConfigError if the backup in a folder has tenants of other shards. */
async function requireTenantsOf(shard: Shard, folder: string, hint: string): Promise<void> {
  const held = await onDisk(folder, () => newestIn(folder));
  const misplaced = held && misplacedTenants(manifestTenants(parseManifest(held.json)), shard);
  const others = [...(misplaced?.values() ?? [])].flat();
  if (others.length > 0)
    throw new ConfigError(
      `The folder holds a backup with ${plural(others.length, 'tenant')} that shard ${showShard(shard)} does not have, such as ${others[0] ?? ''}.`,
      { hint, where: { folder } },
    );
}

/** The newest snapshot of the backup in a folder; undefined if there is none whose manifest can be read. */
async function newestIn(folder: string): Promise<Snapshot | undefined> {
  const newest = (await datedSnapshots(systemFiles, folder)).at(-1);
  const place = newest === undefined ? folder : join(folder, newest);
  return readSnapshot(systemFiles, place).catch(() => undefined);
}

/** The shards whose backups are in a folder; none for the backup of one lake or shard. Throws ConfigError for several numbers of shards. */
export async function shardsInBackup(folder: string): Promise<readonly Shard[]> {
  if (await isBackupOfOne(folder)) return [];
  const folders = (await onDisk(folder, () => shardFolders(folder))).toSorted((a, b) => a.index - b.index);
  // Without a snapshot, the first backup of that shard was cut off.
  const isThere = await Promise.all(folders.map((shard) => isBackupOfOne(join(folder, shardFolder('', shard)))));
  const shards = folders.filter((_, nth) => isThere[nth]);
  const numbers = new Set(shards.map(({ of }) => of));
  if (numbers.size < 2) return shards;
  throw new ConfigError(`The folder holds backups of ${[...numbers].join(' and ')} shards.`, {
    hint: `Name one of the folders in ${join(folder, SHARDS_FOLDER)}, one after the other.`,
    where: { folder },
  });
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
  const shards = await shardsInBackup(folder);
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

/** Makes a lake of a backup, ready for readers and for the next run. Damaged files are left out: the next run fetches their rows. */
export async function restoreLake(
  config: Config,
  from: string,
  folder: string,
  runtime: Runtime,
  signal: AbortSignal,
): Promise<RestoreReport> {
  const place = shardOfDirectory(resolve(folder));
  if (place) {
    await requireSameNumber(place.shared, place.shard);
    await requireTenantsOf(
      place.shard,
      from,
      'Restore it into the folder of its own shard: docs/scale.md, Back up all shards.',
    );
  }
  const restored = await restoreFiles(from, folder, { ...lakeSettings(config), privacyKey: 'unused' }, runtime, signal);
  const inPlace = asOnly(config, folder);
  if (!restored.withLedger) await repairLake(inPlace, runtime);
  const { dataDir, rows } = await publishLake(inPlace, runtime);
  return { ...restored, dataDir, rows, exitCode: restored.damaged.length === 0 ? EXIT.ok : EXIT.damaged };
}

/** Its folder is the whole lake, also where it is that of a shard. */
function asOnly(config: Config, folder: string): Config {
  return { ...config, dataDir: resolve(folder), sharedDir: resolve(folder), shard: undefined };
}

/**
 * As `restoreLake`, and completes a restore that was cut off. A folder that holds the rows of the snapshot is only published, which may
 * be what is missing. One with any other lake is refused.
 */
export async function continueRestore(
  config: Config,
  backupFolder: string,
  folder: string,
  runtime: Runtime,
  signal: AbortSignal,
): Promise<RestoreReport> {
  const files = runtime.files ?? systemFiles;
  const held = await onDisk(folder, async () => {
    if (!(await hasLedger(files, folder))) return undefined;
    const from = (await snapshotFolders(files, backupFolder)).at(-1) ?? backupFolder;
    const snapshot = await readSnapshot(files, from);
    if (!(await ledgerAgrees(folder, snapshot))) return undefined;
    for (const stored of snapshot.partitions) {
      signal.throwIfAborted();
      if ((await storedFault(files, folder, stored)) !== undefined) return undefined;
    }
    const { number, publishedAt } = snapshot;
    const withLedger = await hasLedger(files, from);
    return { from, snapshot: number, publishedAt, files: snapshot.files.length, withLedger, damaged: [] };
  });
  if (!held) return restoreLake(config, backupFolder, folder, runtime, signal);
  const { dataDir, rows } = await publishLake(asOnly(config, folder), runtime);
  return { ...held, restoredBefore: true, dataDir, rows, exitCode: EXIT.ok };
}

/**
 * Restores one shard, from a backup of all shards or of this one. `folder`: the data directory that all shards share, or already the
 * shard's own. Throws ConfigError for a backup or a folder of other shards, and as `restoreLake`.
 */
export async function restoreShard(
  config: Config,
  shard: Shard,
  from: string,
  folder: string,
  runtime: Runtime,
  signal: AbortSignal,
): Promise<RestoreReport> {
  const to = resolve(folder);
  const place = shardOfDirectory(to);
  if (place && showShard(place.shard) !== showShard(shard))
    throw new ConfigError(
      `The folder is that of shard ${showShard(place.shard)}, and this is shard ${showShard(shard)}.`,
      {
        hint: 'Name the data directory that all shards share.',
        where: { folder: to },
      },
    );
  const held = await shardsInBackup(from);
  if (held.length > 0 && !held.some((each) => showShard(each) === showShard(shard)))
    throw new ConfigError(`The backup does not hold shard ${showShard(shard)}.`, {
      hint: `It holds ${held.map(showShard).join(', ')}. Give --shard 0/1 to restore all of them.`,
      where: { folder: from },
    });
  const own = held.length === 0 ? from : join(from, shardFolder('', shard));
  return restoreLake(config, own, place ? to : shardFolder(to, shard), runtime, signal);
}

/** Throws ConfigError if a data directory has folders of another number of shards: two lakes side by side cannot be read. */
async function requireSameNumber(shared: string, { of }: Shard): Promise<void> {
  const other = (await onDisk(shared, () => shardFolders(shared))).find((each) => each.of !== of);
  if (other === undefined) return;
  throw new ConfigError(
    `The data directory has a folder of ${plural(other.of, 'shard')}, and the backup is of ${of}.`,
    {
      hint: 'Restore into a new data directory.',
      where: { folder: shardFolder(shared, other) },
    },
  );
}
