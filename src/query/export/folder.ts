/** Writes a folder of small texts for another tool. Files that differ from them are only replaced if that was asked for. */
import { readFile, realpath } from 'node:fs/promises';
import { dirname, isAbsolute, join, relative, resolve, sep } from 'node:path';
import { ConfigError } from '../../kernel/errors.ts';
import { isMissing, onDisk, pathExists, writeDurably } from '../../kernel/files.ts';

/** Texts by their path in the folder, with slashes. */
export type FolderFiles = ReadonlyMap<string, string>;

/** Throws ConfigError if the folder is in the data directory, its parent does not exist, or files would be replaced without `force`. */
export async function writeFolder(out: string, files: FolderFiles, dataDir: string, force: boolean): Promise<void> {
  const parent = dirname(out);
  if (!(await onDisk(parent, () => pathExists(parent))))
    throw new ConfigError('The parent of the folder does not exist.', {
      hint: 'Create it, or name another folder with --out.',
      where: { folder: parent },
    });
  const [lake, target] = await Promise.all([realpath(dataDir), realpath(out).catch(() => out)]);
  if (isWithin(resolve(dataDir), out) || isWithin(lake, target))
    throw new ConfigError('A project cannot be written into the data directory.', {
      hint: 'Choose another folder with --out.',
      where: { folder: out },
    });
  const changed: string[] = [];
  for (const [path, text] of files) {
    const present = await presentText(join(out, path));
    if (present !== undefined && present !== text) changed.push(path);
  }
  if (changed.length > 0 && !force)
    throw new ConfigError(
      `${changed.length === 1 ? 'A file exists' : `${changed.length} files exist`} with other contents: ${changed.slice(0, 5).join(', ')}${changed.length > 5 ? ', …' : ''}.`,
      {
        hint: 'Name another folder with --out, or replace these files with --force.',
        where: { folder: out },
      },
    );
  for (const [path, text] of files) await onDisk(join(out, path), () => writeDurably(join(out, path), text));
}

async function presentText(path: string): Promise<string | undefined> {
  return onDisk(path, async () => {
    try {
      return await readFile(path, 'utf8');
    } catch (error) {
      if (isMissing(error)) return undefined;
      throw error;
    }
  });
}

function isWithin(folder: string, path: string): boolean {
  const way = relative(folder, path);
  return !isAbsolute(way) && way.split(sep)[0] !== '..';
}
