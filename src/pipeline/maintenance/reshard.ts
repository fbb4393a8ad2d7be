/**
 * `reshard`: divides a lake into another number of shards, without a call to the source. The new shards are made complete next to the
 * old ones, of hard links and copies of rows of the ledgers. Then one small file is replaced, which is the moment from which readers
 * and runs use the new ones, and the old ones are deleted. So at every moment one complete set is in use. If it is cut off, the same
 * command continues. Until it is complete, that file keeps every run and command that writes away.
 */
import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import type { Config } from '../../config/config.ts';
import { ConfigError, DamagedError } from '../../kernel/errors.ts';
import { onDisk, pathExists, systemFiles, writeDurably } from '../../kernel/files.ts';
import type { Files } from '../../kernel/files.ts';
import { plural } from '../../kernel/plural.ts';
import type { Runtime } from '../../kernel/runtime.ts';
import { openEngine } from '../../load/ledger/engine.ts';
import { openLedger } from '../../load/ledger/ledger.ts';
import type { LakeSettings } from '../../load/ledger/ledger.ts';
import {
  copyRows,
  knownTenants,
  lakeFigures,
  linkTenants,
  startGenerationsAbove,
  startSnapshotsAt,
} from '../../load/maintenance/move-tenants.ts';
import { recover } from '../../load/maintenance/recover.ts';
import { publish } from '../../load/publish/publish.ts';
import { RESHARD_FILE, SHARDS_FOLDER } from '../../model/data-dir.ts';
import { mirrorBelow, showMirrorPlace } from '../../model/mirror-address.ts';
import { mayShareTenants, shardFolder, shardIndex, showShard } from '../../model/shard.ts';
import type { Shard } from '../../model/shard.ts';
import {
  readReshard,
  requireNoRestore,
  requireOneNumber,
  requireOwnTenants,
  shardsWithLedger,
} from '../../query/shards.ts';
import type { Reshard, ShardPlace } from '../../query/shards.ts';
import { lakeSettings } from '../lake-settings.ts';
import { inheritLastRun } from '../last-run.ts';
import { formerMirrors, inheritMirrors } from '../mirror/record.ts';
import { dropShard, emptyShard, holdsAnything, tagShard, untagShard } from './reshard-discard.ts';
import { lakePlaces, requireBegun, requireFree, requireOld, requireSources } from './reshard-folders.ts';
import { readSources } from './reshard-sources.ts';
import type { Source } from './reshard-sources.ts';

export interface ReshardReport {
  readonly from: number;
  readonly to: number;
  readonly rows: number;
  /** Files that were linked or copied by this call. */
  readonly files: number;
  readonly shards: readonly { readonly shard: string; readonly tenants: number; readonly rows: number }[];
  /** Folders of old shards that are mount points: they are empty. */
  readonly stay: readonly string[];
  /** Mirrors that the old shards wrote, and where no new shard is pushed to. */
  readonly oldMirrors: readonly string[];
}

interface Job {
  /** Of the reshard: in the mark and in the tags of shards. */
  readonly id: string;
  readonly shared: string;
  /** Those of the configuration. */
  readonly tenants: readonly string[];
  readonly mirror: Config['mirror'];
  readonly settings: LakeSettings;
  readonly runtime: Runtime;
  readonly files: Files;
  readonly onStep: (step: string) => void | Promise<void>;
}

/** Locked while `reshard` is at work: two of them would delete each other's shards. */
const LOCK_FILE = join(SHARDS_FOLDER, 'reshard.duckdb');

/**
 * `to` equal to `from`: deletes what a reshard that was cut off has copied. Throws ConfigError, LockedError, ShardsError (a tenant is in
 * two shards or in the wrong one: the new shards would have it twice for good), DamagedError (a shard has lost its ledger) and what
 * `openLedger` throws.
 */
