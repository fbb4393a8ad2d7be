/**
 * Makes a lake in a folder of what a restore copies into it. The ledger gets its name last, when everything is published: until then
 * there is no lake, and the same command continues. With it, a run would take files that are still missing for lost ones.
 */
import { dirname, join, relative, resolve, sep } from 'node:path';
import { ConfigError, DamagedError } from '../../kernel/errors.ts';
import { commitFile, onDisk, pathExists, realPathOf, systemFiles, TEMPORARY } from '../../kernel/files.ts';
import type { Files } from '../../kernel/files.ts';
import {
  CATALOGUE_FILE,
  DAMAGED,
  DEFINITIONS_FOLDER,
  HEAD_FOLDER,
  HISTORY_FILE,
  LAST_RUN_FILE,
  LEDGER_FILE,
  MANIFEST_FILE,
  OUTCOMES_FILE,
  RESTORE_FILE,
  SCHEDULE_FILE,
  STORE_FOLDER,
  WAL,
  WEBHOOK_FILE,
  WORK_FOLDER,
} from '../../model/data-dir.ts';
import { knownFile, parseGenerationFile } from '../../model/data-path.ts';
import { MIRROR_HEAD } from '../../model/mirror-address.ts';
import { OutOfMemoryError } from '../ledger/engine-errors.ts';
import { raiseGenerationFloor } from '../ledger/generation-floor.ts';
import { openLedger } from '../ledger/ledger.ts';
import type { LakeRuntime, LakeSettings, Ledger } from '../ledger/ledger.ts';
import { forgetMarts } from '../marts/mart-files.ts';
import { publish } from '../publish/publish.ts';
import { lakeSize } from '../store/current-files.ts';
import { hasCatalogue, hasLedger, readSnapshot, storedFault } from './backup-folder.ts';
import { dropPartitions } from './recover.ts';
import { adoptFiles } from './repair.ts';
import { isMarked, markRestore } from './restore-mark.ts';
import type { Restored } from './restore-mark.ts';

export interface RestoreTarget {
  readonly folder: string;
  /** The backup or the mirror. */
  readonly source: string;
  readonly settings: LakeSettings;
  readonly runtime: LakeRuntime;
  /** The lake went on after it was copied: its mirror, other backups and readers may have files that this ledger does not know. */
  readonly isSetBack: boolean;
}

/** What is in the folder when everything is copied. */
export interface Copied extends Omit<Restored, 'rows' | 'dataDir' | 'withLedger'> {
  /** The path of the ledger, on the disk of the folder. Undefined: there is none that belongs to these files. */
  readonly ledger: string | undefined;
}

/** Removes what an earlier attempt has left, except for these files. */
export type Clear = (kept: readonly string[]) => Promise<void>;

/** `restoredBefore`: the folder held the lake already, and nothing was done. */
export interface RestoredInto extends Restored {
  readonly restoredBefore?: true;
}

/** Throws ConfigError for a folder with other files, LockedError during another restore into it, DiskError, and what `copy` throws. */
export async function restoreInto(
  target: RestoreTarget,
  copy: (clear: Clear) => Promise<Copied>,
): Promise<RestoredInto> {
  const { folder, source, settings, runtime } = target;
  const files = runtime.files ?? systemFiles;
  const to = resolve(folder);
  return onDisk(to, async () => {
    await requireRoom(files, to);
    await using mark = await markRestore(files, to, settings);
    // Read under the lock: another restore may have ended since.
    if (await hasLedger(files, to)) {
      const ended = await mark.ended(source);
      if (ended && (await isWhole(files, to)))
        return { ...ended, dataDir: await files.realpath(to), restoredBefore: true };
      throw holdsLake(to);
    }
    await requireOwnFiles(files, to);
    const { ledger: copied, ...report } = await copy((kept) => clear(files, to, kept));
    await files.rm(join(to, LEDGER_FILE + TEMPORARY + WAL), { force: true });
    await files.rm(join(to, LEDGER_FILE + TEMPORARY), { force: true });
    if (copied !== undefined) await files.rename(copied, join(to, LEDGER_FILE + TEMPORARY));
    const { failed, ...made } = await publishFolder(target, to, copied !== undefined, report.damaged);
    const restored: Restored = { ...report, ...made, withLedger: copied !== undefined };
    await mark.end(source, restored);
    await commitFile(join(to, LEDGER_FILE + TEMPORARY), join(to, LEDGER_FILE), files);
    if (failed) throw failed;
    return restored;
  });
}

