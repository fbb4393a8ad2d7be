/**
 * `reshard`: divides a lake into another number of shards, without a call to the source. The new shards are made complete next to the
 * old ones, of hard links and copies of rows of the ledgers. Then one small file is replaced, which is the moment from which readers
 * and runs use the new ones, and the old ones are deleted. So at every moment one complete set is in use. If it is cut off, the same
 * command continues. Until it is complete, that file keeps every run and command that writes away.
 */
import { join } from 'node:path';
import type { Config } from '../../config/config.ts';
import { ConfigError, DamagedError, LockedError } from '../../kernel/errors.ts';
import { onDisk, pathExists, systemFiles, writeDurably } from '../../kernel/files.ts';
import type { Files } from '../../kernel/files.ts';
import { plural } from '../../kernel/plural.ts';
import type { Runtime } from '../../kernel/runtime.ts';
import { openEngine } from '../../load/ledger/engine.ts';
import { openLedger } from '../../load/ledger/ledger.ts';
import type { LakeSettings } from '../../load/ledger/ledger.ts';
import { listDataDir } from '../../load/maintenance/list-data-dir.ts';
import {
  copyRows,
  knownTenants,
  lakeFigures,
  lakeTenants,
  linkTenants,
  startGenerationsAbove,
  startSnapshotsAt,
} from '../../load/maintenance/move-tenants.ts';
import { recover } from '../../load/maintenance/recover.ts';
import { publish } from '../../load/publish/publish.ts';
import { DATA_DIR, LEDGER_FILE, PURGE_MARK, RESHARD_FILE, SHARDS_FOLDER } from '../../model/data-dir.ts';
import { mirrorBelow, showMirrorPlace } from '../../model/mirror-address.ts';
import { shardFolder, shardIndex, showShard } from '../../model/shard.ts';
import type { Shard } from '../../model/shard.ts';
import {
  readReshard,
  requireNoRestore,
  requireOneNumber,
  requireOwnTenants,
  shardsWithLedger,
} from '../../query/shards.ts';
import type { Reshard, ShardPlace } from '../../query/shards.ts';
import { cutOffPurges, purgeDecision } from '../cut-off-purges.ts';
import { lakeSettings } from '../lake-settings.ts';
import { inheritLastRun } from '../last-run.ts';
import { formerMirrors, inheritMirrors } from '../mirror/record.ts';
import { discard } from './reshard-discard.ts';
import { lakePlaces, requireBegun, requireFree, requireSources } from './reshard-folders.ts';

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
  readonly shared: string;
  /** Those of the configuration. */
  readonly tenants: readonly string[];
  readonly mirror: Config['mirror'];
  readonly settings: LakeSettings;
  readonly runtime: Runtime;
  readonly files: Files;
  readonly onStep: (step: string) => void | Promise<void>;
}

