/**
 * Durable file steps: bytes reach the disk before a name points at them, and the name reaches the disk before anyone
 * relies on it. Temporary files live beside their target (a rename must not cross file systems) and end in `.tmp`.
 */
import * as promises from 'node:fs/promises';
import { dirname } from 'node:path';

export const TEMPORARY = '.tmp';

/** The file functions that a data directory is written with; passed in, so that tests own the disk and its faults. */
export type Files = Pick<
  typeof promises,
  | 'copyFile'
  | 'link'
  | 'mkdir'
  | 'open'
  | 'readdir'
  | 'readFile'
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

/** Gives a finished temporary file its name: flush, rename, flush the folder. Replaces what stood there in one step. */
export async function commitFile(temporary: string, path: string, files: Files = systemFiles): Promise<void> {
  await syncPath(temporary, files);
  await files.rename(temporary, path);
  await syncPath(dirname(path), files);
}

/** Writes a small file so that a reader sees the old content or the new, never a part. */
export async function writeDurably(path: string, content: string, files: Files = systemFiles): Promise<void> {
  await files.mkdir(dirname(path), { recursive: true });
  const temporary = `${path}${TEMPORARY}`;
  await files.writeFile(temporary, content);
  await commitFile(temporary, path, files);
}
