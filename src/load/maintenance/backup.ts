/**
 * A copy of the published snapshot, also while a run writes: exactly the files that the manifest names, each proven by its
 * checksum, then the manifest, then the ledger where nobody holds it. Files are immutable, so a second backup into the same
 * folder copies what is new.
 */
import { existsSync } from 'node:fs';
import { dirname, join, relative, resolve, sep } from 'node:path';
import { z } from 'zod';
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
import { text } from '../ledger/engine.ts';
import { sha256Of } from '../store/generation.ts';
import { LEDGER_FILE, MANIFEST_FILE, STORE_FOLDER, isMartFile, parseGenerationFile } from '../../model/data-dir.ts';
import { openLedger } from '../ledger/ledger.ts';
import type { LakeRuntime, LakeSettings, Ledger } from '../ledger/ledger.ts';

export interface BackupReport {
  readonly folder: string;
  readonly snapshot: number;
  readonly files: number;
  readonly bytes: number;
  /** Those that were not there yet. */
  readonly copiedFiles: number;
  readonly copiedBytes: number;
  /** Files of earlier snapshots that were taken out of the backup. */
  readonly removedFiles: number;
  /** False while a run holds it: a restore then begins with `repair`. */
  readonly withLedger: boolean;
}

const FILE = z.object({ file: z.string(), bytes: z.number(), sha256: z.string() });

const SNAPSHOT = z.object({
  snapshot: z.number(),
  /** Of an older version there are none. */
  marts: z.record(z.string(), FILE).default({}),
  tables: z.record(
    z.string(),
    z.object({
      tenants: z.record(z.string(), z.object({ partitions: z.array(FILE) })),
    }),
  ),
});

type StoredFile = Readonly<z.infer<typeof FILE>>;

const LOST_HINT =
  'Run `insights-etl verify --deep`, then `insights-etl run`: it fetches again what the files have lost.';

interface Snapshot {
  readonly number: number;
  readonly json: string;
  readonly files: readonly StoredFile[];
}

/**
 * Brings `target` up to the snapshot of now. Throws ConfigError (nothing is published, or the folders lie inside each other),
 * DamagedError (a file is missing or not what was published), DiskError.
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
      // Cut off in the middle, a backup must not pair an old ledger with new files: a run would take these for strays.
      for (const suffix of ['', '.wal', TEMPORARY, `${TEMPORARY}.wal`])
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
    // Superseded files stay for `lake.keepHours`; with a small number of hours a run may have removed one meanwhile.
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

/** Copies what is not there yet; returns the first file that is gone. */
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
    // A name is given once and to complete files only: same name and size is the same file.
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
      throw new DamagedError('A file is not what was published', {
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
  let parsed: z.infer<typeof SNAPSHOT>;
  try {
    parsed = SNAPSHOT.parse(JSON.parse(json));
  } catch (error) {
    throw new DamagedError('The manifest cannot be read', { hint: 'Run `insights-etl run`: it publishes it again.', cause: error }); // prettier-ignore
  }
  const partitions = Object.values(parsed.tables)
    .flatMap(({ tenants }) => Object.values(tenants))
    .flatMap((tenant) => tenant.partitions);
  const stored = [...partitions, ...Object.values(parsed.marts)];
  const stray = stored.find(({ file }) => parseGenerationFile(file) === undefined && !isMartFile(file));
  if (stray) throw new DamagedError('The manifest names a file outside of the store', { where: { file: stray.file } });
  return { number: parsed.snapshot, json, files: stored };
}

async function removeOthers(files: Files, to: string, snapshot: Snapshot): Promise<number> {
  const wanted = new Set(snapshot.files.map(({ file }) => file));
  let removed = 0;
  for (const entry of await files
    .readdir(join(to, STORE_FOLDER), { recursive: true, withFileTypes: true })
    .catch(() => [])) {
    const path = join(entry.parentPath, entry.name);
    if (!entry.isFile() || wanted.has(relative(to, path))) continue;
    await files.rm(path);
    removed++;
  }
  return removed;
}

/** Through the engine: opening and closing the file beside it would give up the engine's lock on it. */
async function copyLedger(ledger: Ledger, path: string): Promise<void> {
  await ledger.exclusive(async () => {
    const [own] = await ledger.rawRows('select current_database() as name');
    await ledger.run(`attach ${sqlText(path + TEMPORARY)} as copied`);
    try {
      await ledger.run(`copy from database ${sqlName(text(own ?? {}, 'name') ?? '')} to copied`);
    } finally {
      await ledger.run('detach copied');
    }
    await commitFile(path + TEMPORARY, path, ledger.files);
  });
}

function sumBytes(files: readonly StoredFile[]): number {
  return files.reduce((sum, { bytes }) => sum + bytes, 0);
}

function isInside(folder: string, path: string): boolean {
  return path === folder || path.startsWith(folder + sep);
}
