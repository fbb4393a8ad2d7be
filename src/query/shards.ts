/**
 * The shards of a data directory: which there are, whether their number is being changed, and whether each tenant is in one place.
 */
import { join } from 'node:path';
import { readdir, readFile } from 'node:fs/promises';
import { z } from 'zod';
import { ConfigError, DamagedError, errorCode, ShardsError } from '../kernel/errors.ts';
import { isMissing, lookAtEach, onDisk, pathExists } from '../kernel/files.ts';
import { parseJson } from '../kernel/json.ts';
import { count, plural } from '../kernel/plural.ts';
import {
  CATALOGUE_FILE,
  LEDGER_FILE,
  MANIFEST_FILE,
  RESHARD_FILE,
  RESHARD_TAG,
  RESTORE_FILE,
  SHARDS_FOLDER,
} from '../model/data-dir.ts';
import { manifestPartitions, manifestTenants, parseManifest } from '../model/manifest.ts';
import type { Manifest } from '../model/manifest.ts';
import { misplacedTenants, shardFolder, shardOfDirectory, shardOfFolder, showShard } from '../model/shard.ts';
import type { Shard } from '../model/shard.ts';
import { unfinishedRestore } from '../model/unfinished-restore.ts';

/** A `reshard` that is not complete. `copy`: the old shards are those to read. `remove`: the new ones. */
const RESHARD = z.object({
  /** Also in the tags of the shards that it makes and deletes. Marks of older versions lack it, and their shards have no tags. */
  id: z.string().optional(),
  from: z.int().min(1),
  to: z.int().min(1),
  phase: z.enum(['copy', 'remove']),
  /** Indexes of the new shards that are complete. */
  done: z.array(z.int().min(0)),
  /** Indexes of the new shards whose folder may hold anything. Marks of older versions lack it. */
  made: z.array(z.int().min(0)).default([]),
  /** Indexes of the old shards that are copied. No other folder of theirs is deleted. */
  sources: z.array(z.int().min(0)).default([]),
  /** Those of them whose deletion has begun and is not complete. */
  removing: z.array(z.int().min(0)).default([]),
  /**
   * Those of them that are deleted. In a mark without an id, the last of them may not be. Marks of even older versions lack it: the
   * deletion of any may have begun.
   */
  removed: z.array(z.int().min(0)).optional(),
  /** What the new shards hold, when all of them are complete. Marks of older versions lack it. */
  shards: z.array(z.object({ shard: z.string(), tenants: z.int(), rows: z.int() })).default([]),
});

export type Reshard = z.output<typeof RESHARD>;

export interface ShardPlace extends Shard {
  readonly dataDir: string;
}

/** The unfinished `reshard` of a shared data directory, if there is one. Throws DamagedError for a mark that cannot be read. */
export async function readReshard(shared: string): Promise<Reshard | undefined> {
  const file = join(shared, RESHARD_FILE);
  const text = await ifThere(file, () => readFile(file, 'utf8'));
  if (text === undefined) return undefined;
  const { success, data } = RESHARD.safeParse(parseJson(text));
  if (success) return data;
  throw new DamagedError(`${RESHARD_FILE} cannot be read: it says how far a change of the number of shards has come.`, {
    hint: 'Put it back from a backup, or see docs/scale.md.',
    where: { file },
  });
}

/** The shards that have a ledger, whatever their number, in the order of their indexes. Without shards: the directory itself. */
export async function shardsWithLedger(shared: string): Promise<readonly ShardPlace[]> {
  return placesWith(shared, [LEDGER_FILE]);
}

/**
 * The shards that have published a catalogue, of the number of shards in use. Empty for a directory without shards. Throws ShardsError
 * if there are shards of several numbers: together they would show every tenant several times.
 */
export async function shardsToRead(shared: string): Promise<readonly ShardPlace[]> {
  const reshard = await readReshard(shared);
  if (!reshard) await requireOneNumber(shared);
  return publishedShards(shared, reshard);
}

/** As `shardsToRead`, and undefined where that throws ShardsError: who reads the shards reports it. */
export async function shardsIfRead(shared: string): Promise<readonly ShardPlace[] | undefined> {
  try {
    return await shardsToRead(shared);
  } catch (error) {
    if (error instanceof ShardsError) return undefined;
    throw error;
  }
}

