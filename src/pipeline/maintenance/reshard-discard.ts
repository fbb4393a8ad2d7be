/**
 * Deletes a shard for `reshard`, wherever its files are: its folder may be a mount point, which cannot be deleted, or a symbolic link,
 * whose target would stay. Rows that stayed there would take the space, and no later purge would find them. An empty folder does not say
 * whether its files are deleted or its volume is away. So tags are written before, and deleted after the mark says that the rest is
 * deleted: as long as the mark does not say so, a shard without its tags is away.
 */
import { basename, dirname, join } from 'node:path';
import { z } from 'zod';
import { errorCode } from '../../kernel/errors.ts';
import { isMissing, syncPath, writeDurably } from '../../kernel/files.ts';
import type { Files } from '../../kernel/files.ts';
import { parseJson } from '../../kernel/json.ts';
import {
  DATA_DIR,
  DEMO_FOLDER,
  HEAD_FOLDER,
  HISTORY_FILE,
  KEPT_FOLDER,
  LANDING_FOLDER,
  RESHARD_FILE,
  RESHARD_TAG,
  SHARDS_FOLDER,
  STORE_FOLDER,
} from '../../model/data-dir.ts';
import { shardFolder, showShard } from '../../model/shard.ts';
import type { Shard } from '../../model/shard.ts';

export interface Reshards {
  readonly shared: string;
  readonly files: Files;
  /** Of the reshard. */
  readonly id: string;
}

/** Folders of a shard that hold rows. Each may be a volume of its own, or a link to one. */
const FOLDERS_OF_ROWS = [STORE_FOLDER, HEAD_FOLDER, LANDING_FOLDER, KEPT_FOLDER];

const TAG = z.object({
  /** Two volumes that have changed places must not be taken for each other. */
  id: z.string(),
  shard: z.string(),
  /** Folders in this one that have a tag, too. */
  folders: z.array(z.string()),
});

/** Tags the folder of a shard, which is created if it is missing, and the folders of rows in it. Returns these. */
export async function tagShard(reshard: Reshards, shard: Shard): Promise<readonly string[]> {
  const { shared, files } = reshard;
  const folder = shardFolder(shared, shard);
  if ((await files.mkdir(folder, { recursive: true, mode: 0o700 })) !== undefined)
    await syncPath(dirname(folder), files);
  const folders: string[] = [];
  for (const name of FOLDERS_OF_ROWS) {
    if ((await namesIn(files, join(folder, name))) === undefined) continue;
    await writeTag(reshard, shard, name, []);
    folders.push(name);
  }
  await writeTag(reshard, shard, '', folders);
  return folders;
}

/** False: the shard, or a volume in it, is not there. */
export async function isTagged(reshard: Reshards, shard: Shard): Promise<boolean> {
  const tag = await readTag(reshard, shard, '');
  const inside = await Promise.all((tag?.folders ?? []).map((name) => readTag(reshard, shard, name)));
  return tag !== undefined && !inside.includes(undefined);
}

/** Deletes the tags of a shard that stays. */
export async function untagShard({ shared, files }: Reshards, shard: Shard): Promise<void> {
  for (const name of [...FOLDERS_OF_ROWS, ''])
    await files.rm(join(shardFolder(shared, shard), name, RESHARD_TAG), { force: true });
}

/**
 * Deletes all of a tagged shard but its folder and the tag in it. A folder that is neither a mount point nor a link is deleted with all
 * that is in it. Where a volume or a link leads, and next to a lake that is not divided, may be other files: only what the inventory
 * declares is deleted. `folders`: those in it that have a tag, which is deleted when nothing of any of them is left.
 */
export async function emptyShard(reshard: Reshards, shard: Shard, folders: readonly string[]): Promise<void> {
  const { shared, files } = reshard;
  const folder = shardFolder(shared, shard);
  const names = (await isPlainFolder(reshard, shard)) ? await files.readdir(folder) : namesOf(shard);
  for (const name of names)
    if (folders.includes(name)) await emptyFolder(files, join(folder, name));
    else if (name !== RESHARD_TAG) await remove(files, join(folder, name));
  await writeTag(reshard, shard, '', []);
  for (const name of folders) {
    await files.rm(join(folder, name, RESHARD_TAG), { force: true });
    await remove(files, join(folder, name));
  }
}

