/**
 * `backup` of all shards of a lake, and what it shares with `restore`. The backup of each shard is in a folder of its own, named as in the data
 * directory: `shards/0-of-8`. A shard that fails does not stop the others.
 */
import { join, resolve } from 'node:path';
import type { Config } from '../../config/config.ts';
import { ConfigError, LockedError } from '../../kernel/errors.ts';
import type { Failure } from '../../kernel/errors.ts';
import { onDisk, systemFiles } from '../../kernel/files.ts';
import { plural } from '../../kernel/plural.ts';
import type { Runtime } from '../../kernel/runtime.ts';
import { requireOneKind } from '../../load/maintenance/backup-folder.ts';
import type { BackupReport } from '../../model/maintenance-report.ts';
import type { ReportedError } from '../../model/report.ts';
import { shardFolder, showShard } from '../../model/shard.ts';
import type { Shard } from '../../model/shard.ts';
import { shardFolders } from '../../query/shards.ts';
import type { ShardPlace } from '../../query/shards.ts';
import { exitCodeOf, reported } from '../failure.ts';
import { backupLake, isBackupOfOne, requireFolderOf, shardsMissing } from './backup.ts';

/** What was done with each shard, or the error that ended it. */
export interface ShardsReport<T> {
  readonly shards: readonly { readonly shard: string; readonly report?: T; readonly error?: ReportedError }[];
  /** Shards that should be in the lake, the backup or the mirror, and are not: `1/8`. */
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

export async function eachShard<S extends Shard, T extends object>(
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
      // Another process does the same. It would be in the way at every shard.
      if (error instanceof LockedError) throw error;
      const found = reported(error);
      failures.push(found.failure);
      done.push({ shard, error: found });
    }
  }
  return { shards: done, failures };
}
