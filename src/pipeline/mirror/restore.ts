/** Downloads the snapshot of a mirror into a folder that becomes a lake (load/maintenance/restore-folder.ts), every file checked. */
import { dirname, join, posix, resolve } from 'node:path';
import type { Config, MirrorSettings } from '../../config/config.ts';
import { commitFile, sha256Of, sizeOf, systemFiles, TEMPORARY, writeDurably } from '../../kernel/files.ts';
import type { Files } from '../../kernel/files.ts';
import type { Runtime } from '../../kernel/runtime.ts';
import { ledgerAgrees, storedFault } from '../../load/maintenance/backup-folder.ts';
import type { Snapshot } from '../../load/maintenance/backup-folder.ts';
import { restoreInto } from '../../load/maintenance/restore-folder.ts';
import type { Clear, Copied } from '../../load/maintenance/restore-folder.ts';
import type { Restored } from '../../load/maintenance/restore-mark.ts';
import { eachAtOnce } from '../../mirror/each.ts';
import { LOGS_FILE } from '../../mirror/head.ts';
import type { MirrorHead } from '../../mirror/head.ts';
import type { ObjectStore } from '../../mirror/object-store.ts';
import { openStore } from '../../mirror/open.ts';
import { CATALOGUE_FILE, LEDGER_FILE, MANIFEST_FILE, SHARDS_FOLDER, WORK_FOLDER } from '../../model/data-dir.ts';
import { knownFile } from '../../model/data-path.ts';
import { manifestTenants, parseManifest } from '../../model/manifest.ts';
import { MIRROR_HEAD, mirrorBelow, showMirrorPlace } from '../../model/mirror-address.ts';
import type { MirrorPlace } from '../../model/mirror-address.ts';
import { shardFolder, shardOfFolder } from '../../model/shard.ts';
import type { Shard } from '../../model/shard.ts';
import type { RestoreReport, RestoreSource } from '../maintenance/restore.ts';
import type { Held } from '../maintenance/held-shards.ts';
import { restoreSettings, withExitCode } from '../maintenance/restore.ts';
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
  readonly clear: Clear;
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

/** Makes a lake of a mirror, or completes a restore that was cut off. Throws ConfigError, LockedError, MirrorError, DiskError. */
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
  // Before anything is written.
  await remoteSnapshot(store, await headToRestore(store));
  const target = { folder, source: store.place, settings: restoreSettings(config), runtime, isSetBack: false };
  return withExitCode(
    await restoreInto(target, (clear) =>
      downloadMirror({ store, files, to, parallel: settings.parallel, signal, clear }),
    ),
  );
}

async function downloadMirror(download: Download): Promise<Copied> {
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

async function downloadSnapshot(download: Download, head: MirrorHead): Promise<Copied> {
  const { store, files, to, parallel, signal, clear } = download;
  const snapshot = await remoteSnapshot(store, head);
  const listed = await remoteLogs(store, head);
  await clear([...snapshot.files.map(({ file }) => file), ...listed.map(({ name }) => name)]);
  const damaged: Restored['damaged'] = [];
  await eachAtOnce(snapshot.files, parallel, async ({ file, bytes, sha256 }) => {
    signal.throwIfAborted();
    if ((await storedFault(files, to, { file, bytes, sha256 })) === undefined) return;
    const problem = await fetchFile(download, file, file, { bytes, sha256 });
    if (!problem) return;
    await files.rm(join(to, file), { force: true });
    damaged.push({ file, problem });
  });
  const logs = await downloadLogs(download, head, listed);
  await writeDurably(join(to, MANIFEST_FILE), snapshot.json, files);
  const ledger = await downloadLedger(download, head, snapshot);
  const catalogue = head.state.find(({ file }) => file === CATALOGUE_FILE);
  // It is written again if it cannot be had.
  if (catalogue && ledger !== undefined) await fetchFile(download, catalogue.object, CATALOGUE_FILE, catalogue);
  return {
    from: store.place,
    snapshot: snapshot.number,
    publishedAt: snapshot.publishedAt,
    files: snapshot.files.length - damaged.length,
    damaged,
    ledger,
    ...(logs.length > 0 ? { logs } : {}),
  };
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

/** Undefined: there is none that belongs to these files. */
async function downloadLedger(
  download: Download,
  { state }: MirrorHead,
  snapshot: Snapshot,
): Promise<string | undefined> {
  const ledger = state.find(({ file }) => file === LEDGER_FILE);
  if (!ledger) return undefined;
  const path = join(WORK_FOLDER, LEDGER_FILE);
  const problem = await fetchFile(download, ledger.object, path, ledger);
  // A ledger that is damaged, or belongs to other files, is worse than none.
  const isGood = !problem && (await ledgerAgrees(join(download.to, WORK_FOLDER), snapshot));
  return isGood ? join(download.to, path) : undefined;
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