export async function reshardLake(
  config: Config,
  { from, to }: { readonly from: number; readonly to: number },
  runtime: Runtime,
  onStep: Job['onStep'] = () => {},
): Promise<ReshardReport> {
  const files = runtime.files ?? systemFiles;
  const settings: LakeSettings = { ...lakeSettings(config), privacyKey: 'unused' };
  const tenants = config.tenants.map(({ id }) => id);
  const { mirror } = config;
  const place = { shared: config.sharedDir, files };
  return onDisk(place.shared, async () => {
    const begun = await requireDivision(place, from, to);
    const job: Job = { ...place, id: begun?.id ?? randomUUID(), tenants, mirror, settings, runtime, onStep };
    await files.mkdir(join(job.shared, SHARDS_FOLDER), { recursive: true, mode: 0o700 });
    const lock = await openEngine(join(job.shared, LOCK_FILE), join(job.shared, SHARDS_FOLDER), settings);
    try {
      return await reshardUnderLock(job, begun, from, to);
    } finally {
      await lock.close();
      await files.rm(join(job.shared, LOCK_FILE), { force: true });
      await files.rmdir(join(job.shared, SHARDS_FOLDER)).catch(() => {});
    }
  });
}

/** Throws ConfigError unless the lake is divided into `from` shards. Returns the reshard that has begun. */
async function requireDivision(
  place: Pick<Job, 'shared' | 'files'>,
  from: number,
  to: number,
): Promise<Reshard | undefined> {
  const { shared } = place;
  const begun = await readReshard(shared);
  const where = { folder: shared };
  if (begun && (begun.from !== from || (begun.to !== to && begun.phase === 'remove')))
    throw new ConfigError(`A change from ${plural(begun.from, 'shard')} to ${begun.to} is not complete.`, {
      hint: `Complete it first: \`insights-etl reshard --from ${begun.from} --to ${begun.to}\`.`,
      where,
    });
  if (begun) return begun;
  await requireNoRestore(shared, () => true);
  await requireOneNumber(shared);
  const numbers = [...new Set((await lakePlaces(place)).map(({ of }) => of))];
  if (numbers.includes(from) && from !== to) return undefined;
  if (numbers.includes(from))
    throw new ConfigError('The lake would be divided as it is now.', { hint: 'Give another number with --to.', where });
  const [number] = numbers;
  if (number === undefined)
    throw new ConfigError('Nothing has been loaded into this data directory yet.', {
      hint: `Begin with ${plural(to, 'shard')}: \`insights-etl run --shard 0/${to}\`.`,
      where,
    });
  const has = number === 1 ? 'not divided into shards' : `divided into ${numbers.join(' and ')} shards`;
  throw new ConfigError(`The lake in this data directory is ${has}.`, {
    hint: `Use --from ${number}.`,
    where,
  });
}

async function reshardUnderLock(
  job: Job,
  begun: Reshard | undefined,
  from: number,
  to: number,
): Promise<ReshardReport> {
  const { shared, files, id } = job;
  const stay: string[] = [];
  const found = await requireFolders(job, begun, from, to);
  let mark: Reshard = begun
    ? await withTags(job, begun)
    : { id, from, to, phase: 'copy', done: [], made: [], sources: indexesOf(found), removing: [], shards: [] };
  let linked = 0;
  // From here on no run begins. One that is at work keeps its ledger locked, and the next step finds that.
  await writeMark(job, mark);
  await job.onStep('mark');
  if (mark.phase === 'copy') {
    let sources: readonly Source[];
    try {
      sources = await readSources(job, from, begun, from === to);
      // What was begun can always be given up.
      if (from !== to)
        await requireOwnTenants(
          job.shared,
          sources.map(({ held, ...place }) => ({ ...place, tenants: held })),
        );
    } catch (error) {
      if (begun === undefined) await job.files.rm(join(job.shared, RESHARD_FILE), { force: true });
      throw error;
    }
    if (mark.to !== to) {
      for (const shard of shardsOf(mark.to)) mark = await discardNew(job, mark, shard);
      mark = { ...mark, to };
      if (from !== to) await writeMark(job, mark);
    }
    if (from !== to) {
      const base = sources.reduce((sum, { snapshot }) => sum + snapshot, 0);
      for (const shard of shardsOf(to)) {
        if (mark.done.includes(shard.index)) continue;
        mark = await discardNew(job, mark, shard);
        await tagShard(job, shard);
        mark = { ...mark, made: [...mark.made, shard.index] };
        await writeMark(job, mark);
        linked += await fill(job, shard, sources, base);
        mark = { ...mark, done: [...mark.done, shard.index] };
        await writeMark(job, mark);
        await job.onStep(`shard ${showShard(shard)}`);
      }
      const shards = await requireComplete(job, sources, to);
      mark = { ...mark, phase: 'remove', shards, sources: indexesOf(sources), removed: [] };
      await writeMark(job, mark);
      await job.onStep('switch');
    }
  }
  if (from !== to) {
    for (const shard of mark.sources.map((index) => ({ index, of: from }))) {
      mark = await removeOld(job, mark, shard);
      if (shard.of > 1 && (await pathExists(shardFolder(shared, shard), files))) stay.push(shardFolder('', shard));
    }
    for (const index of mark.made) await untagShard(job, { index, of: to });
  }
  await job.files.rm(join(job.shared, RESHARD_FILE), { force: true });
  return {
    from,
    to,
    rows: mark.shards.reduce((sum, { rows }) => sum + rows, 0),
    files: linked,
    shards: mark.shards,
    stay,
    oldMirrors: from === to ? [] : await oldMirrors(job, to),
  };
}