interface Source extends ShardPlace {
  /** All that it knows. */
  readonly tenants: readonly string[];
  /** Those with rows or hours. */
  readonly held: readonly string[];
  readonly snapshot: number;
  readonly rows: number;
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
  const job: Job = { shared: config.sharedDir, tenants, mirror, settings, runtime, files, onStep };
  return onDisk(job.shared, async () => {
    const begun = await requireDivision(job, from, to);
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
async function requireDivision(job: Job, from: number, to: number): Promise<Reshard | undefined> {
  const { shared } = job;
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
  const numbers = [...new Set((await lakePlaces(job)).map(({ of }) => of))];
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
  const { shared, files } = job;
  const stay: string[] = [];
  const found = await requireFolders(job, begun, from, to);
  let mark: Reshard = begun ?? { from, to, phase: 'copy', done: [], made: [], sources: indexesOf(found), shards: [] };
  let linked = 0;
  // From here on no run begins. One that is at work keeps its ledger locked, and the next step finds that.
  await writeMark(job, mark);
  await job.onStep('mark');
  if (mark.phase === 'copy') {
    let sources: readonly Source[];
    try {
      sources = await prepare(job, from, begun, from === to);
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
        linked += await fill(job, shard, sources, base, async () => {
          mark = { ...mark, made: [...mark.made, shard.index] };
          await writeMark(job, mark);
        });
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
  if (from !== to)
    for (const shard of mark.sources.map((index) => ({ index, of: from }))) {
      const removed = mark.removed?.filter((index) => index !== shard.index);
      // A deleted shard is not deleted again: by now its mount point may hold something else.
      const isDeleted = mark.removed?.slice(0, -1).includes(shard.index);
      if (!isDeleted) {
        mark = { ...mark, ...(removed && { removed: [...removed, shard.index] }) };
        await writeMark(job, mark);
        await job.onStep(`removal ${showShard(shard)}`);
        await discard(files, shared, shard, { keepsLink: false });
        await job.onStep(`remove ${showShard(shard)}`);
      }
      if (shard.of > 1 && (await pathExists(shardFolder(shared, shard), files))) stay.push(shardFolder('', shard));
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

async function writeMark({ shared, files }: Job, mark: Reshard): Promise<void> {
  await writeDurably(join(shared, RESHARD_FILE), `${JSON.stringify(mark)}\n`, files);
}

/** Discards a new shard. Its folder may be a volume of its own, or a link to one. */
async function discardNew(job: Job, mark: Reshard, { index, of }: Shard): Promise<Reshard> {
  const others = { done: mark.done.filter((each) => each !== index), made: mark.made.filter((each) => each !== index) };
  // Before its deletion begins: if that is cut off, nothing of the shard may be left to be found.
  if (mark.made.includes(index)) await writeMark(job, { ...mark, ...others });
  await discard(job.files, job.shared, { index, of }, { keepsLink: true });
  return { ...mark, ...others };
}

function shardsOf(of: number): Shard[] {
  return Array.from({ length: of }, (_, index) => ({ index, of }));
}

/** Waits for nobody: a ledger that is locked belongs to a run. What killed runs left is removed. */
async function prepare(
  job: Job,
  from: number,
  begun: Reshard | undefined,
  givesUp: boolean,
): Promise<readonly Source[]> {
  const { shared, settings, runtime, files } = job;
  const sources: Source[] = [];
  for (const place of (await shardsWithLedger(shared)).filter(({ of }) => of === from)) {
    if (!givesUp) await requireNoLeftovers(files, place, begun);
    await using ledger = await openShard(place, settings, runtime);
    await recover(ledger);
    const { snapshot, rows } = await lakeFigures(ledger);
    const [tenants, held] = [[...(await knownTenants(ledger))].toSorted(), await lakeTenants(ledger)];
    sources.push({ ...place, tenants, held, snapshot, rows });
  }
  return sources;
}

async function openShard(place: ShardPlace, settings: LakeSettings, runtime: Runtime): ReturnType<typeof openLedger> {
  try {
    return await openLedger(place.dataDir, settings, runtime);
  } catch (error) {
    // The ledger does not know that it is one of several.
    if (error instanceof DamagedError) {
      const where = { folder: place.dataDir, ...error.where };
      throw new DamagedError(error.message, { ...(error.hint && { hint: error.hint }), where, cause: error });
    }
    if (!(error instanceof LockedError)) throw error;
    throw new LockedError(`Shard ${showShard(place)} is in use: ${error.message}`, {
      hint: 'Wait for the run, or stop it: it continues after the reshard. Then run this command again.',
      where: error.where,
    });
  }
}

/** Throws ConfigError for what would not be moved: a purge that was cut off, and a ledger that `repair` set aside. */
async function requireNoLeftovers(
  files: Files,
  { dataDir, ...shard }: ShardPlace,
  begun: Reshard | undefined,
): Promise<void> {
  const entries = DATA_DIR.filter(({ path }) => path === PURGE_MARK || path.startsWith(`${LEDGER_FILE}.<`));
  const [left] = (await listDataDir(files, dataDir, entries)).filter(({ entry }) => entry !== undefined);
  if (left === undefined) return;
  const [purge] = await cutOffPurges(files, dataDir);
  // A change that has begun keeps every other command away.
  const giveUp = begun
    ? `Give the change up first: \`insights-etl reshard --from ${begun.from} --to ${begun.from}\`. `
    : '';
  throw new ConfigError(
    `Shard ${showShard(shard)} holds ${purge ? 'a purge that was cut off' : 'a ledger that `repair` set aside'}, which cannot be moved.`,
    {
      hint: purge ? giveUp + purgeDecision(purge.tenant) : 'Move it to another place, or delete it.',
      where: { file: purge?.mark ?? join(dataDir, left.path) },
    },
  );
}

/** Makes a shard complete. One without tenants is not created. `onMade`: its ledger is there. Returns how many files were linked. */
async function fill(
  job: Job,
  shard: Shard,
  sources: readonly Source[],
  base: number,
  onMade: () => Promise<void>,
): Promise<number> {
  const { shared, settings, runtime, files, onStep } = job;
  const dataDir = shardFolder(shared, shard);
  const parts = sources.flatMap(({ tenants, ...place }) => {
    const moved = tenants.filter((tenant) => shardIndex(tenant, shard.of) === shard.index);
    return moved.length === 0 ? [] : [{ from: place.dataDir, tenants: moved }];
  });
  if (parts.length === 0) return 0;
  let linked = 0;
  await using ledger = await openLedger(dataDir, settings, runtime);
  await onMade();
  for (const { from, tenants } of parts) {
    linked += await linkTenants(files, from, dataDir, tenants);
    await onStep('files');
    await ledger.exclusive(() => copyRows(ledger, from, tenants));
    await onStep('rows');
  }
  // One that has lost its last tenant to a purge has mirrors, too.
  const emptied = sources.flatMap(({ tenants, dataDir: from }) => (tenants.length === 0 ? [from] : []));
  const before = [...parts.map(({ from }) => from), ...emptied];
  await inheritMirrors(files, before, dataDir);
  await inheritLastRun(parts, dataDir, files);
  await ledger.exclusive(() => startGenerationsAbove(ledger, before));
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