/** `marked`: a restore has begun, and no command has used its lake yet. `used`: a lake without such a mark. */
export async function stateOf(
  folder: string,
  { files = systemFiles }: LakeRuntime,
): Promise<'marked' | 'used' | 'free'> {
  const to = resolve(folder);
  return onDisk(to, async () => {
    if (await isMarked(files, to)) return 'marked';
    return (await hasLedger(files, to)) ? 'used' : 'free';
  });
}

/**
 * Marks a folder that is going to be restored, so that nothing else begins a lake there in the meantime. True if it was not marked before
 * and holds no lake. Throws what `restoreInto` throws for a folder with other files.
 */
export async function reserveFolder(folder: string, settings: LakeSettings, runtime: LakeRuntime): Promise<boolean> {
  const files = runtime.files ?? systemFiles;
  const to = resolve(folder);
  return onDisk(to, async () => {
    if ((await stateOf(to, runtime)) !== 'free') return false;
    await requireRoom(files, to);
    await using _ = await markRestore(files, to, settings);
    return true;
  });
}

/** Takes back a mark, unless anything was restored into the folder. */
export async function releaseFolder(folder: string, settings: LakeSettings, runtime: LakeRuntime): Promise<void> {
  const files = runtime.files ?? systemFiles;
  const to = resolve(folder);
  await onDisk(to, async () => {
    {
      await using _ = await markRestore(files, to, settings);
      const left = (await pathsIn(files, to)).filter((path) => !isOfMark(path) && !isRecord(path));
      if (left.length > 0) return;
    }
    for (const name of [RESTORE_FILE, RESTORE_FILE + WAL]) await files.rm(join(to, name), { force: true });
    for (const empty of [join(to, WORK_FOLDER), to]) await files.rmdir(empty).catch(() => {});
  });
}

function isOfMark(path: string): boolean {
  return [RESTORE_FILE, RESTORE_FILE + WAL].includes(path) || path.startsWith(WORK_FOLDER + sep);
}

/** `failed`: the rows are published, and something besides them is not. The next run tries it again. */
async function publishFolder(
  { settings, runtime, isSetBack }: RestoreTarget,
  to: string,
  hasLedger: boolean,
  damaged: Restored['damaged'],
): Promise<Pick<Restored, 'rows' | 'dataDir'> & { readonly failed?: Error }> {
  await using ledger = await openLedger(to, settings, runtime, { adopting: true });
  if (!hasLedger) await adoptFiles(ledger);
  else {
    if (isSetBack) await raiseGenerationFloor(ledger);
    await ledger.exclusive(() => forget(ledger, damaged.map(({ file }) => file))); // oxfmt-ignore
  }
  let failed: Error | undefined;
  try {
    // In the folder that the lake was mirrored from, everything stays as it was.
    await publish(ledger, { run: 'publish', head: true, again: isSetBack });
  } catch (error) {
    if (!(error instanceof OutOfMemoryError || error instanceof DamagedError)) throw error;
    failed = error;
  }
  const { rows } = await lakeSize(ledger);
  await ledger.run('checkpoint');
  return { rows, dataDir: ledger.dataDir, ...(failed ? { failed } : {}) };
}

async function forget(ledger: Ledger, files: readonly string[]): Promise<void> {
  const partitions = files.filter((file) => parseGenerationFile(file) !== undefined);
  if (partitions.length > 0) await dropPartitions(ledger, partitions);
  const marts = files.filter((file) => parseGenerationFile(file) === undefined);
  if (marts.length > 0) await forgetMarts(ledger, marts);
}

/** The lake has a catalogue and every file that its manifest names. */
async function isWhole(files: Files, to: string): Promise<boolean> {
  if (!(await hasCatalogue(files, to))) return false;
  const snapshot = await readSnapshot(files, to);
  for (const stored of snapshot.files) if ((await storedFault(files, to, stored)) !== undefined) return false;
  return true;
}

const HINT = 'Name a new folder, or move what is there away.';