/**
 * The shards to read: none if they are copied. Throws what `requireBegun`, `requireSources` and `requireFree` throw. To give up, it is
 * enough that no shard is gone.
 */
async function requireFolders(
  job: Job,
  begun: Reshard | undefined,
  from: number,
  to: number,
): Promise<readonly ShardPlace[]> {
  if (begun) await requireBegun(job, begun);
  if (begun?.phase === 'remove') return [];
  if (from === to) return (await lakePlaces(job)).filter(({ of }) => of === from);
  if (begun?.to !== to) await requireFree(job, to);
  return requireSources(job, { from, begun }, job.tenants, job.runtime.log);
}

function indexesOf(shards: readonly Shard[]): number[] {
  return shards.map(({ index }) => index);
}

/** A mark of an older version has no id, and no shard has a tag: one that may be deleted, or be half deleted, gets it now. */
async function withTags(job: Job, begun: Reshard): Promise<Reshard> {
  const { from, to, phase, made, sources, removed } = begun;
  if (begun.id !== undefined) return begun;
  if (phase === 'copy') for (const index of made) await tagShard(job, { index, of: to });
  if (phase === 'copy') return { ...begun, id: job.id };
  const isDeleted = removed?.slice(0, -1) ?? [];
  const removing: number[] = [];
  for (const index of removed?.slice(-1) ?? sources) {
    const shard = { index, of: from };
    if (await holdsAnything(job, shard)) {
      await tagShard(job, shard);
      removing.push(index);
    } else isDeleted.push(index);
  }
  return { ...begun, id: job.id, removing, removed: isDeleted };
}

async function writeMark({ shared, files }: Job, mark: Reshard): Promise<void> {
  await writeDurably(join(shared, RESHARD_FILE), `${JSON.stringify(mark)}\n`, files);
}

/** Discards a new shard. Its folder may be a volume of its own, or a link to one. */
async function discardNew(job: Job, mark: Reshard, shard: Shard): Promise<Reshard> {
  const { index } = shard;
  if (!(await holdsAnything(job, shard))) {
    await dropShard(job, shard, true);
    return mark;
  }
  const folders = await tagShard(job, shard);
  const undone = { ...mark, done: without(mark.done, index) };
  if (mark.done.includes(index)) await writeMark(job, undone);
  await emptyShard(job, shard, folders);
  const discarded = { ...undone, made: without(mark.made, index) };
  if (mark.made.includes(index)) await writeMark(job, discarded);
  await dropShard(job, shard, true);
  return discarded;
}

/** Deletes an old shard. One that is deleted already is not deleted again: by now its mount point may hold something else. */
async function removeOld(job: Job, mark: Reshard, shard: Shard): Promise<Reshard> {
  const { index } = shard;
  let next = mark;
  if (!mark.removed?.includes(index)) {
    await requireOld(job, mark, shard);
    const folders = await tagShard(job, shard);
    next = { ...mark, removing: [...without(mark.removing, index), index] };
    await writeMark(job, next);
    await job.onStep(`removal ${showShard(shard)}`);
    await emptyShard(job, shard, folders);
    await job.onStep(`emptied ${showShard(shard)}`);
    next = { ...next, removing: without(next.removing, index), removed: [...(next.removed ?? []), index] };
    await writeMark(job, next);
    await job.onStep(`removed ${showShard(shard)}`);
  }
  await dropShard(job, shard, false);
  await job.onStep(`remove ${showShard(shard)}`);
  return next;
}

