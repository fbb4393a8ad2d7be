/**
 * `restore`: makes a lake of a backup or a mirror, ready for readers and for the next run. Both hold one lake or shard, or a folder for
 * each shard of a lake. What goes into which folder is decided here for both.
 */
import { readdir, stat } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import type { Config } from '../../config/config.ts';
import { ConfigError, EXIT, LockedError } from '../../kernel/errors.ts';
import type { Failure } from '../../kernel/errors.ts';
import { onDisk, pathExists } from '../../kernel/files.ts';
import type { Runtime } from '../../kernel/runtime.ts';
import type { LakeSettings } from '../../load/ledger/ledger.ts';
import { restoreFiles } from '../../load/maintenance/restore.ts';
import { isRecord, releaseFolder, reserveFolder, stateOf } from '../../load/maintenance/restore-folder.ts';
import type { RestoredInto } from '../../load/maintenance/restore-folder.ts';
import { SHARDS_FOLDER } from '../../model/data-dir.ts';
import { shardFolder, shardOfDirectory, showShard } from '../../model/shard.ts';
import type { Shard } from '../../model/shard.ts';
import { exitCodeOf } from '../failure.ts';
import { lakeSettings } from '../lake-settings.ts';
import { eachShard } from './backup-shards.ts';
import type { ShardsReport } from './backup-shards.ts';
import { heldInBackup, shardsMissing, tenantsOfBackup } from './backup.ts';
import { requireSameNumber, requireTenantsOf, shardsOf } from './held-shards.ts';
import type { Held } from './held-shards.ts';

export interface RestoreReport extends RestoredInto {
  readonly exitCode: number;
}

/** A shard that was restored before, and that another command has used since. Nothing was changed. */
export interface UsedShard {
  readonly dataDir: string;
  readonly usedSince: true;
}

/** A backup or a mirror. */
export interface RestoreSource {
  readonly kind: 'backup' | 'mirror';
  /** A folder or an address. */
  readonly place: string;
  held(): Promise<Held>;
  /** What is in the folder of one shard. */
  below(shard: Shard): RestoreSource;
  /** Of the newest snapshot. None if it cannot be read: `restore` says why. */
  tenants(): Promise<readonly string[]>;
  /** Makes a lake of it, in a folder that is empty or missing. Throws ConfigError for a folder with other files. */
  restore(to: string): Promise<RestoreReport>;
}

export function backupSource(config: Config, folder: string, runtime: Runtime, signal: AbortSignal): RestoreSource {
  return {
    kind: 'backup',
    place: folder,
    held: () => heldInBackup(folder),
    below: (shard) => backupSource(config, shardFolder(folder, shard), runtime, signal),
    tenants: () => tenantsOfBackup(folder),
    restore: (to) => restoreLake(config, folder, to, runtime, signal),
  };
}

/**
 * Restores one lake or shard, or every shard of a lake. `folder`: the data directory that all shards share; with a shard, it may be the
 * shard's own. Throws ConfigError for a source or a folder of other shards.
 */
export async function restoreFrom(
  config: Config,
  source: RestoreSource,
  folder: string,
  runtime: Runtime,
  signal: AbortSignal,
): Promise<RestoreReport | ShardsReport<RestoreReport | UsedShard>> {
  const held = await source.held();
  const to = resolve(folder);
  await requireNoFile(to);
  if (config.shard) return restoreShard(config.shard, source, held.shards, to);
  const shards = shardsOf(held, source.kind, source.place);
  return shards.length === 0 ? restoreOne(source, to) : restoreShards(config, source, shards, to, runtime, signal);
}

/** Throws ConfigError if there is a file in the place of the folder, or of one above it. */
async function requireNoFile(folder: string): Promise<void> {
  let place = folder;
  while (!(await onDisk(place, () => pathExists(place)))) place = dirname(place);
  if ((await onDisk(place, () => stat(place))).isDirectory()) return;
  throw new ConfigError('There is a file where the folder should be.', {
    hint: 'Name a folder that is empty or does not exist.',
    where: { file: place },
  });
}

async function restoreOne(source: RestoreSource, to: string): Promise<RestoreReport> {
  const { kind, place: from } = source;
  const place = shardOfDirectory(to);
  if (place) {
    await requireSameNumber(place.shared, place.shard, kind);
    requireTenantsOf(place.shard, await source.tenants(), `The source is a ${kind}`, {
      hint: 'Restore it into the folder of its own shard: docs/scale.md, Back up all shards.',
      where: { [kind]: from },
    });
  }
  return source.restore(to);
}

