/** Where tests make their folders: in memory where the machine has room, because a tenth of their time was the flushing of files. */
import { accessSync, constants, statfsSync } from 'node:fs';
import { freemem, tmpdir } from 'node:os';

const MEMORY_FOLDER = '/dev/shm';
const ROOM_BYTES = 4 * 2 ** 30;

/** The machine's folder in memory, or the one for temporary files: where that is missing, small or not writable, or was chosen. */
export function scratchPlace(): string {
  if (process.env['TMPDIR'] !== undefined) return tmpdir();
  try {
    accessSync(MEMORY_FOLDER, constants.W_OK | constants.X_OK);
    const { bavail, bsize } = statfsSync(MEMORY_FOLDER);
    return Math.min(bavail * bsize, freemem()) >= ROOM_BYTES ? MEMORY_FOLDER : tmpdir();
  } catch {
    return tmpdir();
  }
}
