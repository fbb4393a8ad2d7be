/**
 * A folder as an object store: another disk, or a share. An object gets its name when it is complete and flushed. A condition is
 * decided by a hard link, which only one writer can create.
 */
import { createHash, randomUUID } from 'node:crypto';
import { dirname, join, relative, sep } from 'node:path';
import { errorCode, MirrorError } from '../kernel/errors.ts';
import { diskError, diskFault, isMissing, pathExists, sha256Of, sizeOf, syncPath } from '../kernel/files.ts';
import type { Files } from '../kernel/files.ts';
import { partsOf } from './object-store.ts';
import type { Condition, ObjectStore, Source } from './object-store.ts';

/** Files on their way, below the folder of the mirror. */
const UPLOADS = '.uploads';
/** Ending of a file that claims the right to replace a version of another one. */
const CLAIM = '.next-';

export function openFolder(root: string, files: Files, signal: AbortSignal): ObjectStore {
  const at = (name: string): string => join(root, name);

  /** Another file, such as the one to upload, is on the disk of the lake: its errors are not the mirror's. */
  const isHere = (error: object): boolean => !('path' in error) || `${String(error.path)}${sep}`.startsWith(root + sep);

  const onRoot = async <T>(step: () => Promise<T>): Promise<T> => {
    try {
      return await step();
    } catch (error) {
      if (!(error instanceof Error) || !('syscall' in error) || !isHere(error)) throw error;
      const code = errorCode(error) ?? '';
      const cause = { where: { mirror: root }, cause: error };
      if (code === 'ENOTDIR' || code === 'EEXIST')
        throw new MirrorError('The folder of the mirror, or one above it, is a file or a link that leads nowhere.', {
          reason: 'bucket',
          hint: 'Check `mirror.to`, and whether its disk is mounted.',
          ...cause,
        });
      throw new MirrorError(
        `The folder of the mirror cannot be used: ${diskFault(error) ?? `the system says ${code}`}.`,
        {
          reason: 'disk',
          hint: 'Check the disk of the mirror: its free space, the rights of this user, and whether it is mounted. The next run, or `insights-etl mirror push`, continues.',
          ...cause,
        },
      );
    }
  };

  async function write(source: Source): Promise<string> {
    const temporary = join(root, UPLOADS, randomUUID());
    await files.mkdir(dirname(temporary), { recursive: true });
    const handle = await files.open(temporary, 'w');
    try {
      for (const { from, length } of partsOf(source.bytes)) {
        signal.throwIfAborted();
        await handle.write(await source.read(from, length), 0, length, from);
      }
      await handle.sync();
    } catch (error) {
      // On a full disk, what is left would take the room that the next attempt needs.
      await files.rm(temporary, { force: true }).catch(() => {});
      throw error;
    } finally {
      await handle.close();
    }
    return temporary;
  }

  const etagOf = async (name: string): Promise<string | undefined> =>
    (await pathExists(at(name), files)) ? sha256Of(at(name), files) : undefined;

  /** True if this writer has replaced the version. A claim that a killed writer left is completed for it. */
  async function replace(name: string, temporary: string, version: string): Promise<boolean> {
    const claim = `${at(name)}${CLAIM}${version}`;
    if (!(await linkNew(temporary, claim, files))) {
      if ((await etagOf(name)) === version) await files.rename(claim, at(name)).catch(ignoreMissing);
      else await files.rm(claim, { force: true });
      return false;
    }
    // Nobody else replaces this version while the claim is there.
    if ((await etagOf(name)) !== version) {
      await files.rm(claim, { force: true });
      return false;
    }
    await files.rename(claim, at(name)).catch(ignoreMissing);
    return true;
  }

  async function put(name: string, source: Source, condition?: Condition): Promise<string | undefined> {
    const temporary = await write(source);
    try {
      await files.mkdir(dirname(at(name)), { recursive: true });
      if (condition === undefined) await files.rename(temporary, at(name));
      else if ('ifAbsent' in condition) {
        if (!(await linkNew(temporary, at(name), files))) return undefined;
      } else if (!(await replace(name, temporary, condition.ifMatch))) return undefined;
      await syncPath(dirname(at(name)), files);
      return source.sha256;
    } finally {
      await files.rm(temporary, { force: true });
    }
  }

  return {
    place: root,
    put: (name, source, condition) => onRoot(() => put(name, source, condition)),
    async read(name) {
      return onRoot(async () => {
        try {
          const content = await files.readFile(at(name));
          return { content, etag: createHash('sha256').update(content).digest('hex') };
        } catch (error) {
          if (isMissing(error)) return undefined;
          throw error;
        }
      });
    },
    async download(name, path) {
      return onRoot(async () => {
        try {
          await files.copyFile(at(name), path);
          return true;
        } catch (error) {
          if (isMissing(error) && !(await pathExists(at(name), files))) return false;
          // The system names the file that it reads also when the disk that it writes to is full.
          if (/^(ENOSPC|EDQUOT|EROFS)$/.test(errorCode(error) ?? ''))
            throw diskError(diskFault(error) ?? '', path, error);
          throw error;
        }
      });
    },
    async head(name) {
      return onRoot(async () => {
        const bytes = await sizeOf(at(name), files);
        if (bytes === undefined) return undefined;
        const sha256 = await sha256Of(at(name), files);
        return { bytes, etag: sha256, sha256 };
      });
    },
    async *list(below) {
      const folder = below.includes('/') ? below.slice(0, below.lastIndexOf('/')) : '';
      if (!(await onRoot(() => pathExists(at(folder), files)))) return;
      for (const entry of await onRoot(() => files.readdir(at(folder), { recursive: true, withFileTypes: true }))) {
        const name = relative(root, join(entry.parentPath, entry.name)).replaceAll('\\', '/');
        if (!entry.isFile() || !name.startsWith(below) || name.startsWith(`${UPLOADS}/`)) continue;
        yield { name, bytes: (await onRoot(() => sizeOf(at(name), files))) ?? 0 };
      }
    },
    async delete(name) {
      await onRoot(async () => {
        await files.rm(at(name), { force: true });
        for (let folder = dirname(at(name)); folder !== root && folder.startsWith(root); folder = dirname(folder)) {
          const isEmpty = await files.rmdir(folder).then(
            () => true,
            () => false,
          );
          if (!isEmpty) break;
        }
      });
    },
    async abortUploads(before) {
      await onRoot(async () => {
        if (!(await pathExists(join(root, UPLOADS), files))) return;
        for (const name of await files.readdir(join(root, UPLOADS))) {
          const path = join(root, UPLOADS, name);
          if (before === 'any' || (await modifiedMs(path, files)) < before) await files.rm(path, { force: true });
        }
      });
    },
  };
}

/** False if there is a file with this name. */
async function linkNew(from: string, to: string, files: Files): Promise<boolean> {
  try {
    await files.link(from, to);
    return true;
  } catch (error) {
    if (errorCode(error) === 'EEXIST') return false;
    throw error;
  }
}

/** Never for a file that another upload has finished meanwhile. */
async function modifiedMs(path: string, files: Files): Promise<number> {
  try {
    return (await files.stat(path)).mtimeMs;
  } catch (error) {
    if (isMissing(error)) return Infinity;
    throw error;
  }
}

function ignoreMissing(error: unknown): void {
  if (!isMissing(error)) throw error;
}