function without(indexes: readonly number[], index: number): number[] {
  return indexes.filter((each) => each !== index);
}

function shardsOf(of: number): Shard[] {
  return Array.from({ length: of }, (_, index) => ({ index, of }));
}

/**
 * Makes a shard complete, also one without tenants: a tenant that it gets later may have been purged before, and its files must not get
 * the names of those that mirrors of the old shards may still have. Returns how many files were linked.
 */
async function fill(job: Job, shard: Shard, sources: readonly Source[], base: number): Promise<number> {
  const { shared, settings, runtime, files, onStep } = job;
  const dataDir = shardFolder(shared, shard);
  const parts = sources.flatMap(({ tenants, ...place }) => {
    const moved = tenants.filter((tenant) => shardIndex(tenant, shard.of) === shard.index);
    return moved.length === 0 ? [] : [{ from: place.dataDir, tenants: moved }];
  });
  let linked = 0;
  await using ledger = await openLedger(dataDir, settings, runtime);
  for (const { from, tenants } of parts) {
    linked += await linkTenants(files, from, dataDir, tenants);
    await onStep('files');
    await ledger.exclusive(() => copyRows(ledger, from, tenants));
    await onStep('rows');
  }
  const foldersOf = (shards: readonly Source[]): string[] => shards.map(({ dataDir: from }) => from);
  const related = sources.filter((source) => mayShareTenants(source, shard));
  await inheritMirrors(files, foldersOf(related), dataDir);
  await inheritLastRun(parts, dataDir, files);
  await ledger.exclusive(() => startGenerationsAbove(ledger, foldersOf(sources)));
  await ledger.exclusive(() => startSnapshotsAt(ledger, base));
  await publish(ledger, { run: 'reshard', head: true, onStep });
  return linked;
}

async function oldMirrors({ shared, files, mirror }: Job, to: number): Promise<string[]> {
  const found = new Set<string>();
  const current = new Set<string>();
  for (const shard of shardsOf(to)) {
    const { mirrorsOfOldShards } = await formerMirrors(files, { dataDir: shardFolder(shared, shard), mirror, shard });
    for (const old of mirrorsOfOldShards) found.add(old.to);
    if (mirror)
      current.add(showMirrorPlace(to === 1 ? mirror.place : mirrorBelow(mirror.place, shardFolder('', shard))));
  }
  return [...found].filter((old) => !current.has(old));
}

/** Throws DamagedError unless the new shards hold as many rows of the lake as the old ones. */
async function requireComplete(
  { shared, settings, runtime }: Job,
  sources: readonly Source[],
  to: number,
): Promise<Reshard['shards']> {
  const shards: Reshard['shards'] = [];
  for (const place of (await shardsWithLedger(shared)).filter(({ of }) => of === to)) {
    await using ledger = await openLedger(place.dataDir, settings, runtime);
    const { lost } = await recover(ledger);
    const { rows } = await lakeFigures(ledger);
    const tenants = await knownTenants(ledger);
    if (lost > 0)
      throw new DamagedError(`Shard ${showShard(place)} lacks ${plural(lost, 'file')} of its tenants.`, {
        hint: 'Run the command again.',
      });
    shards.push({ shard: showShard(place), tenants: tenants.size, rows });
  }
  const sum = (items: readonly { readonly rows: number }[]): number =>
    items.reduce((total, { rows }) => total + rows, 0);
  if (sum(shards) === sum(sources)) return shards;
  throw new DamagedError(
    `The new shards hold ${sum(shards)} rows, and the old ones ${sum(sources)}. Nothing was deleted.`,
    {
      hint: 'Run `insights-etl reshard` with --to equal to --from: it deletes the new shards. Then begin again.',
    },
  );
}
