/**
 * `backup`, its check and `restore` of all shards of a lake. The backup of each shard is in a folder of its own, named as in the data
 * directory: `shards/0-of-8`. A shard that fails does not stop the others.
 */
import { readdir } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import type { Config } from '../../config/config.ts';
import { ConfigError } from '../../kernel/errors.ts';
import type { Failure } from '../../kernel/errors.ts';
import { onDisk, pathExists, systemFiles } from '../../kernel/files.ts';
import { plural } from '../../kernel/plural.ts';
import type { Runtime } from '../../kernel/runtime.ts';
import { requireOneKind } from '../../load/maintenance/backup-folder.ts';
import { SHARDS_FOLDER } from '../../model/data-dir.ts';
import type { BackupReport } from '../../model/maintenance-report.ts';
import type { ReportedError } from '../../model/report.ts';
import { shardFolder, shardOfDirectory, showShard } from '../../model/shard.ts';
import type { Shard } from '../../model/shard.ts';
import { shardFolders } from '../../query/shards.ts';
import type { ShardPlace } from '../../query/shards.ts';
import { exitCodeOf, reported } from '../failure.ts';
import { backupLake, isBackupOfOne, continueRestore, requireFolderOf, shardsMissing } from './backup.ts';
import type { RestoreReport } from './backup.ts';

/** What was done with each shard, or the error that ended it. */
export interface ShardsReport<T> {
  readonly shards: readonly { readonly shard: string; readonly report?: T; readonly error?: ReportedError }[];
  /** Shards that should be in the lake or the backup, and are not: `1/8`. */
  readonly missing: readonly string[];
  readonly exitCode: number;
}

/** `shards`: those that have published. Throws ConfigError if the folder holds a backup of another kind. */
export async function backupShards(
  config: Config,
  shards: readonly ShardPlace[],
  folder: string,
  runtime: Runtime,
  signal: AbortSignal,
  keep?: number,
): Promise<ShardsReport<BackupReport>> {
  requireFolderOf(undefined, resolve(folder));
  const [{ of } = { of: 1 }] = shards;
  const others = (await onDisk(folder, () => shardFolders(folder))).filter((shard) => shard.of !== of);
  if (others.length > 0 || (await isBackupOfOne(folder)))
    throw new ConfigError(`The folder holds another backup than of ${plural(of, 'shard')}.`, {
      hint: 'Name another folder, and keep this one.',
      where: { folder },
    });
  // Before the first shard: otherwise a shard that has no backup yet would get one of the other kind.
  for (const shard of shards) {
    const own = join(folder, shardFolder('', shard));
    await onDisk(own, () => requireOneKind(runtime.files ?? systemFiles, own, keep !== undefined));
  }
  const done = await eachShard(shards, signal, async ({ dataDir, ...shard }) =>
    backupLake({ ...config, dataDir, shard }, join(folder, shardFolder('', shard)), runtime, signal, keep),
  );
  return { shards: done.shards, missing: shardsMissing(config, shards), exitCode: exitCodeOf(done.failures) };
}

/** Makes a lake of the same shards, in a folder that is empty or missing, or completes a restore that was cut off. */
export async function restoreShards(
  config: Config,
  shards: readonly Shard[],
  from: string,
  to: string,
  runtime: Runtime,
  signal: AbortSignal,
): Promise<ShardsReport<RestoreReport>> {
  const place = shardOfDirectory(resolve(to));
  if (place)
    throw new ConfigError(`The folder is that of shard ${showShard(place.shard)}, and the backup is of all shards.`, {
      hint: `Name the data directory that all shards share. To restore only this shard, add \`--shard ${showShard(place.shard)}\`.`,
      where: { folder: to },
    });
  const isThere = await onDisk(to, () => pathExists(to));
  const other = isThere ? (await onDisk(to, () => readdir(to))).find((name) => name !== SHARDS_FOLDER) : undefined;
  if (other !== undefined)
    throw new ConfigError('The folder is not empty.', {
      hint: 'Name a new folder, or move what is there away.',
      where: { file: join(to, other) },
    });
  const done = await eachShard(shards, signal, async (shard) =>
    continueRestore(config, join(from, shardFolder('', shard)), shardFolder(resolve(to), shard), runtime, signal),
  );
  const missing = shardsMissing(config, shards);
  // As for files that a backup lacks: the rest is restored, and the exit code says that it is not all.
  const failures: readonly Failure[] = missing.length === 0 ? done.failures : [...done.failures, 'damaged'];
  return { shards: done.shards, missing, exitCode: exitCodeOf(failures) };
}

async function eachShard<S extends Shard, T extends object>(
  shards: readonly S[],
  signal: AbortSignal,
  work: (shard: S) => Promise<T>,
): Promise<Pick<ShardsReport<T>, 'shards'> & { readonly failures: readonly Failure[] }> {
  const done: ShardsReport<T>['shards'][number][] = [];
  const failures: Failure[] = [];
  for (const each of shards) {
    const shard = showShard(each);
    try {
      const report = await work(each);
      done.push({ shard, report });
      if ('damaged' in report && Array.isArray(report.damaged) && report.damaged.length > 0) failures.push('damaged');
    } catch (error) {
      signal.throwIfAborted();
      const found = reported(error);
      failures.push(found.failure);
      done.push({ shard, error: found });
    }
  }
  return { shards: done, failures };
}
