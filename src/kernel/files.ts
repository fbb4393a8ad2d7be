/**
 * Durable file steps: bytes reach the disk before a name points at them, and the name reaches the disk before anything relies
 * on it. Temporary files end in `.tmp`. They are on the file system of their target, which a rename must not leave: in its
 * folder, or in the work folder where readers list the target's.
 */
import { createHash } from 'node:crypto';
import * as promises from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { DiskError, errorCode } from './errors.ts';

export const TEMPORARY = '.tmp';

/** The file functions that a data directory is written with; passed in so that tests can simulate disk faults. */
export type Files = Pick<
  typeof promises,
  | 'copyFile'
  | 'link'
  | 'mkdir'
  | 'open'
  | 'readdir'
  | 'readFile'
  | 'realpath'
  | 'rename'
  | 'rm'
  | 'rmdir'
  | 'stat'
  | 'utimes'
  | 'writeFile'
>;

export const systemFiles: Files = promises;

/** Flushes a file's content (or a folder's entries) to the disk. */
export async function syncPath(path: string, files: Files = systemFiles): Promise<void> {
  const handle = await files.open(path, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Creates a folder and flushes the names of all folders that were created. */
export async function makeFolder(folder: string, files: Files = systemFiles): Promise<void> {
  const topmost = await files.mkdir(folder, { recursive: true });
  if (topmost === undefined) return;
  for (let created = folder; created.length >= topmost.length; created = dirname(created))
    await syncPath(dirname(created), files);
}

/** Gives a finished temporary file its name: flush, rename, flush the folder. Replaces an existing file atomically. */
export async function commitFile(temporary: string, path: string, files: Files = systemFiles): Promise<void> {
  await syncPath(temporary, files);
  await files.rename(temporary, path);
  await syncPath(dirname(path), files);
}

/** Writes a small file so that a reader sees either the old content or the new, never a part of it. */
export async function writeDurably(
  path: string,
  content: string,
  files: Files = systemFiles,
  temporary = `${path}${TEMPORARY}`,
): Promise<void> {
  await files.mkdir(dirname(path), { recursive: true });
  await files.writeFile(temporary, content);
  await commitFile(temporary, path, files);
}

/** True for the error that a file or folder does not exist. */
export function isMissing(error: unknown): boolean {
  return errorCode(error) === 'ENOENT';
}

/** The absolute path without symbolic links, also of something that does not exist yet. */
export async function realPathOf(path: string, files: Pick<Files, 'realpath'> = systemFiles): Promise<string> {
  const given = resolve(path);
  try {
    return await files.realpath(given);
  } catch (error) {
    if (given === dirname(given)) throw error;
    return join(await realPathOf(dirname(given), files), basename(given));
  }
}

/** A file's size; undefined when it does not exist. Throws when that cannot be known, e.g. without access to its folder. */
export async function sizeOf(path: string, files: Files): Promise<number | undefined> {
  try {
    return (await files.stat(path)).size;
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
}

/** The checksum of a file, in hexadecimal. */
export async function sha256Of(path: string, files: Files): Promise<string> {
  const hash = createHash('sha256');
  const file = await files.open(path, 'r');
  try {
    // One reused buffer: the chunks of a stream would be as much garbage as the file is large.
    const buffer = Buffer.allocUnsafe(1 << 20);
    for (;;) {
      const { bytesRead } = await file.read(buffer, 0, buffer.length);
      if (bytesRead === 0) break;
      hash.update(buffer.subarray(0, bytesRead));
    }
  } finally {
    await file.close();
  }
  return hash.digest('hex');
}

/** False only when there is nothing at the path. Throws when that cannot be known, e.g. without access to its folder. */
export async function pathExists(path: string, files: Pick<Files, 'stat'> = systemFiles): Promise<boolean> {
  try {
    await files.stat(path);
    return true;
  } catch (error) {
    if (isMissing(error) || errorCode(error) === 'ENOTDIR') return false;
    throw error;
  }
}

/** Files that are looked at side by side: the system looks at four at a time, and one by one each would wait for its turn. */
const AT_ONCE = 64;

/** What `look` says about each item, in their order. Looks at many at once. */
export async function lookAtEach<T, R>(items: readonly T[], look: (item: T) => Promise<R>): Promise<R[]> {
  const found: R[] = [];
  for (let k = 0; k < items.length; k += AT_ONCE)
    found.push(...(await Promise.all(items.slice(k, k + AT_ONCE).map((item) => look(item)))));
  return found;
}

const DISK_FAULTS: Readonly<Record<string, string>> = {
  ENOSPC: 'the disk is full',
  EDQUOT: 'the disk quota is used up',
  EROFS: 'the file system is read-only',
  EACCES: 'permission is denied',
  EPERM: 'permission is denied',
  ELOOP: 'a symbolic link leads to itself',
  EMFILE: 'too many files are open',
  EFBIG: 'the file would be larger than allowed',
  EIO: 'the disk reports an error',
};

export function diskError(reason: string, file: string, cause: unknown): DiskError {
  return new DiskError(`A file cannot be read or written: ${reason}.`, {
    hint: 'Free space or grant access, then run again. Complete files are kept.',
    cause,
    where: { file },
  });
}

/** What an error says of the disk. Undefined: it is no error of the disk. */
export function diskFault(error: unknown): string | undefined {
  return DISK_FAULTS[errorCode(error) ?? ''];
}

/** Runs a step on files. An error of the disk becomes a DiskError that names the path, or `place` when the error has none. */
export async function onDisk<T>(place: string, step: () => Promise<T>): Promise<T> {
  try {
    return await step();
  } catch (error) {
    const reason = diskFault(error);
    if (reason === undefined) throw error;
    throw diskError(reason, error instanceof Error && 'path' in error ? String(error.path) : place, error);
  }
}