/**
 * Throws ConfigError if a restore into this data directory is not complete. `isMeant`: of which shards; the lake as a whole is 0/1.
 * Each shard that a restore is going to fill is marked before the first one is filled.
 */
export async function requireNoRestore(shared: string, isMeant: (shard: Shard) => boolean): Promise<void> {
  const marked = (await placesWith(shared, [RESTORE_FILE])).filter(isMeant);
  // With a ledger, the mark is the report of a restore that is complete.
  const isDone = await Promise.all(marked.map(({ dataDir }) => pathExists(join(dataDir, LEDGER_FILE))));
  const unfinished = marked.filter((_, nth) => isDone[nth] !== true);
  if (unfinished.length === 0) return;
  throw unfinishedRestore(
    shared,
    unfinished.filter(({ of }) => of > 1),
  );
}

/**
 * Throws ConfigError if the lake is divided, or a restore is about to divide it, in another way than into the shards of which this is one
 * (undefined: into none), ShardsError if there are several lakes. `instead`: what else to do, for the hint.
 */
export async function requireDivision(
  shared: string,
  shard: Shard | undefined,
  instead: (from: number, to: number) => string,
): Promise<void> {
  await requireOneNumber(shared);
  const to = shard?.of ?? 1;
  // A shard of the same number is refused when its own ledger is opened, and the others may be complete.
  await requireNoRestore(shared, ({ of }) => of !== to);
  const other = (await placesWith(shared, [LEDGER_FILE, CATALOGUE_FILE])).find(({ of }) => of !== to);
  if (other === undefined) return;
  const { of } = other;
  const has = of === 1 ? 'is not divided into shards' : `is divided into ${plural(of, 'shard')}`;
  throw new ConfigError(
    `The lake in this data directory ${has}${shard ? `, and this is shard ${showShard(shard)}` : ''}.`,
    {
      hint: `${of === 1 ? NO_SHARD : `Give --shard 0/${of} to ${of - 1}/${of}`}${instead(of, to)}.`,
      where: { folder: shared },
    },
  );
}

/** `shard` of the configuration or INSIGHTS_SHARD may have set it: to omit the flag would change nothing. */
const NO_SHARD = 'Give --shard 0/1, which is the lake as a whole';

/** For commands that read one shard. Throws ConfigError if the lake has no such shard. */
export async function requireShardToRead(shared: string, shard: Shard): Promise<void> {
  // Until a reshard is complete, there are both the old shards and the new ones.
  if (await readReshard(shared)) return;
  await requireDivision(shared, shard, (of) => (of === 1 ? '' : ', or --shard 0/1 to read all shards'));
}

/** Throws ConfigError if a folder without a catalogue is that of a shard: the lake has no such shard, or it has published nothing. */
export async function refuseUnpublishedShard(dataDir: string): Promise<void> {
  const place = shardOfDirectory(dataDir);
  if (!place) return;
  const { shared, shard } = place;
  await requireShardToRead(shared, shard);
  throw new ConfigError(`Shard ${showShard(shard)} has published nothing yet.`, {
    hint: `Load it with \`insights-etl run --shard ${showShard(shard)}\`, or give --shard 0/1 to read all shards.`,
    where: { folder: dataDir },
  });
}

async function publishedShards(shared: string, reshard: Reshard | undefined): Promise<readonly ShardPlace[]> {
  const of = reshard && (reshard.phase === 'copy' ? reshard.from : reshard.to);
  const places = await placesWith(shared, [CATALOGUE_FILE]);
  return places.filter((shard) => shard.of > 1 && (of === undefined || shard.of === of));
}

/** Folders that a message names, or tenants. */
const MOST_NAMED = 20;

