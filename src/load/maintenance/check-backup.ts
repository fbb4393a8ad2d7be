/** `backup --check`: proves that a backup can be restored, from its own files. */
import { join } from 'node:path';
import { DamagedError } from '../../kernel/errors.ts';
import { onDisk, systemFiles } from '../../kernel/files.ts';
import type { Files } from '../../kernel/files.ts';
import { CATALOGUE_FILE, LEDGER_FILE, MANIFEST_FILE } from '../../model/data-dir.ts';
import type { BackupCheck } from '../../model/maintenance-report.ts';
import type { LakeRuntime } from '../ledger/ledger.ts';
import {
  catalogueSnapshot,
  hasCatalogue,
  hasLedger,
  ledgerAgrees,
  readSnapshot,
  snapshotFolders,
  storedFault,
} from './backup-folder.ts';
import type { Snapshot, StoredFault, StoredFile } from './backup-folder.ts';

/** Checks every snapshot of a backup, the oldest first. Throws ConfigError when there is none, DiskError. */
export async function checkBackup(
  folder: string,
  runtime: LakeRuntime,
  signal: AbortSignal,
): Promise<readonly BackupCheck[]> {
  const files = runtime.files ?? systemFiles;
  return onDisk(folder, async () => {
    const seen = new Map<string, Promise<StoredFault | undefined>>();
    const checks: BackupCheck[] = [];
    for (const place of await snapshotFolders(files, folder)) checks.push(await checkOne(files, place, seen, signal));
    return checks;
  });
}

async function checkOne(
  files: Files,
  folder: string,
  seen: Map<string, Promise<StoredFault | undefined>>,
  signal: AbortSignal,
): Promise<BackupCheck> {
  let snapshot: Snapshot;
  try {
    snapshot = await readSnapshot(files, folder);
  } catch (error) {
    if (!(error instanceof DamagedError)) throw error;
    const problems = [{ file: MANIFEST_FILE, problem: 'unreadable' }] as const;
    return { folder, snapshot: undefined, publishedAt: undefined, files: 0, bytes: 0, withLedger: false, problems };
  }
  const problems: BackupCheck['problems'][number][] = [];
  for (const stored of snapshot.files) {
    signal.throwIfAborted();
    const fault = await faultOnce(files, folder, stored, seen);
    if (fault) problems.push({ file: stored.file, problem: fault });
  }
  const withLedger = await hasLedger(files, folder);
  if (withLedger && !(await ledgerAgrees(folder, snapshot))) problems.push({ file: LEDGER_FILE, problem: 'differs' });
  if (
    (await hasCatalogue(files, folder)) &&
    (await catalogueSnapshot(join(folder, CATALOGUE_FILE))) !== snapshot.number
  )
    problems.push({ file: CATALOGUE_FILE, problem: 'differs' });
  return {
    folder,
    snapshot: snapshot.number,
    publishedAt: snapshot.publishedAt,
    files: snapshot.files.length,
    bytes: snapshot.files.reduce((sum, { bytes }) => sum + bytes, 0),
    withLedger,
    problems,
  };
}

/** Dated snapshots share files: each is read once. */
async function faultOnce(
  files: Files,
  folder: string,
  stored: StoredFile,
  seen: Map<string, Promise<StoredFault | undefined>>,
): Promise<StoredFault | undefined> {
  const place = await files.stat(join(folder, stored.file)).catch(() => undefined);
  if (!place) return 'missing';
  const key = `${place.dev}:${place.ino}:${stored.bytes}:${stored.sha256}`;
  let fault = seen.get(key);
  if (!fault) {
    fault = storedFault(files, folder, stored);
    seen.set(key, fault);
  }
  return fault;
}
