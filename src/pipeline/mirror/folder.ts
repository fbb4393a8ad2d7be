/** Which folder can be a mirror: one of its own, because a push writes and deletes files under the names that it knows. */
import { join, sep } from 'node:path';
import { ConfigError } from '../../kernel/errors.ts';
import { realPathOf } from '../../kernel/files.ts';
import type { Files } from '../../kernel/files.ts';
import { SHARDS_FOLDER } from '../../model/data-dir.ts';
import type { MirrorPlace } from '../../model/mirror-address.ts';

const HINT = 'Name a folder that is empty or does not exist yet, such as /mnt/nas/insights.';

/** Throws ConfigError for the root of a file system, and for a folder in the data directory or around it, also by way of a link. */
export async function refuseInside(dataDir: string, place: MirrorPlace, files: Files): Promise<void> {
  if (place.kind !== 'folder') return;
  const [from, to] = [withSep(await realPathOf(dataDir, files)), withSep(await realPathOf(place.path, files))];
  if (from.startsWith(to) || to.startsWith(from))
    throw new ConfigError('A mirror needs a folder of its own, outside of the data directory.', {
      hint: HINT,
      where: { folder: place.path },
    });
}

/** Throws ConfigError for a folder that holds other files. Call it for a new mirror. What the system or a file server keeps there is no hindrance. */
export async function requireOwnFolder(place: MirrorPlace, files: Files): Promise<void> {
  if (place.kind !== 'folder') return;
  // It is not there yet, or cannot be read: then the push itself says why.
  const names = await files.readdir(place.path).catch(() => []);
  const other = names.find((name) => !/^[.@#$]|^lost\+found$|^System Volume Information$/.test(name) && !OWN.has(name));
  if (other !== undefined)
    throw new ConfigError('The folder of the mirror holds other files, and no mirror.', {
      hint: HINT,
      where: { file: join(place.path, other) },
    });
}

/** Mirrors of shards have a folder each below one. `doctor` tries to write below its own. */
const OWN: ReadonlySet<string> = new Set([SHARDS_FOLDER, 'doctor']);

function withSep(path: string): string {
  return path.endsWith(sep) ? path : path + sep;
}
