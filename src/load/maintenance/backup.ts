/**
 * Copies the published snapshot, also while a run writes: exactly the files that the manifest names, each proven by its
 * checksum, then catalogue and manifest, then the ledger unless another process holds it. Files are immutable, so a second
 * backup into the same folder copies only what is new, and a dated snapshot shares files with the one before it by hard links.
 */
import { dirname, join, resolve, sep } from 'node:path';
import { ConfigError, DamagedError, errorCode, LockedError } from '../../kernel/errors.ts';
import {
  commitFile,
  isMissing,
  onDisk,
  pathExists,
  sizeOf,
  syncPath,
  systemFiles,
  TEMPORARY,
  writeDurably,
  type Files,
  sha256Of,
} from '../../kernel/files.ts';
import { sqlName, sqlText } from '../../kernel/sql.ts';
import { asText } from '../ledger/cells.ts';
import { CATALOGUE_FILE, DATA_DIR, LEDGER_FILE, MANIFEST_FILE, WAL } from '../../model/data-dir.ts';
import type { DataEntry } from '../../model/data-dir.ts';
import type { BackupReport } from '../../model/maintenance-report.ts';
import { openLedger } from '../ledger/ledger.ts';
import type { LakeRuntime, LakeSettings, Ledger } from '../ledger/ledger.ts';
import {
  catalogueSnapshot,
  datedName,
  datedSnapshots,
  readSnapshot,
  requireOneKind,
  UNFINISHED,
} from './backup-folder.ts';
import type { Snapshot, StoredFile } from './backup-folder.ts';
import { listDataDir } from './list-data-dir.ts';

const LOST_HINT =
  'Run `insights-etl verify --deep`, then `insights-etl run`: it fetches again what the files have lost.';

/**
 * Brings `target` up to the current snapshot, or with `keep` adds a dated snapshot to it and removes all but the newest ones. Throws
 * ConfigError (nothing is published, one folder is inside the other, or `target` holds backups of the other kind), DamagedError (a file is missing or differs from what was
 * published), DiskError.
 */
export async function backup(
  dataDir: string,
  target: string,
  settings: LakeSettings,
  runtime: LakeRuntime,
  signal: AbortSignal,
  keep?: number,
): Promise<BackupReport> {
  const files = runtime.files ?? systemFiles;
  const [from, to] = [resolve(dataDir), resolve(target)];
  if (isInside(from, to) || isInside(to, from))
    throw new ConfigError('A backup needs a folder of its own, outside of the data directory.', { where: { folder: to } }); // oxfmt-ignore
  await onDisk(to, () => requireOneKind(files, to, keep !== undefined));
  if (!(await onDisk(from, () => pathExists(join(from, MANIFEST_FILE), files))))
    throw new ConfigError(`Nothing is published in ${from} yet.`, { hint: 'Run `insights-etl run` first.' });
  const ledger = await openUnlessHeld(from, settings, runtime);
  try {
    return await onDisk(to, async () => {
      await files.mkdir(to, { recursive: true });
      if (keep === undefined) return fillFolder({ files, from, to, ledger, signal });
      return addDated({ files, from, to, ledger, signal }, keep, runtime.now());
    });
  } finally {
    await ledger?.close();
  }
}

interface Places {
  readonly files: Files;
  readonly from: string;
  readonly to: string;
  readonly ledger: Ledger | undefined;
  readonly signal: AbortSignal;
  /** An earlier snapshot, to link unchanged files from. */
  readonly earlier?: { readonly folder: string; readonly snapshot: Snapshot };
}

async function fillFolder(places: Places): Promise<BackupReport> {
  const { files, to, ledger } = places;
  // A backup that is cut off must not pair an old ledger with new files: a run would delete those as unknown.
  for (const suffix of ['', WAL, TEMPORARY, TEMPORARY + WAL])
    await files.rm(join(to, LEDGER_FILE + suffix), { force: true });
  const { snapshot, copied } = await copySnapshot(places);
  await writeDurably(join(to, MANIFEST_FILE), snapshot.json, files);
  const removedFiles = await removeOthers(files, to, snapshot);
  if (ledger) await copyLedger(ledger, join(to, LEDGER_FILE));
  return {
    folder: to,
    snapshot: snapshot.number,
    files: snapshot.files.length,
    bytes: sumBytes(snapshot.files),
    copiedFiles: copied.length,
    copiedBytes: sumBytes(copied),
    removedFiles,
    withLedger: ledger !== undefined,
  };
}

/** A new folder below `to`, named after the time. It gets its name when it is complete. */
async function addDated(places: Places, keep: number, nowMs: number): Promise<BackupReport> {
  const { files, to } = places;
  const before = await datedSnapshots(files, to);
  const name = datedName(nowMs);
  if (before.includes(name))
    throw new ConfigError('There is a snapshot of this second already.', { where: { folder: join(to, name) } });
  const latest = before.at(-1);
  // A damaged snapshot is no source of links; its files are copied again.
  const snapshot =
    latest === undefined ? undefined : await readSnapshot(files, join(to, latest)).catch(() => undefined);
  const earlier = latest === undefined || !snapshot ? undefined : { folder: join(to, latest), snapshot };
  for (const left of (await files.readdir(to)).filter((entry) => entry.endsWith(UNFINISHED)))
    await files.rm(join(to, left), { recursive: true, force: true });
  const unfinished = join(to, name + UNFINISHED);
  await files.mkdir(unfinished);
  const report = await fillFolder({ ...places, to: unfinished, ...(earlier ? { earlier } : {}) });
  await files.rename(unfinished, join(to, name));
  await syncPath(to, files);
  const kept = [...before, name].slice(-keep);
  for (const old of before) if (!kept.includes(old)) await files.rm(join(to, old), { recursive: true, force: true });
  return { ...report, folder: join(to, name), kept };
}

