/**
 * The folders that `reshard` is about to read, to fill and to delete. A folder without a ledger is not an empty one: its ledger may be
 * lost, or its volume may not be mounted. Both are found before anything is written, because what is not read is not moved.
 */
import { join } from 'node:path';
import { ConfigError, DamagedError, ShardsError } from '../../kernel/errors.ts';
import { isMissing, pathExists } from '../../kernel/files.ts';
import type { Files } from '../../kernel/files.ts';
import type { Runtime } from '../../kernel/runtime.ts';
import { CATALOGUE_FILE, LEDGER_FILE, MANIFEST_FILE, STORE_FOLDER } from '../../model/data-dir.ts';
import { manifestPartitions } from '../../model/manifest.ts';
import { shardFolder, shardIndex, showShard } from '../../model/shard.ts';
import type { Shard } from '../../model/shard.ts';
import { listed, manifestIn, shardFolders } from '../../query/shards.ts';
import type { Reshard, ShardPlace } from '../../query/shards.ts';
import { isLink, isTagged } from './reshard-discard.ts';

export interface LakePlace extends ShardPlace {
  readonly hasLedger: boolean;
  /** There are files in its store. */
  readonly hasFiles: boolean;
  /** It has published rows, and there is no file in its store. */
  readonly lacksFiles: boolean;
}

interface Place {
  readonly shared: string;
  readonly files: Files;
}

/** The shards, and the data directory itself, that hold anything of a lake: a ledger, a catalogue, a manifest, or files in the store. */
export async function lakePlaces(place: Place): Promise<readonly LakePlace[]> {
  const places: LakePlace[] = [];
  for (const shard of [{ index: 0, of: 1 }, ...(await shardFolders(place.shared))]) {
    const found = await lakePlace(place, shard);
    if (found) places.push(found);
  }
  return places.toSorted((a, b) => a.of - b.of || a.index - b.index);
}

async function lakePlace({ shared, files }: Place, shard: Shard): Promise<LakePlace | undefined> {
  const dataDir = shardFolder(shared, shard);
  const hasLedger = await pathExists(join(dataDir, LEDGER_FILE), files);
  const hasFiles = await holdsFile(files, join(dataDir, STORE_FOLDER));
  const published = [CATALOGUE_FILE, MANIFEST_FILE].map((name) => pathExists(join(dataDir, name), files));
  if (!hasLedger && !hasFiles && !(await Promise.all(published)).includes(true)) return undefined;
  const lacksFiles = !hasFiles && (await hasPublishedRows(dataDir));
  return { ...shard, dataDir, hasLedger, hasFiles, lacksFiles };
}

/** Undefined also for one that has published rows and no files. */
async function wholePlace(place: Place, shard: Shard): Promise<LakePlace | undefined> {
  const found = await lakePlace(place, shard);
  return found?.lacksFiles ? undefined : found;
}

async function hasPublishedRows(dataDir: string): Promise<boolean> {
  const manifest = await manifestIn(dataDir);
  return manifest !== undefined && manifestPartitions(manifest).some(({ rows }) => rows > 0);
}

/**
 * The shards that `reshard` reads. Throws DamagedError for one that has lost its ledger or its files, and ConfigError if the shard of a
 * configured tenant is not there. Warns of other shards that are not there.
 */
export async function requireSources(
  place: Place,
  { from, begun }: { readonly from: number; readonly begun: Reshard | undefined },
  tenants: readonly string[],
  log: Runtime['log'],
): Promise<readonly LakePlace[]> {
  const found = (await lakePlaces(place)).filter(({ of }) => of === from);
  const lost = found.find(({ hasLedger }) => !hasLedger);
  if (lost) throw lostLedger(lost, begun);
  const without = found.find(({ lacksFiles }) => lacksFiles);
  if (without)
    throw new DamagedError(`The store of ${nameOf(without)} holds no file, though it has published rows.`, {
      hint: 'Mount its volume or put the files back, from a backup if they are lost. Then run the command again.',
      where: { folder: join(without.dataDir, STORE_FOLDER) },
    });
  const missing = Array.from({ length: from }, (_, index) => ({ index, of: from })).filter(
    ({ index }) => !found.some((each) => each.index === index),
  );
  const [needed] = missing.filter(({ index }) => tenants.some((tenant) => shardIndex(tenant, from) === index));
  if (needed) {
    const name = showShard(needed);
    const own = tenants.filter((tenant) => shardIndex(tenant, from) === needed.index);
    throw new ConfigError(
      `Shard ${name} is not there, and ${listed(own, own.length)} of the configuration belong to it.`,
      {
        hint: `If its folder is a volume of its own or was moved, mount it or put it back. If the shard was never loaded, load it first: \`insights-etl run --shard ${name}\`.`,
        where: { folder: shardFolder(place.shared, needed) },
      },
    );
  }
  const folders = listed(
    missing.map((shard) => shardFolder('', shard)),
    missing.length,
  );
  if (missing.length > 0)
    log.warn({ event: 'reshard.missing', folders }, 'some shards are not there: mount their volumes if they have any');
  return found;
}

