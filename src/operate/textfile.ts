/** The metrics as a file for the textfile collector of node_exporter: for runs that end before anybody can scrape them. */
import { chmod, rename, writeFile } from 'node:fs/promises';
import { TEMPORARY } from '../kernel/files.ts';

/** The collector runs as another user, while the umask of this program keeps files private. */
const READABLE = 0o644;

/** Replaces the file at once, so that the collector never reads a part of it. Its folder must exist. */
export async function writeTextfile(path: string, text: string): Promise<void> {
  // The collector reads only names that end in .prom.
  const temporary = `${path}${TEMPORARY}`;
  await writeFile(temporary, text);
  await chmod(temporary, READABLE);
  await rename(temporary, path);
}
