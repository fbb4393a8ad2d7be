/**
 * Copies a backup into a folder that holds no lake yet. The ledger comes last: with it, a run would take files that are still
 * missing for lost ones. A restore that was cut off is continued by the same command.
 */
import { dirname, join, relative, resolve, sep } from 'node:path';
import { ConfigError } from '../../kernel/errors.ts';
import {
  commitFile,
  onDisk,
  pathExists,
  realPathOf,
  systemFiles,
  TEMPORARY,
  writeDurably,
} from '../../kernel/files.ts';
import type { Files } from '../../kernel/files.ts';
import { CATALOGUE_FILE, LEDGER_FILE, MANIFEST_FILE, WORK_FOLDER } from '../../model/data-dir.ts';
import { MIRROR_HEAD } from '../../model/mirror-address.ts';
import { raiseGenerationFloor } from '../ledger/generation-floor.ts';
import { openLedger } from '../ledger/ledger.ts';
import type { LakeRuntime, LakeSettings } from '../ledger/ledger.ts';
import { hasLedger, ledgerAgrees, readSnapshot, snapshotFolders, storedFault } from './backup-folder.ts';
import type { Snapshot, StoredFault } from './backup-folder.ts';

export interface Restored {
  /** The snapshot's folder. */
  readonly from: string;
  readonly snapshot: number;
  readonly publishedAt: string;
  readonly files: number;
  /** False: `repair` must build the ledger from the files. */
  readonly withLedger: boolean;
  /** Files of the backup that are damaged. They are left out, so that the next run fetches what they held. */
  readonly damaged: readonly { readonly file: string; readonly problem: StoredFault }[];
  /** Delta logs that lack an entry in a mirror. They are left out, and publishing writes new ones from the ledger. */
  readonly logs?: readonly string[];
}

/** Takes the newest snapshot of a folder of dated ones. Throws ConfigError, DamagedError (no manifest), DiskError. */
export async function restoreFiles(
  backup: string,
  folder: string,
  settings: LakeSettings,
  runtime: LakeRuntime,
  signal: AbortSignal,
): Promise<Restored> {
  const files = runtime.files ?? systemFiles;
  return onDisk(folder, async () => {
    const from = (await snapshotFolders(files, resolve(backup))).at(-1) ?? backup;
    const to = resolve(folder);
    const realOf = async (path: string): Promise<string> => `${await realPathOf(path, files)}${sep}`;
    const real = await realOf(to);
    if ((await realOf(from)).startsWith(real) || real.startsWith(await realOf(backup)))
      throw new ConfigError('A backup cannot be restored into itself or into a folder around it.', {
        where: { folder: to },
      });
    const snapshot = await readSnapshot(files, from);
    await requireRoom(files, to, snapshot);
    const damaged: Restored['damaged'][number][] = [];
    for (const stored of snapshot.files) {
      signal.throwIfAborted();
      if ((await storedFault(files, to, stored)) === undefined) continue;
      const problem = await storedFault(files, from, stored);
      if (problem) {
        damaged.push({ file: stored.file, problem });
        continue;
      }
      const path = join(to, stored.file);
      await files.mkdir(dirname(path), { recursive: true });
      await files.copyFile(join(from, stored.file), path + TEMPORARY);
      await commitFile(path + TEMPORARY, path, files);
    }
    await writeDurably(join(to, MANIFEST_FILE), snapshot.json, files);
    // A ledger that is damaged, or belongs to other files, is worse than none.
    const withLedger = (await hasLedger(files, from)) && (await ledgerAgrees(from, snapshot));
    if (withLedger) {
      const work = join(to, WORK_FOLDER, 'restore');
      await files.rm(work, { recursive: true, force: true });
      await files.mkdir(work, { recursive: true });
      const path = join(work, LEDGER_FILE + TEMPORARY);
      await files.copyFile(join(from, LEDGER_FILE), path);
      await setBack(work, settings, runtime);
      await commitFile(path, join(to, LEDGER_FILE), files);
    }
    const { number, publishedAt } = snapshot;
    return { from, snapshot: number, publishedAt, files: snapshot.files.length - damaged.length, withLedger, damaged };
  });
}

/** The lake went on after the backup: its mirror, other backups and readers may have files that this ledger does not know. */
async function setBack(folder: string, settings: LakeSettings, runtime: LakeRuntime): Promise<void> {
  await using ledger = await openLedger(folder, settings, runtime, { adopting: true });
  await raiseGenerationFloor(ledger);
  await ledger.run('checkpoint');
}

/** Refuses a folder inside of a lake or a mirror, and one with anything in it that this restore would not have written. `isOwn`: it may have written this, too. */
export async function requireRoom(
  files: Files,
  to: string,
  snapshot: Snapshot,
  isOwn: (path: string) => boolean = () => false,
): Promise<void> {
  const hint = 'Name a new folder, or move what is there away.';
  for (const name of [LEDGER_FILE, CATALOGUE_FILE])
    if (await pathExists(join(to, name), files))
      throw new ConfigError('The folder holds a lake already.', {
        hint: `${hint} If a restore into it was cut off, \`insights-etl publish --data-dir <folder>\` completes it.`,
        where: { folder: to },
      });
  for (let above = dirname(await realPathOf(to, files)); ; above = dirname(above)) {
    for (const name of [LEDGER_FILE, MIRROR_HEAD])
      if (await pathExists(join(above, name), files))
        throw new ConfigError(`The folder is inside of a ${name === LEDGER_FILE ? 'lake' : 'mirror'}.`, { hint: 'Name a folder outside of it.', where: { folder: to, above } }); // oxfmt-ignore
    if (above === dirname(above)) break;
  }
  if (!(await pathExists(to, files))) return;
  const own = new Set([...snapshot.files.map(({ file }) => file), MANIFEST_FILE]);
  for (const entry of await files.readdir(to, { recursive: true, withFileTypes: true })) {
    const path = relative(to, join(entry.parentPath, entry.name));
    if (entry.isDirectory() || path.startsWith(`${WORK_FOLDER}${sep}`)) continue;
    const whole = path.replace(/\.tmp$/, '');
    if (!own.has(path) && !own.has(whole) && !isOwn(whole))
      throw new ConfigError('The folder is not empty.', { hint, where: { file: join(to, path) } });
  }
}
