/**
 * Deletes a shard for `reshard`, wherever its files are: its folder may be a mount point, which cannot be deleted, or a symbolic link,
 * whose target would stay. Rows that stayed there would take the space, and no later purge would find them.
 */
import { basename, dirname, join } from 'node:path';
import { errorCode } from '../../kernel/errors.ts';
import { isMissing, pathExists } from '../../kernel/files.ts';
import type { Files } from '../../kernel/files.ts';
import { DATA_DIR, DEMO_FOLDER, HISTORY_FILE, RESHARD_FILE, SHARDS_FOLDER } from '../../model/data-dir.ts';
import { shardFolder } from '../../model/shard.ts';
import type { Shard } from '../../model/shard.ts';

/**
 * True if its folder stays: it is a mount point, or a link that is kept. A folder that is neither is deleted with all that is in it.
 * Where a volume or a link leads, and next to a lake that is not divided, may be other files: only what the inventory declares is deleted.
 */
export async function discard(
  files: Files,
  shared: string,
  shard: Shard,
  { keepsLink }: { readonly keepsLink: boolean },
): Promise<boolean> {
  const folder = shardFolder(shared, shard);
  const linked = shard.of > 1 && (await isLink(files, folder));
  if (shard.of > 1 && !linked && !(await isBusy(() => files.rm(folder, { recursive: true, force: true }))))
    return false;
  // Without a target, such as a disk that is not there, nothing can be deleted but the link.
  for (const name of (await pathExists(folder, files)) ? namesOf(shard) : []) await empty(files, join(folder, name));
  if (linked && !keepsLink) await files.rm(folder, { force: true });
  return shard.of > 1 && (!linked || keepsLink);
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
async function empty(files: Files, path: string): Promise<void> {
  if (!(await isBusy(() => files.rm(path, { recursive: true, force: true })))) return;
  // `lost+found` belongs to the file system of the volume.
  for (const name of await files.readdir(path)) if (name !== 'lost+found') await empty(files, join(path, name));
}

export async function isLink(files: Files, path: string): Promise<boolean> {
  const entries = await files.readdir(dirname(path), { withFileTypes: true }).catch((error: unknown) => {
    if (isMissing(error)) return [];
    throw error;
  });
  return entries.some((entry) => entry.name === basename(path) && entry.isSymbolicLink());
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
