/**
 * Downloads the snapshot of a mirror into a folder that holds no lake yet, every file checked. The ledger comes late: with it, a run
 * would take files that are still missing for lost ones. A restore that was cut off is continued by the same command.
 */
import { dirname, join, posix, resolve } from 'node:path';
import type { Config, MirrorSettings } from '../../config/config.ts';
import { EXIT } from '../../kernel/errors.ts';
import {
  commitFile,
  onDisk,
  pathExists,
  sha256Of,
  sizeOf,
  systemFiles,
  TEMPORARY,
  writeDurably,
} from '../../kernel/files.ts';
import type { Files } from '../../kernel/files.ts';
import type { Runtime } from '../../kernel/runtime.ts';
import { ledgerAgrees, storedFault } from '../../load/maintenance/backup-folder.ts';
import type { Snapshot } from '../../load/maintenance/backup-folder.ts';
import { requireRoom } from '../../load/maintenance/restore.ts';
import type { Restored } from '../../load/maintenance/restore.ts';
import { eachAtOnce } from '../../mirror/each.ts';
import { LOGS_FILE } from '../../mirror/head.ts';
import type { MirrorHead } from '../../mirror/head.ts';
import type { ObjectStore } from '../../mirror/object-store.ts';
import { openStore } from '../../mirror/open.ts';
import {
  CATALOGUE_FILE,
  LEDGER_FILE,
  MANIFEST_FILE,
  SHARDS_FOLDER,
  STORE_FOLDER,
  WORK_FOLDER,
} from '../../model/data-dir.ts';
import { knownFile } from '../../model/data-path.ts';
import { manifestTenants, parseManifest } from '../../model/manifest.ts';
import { MIRROR_HEAD, mirrorBelow, showMirrorPlace } from '../../model/mirror-address.ts';
import type { MirrorPlace } from '../../model/mirror-address.ts';
import { shardFolder, shardOfFolder } from '../../model/shard.ts';
import type { Shard } from '../../model/shard.ts';
import type { RestoreReport, RestoreSource } from '../maintenance/restore.ts';
import type { Held } from '../maintenance/held-shards.ts';
import { repairLake } from '../maintenance/inspect.ts';
import { publishLake } from '../maintenance/publish.ts';
import { remoteLogs } from './logs.ts';
import type { LogFile } from './logs.ts';
import { headToRestore, remoteSnapshot } from './remote.ts';

interface Download {
  readonly store: ObjectStore;
  readonly files: Files;
  /** Absolute. */
  readonly to: string;
  readonly parallel: number;
  readonly signal: AbortSignal;
}

export function mirrorSource(config: Config, place: MirrorPlace, runtime: Runtime, signal: AbortSignal): RestoreSource {
  const settings = config.mirrorAt(place);
  const open = async (): Promise<ObjectStore> => openStore(settings, runtime, runtime.files ?? systemFiles, signal);
  return {
    kind: 'mirror',
    place: showMirrorPlace(settings.place),
    held: async () => heldInMirror(await open()),
    below: (shard) => mirrorSource(config, mirrorBelow(settings.place, shardFolder('', shard)), runtime, signal),
    async tenants() {
      const store = await open();
      const { json } = await remoteSnapshot(store, await headToRestore(store));
      return manifestTenants(parseManifest(json));
    },
    restore: (to) => restoreMirror(config, settings, to, runtime, signal),
  };
}

/** The mirror of each shard is in a folder of its own. Where the head is lost, the manifest that readers use is in its place. */
async function heldInMirror(store: ObjectStore): Promise<Held> {
  const found = await Promise.all([MIRROR_HEAD, MANIFEST_FILE].map((name) => store.head(name)));
  const shards = new Map<string, Shard>();
  for await (const { name } of store.list(`${SHARDS_FOLDER}/`)) {
    const [, folder = '', file = '', ...below] = name.split('/');
    const shard = below.length === 0 && [MIRROR_HEAD, MANIFEST_FILE].includes(file) ? shardOfFolder(folder) : undefined;
    if (shard) shards.set(folder, shard);
  }
  const isOne = found.some((each) => each !== undefined);
  return { isOne, shards: [...shards.values()].toSorted((a, b) => a.index - b.index) };
}

/** Makes a lake of a mirror, ready for readers and for the next run. Throws ConfigError, MirrorError, DiskError. */
export async function restoreMirror(
  config: Config,
  settings: MirrorSettings,
  folder: string,
  runtime: Runtime,
  signal: AbortSignal,
): Promise<RestoreReport> {
  const files = runtime.files ?? systemFiles;
  const to = resolve(folder);
  const store = await openStore(settings, runtime, files, signal);
  const restored = await onDisk(to, () =>
    downloadMirror({ store, files, to, parallel: settings.parallel, signal }),
  );
  const inPlace = { ...config, dataDir: to, sharedDir: to, shard: undefined };
  if (!restored.withLedger) await repairLake(inPlace, runtime);
  // In the folder that the lake was mirrored from, everything stays as it was.
  const { dataDir, rows } = await publishLake(inPlace, runtime, { again: false });
  return { ...restored, dataDir, rows, exitCode: restored.damaged.length === 0 ? EXIT.ok : EXIT.damaged };
} // oxfmt-ignore

