/**
 * What is at the place that an export shall be written to. A regular file is replaced by rename. A symbolic link is followed, so
 * that it stays and its file is replaced. A device, a pipe, or an open file of a process (`/dev/stdout`, `/proc/self/fd/3`) is written through.
 */
import { createReadStream, createWriteStream, type Stats } from 'node:fs';
import { lstat, readlink, realpath, stat } from 'node:fs/promises';
import { dirname, join, relative, resolve } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { ConfigError } from '../../kernel/errors.ts';
import { isMissing, onDisk, pathExists } from '../../kernel/files.ts';
import { belongsToLake } from '../../model/data-path.ts';

export interface Target {
  readonly exists: boolean;
  /** `file`: its real path; it gets its name by rename. `through`: a device, a pipe or an open file. */
  readonly kind: 'file' | 'through';
  readonly path: string;
}

/** As many links as Linux follows. */
const MOST_LINKS = 40;

/** Throws ConfigError for a place that cannot be written or belongs to the lake. */
export async function findTarget(out: string, dataDir: string): Promise<Target> {
  const target = await onDisk(out, () => examine(out));
  const lake = await realpath(dataDir).catch(() => resolve(dataDir));
  for (const [folder, path] of [
    [resolve(dataDir), out],
    [lake, target.path],
  ] as const)
    // oxfmt-ignore
    if (belongsToLake(relative(folder, path)))
      throw new ConfigError('An export cannot be written into the lake itself.', {
        hint: 'Choose another folder with --out.',
        where: { file: out },
      });
  const folder = dirname(target.path);
  // A misspelt folder would otherwise hide the file.
  if (target.kind === 'file' && !(await onDisk(folder, () => pathExists(folder))))
    throw new ConfigError('The folder of the file does not exist.', {
      hint: 'Create it, or name another file with --out.',
      where: { folder },
    });
  return target;
}

async function examine(out: string): Promise<Target> {
  const stats = await stat(out).catch((error: unknown) => {
    if (isMissing(error)) return undefined;
    throw error;
  });
  if (stats === undefined) return { exists: false, kind: 'file', path: await endOfLinks(out) };
  if (stats.isFIFO() || stats.isCharacterDevice() || (stats.isFile() && isOpenFile(out)))
    return { exists: true, kind: 'through', path: out };
  if (!stats.isFile())
    throw new ConfigError(`An export cannot be written to ${nameOf(stats)}.`, {
      hint: 'Name a file with --out.',
      where: { file: out },
    });
  return { exists: true, kind: 'file', path: await realpath(out) };
}

/** The name of a file that a process holds open: a rename would replace the name, and not the file. `/dev/shm` has plain files. */
function isOpenFile(path: string): boolean {
  return /^\/(?:dev\/(?:fd\/|std)|proc\/)/.test(resolve(path));
}

function nameOf(stats: Stats): string {
  if (stats.isDirectory()) return 'a folder';
  return stats.isBlockDevice() ? 'a disk' : 'a socket';
}

/** Where a link to nothing leads, so that the file is created there. */
async function endOfLinks(path: string): Promise<string> {
  let end = resolve(path);
  for (let followed = 0; followed < MOST_LINKS; followed++) {
    const link = await lstat(end).catch(() => undefined);
    if (link?.isSymbolicLink() !== true) break;
    end = resolve(dirname(end), await readlink(end));
  }
  return join(await realpath(dirname(end)).catch(() => dirname(end)), end.slice(dirname(end).length));
}

/** Sends a finished file through a device, a pipe or an open file, after what is already in it. */
export async function writeThrough(file: string, path: string, signal: AbortSignal): Promise<void> {
  await onDisk(path, () => pipeline(createReadStream(file), createWriteStream(path, { flags: 'a' }), { signal }));
}