/**
 * Throws DamagedError if a shard of a reshard that was cut off is gone: an old one that is not deleted, or a new one that was made. Its
 * volume may be away. Its copies may be all that is left of its rows, and if it is forgotten, they stay there.
 */
export async function requireBegun(place: Place, begun: Reshard): Promise<void> {
  const { id, from, to, phase, sources, made } = begun;
  for (const index of sources) await requireOld(place, begun, { index, of: from });
  for (const index of made) {
    const shard = { index, of: to };
    // One that is being made, or discarded, need not hold anything else.
    const isTag = phase === 'copy' && id !== undefined;
    const isThere = isTag ? await isTagged({ ...place, id }, shard) : (await wholePlace(place, shard)) !== undefined;
    if (!isThere) throw gone(place, shard, begun);
  }
}

/** Throws DamagedError if an old shard is gone that is not deleted. */
export async function requireOld(place: Place, begun: Reshard, shard: Shard): Promise<void> {
  if (await isGone(place, begun, shard)) throw gone(place, shard, begun);
}

async function isGone(place: Place, begun: Reshard, shard: Shard): Promise<boolean> {
  const { id, phase, removing, removed } = begun;
  // A lost ledger is reported with what mends it, as long as that can be done.
  if (phase === 'copy') return (await wholePlace(place, shard)) === undefined;
  if (id === undefined) return isGoneWithoutTags(place, removed, shard);
  if (removed?.includes(shard.index)) return false;
  // A deletion has no order: the ledger may be the first to go.
  if (removing.includes(shard.index)) return !(await isTagged({ ...place, id }, shard));
  return !(await wholePlace(place, shard))?.hasLedger;
}

/** Older versions wrote no tags. Of what they had begun to delete, all that can be known is whether a link leads nowhere. */
async function isGoneWithoutTags(place: Place, removed: Reshard['removed'], shard: Shard): Promise<boolean> {
  const { shared, files } = place;
  if (removed?.slice(0, -1).includes(shard.index)) return false;
  if (removed && !removed.includes(shard.index)) return !(await wholePlace(place, shard))?.hasLedger;
  const folder = shardFolder(shared, shard);
  return shard.of > 1 && (await isLink(files, folder)) && !(await pathExists(folder, files));
}

function gone({ shared }: Place, shard: Shard, { from, phase }: Reshard): DamagedError {
  const isOld = shard.of === from;
  const name = nameOf(shard);
  // Its rows are in the other shards.
  const canDoWithout = isOld === (phase === 'remove');
  const instead = canDoWithout ? ' If it is lost for good, see docs/scale.md, Change the number of shards.' : '';
  return new DamagedError(
    `${name[0]?.toUpperCase()}${name.slice(1)} was ${isOld ? 'there when this change began' : 'made by this change'}. Now its folder, its ledger or its files are missing.`,
    {
      hint: `Mount its volume or put its folder back. Then run the command again.${instead}`,
      where: { folder: shardFolder(shared, shard) },
    },
  );
}

/** Throws ShardsError if a folder that would be filled, and emptied before, holds files of a lake. */
export async function requireFree(place: Place, to: number): Promise<void> {
  const taken = (await lakePlaces(place)).find(({ of }) => of === to);
  if (taken === undefined) return;
  const folder = to === 1 ? 'The data directory itself' : `The folder ${shardFolder('', taken)}`;
  throw new ShardsError(`${folder} holds files of another lake, and the change would replace them.`, {
    hint: `${to === 1 ? `Move ${STORE_FOLDER} and ${MANIFEST_FILE}` : 'Move it'} out of the data directory and keep it: docs/scale.md, Shards that do not fit.`,
    where: { folder: taken.dataDir },
  });
}

function lostLedger(place: LakePlace, begun: Reshard | undefined): DamagedError {
  const flag = place.of === 1 ? '' : ` --shard ${showShard(place)}`;
  // Until the reshard is complete or given up, `repair` is refused.
  const first = begun
    ? `first give this change up with \`insights-etl reshard --from ${place.of} --to ${place.of}\`, then `
    : '';
  return new DamagedError(`The ledger ${LEDGER_FILE} of ${nameOf(place)} is missing. Nothing was deleted.`, {
    hint: place.hasFiles
      ? `Put it back. If it is lost, ${first}run \`insights-etl repair${flag}\`: it rebuilds the ledger from the files.`
      : `Its store holds no file either. Mount the volume of both or put them back, from a backup if they are lost.`,
    where: { folder: place.dataDir },
  });
}

function nameOf(shard: Shard): string {
  return shard.of === 1 ? 'the lake' : `shard ${showShard(shard)}`;
}

/** Stops at the first file: a store may have millions. */
async function holdsFile(files: Files, folder: string): Promise<boolean> {
  try {
    const entries = await files.readdir(folder, { withFileTypes: true });
    if (entries.some((entry) => !entry.isDirectory())) return true;
    for (const entry of entries) if (await holdsFile(files, join(folder, entry.name))) return true;
    return false;
  } catch (error) {
    if (isMissing(error)) return false;
    throw error;
  }
}