async function downloadMirror(download: Download): Promise<Restored> {
  const { store } = download;
  for (let head = await headToRestore(store); ;) {
    const restored = await downloadSnapshot(download, head);
    if (restored.damaged.every(({ problem }) => problem !== 'missing')) return restored;
    // Superseded objects are kept for `lake.keepHours`. If that is short, a push may have deleted one in the meantime.
    const newer = await headToRestore(store);
    if (newer.snapshot === head.snapshot) return restored;
    head = newer;
  }
}

async function downloadSnapshot(download: Download, head: MirrorHead): Promise<Restored> {
  const { store, files, to, parallel, signal } = download;
  const snapshot = await remoteSnapshot(store, head);
  await requireRoom(files, to, snapshot, (path) => isOwnName(path));
  const listed = await remoteLogs(store, head);
  await removeOthers(files, to, [...snapshot.files.map(({ file }) => file), ...listed.map(({ name }) => name)]);
  const damaged: Restored['damaged'][number][] = [];
  await eachAtOnce(snapshot.files, parallel, async ({ file, bytes, sha256 }) => {
    signal.throwIfAborted();
    if ((await storedFault(files, to, { file, bytes, sha256 })) === undefined) return;
    const problem = await fetchFile(download, file, file, { bytes, sha256 });
    if (problem) damaged.push({ file, problem });
  });
  const logs = await downloadLogs(download, head, listed);
  await writeDurably(join(to, MANIFEST_FILE), snapshot.json, files);
  const withLedger = await downloadLedger(download, head, snapshot);
  const catalogue = head.state.find(({ file }) => file === CATALOGUE_FILE);
  // It is written again if it cannot be had.
  if (catalogue && withLedger) await fetchFile(download, catalogue.object, CATALOGUE_FILE, catalogue);
  return {
    from: store.place,
    snapshot: snapshot.number,
    publishedAt: snapshot.publishedAt,
    files: snapshot.files.length - damaged.length,
    withLedger,
    damaged,
    ...(logs.length > 0 ? { logs } : {}),
  };
}

/**
 * Removes what a restore that was cut off has left of another snapshot. A tenant may have been purged since: readers of a Delta table
 * would find it in an entry that is left, and a ledger that is rebuilt would take the rows of every file.
 */
async function removeOthers(files: Files, to: string, kept: readonly string[]): Promise<void> {
  const names = new Set(kept.map((name) => join(name)));
  const clear = async (folder: string): Promise<void> => {
    for (const entry of await files.readdir(join(to, folder), { withFileTypes: true })) {
      const path = join(folder, entry.name);
      if (entry.isDirectory()) await clear(path);
      else if (!names.has(path)) await files.rm(join(to, path), { force: true });
    }
    if ((await files.readdir(join(to, folder))).length === 0) await files.rmdir(join(to, folder));
  };
  if (await pathExists(join(to, STORE_FOLDER), files)) await clear(STORE_FOLDER);
}

/**
 * The logs of tables as they were at the snapshot. Where a log ends may say more by now, and readers find it without. A log that lacks
 * an entry is left out as a whole: publishing writes a new one from the ledger. Returns what is left out.
 */
async function downloadLogs(download: Download, head: MirrorHead, logs: readonly LogFile[]): Promise<string[]> {
  const { files, to, parallel } = download;
  const list = head.state.find(({ file }) => file === LOGS_FILE)?.object;
  const leftOut = new Set<string>(list !== undefined && logs.length === 0 ? [list] : []);
  await eachAtOnce(logs, parallel, async (log) => {
    const problem = await fetchFile(download, log.name, log.name, log);
    if (problem && knownFile(log.name)?.entry.mirror !== 'pointer') leftOut.add(posix.dirname(log.name));
  });
  for (const folder of leftOut) await files.rm(join(to, folder), { recursive: true, force: true });
  return [...leftOut].toSorted();
}

/** False: there is none that belongs to these files, and `repair` must build it. */
async function downloadLedger(download: Download, { state }: MirrorHead, snapshot: Snapshot): Promise<boolean> {
  const { files, to } = download;
  const ledger = state.find(({ file }) => file === LEDGER_FILE);
  if (!ledger) return false;
  const folder = join(to, WORK_FOLDER, 'restore');
  const problem = await fetchFile(download, ledger.object, join(WORK_FOLDER, 'restore', LEDGER_FILE), ledger);
  // A ledger that is damaged, or belongs to other files, is worse than none.
  if (problem || !(await ledgerAgrees(folder, snapshot))) return false;
  await commitFile(join(folder, LEDGER_FILE), join(to, LEDGER_FILE), files);
  return true;
}

/** Downloads an object and gives it its name if it is what it should be. */
async function fetchFile(
  { store, files, to }: Download,
  object: string,
  file: string,
  { bytes, sha256 }: { readonly bytes: number; readonly sha256: string },
): Promise<Restored['damaged'][number]['problem'] | undefined> {
  const path = join(to, file);
  await files.mkdir(dirname(path), { recursive: true });
  const temporary = path + TEMPORARY;
  if (!(await store.download(object, temporary, files))) return 'missing';
  const problem = (await sizeOf(temporary, files)) !== bytes ? 'size' : (await sha256Of(temporary, files)) !== sha256 ? 'sha256' : undefined; // oxfmt-ignore
  if (problem) await files.rm(temporary, { force: true });
  else await commitFile(temporary, path, files);
  return problem;
}

/** What a restore that was cut off may have left besides the files of its snapshot. */
function isOwnName(path: string): boolean {
  const mirror = knownFile(path)?.entry.mirror;
  return mirror === 'data' || mirror === 'log' || mirror === 'pointer';
}
