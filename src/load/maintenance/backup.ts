/**
 * Copies the published snapshot, also while a run writes: exactly the files that the manifest names, each proven by its
 * checksum, then the manifest, then the ledger unless another process holds it. Files are immutable, so a second backup into
 * the same folder copies only what is new.
 */
import { existsSync } from 'node:fs';
import { dirname, join, resolve, sep } from 'node:path';
import { ConfigError, DamagedError, LockedError } from '../../kernel/errors.ts';
import {
  commitFile,
  isMissing,
  onDisk,
  sizeOf,
  systemFiles,
  TEMPORARY,
  writeDurably,
  type Files,
} from '../../kernel/files.ts';
import { sqlName, sqlText } from '../../kernel/sql.ts';
import { asText } from '../ledger/cells.ts';
import { sha256Of } from '../store/generation.ts';
import { DATA_DIR, LEDGER_FILE, MANIFEST_FILE, WAL } from '../../model/data-dir.ts';
import type { DataEntry } from '../../model/data-dir.ts';
import { isMartFile, parseGenerationFile } from '../../model/data-path.ts';
import { manifestPartitions, parseManifest } from '../../model/manifest.ts';
import type { Manifest, ManifestPartition } from '../../model/manifest.ts';
import { openLedger } from '../ledger/ledger.ts';
import type { LakeRuntime, LakeSettings, Ledger } from '../ledger/ledger.ts';
import { listDataDir } from './list-data-dir.ts';

export interface BackupReport {
  readonly folder: string;
  readonly snapshot: number;
  readonly files: number;
  readonly bytes: number;
  /** The files that the folder did not hold yet. */
  readonly copiedFiles: number;
  readonly copiedBytes: number;
  /** Files of earlier snapshots, removed from the backup. */
  readonly removedFiles: number;
  /** False when a run held it: a restore then begins with `repair`. */
  readonly withLedger: boolean;
}

type StoredFile = Pick<ManifestPartition, 'file' | 'bytes' | 'sha256'>;

const LOST_HINT =
  'Run `insights-etl verify --deep`, then `insights-etl run`: it fetches again what the files have lost.';

interface Snapshot {
  readonly number: number;
  readonly json: string;
  readonly files: readonly StoredFile[];
}

/**
 * Brings `target` up to the current snapshot. Throws ConfigError (nothing is published, or one folder is inside the other),
 * DamagedError (a file is missing or differs from what was published), DiskError.
 */
export async function backup(
  dataDir: string,
  target: string,
  settings: LakeSettings,
  runtime: LakeRuntime,
  signal: AbortSignal,
): Promise<BackupReport> {
  const files = runtime.files ?? systemFiles;
  const [from, to] = [resolve(dataDir), resolve(target)];
  if (isInside(from, to) || isInside(to, from))
    throw new ConfigError('A backup needs a folder of its own, outside of the data directory.', { where: { folder: to } }); // prettier-ignore
  if (!existsSync(join(from, MANIFEST_FILE)))
    throw new ConfigError(`Nothing is published in ${from} yet.`, { hint: 'Run `insights-etl run` first.' });
  const ledger = await openUnlessHeld(from, settings, runtime);
  try {
    return await onDisk(to, async () => {
      await files.mkdir(to, { recursive: true });
      // A backup that is cut off must not pair an old ledger with new files: a run would delete those as unknown.
      for (const suffix of ['', WAL, TEMPORARY, TEMPORARY + WAL])
        await files.rm(join(to, LEDGER_FILE + suffix), { force: true });
      const { snapshot, copied } = await copySnapshot(files, from, to, signal);
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
    });
  } finally {
    await ledger?.close();
  }
}

async function openUnlessHeld(
  dataDir: string,
  settings: LakeSettings,
  runtime: LakeRuntime,
): Promise<Ledger | undefined> {
  if (!existsSync(join(dataDir, LEDGER_FILE))) return undefined;
  try {
    return await openLedger(dataDir, settings, runtime);
  } catch (error) {
    if (error instanceof LockedError) return undefined;
    throw error;
  }
}

async function copySnapshot(
  files: Files,
  from: string,
  to: string,
  signal: AbortSignal,
): Promise<{ snapshot: Snapshot; copied: readonly StoredFile[] }> {
  const copied: StoredFile[] = [];
  for (let snapshot = await readSnapshot(files, from); ;) {
    const gone = await copyFiles(files, from, to, snapshot, copied, signal);
    if (gone === undefined) return { snapshot, copied };
    // Superseded files are kept for `lake.keepHours`; if that is short, a run may have removed one in the meantime.
    const newer = await readSnapshot(files, from);
    if (newer.number === snapshot.number) {
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
  files: Files,
  from: string,
  to: string,
  snapshot: Snapshot,
  copied: StoredFile[],
  signal: AbortSignal,
): Promise<string | undefined> {
  for (const stored of snapshot.files) {
    signal.throwIfAborted();
    const path = join(to, stored.file);
    // A name is used once, and only for a complete file: the same name and size means the same file.
    if ((await sizeOf(path, files)) === stored.bytes) continue;
    await files.mkdir(dirname(path), { recursive: true });
    try {
      await files.copyFile(join(from, stored.file), path + TEMPORARY);
    } catch (error) {
      if (isMissing(error)) return stored.file;
      throw error;
    }
    if ((await sha256Of(path + TEMPORARY, files)) !== stored.sha256) {
      await files.rm(path + TEMPORARY, { force: true });
      throw new DamagedError('A file differs from what was published', {
        hint: LOST_HINT,
        where: { file: stored.file },
      });
    }
    await commitFile(path + TEMPORARY, path, files);
    copied.push(stored);
  }
  return undefined;
}

async function readSnapshot(files: Files, dataDir: string): Promise<Snapshot> {
  const json = (await files.readFile(join(dataDir, MANIFEST_FILE))).toString('utf8');
  let manifest: Manifest;
  try {
    manifest = parseManifest(json);
  } catch (error) {
    throw new DamagedError('The manifest cannot be read', { hint: 'Run `insights-etl run`: it publishes the manifest again.', cause: error }); // prettier-ignore
  }
  const stored = [...manifestPartitions(manifest), ...Object.values(manifest.marts)];
  const stray = stored.find(({ file }) => parseGenerationFile(file) === undefined && !isMartFile(file));
  if (stray) throw new DamagedError('The manifest names a file outside of the store', { where: { file: stray.file } });
  return { number: manifest.snapshot, json, files: stored };
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
async function copyLedger(ledger: Ledger, path: string): Promise<void> {
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
