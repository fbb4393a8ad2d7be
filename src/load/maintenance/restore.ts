/** Copies a backup into a folder that becomes a lake (restore-folder.ts). */
import { dirname, join, resolve, sep } from 'node:path';
import { ConfigError } from '../../kernel/errors.ts';
import { commitFile, onDisk, realPathOf, systemFiles, TEMPORARY, writeDurably } from '../../kernel/files.ts';
import { LEDGER_FILE, MANIFEST_FILE, WORK_FOLDER } from '../../model/data-dir.ts';
import type { LakeRuntime, LakeSettings } from '../ledger/ledger.ts';
import { hasLedger, ledgerAgrees, readSnapshot, snapshotFolders, storedFault } from './backup-folder.ts';
import { restoreInto } from './restore-folder.ts';
import type { RestoredInto } from './restore-folder.ts';
import type { Restored } from './restore-mark.ts';

/** Takes the newest snapshot of a folder of dated ones. Throws ConfigError, DamagedError (no manifest), LockedError, DiskError. */
export async function restoreFiles(
  backup: string,
  folder: string,
  settings: LakeSettings,
  runtime: LakeRuntime,
  signal: AbortSignal,
): Promise<RestoredInto> {
  const files = runtime.files ?? systemFiles;
  const [source, to] = [resolve(backup), resolve(folder)];
  const { from, snapshot } = await onDisk(source, async () => {
    const newest = (await snapshotFolders(files, source)).at(-1) ?? source;
    const realOf = async (path: string): Promise<string> => `${await realPathOf(path, files)}${sep}`;
    const real = await realOf(to);
    if ((await realOf(newest)).startsWith(real) || real.startsWith(await realOf(source)))
      throw new ConfigError('A backup cannot be restored into itself or into a folder around it.', {
        where: { folder: to },
      });
    return { from: newest, snapshot: await readSnapshot(files, newest) };
  });
  return restoreInto({ folder, source, settings, runtime, isSetBack: true }, async (clear) => {
    await clear(snapshot.files.map(({ file }) => file));
    const damaged: Restored['damaged'] = [];
    for (const stored of snapshot.files) {
      signal.throwIfAborted();
      if ((await storedFault(files, to, stored)) === undefined) continue;
      const problem = await storedFault(files, from, stored);
      if (problem) {
        await files.rm(join(to, stored.file), { force: true });
        damaged.push({ file: stored.file, problem });
        continue;
      }
      const path = join(to, stored.file);
      await files.mkdir(dirname(path), { recursive: true });
      await files.copyFile(join(from, stored.file), path + TEMPORARY);
      await commitFile(path + TEMPORARY, path, files);
    }
    await writeDurably(join(to, MANIFEST_FILE), snapshot.json, files);
    let ledger: string | undefined;
    // A ledger that is damaged, or belongs to other files, is worse than none.
    if ((await hasLedger(files, from)) && (await ledgerAgrees(from, snapshot))) {
      ledger = join(to, WORK_FOLDER, LEDGER_FILE);
      await files.copyFile(join(from, LEDGER_FILE), ledger);
    }
    const { number, publishedAt } = snapshot;
    return { from, snapshot: number, publishedAt, files: snapshot.files.length - damaged.length, damaged, ledger };
  });
}
