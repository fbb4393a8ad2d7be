/**
 * Durable file steps: bytes reach the disk before a name points at them, and the name reaches the disk before anyone
 * relies on it. Temporary files live beside their target (a rename must not cross file systems) and end in `.tmp`.
 */
import { mkdir, open, rename, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';

export const TEMPORARY = '.tmp';

/** Flushes a file's content (or a folder's entries) to the disk. */
export async function syncPath(path: string): Promise<void> {
  const handle = await open(path, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Gives a finished temporary file its name: flush, rename, flush the folder. Replaces what stood there in one step. */
export async function commitFile(temporary: string, path: string): Promise<void> {
  await syncPath(temporary);
  await rename(temporary, path);
  await syncPath(dirname(path));
}

/** Writes a small file so that a reader sees the old content or the new, never a part. */
export async function writeDurably(path: string, content: string): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  const temporary = `${path}${TEMPORARY}`;
  await writeFile(temporary, content);
  await commitFile(temporary, path);
}
