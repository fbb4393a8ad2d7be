/** The shards of a data directory: which there are, and whether their number is being changed. */
import { join } from 'node:path';
import { readdir, readFile } from 'node:fs/promises';
import { z } from 'zod';
import { DamagedError, errorCode } from '../kernel/errors.ts';
import { isMissing, onDisk, pathExists } from '../kernel/files.ts';
import { parseJson } from '../kernel/json.ts';
import { CATALOGUE_FILE, LEDGER_FILE, RESHARD_FILE, SHARDS_FOLDER } from '../model/data-dir.ts';
import { shardFolder, shardOfFolder } from '../model/shard.ts';
import type { Shard } from '../model/shard.ts';

/** A `reshard` that is not complete. `copy`: the old shards are those to read. `remove`: the new ones. */
const RESHARD = z.object({
  from: z.int().min(1),
  to: z.int().min(1),
  phase: z.enum(['copy', 'remove']),
  /** Indexes of the new shards that are complete. */
  done: z.array(z.int().min(0)),
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
  const folders = [{ index: 0, of: 1 }, ...(await shardFolders(shared))];
  const places = folders.map((shard) => ({ ...shard, dataDir: shardFolder(shared, shard) }));
  const isThere = await Promise.all(places.map(({ dataDir }) => pathExists(join(dataDir, LEDGER_FILE))));
  return places.filter((_, nth) => isThere[nth]).toSorted((a, b) => a.of - b.of || a.index - b.index);
}

/** The shards that have published a catalogue, of the number of shards in use. Empty for a directory without shards. */
export async function shardsToRead(shared: string): Promise<readonly ShardPlace[]> {
  const folders = await shardFolders(shared);
  if (folders.length === 0) return [];
  const reshard = await readReshard(shared);
  const of = reshard && (reshard.phase === 'copy' ? reshard.from : reshard.to);
  const places = folders
    .filter((shard) => of === undefined || shard.of === of)
    .map((shard) => ({ ...shard, dataDir: shardFolder(shared, shard) }))
    .toSorted((a, b) => a.of - b.of || a.index - b.index);
  const isThere = await Promise.all(places.map(({ dataDir }) => pathExists(join(dataDir, CATALOGUE_FILE))));
  return places.filter((_, nth) => isThere[nth]);
}

async function shardFolders(shared: string): Promise<readonly Shard[]> {
  const folder = join(shared, SHARDS_FOLDER);
  const names = (await ifThere(folder, () => readdir(folder))) ?? [];
  return names.map(shardOfFolder).filter((shard) => shard !== undefined);
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