/** Throws ShardsError if there are shards of several numbers, with what each holds. Not for a `reshard` that is not complete. */
export async function requireOneNumber(shared: string): Promise<void> {
  const places = await placesWith(shared, [LEDGER_FILE, CATALOGUE_FILE]);
  const numbers = [...new Set(places.map(({ of }) => of))];
  if (numbers.length < 2) return;
  const named = await Promise.all(places.slice(0, MOST_NAMED).map(describePlace));
  const lakes = numbers.map((of) => (of === 1 ? 'one that is not divided' : `one of ${count(of)} shards`));
  throw new ShardsError(
    `This data directory holds ${plural(numbers.length, 'lake')} side by side, ${lakes.join(' and ')}: ${listed(named, places.length)}.`,
    {
      hint: 'Decide which is the lake. Move the folders of the other out of the data directory, and keep them until the next runs have succeeded: docs/scale.md, Shards that do not fit.',
      where: { folder: shared },
    },
  );
}

/**
 * Throws ShardsError if a shard holds a tenant that is not its own: with the copy in its own shard, it would be counted twice. It may be
 * the copy of another shard, or a backup that was restored into the wrong folder.
 */
export async function requireOwnTenants(
  shared: string,
  shards: readonly (Shard & { readonly tenants: Iterable<string> })[],
): Promise<void> {
  const wrong = shards.flatMap(({ tenants, ...shard }): Wrong[] => {
    const misplaced = misplacedTenants(tenants, shard);
    return misplaced.size === 0 ? [] : [{ shard, misplaced, isMixed: sizeOf(misplaced) < new Set(tenants).size }];
  });
  const [first] = wrong;
  if (first === undefined) return;
  const { shard, misplaced } = first;
  const name = showShard(shard);
  const groups = [...misplaced].map(([index, tenants]) => {
    return `${listed(tenants, tenants.length)} of shard ${showShard({ index, of: shard.of })}`;
  });
  const others = wrong.slice(1).map((each) => showShard(each.shard));
  const also =
    others.length === 0 ? '' : ` So ${others.length === 1 ? 'does shard' : 'do shards'} ${others.join(', ')}.`;
  throw new ShardsError(
    `Shard ${name} holds ${plural(sizeOf(misplaced), 'tenant')} of other shards: ${listed(groups, groups.length)}.${also}`,
    { hint: await adviceFor(shared, first), where: { folder: shardFolder(shared, shard) } },
  );
}

interface Wrong {
  readonly shard: Shard;
  readonly misplaced: ReadonlyMap<number, readonly string[]>;
  /** It holds tenants of its own, too. */
  readonly isMixed: boolean;
}

/** What to do with the folder. Nothing of it is lost by any of these. */
async function adviceFor(shared: string, wrong: Wrong): Promise<string> {
  const move = 'Move this folder out of the data directory and keep it.';
  const page = 'docs/scale.md, Shards that do not fit';
  if (wrong.isMixed) return `${move} It holds tenants of its own, too: ${page}, says how to take the others out of it.`;
  const name = showShard(wrong.shard);
  return (
    (await renaming(shared, wrong)) ??
    `${move} Then put shard ${name} back from its own backup or mirror, or load it again with \`insights-etl run --shard ${name}\`: ${page}.`
  );
}

/**
 * The advice if the folder is that of another shard under a wrong name, and the folder at that shard's place, if there is one, is of a
 * third, up to a place that is free or the folder itself. Undefined if it is not so: one of them is a copy.
 */
async function renaming(shared: string, { shard, misplaced }: Wrong): Promise<string | undefined> {
  const { of } = shard;
  const places = await placesWith(shared, [LEDGER_FILE, CATALOGUE_FILE]);
  const chain = [shard.index];
  let isFree = false;
  for (let next = onlyKey(misplaced); next !== shard.index;) {
    if (next === undefined || chain.includes(next)) return undefined;
    chain.push(next);
    const place = places.find((each) => each.of === of && each.index === chain.at(-1));
    isFree = place === undefined;
    if (place === undefined) break;
    const tenants = await publishedTenants(place.dataDir);
    const theirs = misplacedTenants(tenants, place);
    next = sizeOf(theirs) === tenants.length ? onlyKey(theirs) : undefined;
  }
  const renames = chain.flatMap((index, nth) => {
    const to = chain[nth + 1] ?? (isFree ? undefined : shard.index);
    return to === undefined ? [] : [`${shardFolder('', { index, of })} to ${shardFolder('', { index: to, of })}`];
  });
  const [only, ...others] = isFree ? renames.toReversed() : renames;
  if (others.length === 0) return `The folder is that of another shard under a wrong name: rename ${only}.`;
  const how = isFree ? 'in this order' : 'the first by way of another name';
  return `These folders are those of other shards under wrong names. Rename them, ${how}: ${[only, ...others].join(', ')}.`;
}