function holdsLake(to: string): ConfigError {
  return new ConfigError('The folder holds a lake already.', { hint: HINT, where: { folder: to } });
}

/** Refuses a folder inside of a lake or a mirror, and one with files that no restore has marked as its own. Writes nothing. */
async function requireRoom(files: Files, to: string): Promise<void> {
  for (let above = dirname(await realPathOf(to, files)); ; above = dirname(above)) {
    for (const name of [LEDGER_FILE, MIRROR_HEAD])
      if (await pathExists(join(above, name), files))
        throw new ConfigError(`The folder is inside of a ${name === LEDGER_FILE ? 'lake' : 'mirror'}.`, { hint: 'Name a folder outside of it.', where: { folder: to, above } }); // oxfmt-ignore
    if (above === dirname(above)) break;
  }
  if ((await isMarked(files, to)) || !(await pathExists(to, files))) return;
  if (await hasLedger(files, to)) throw holdsLake(to);
  const others = (await pathsIn(files, to)).filter((path) => !path.startsWith(WORK_FOLDER + sep));
  const [other] = others;
  // Another restore may have marked it in the meantime: its lock decides.
  if (other === undefined || (await isMarked(files, to))) return;
  const left = others.find((path) => parseGenerationFile(path) !== undefined);
  if (left === undefined) throw notEmpty(to, other);
  throw new ConfigError('The folder holds Parquet files of a lake that has lost its ledger.', {
    hint: `\`insights-etl repair --data-dir <folder>\` makes a lake of them. To restore, ${HINT.replace('Name', 'name')}`,
    where: { file: join(to, left) },
  });
}

/** Call it under the lock of the restore. */
async function requireOwnFiles(files: Files, to: string): Promise<void> {
  const other = (await pathsIn(files, to)).find((path) => !isOwn(path) && !isRecord(path));
  if (other !== undefined) throw notEmpty(to, other);
}

function notEmpty(to: string, other: string): ConfigError {
  return new ConfigError('The folder is not empty.', { hint: HINT, where: { file: join(to, other) } });
}

async function pathsIn(files: Files, to: string): Promise<string[]> {
  const entries = await files.readdir(to, { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => !entry.isDirectory())
    .map((entry) => relative(to, join(entry.parentPath, entry.name)));
}

const OWN_FOLDERS = [STORE_FOLDER, HEAD_FOLDER, DEFINITIONS_FOLDER, WORK_FOLDER];
const OWN_FILES = [LEDGER_FILE + WAL, CATALOGUE_FILE, MANIFEST_FILE, RESTORE_FILE, RESTORE_FILE + WAL];

/** What a restore that was cut off may have left, until its lake is complete. */
function isOwn(path: string): boolean {
  const known = knownFile(path);
  if (!known || known.entry.path.endsWith(DAMAGED)) return false;
  if (known.entry.path === LEDGER_FILE) return known.isUnfinished;
  const [top = ''] = known.entry.path.split('/');
  return OWN_FOLDERS.includes(top) || OWN_FILES.includes(top);
}

const RECORDS = [OUTCOMES_FILE, WEBHOOK_FILE, SCHEDULE_FILE, LAST_RUN_FILE, HISTORY_FILE];

/** What a command may write next to a restore that is not complete: that a run was refused, or what was asked of a published shard. */
export function isRecord(path: string): boolean {
  const known = knownFile(path);
  return known !== undefined && RECORDS.includes(known.entry.path);
}

/**
 * A tenant may have been purged since: readers of a Delta table would find it in an entry that is left, and a ledger that is rebuilt
 * would take the rows of every file.
 */
async function clear(files: Files, to: string, kept: readonly string[]): Promise<void> {
  const names = new Set([...kept.map((name) => join(name)), RESTORE_FILE, RESTORE_FILE + WAL, WORK_FOLDER]);
  const visit = async (folder: string): Promise<void> => {
    for (const entry of await files.readdir(join(to, folder), { withFileTypes: true })) {
      const path = join(folder, entry.name);
      if (names.has(path)) continue;
      if (entry.isDirectory()) await visit(path);
      else if (isOwn(path)) await files.rm(join(to, path), { force: true });
    }
    if (folder !== '' && (await files.readdir(join(to, folder))).length === 0) await files.rmdir(join(to, folder));
  };
  await visit('');
}