async function restoreShard(
  shard: Shard,
  source: RestoreSource,
  held: readonly Shard[],
  to: string,
): Promise<RestoreReport> {
  const place = shardOfDirectory(to);
  if (place && showShard(place.shard) !== showShard(shard))
    throw new ConfigError(
      `The folder is that of shard ${showShard(place.shard)}, and this is shard ${showShard(shard)}.`,
      {
        hint: 'Name the data directory that all shards share.',
        where: { folder: to },
      },
    );
  if (held.length > 0 && !held.some((each) => showShard(each) === showShard(shard)))
    throw new ConfigError(`The ${source.kind} does not hold shard ${showShard(shard)}.`, {
      hint: `It holds ${held.map(showShard).join(', ')}. Give --shard 0/1 to restore all of them.`,
      where: { [source.kind]: source.place },
    });
  return restoreOne(held.length === 0 ? source : source.below(shard), place ? to : shardFolder(to, shard));
}

/** Makes a lake of the same shards, in a folder that is empty or missing, or completes a restore that was cut off. */
async function restoreShards(
  config: Config,
  source: RestoreSource,
  shards: readonly Shard[],
  to: string,
  runtime: Runtime,
  signal: AbortSignal,
): Promise<ShardsReport<RestoreReport | UsedShard>> {
  const place = shardOfDirectory(to);
  if (place)
    throw new ConfigError(
      `The folder is that of shard ${showShard(place.shard)}, and the ${source.kind} is of all shards.`,
      {
        hint: `Name the data directory that all shards share. To restore only this shard, add \`--shard ${showShard(place.shard)}\`.`,
        where: { folder: to },
      },
    );
  const states = await Promise.all(shards.map(async (shard) => stateOf(shardFolder(to, shard), runtime)));
  // Otherwise a lake that is there is another one.
  const isContinued = states.includes('marked');
  const isThere = await onDisk(to, () => pathExists(to));
  const other = (isThere ? await onDisk(to, () => readdir(to)) : []).find(
    (name) => name !== SHARDS_FOLDER && !(isContinued && isRecord(name)),
  );
  if (other !== undefined)
    throw new ConfigError('The folder is not empty.', {
      hint: 'Name a new folder, or move what is there away.',
      where: { file: join(to, other) },
    });
  const [first] = shards;
  if (first) await requireSameNumber(to, first, source.kind);
  const settings = restoreSettings(config);
  const reserved = await reserveShards(shards, to, settings, runtime, signal);
  const done = await eachShard(shards, signal, async (shard) => {
    const own = shardFolder(to, shard);
    if (isContinued && states[shards.indexOf(shard)] === 'used') return { dataDir: own, usedSince: true } as const;
    try {
      return await restoreOne(source.below(shard), own);
    } catch (error) {
      // The same command would never restore it, so it must not wait for that.
      if (error instanceof ConfigError && reserved.has(shard)) await releaseFolder(own, settings, runtime);
      throw error;
    }
  });
  const missing = shardsMissing(config, shards);
  // As for files that are damaged: the rest is restored, and the exit code says that it is not all.
  const failures: readonly Failure[] = missing.length === 0 ? done.failures : [...done.failures, 'damaged'];
  return { shards: done.shards, missing, exitCode: exitCodeOf(failures) };
}

/**
 * Marks all shards before the first is filled, which may take hours: the worker of another one would load it from the source in the
 * meantime. Returns those that were not marked before.
 */
async function reserveShards(
  shards: readonly Shard[],
  to: string,
  settings: LakeSettings,
  runtime: Runtime,
  signal: AbortSignal,
): Promise<ReadonlySet<Shard>> {
  const reserved = new Set<Shard>();
  for (const shard of shards) {
    signal.throwIfAborted();
    try {
      if (await reserveFolder(shardFolder(to, shard), settings, runtime)) reserved.add(shard);
    } catch (error) {
      if (error instanceof LockedError) throw error;
      // Its restore reports it, and the others go on.
    }
  }
  return reserved;
}

/** Makes a lake of a backup, or completes a restore that was cut off. Damaged files are left out: the next run fetches their rows. */
export async function restoreLake(
  config: Config,
  from: string,
  folder: string,
  runtime: Runtime,
  signal: AbortSignal,
): Promise<RestoreReport> {
  return withExitCode(await restoreFiles(from, folder, restoreSettings(config), runtime, signal));
}

export function restoreSettings(config: Config): LakeSettings {
  return { ...lakeSettings(config), privacyKey: 'unused' };
}

export function withExitCode(restored: RestoredInto): RestoreReport {
  return { ...restored, exitCode: restored.damaged.length === 0 ? EXIT.ok : EXIT.damaged };
}
