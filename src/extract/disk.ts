import { DiskError } from '../errors.ts';

const REASONS: Readonly<Record<string, string>> = {
  ENOSPC: 'the disk is full',
  EDQUOT: 'the disk quota is used up',
  EROFS: 'the file system is read-only',
  EACCES: 'permission is denied',
  EPERM: 'permission is denied',
  EMFILE: 'too many files are open',
  EIO: 'the disk reports an error',
};

/** Runs a file step; a refusal by the disk becomes a DiskError that names the path. */
export async function onDisk<T>(path: string, step: () => Promise<T>): Promise<T> {
  try {
    return await step();
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : '';
    const reason = REASONS[code];
    if (reason === undefined) throw error;
    throw new DiskError(`Writing failed: ${reason}.`, {
      hint: 'Make room or give access, then run again; what is complete is kept.',
      cause: error,
      where: { file: path },
    });
  }
}