function onlyKey<T>(groups: ReadonlyMap<T, unknown>): T | undefined {
  const [key, ...others] = groups.keys();
  return others.length === 0 ? key : undefined;
}

function sizeOf(groups: ReadonlyMap<number, readonly string[]>): number {
  return [...groups.values()].reduce((sum, { length }) => sum + length, 0);
}

/** The first of them, and how many more there are of `all`. */
export function listed(items: readonly string[], all: number): string {
  const named = items.slice(0, MOST_NAMED);
  return named.join(', ') + (all > named.length ? ` and ${count(all - named.length)} more` : '');
}

/** A folder with what its last snapshot holds. */
async function describePlace({ dataDir, ...shard }: ShardPlace): Promise<string> {
  const name = shard.of === 1 ? 'the data directory itself' : shardFolder('', shard);
  if (!(await pathExists(join(dataDir, MANIFEST_FILE)))) return `${name} (nothing is published)`;
  const manifest = await manifestIn(dataDir);
  if (manifest === undefined) return `${name} (its manifest cannot be read)`;
  const tenants = manifestTenants(manifest).length;
  const rows = manifestPartitions(manifest).reduce((sum, each) => sum + each.rows, 0);
  return `${name} (${plural(tenants, 'tenant')}, ${plural(rows, 'row')}, published ${manifest.publishedAt})`;
}

async function publishedTenants(dataDir: string): Promise<readonly string[]> {
  const manifest = await manifestIn(dataDir);
  return manifest ? manifestTenants(manifest) : [];
}

/** Undefined for one that is missing or cannot be read. */
export async function manifestIn(dataDir: string): Promise<Manifest | undefined> {
  const file = join(dataDir, MANIFEST_FILE);
  const text = await ifThere(file, () => readFile(file, 'utf8'));
  try {
    return text === undefined ? undefined : parseManifest(text);
  } catch {
    return undefined;
  }
}

/** The shards, and the directory itself, that have one of these files. */
async function placesWith(shared: string, names: readonly string[]): Promise<readonly ShardPlace[]> {
  const folders = [{ index: 0, of: 1 }, ...(await shardFolders(shared))];
  const places = folders.map((shard) => ({ ...shard, dataDir: shardFolder(shared, shard) }));
  const isThere = await Promise.all(
    places.map(async ({ dataDir }) => {
      const found = await Promise.all(names.map((name) => pathExists(join(dataDir, name))));
      return found.includes(true);
    }),
  );
  return places.filter((_, nth) => isThere[nth]).toSorted((a, b) => a.of - b.of || a.index - b.index);
}

/** The shards that have a folder with anything in it. Of a backup of all shards, too. An empty folder is a volume that is not in use. */
export async function shardFolders(shared: string): Promise<readonly Shard[]> {
  const folder = join(shared, SHARDS_FOLDER);
  const found = await lookAtEach((await ifThere(folder, () => readdir(folder))) ?? [], async (name) => {
    const shard = shardOfFolder(name);
    if (shard === undefined) return [];
    const place = join(folder, name);
    const names = (await ifThere(place, () => readdir(place))) ?? [];
    // Each volume has a `lost+found`, whatever it holds. A volume that went away just before a reshard was complete still has its tag.
    return names.some((each) => each !== 'lost+found' && each !== RESHARD_TAG) ? [shard] : [];
  });
  return found.flat();
}

/** Undefined if nothing is there. A file where the data directory should be is reported by who opens the ledger. */
async function ifThere<T>(place: string, read: () => Promise<T>): Promise<T | undefined> {
  return onDisk(place, async () => {
    try {
      return await read();
    } catch (error) {
      if (isMissing(error) || errorCode(error) === 'ENOTDIR') return undefined;
      throw error;
    }
  });
}
