/** What is expensive to make and read by several test files is made once per run, by the first file that asks for it. */
import { existsSync } from 'node:fs';
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { inject } from 'vitest';

/**
 * The folder that `make` has filled. It is made once, whichever worker asks first, and removed when the run ends. Test files
 * share it, so none may change it.
 */
export async function oncePerRun(name: string, make: (folder: string) => Promise<void>): Promise<string> {
  const folder = join(inject('runFolder'), name);
  const claim = `${folder}.claimed`;
  const failure = join(claim, 'failure');
  const isFirst = await mkdir(claim).then(
    () => true,
    () => false,
  );
  if (isFirst) {
    const unfinished = join(claim, 'unfinished');
    await mkdir(unfinished);
    try {
      await make(unfinished);
    } catch (error) {
      await writeFile(failure, String(error));
      throw error;
    }
    await rename(unfinished, folder);
    return folder;
  }
  while (!existsSync(folder)) {
    if (existsSync(failure)) throw new Error(`"${name}" could not be made: ${await readFile(failure, 'utf8')}`);
    await sleep(50);
  }
  return folder;
}