/** Deletes the last tag of a shard that is empty, and its folder. That of a mount point stays, and a link if it is kept. */
export async function dropShard({ shared, files }: Reshards, shard: Shard, keepsLink: boolean): Promise<void> {
  const folder = shardFolder(shared, shard);
  await files.rm(join(folder, RESHARD_TAG), { force: true });
  if (shard.of === 1) return;
  if (!(await isLink(files, folder))) await removeEmpty(files, folder);
  else if (!keepsLink) await files.rm(folder, { force: true });
}

async function removeEmpty(files: Files, folder: string): Promise<void> {
  try {
    await files.rmdir(folder);
  } catch (error) {
    if (!['ENOENT', 'EBUSY', 'ENOTEMPTY', 'EEXIST'].includes(errorCode(error) ?? '')) throw error;
  }
}

export async function holdsAnything({ shared, files }: Omit<Reshards, 'id'>, shard: Shard): Promise<boolean> {
  return ((await namesIn(files, shardFolder(shared, shard))) ?? []).length > 0;
}

/** Of a folder that is tagged, so it is not empty. */
async function isPlainFolder({ shared, files }: Reshards, shard: Shard): Promise<boolean> {
  const folder = shardFolder(shared, shard);
  if (shard.of === 1 || (await isLink(files, folder))) return false;
  try {
    await files.rmdir(folder);
  } catch (error) {
    const code = errorCode(error) ?? '';
    if (code === 'EBUSY') return false;
    if (!['ENOTEMPTY', 'EEXIST'].includes(code)) throw error;
  }
  return true;
}

/** Names of the inventory, and not those of a lake that is not divided which outlive it. */
function namesOf({ of }: Shard): ReadonlySet<string> {
  const kept = of === 1 ? [SHARDS_FOLDER, DEMO_FOLDER, HISTORY_FILE, RESHARD_FILE] : [];
  const written = DATA_DIR.filter(({ writtenBy }) => writtenBy !== 'by hand');
  const names = written.flatMap(({ path, unfinished }) => {
    const [name = ''] = path.split('/');
    return kept.includes(name) || name.includes('<') ? [] : [name, ...unfinished.map((ending) => name + ending)];
  });
  return new Set(names);
}

/** Deletes a file or a folder. Of a mount point and of what is above it, the folder stays. */
async function remove(files: Files, path: string): Promise<void> {
  if (await isBusy(() => files.rm(path, { recursive: true, force: true }))) await emptyFolder(files, path);
}

async function emptyFolder(files: Files, path: string): Promise<void> {
  // `lost+found` belongs to the file system of the volume.
  for (const name of await files.readdir(path))
    if (name !== 'lost+found' && name !== RESHARD_TAG) await remove(files, join(path, name));
}

export async function isLink(files: Files, path: string): Promise<boolean> {
  const entries = await files.readdir(dirname(path), { withFileTypes: true }).catch((error: unknown) => {
    if (isMissing(error)) return [];
    throw error;
  });
  return entries.some((entry) => entry.name === basename(path) && entry.isSymbolicLink());
}

/** Undefined: it is no folder. */
async function namesIn(files: Files, folder: string): Promise<readonly string[] | undefined> {
  try {
    return await files.readdir(folder);
  } catch (error) {
    if (isMissing(error) || errorCode(error) === 'ENOTDIR') return undefined;
    throw error;
  }
}

async function writeTag(
  { shared, files, id }: Reshards,
  shard: Shard,
  name: string,
  folders: readonly string[],
): Promise<void> {
  const path = join(shardFolder(shared, shard), name, RESHARD_TAG);
  await writeDurably(path, `${JSON.stringify({ id, shard: showShard(shard), folders })}\n`, files);
}

/** Undefined: there is none of this shard and this reshard. */
async function readTag(
  { shared, files, id }: Reshards,
  shard: Shard,
  name: string,
): Promise<z.output<typeof TAG> | undefined> {
  try {
    const text = await files.readFile(join(shardFolder(shared, shard), name, RESHARD_TAG), 'utf8');
    const { data } = TAG.safeParse(parseJson(text));
    return data?.id === id && data.shard === showShard(shard) ? data : undefined;
  } catch (error) {
    if (isMissing(error) || errorCode(error) === 'ENOTDIR') return undefined;
    throw error;
  }
}

/** True if the step fails because there is a mount point. */
async function isBusy(step: () => Promise<void>): Promise<boolean> {
  try {
    await step();
    return false;
  } catch (error) {
    if (errorCode(error) === 'EBUSY') return true;
    throw error;
  }
}