async function openUnlessHeld(
  dataDir: string,
  settings: LakeSettings,
  runtime: LakeRuntime,
): Promise<Ledger | undefined> {
  if (!(await onDisk(dataDir, () => pathExists(join(dataDir, LEDGER_FILE), runtime.files)))) return undefined;
  try {
    return await openLedger(dataDir, settings, runtime);
  } catch (error) {
    if (error instanceof LockedError) return undefined;
    throw error;
  }
}

async function copySnapshot(places: Places): Promise<{ snapshot: Snapshot; copied: readonly StoredFile[] }> {
  const { files, from } = places;
  const copied: StoredFile[] = [];
  // What the folder was proven to hold. Another file may have got one of these names after a repair.
  const held = await readSnapshot(files, places.to).catch(() => undefined);
  const proven = new Map(held?.files.map(({ file, sha256 }) => [file, sha256]));
  for (let snapshot = await readSnapshot(files, from); ;) {
    const gone = await copyFiles(places, snapshot, proven, copied);
    if (gone === undefined && (await copyCatalogue(places, snapshot))) return { snapshot, copied };
    // Superseded files are kept for `lake.keepHours`; if that is short, a run may have removed one in the meantime. Or it has
    // published a newer catalogue.
    const newer = await readSnapshot(files, from);
    if (newer.number === snapshot.number) {
      if (gone === undefined) return { snapshot, copied };
      throw new DamagedError('A file that the manifest names is missing', {
        hint: LOST_HINT,
        where: { file: gone },
      });
    }
    snapshot = newer;
  }
}

/** Copies the files that `to` does not hold yet. Stops at a file that is missing and returns it. */
async function copyFiles(
  { files, from, to, signal, earlier }: Places,
  snapshot: Snapshot,
  proven: Map<string, string>,
  copied: StoredFile[],
): Promise<string | undefined> {
  const linkable = new Map(earlier?.snapshot.files.map(({ file, sha256 }) => [file, sha256]));
  for (const stored of snapshot.files) {
    signal.throwIfAborted();
    const { file, bytes, sha256 } = stored;
    const path = join(to, file);
    if (proven.get(file) === sha256 && (await sizeOf(path, files)) === bytes) continue;
    await files.mkdir(dirname(path), { recursive: true });
    if (earlier && linkable.get(file) === sha256 && (await linkSame(files, join(earlier.folder, file), path, bytes)))
      continue;
    try {
      await files.copyFile(join(from, file), path + TEMPORARY);
    } catch (error) {
      if (isMissing(error)) return file;
      throw error;
    }
    if ((await sha256Of(path + TEMPORARY, files)) !== sha256) {
      await files.rm(path + TEMPORARY, { force: true });
      throw new DamagedError('A file differs from what was published', { hint: LOST_HINT, where: { file } });
    }
    await commitFile(path + TEMPORARY, path, files);
    proven.set(file, sha256);
    copied.push(stored);
  }
  return undefined;
}

/** False where the earlier file is not what it was, or the file system has no hard links: then the file is copied. */
async function linkSame(files: Files, file: string, path: string, bytes: number): Promise<boolean> {
  if ((await sizeOf(file, files)) !== bytes) return false;
  try {
    await files.link(file, path);
    return true;
  } catch (error) {
    if (['EXDEV', 'EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'EMLINK'].includes(errorCode(error) ?? '')) return false;
    throw error;
  }
}

/**
 * Copies the catalogue, with which the backup can be read in its place. False if it shows another snapshot. A catalogue that is missing or
 * cannot be read is left out: a restore writes it again.
 */
async function copyCatalogue({ files, from, to }: Places, snapshot: Snapshot): Promise<boolean> {
  const path = join(to, CATALOGUE_FILE);
  await files.rm(path, { force: true });
  try {
    await files.copyFile(join(from, CATALOGUE_FILE), path + TEMPORARY);
  } catch (error) {
    if (isMissing(error)) return true;
    throw error;
  }
  const shown = await catalogueSnapshot(path + TEMPORARY);
  if (shown === snapshot.number) await commitFile(path + TEMPORARY, path, files);
  else await files.rm(path + TEMPORARY, { force: true });
  return shown === undefined || shown === snapshot.number;
}

/** Files of the store that earlier backups copied and that the snapshot does not name. */
async function removeOthers(files: Files, to: string, snapshot: Snapshot): Promise<number> {
  const named = new Set(snapshot.files.map(({ file }) => file));
  let removed = 0;
  for (const { path, entry } of await listDataDir(files, to, DATA_DIR.filter(isListedInManifest))) {
    if (!entry || named.has(path)) continue;
    await files.rm(join(to, path));
    removed++;
  }
  return removed;
}

function isListedInManifest({ backup, recovery }: DataEntry): boolean {
  return backup === 'copies' && recovery === 'compares-with-ledger';
}

/** Through the engine: a second handle on the file would release the engine's lock when it is closed. */
export async function copyLedger(ledger: Ledger, path: string): Promise<void> {
  await ledger.exclusive(async () => {
    const { name } = await ledger.row('select current_database() as name', { name: asText });
    await ledger.run(`attach ${sqlText(path + TEMPORARY)} as copied`);
    try {
      await ledger.run(`copy from database ${sqlName(name)} to copied`);
    } finally {
      await ledger.run('detach copied');
    }
    await commitFile(path + TEMPORARY, path, ledger.files);
  });
}

function sumBytes(files: readonly StoredFile[]): number {
  return files.reduce((sum, { bytes }) => sum + bytes, 0);
}

/** True for the folder itself too. */
function isInside(folder: string, path: string): boolean {
  return path === folder || path.startsWith(folder + sep);
}
