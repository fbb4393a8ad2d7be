/**
 * Brings the mirror up to the published snapshot: data files, the logs of tables, then manifest, catalogue and ledger, then the head,
 * which makes them the snapshot of the mirror. Each step writes only what no reader of the mirror's snapshot needs, so a push that is
 * cut off anywhere leaves the snapshot before it. Large uploads take place without the lock of the data directory.
 */
import { randomUUID } from 'node:crypto';
import { resolve, sep } from 'node:path';
import type { Config, MirrorSettings } from '../../config/config.ts';
import { ConfigError, DamagedError, MirrorError, MirrorTakenError } from '../../kernel/errors.ts';
import { onDisk, systemFiles } from '../../kernel/files.ts';
import type { Files } from '../../kernel/files.ts';
import type { Runtime } from '../../kernel/runtime.ts';
import { writtenBy } from '../../kernel/version.ts';
import type { Ledger } from '../../load/ledger/ledger.ts';
import type { Snapshot } from '../../load/maintenance/backup-folder.ts';
import { eachAtOnce } from '../../mirror/each.ts';
import { isSameSnapshot, readHead, requireWriter, showHead, stateObject, withPush } from '../../mirror/head.ts'; // oxfmt-ignore
import type { FoundHead, MirrorHead, MirrorRecord } from '../../mirror/head.ts';
import { fileSource, textSource } from '../../mirror/object-store.ts';
import type { ObjectStore } from '../../mirror/object-store.ts';
import { openStore } from '../../mirror/open.ts';
import { planRemovals, planUploads } from '../../mirror/plan.ts';
import { MIRROR_HEAD } from '../../model/mirror-address.ts';
import type { MirrorPushReport } from '../../model/mirror-report.ts';
import { openExisting } from '../maintenance/existing.ts';
import { checksumOf, dataFiles, filesOf, isMirrorName, publishedSnapshot, shownFiles, stateFiles } from './local.ts';
import type { LocalFile } from './local.ts';
import { requireMirror } from './inspect.ts';
import { newRecord, readRecord, writeRecord } from './record.ts';
import { remoteChecksums } from './remote.ts';

export interface PushOptions {
  /** Replace another data directory as the writer of the mirror. */
  readonly takeOver?: boolean;
  /** Do nothing when the snapshot was pushed before. */
  readonly onlyNew?: boolean;
  /** Delete superseded objects at once, because they hold what was purged. */
  readonly purge?: boolean;
  /** @default the store of `mirror.to` */
  readonly store?: ObjectStore;
  readonly onStep?: (step: string) => void | Promise<void>;
}

interface Push {
  readonly config: Config;
  readonly settings: MirrorSettings;
  readonly store: ObjectStore;
  readonly files: Files;
  readonly runtime: Runtime;
  readonly signal: AbortSignal;
  readonly options: PushOptions;
  /** The objects of the mirror. */
  readonly held: Map<string, { readonly bytes: number; readonly sha256?: string }>;
  readonly uploaded: { files: number; bytes: number };
}

const UPLOADS_KEPT_MS = 24 * 3_600_000;

/**
 * Throws ConfigError (no mirror is configured, nothing is published), MirrorTakenError (another data directory writes the mirror),
 * MirrorError, and what `openExisting` throws.
 */
export async function pushMirror(
  config: Config,
  runtime: Runtime,
  signal: AbortSignal,
  options: PushOptions = {},
): Promise<MirrorPushReport> {
  const settings = requireMirror(config);
  const files = runtime.files ?? systemFiles;
  refuseInside(config.dataDir, settings);
  const store = options.store ?? (await openStore(settings, runtime, files, signal));
  const push: Push = { config, settings, store, files, runtime, signal, options, held: new Map(), uploaded: { files: 0, bytes: 0 } }; // oxfmt-ignore
  return onDisk(config.dataDir, async () => {
    const snapshot = await publishedSnapshot(files, config.dataDir);
    const found = await readHead(store);
    const record = await readRecord(files, config.dataDir);
    const isMine = found !== undefined && options.takeOver !== true;
    if (isMine) requireWriter(store.place, found.head, record);
    if (isMine && options.onlyNew === true && isDone(push, found.head, record, snapshot))
      return report(push, found.head, snapshot, 0);
    if (!isMine) await underLock(push, (ledger) => claim(push, ledger, found));
    for await (const { name, bytes } of store.list('')) push.held.set(name, { bytes });
    await uploadData(push, snapshot, (await readHead(store))?.head, 'may vanish');
    return underLock(push, (ledger) => commit(push, ledger));
  });
}

function refuseInside(dataDir: string, { place }: MirrorSettings): void {
  if (place.kind !== 'folder') return;
  const [from, to] = [resolve(dataDir) + sep, resolve(place.path) + sep];
  if (from.startsWith(to) || to.startsWith(from))
    throw new ConfigError('A mirror needs a folder of its own, outside of the data directory.', {
      where: { folder: place.path },
    });
}

/** The head and what follows it are complete, and nothing has to be deleted. */
function isDone({ store, config, runtime }: Push, head: MirrorHead, record: MirrorRecord | undefined, { number: snapshot, publishedAt }: Snapshot): boolean {
  const done = record?.done;
  const isPushed = [done, head].every((each) => each !== undefined && isSameSnapshot(each, { snapshot, publishedAt }));
  const before = runtime.now() - config.lake.keepHours * 3_600_000;
  const isDue = Object.values(head.superseded).some((since) => Date.parse(since) <= before);
  return isPushed && done?.to === store.place && !isDue;
} // oxfmt-ignore

async function underLock<T>({ config, runtime }: Push, work: (ledger: Ledger) => Promise<T>): Promise<T> {
  await using ledger = await openExisting(config, runtime, { privacyKey: 'unused' });
  return await work(ledger);
}

/** Becomes the writer of the mirror before anything is uploaded. What the mirror shows stays as it is. */
async function claim(push: Push, { dataDir }: Ledger, found: FoundHead | undefined): Promise<void> {
  const { store, files, runtime, options } = push;
  const own = (await readRecord(files, dataDir)) ?? newRecord();
  const record = found === undefined ? own : withPush(own, found.head);
  await writeRecord(files, dataDir, record);
  const { writer } = record;
  const at = new Date(runtime.now()).toISOString();
  const empty = { ...writtenBy(), writer, snapshot: 0, run: '', publishedAt: at, pushedAt: at, state: [], superseded: {} };
  const wanted = found ? { ...found.head, writer } : { ...empty, conditional: true };
  const condition = found ? { ifMatch: found.etag } : ({ ifAbsent: true } as const);
  if (!(await putOrFind(store, MIRROR_HEAD, showHead(wanted), condition))) {
    const other = await readHead(store);
    throw new MirrorTakenError(`Another data directory claimed the mirror ${store.place} at the same time.`, {
      hint: 'Give this data directory a prefix of its own.',
      where: { mirror: store.place, ...(other ? { writer: other.head.writer } : {}) },
    });
  }
  await options.onStep?.('claim');
  if (found) return;
  // A store that ignores conditions writes this, too, and so says that it does.
  const text = showHead({ ...empty, conditional: false });
  if ((await store.put(MIRROR_HEAD, textSource(text), { ifAbsent: true })) === undefined) return;
  runtime.log.warn(
    { event: 'mirror.unconditional', mirror: store.place },
    'the object store ignores conditions of writes: two writers that start at the same moment would not notice each other',
  );
} // oxfmt-ignore

/** The last part of a push, under the lock: what is uploaded now belongs together. */
async function commit(push: Push, ledger: Ledger): Promise<MirrorPushReport> {
  const { store, files, runtime, options, config } = push;
  const { dataDir } = ledger;
  const record = await readRecord(files, dataDir);
  const found = await readHead(store);
  if (found === undefined)
    throw new MirrorError(`The head of the mirror ${store.place} was deleted during the push.`, { reason: 'conflict', hint: 'Find out who deletes objects there, then run `insights-etl mirror push`.' }); // oxfmt-ignore
  requireWriter(store.place, found.head, record);
  const snapshot = await publishedSnapshot(files, dataDir);
  const state = await stateFiles(ledger, snapshot);
  const data = await uploadData(push, snapshot, found.head, 'must exist');
  const logs = await uploadLogs(push);
  const id = randomUUID().slice(0, 8);
  const stored = state.map(({ name, bytes, sha256 }) => ({ file: name, object: stateObject(snapshot.number, id, name), bytes, sha256 })); // oxfmt-ignore
  for (const [nth, file] of state.entries()) await upload(push, { ...file, name: stored[nth]?.object ?? '' }, 'state');
  const shown = await shownFiles(files, dataDir, config.dashboard.out);
  const kept = new Set([...data, ...logs, ...shown].map(({ name }) => name).concat(stored.map(({ object }) => object)));
  const now = runtime.now();
  const graceMs = options.purge === true ? 0 : config.lake.keepHours * 3_600_000;
  const removals = planRemovals(push.held.keys(), kept, isMirrorName, found.head.superseded, now, graceMs);
  const { number, publishedAt, run } = snapshot;
  const pushed = withPush(record ?? newRecord(), { snapshot: number, publishedAt });
  await writeRecord(files, dataDir, pushed);
  const head: Omit<MirrorHead, 'format'> = {
    ...writtenBy(),
    writer: pushed.writer,
    snapshot: number,
    run,
    publishedAt,
    pushedAt: new Date(now).toISOString(),
    conditional: found.head.conditional,
    state: stored,
    superseded: removals.superseded,
  };
  await replaceHead(push, found, showHead(head));
  await options.onStep?.('head');
  // The manifest first: a reader who has it finds the files that it names, whatever comes after it.
  for (const file of shown) await show(push, file);
  const removed = await remove(push, removals.due);
  await store.abortUploads(now - UPLOADS_KEPT_MS).catch((error: unknown) => {
    if (!(error instanceof MirrorError)) throw error;
    runtime.log.debug({ event: 'mirror.uploads', reason: error.reason }, 'cannot look for unfinished uploads');
  });
  await writeRecord(files, dataDir, { ...pushed, done: { snapshot: number, publishedAt, to: store.place } });
  return report(push, head, snapshot, removed);
}

async function replaceHead({ store }: Push, { head, etag }: FoundHead, text: string): Promise<void> {
  // Without conditional writes, the best that can be done.
  const isUnchanged = head.conditional || (await store.read(MIRROR_HEAD))?.etag === etag;
  if (isUnchanged && (await putOrFind(store, MIRROR_HEAD, text, { ifMatch: etag }))) return;
  throw new MirrorTakenError(`Another data directory wrote the mirror ${store.place} during this push.`, {
    hint: '`insights-etl mirror status` shows which one. Nothing of its snapshot was changed.',
    where: { mirror: store.place },
  });
}

/** True also if an earlier attempt has written the text and its answer was lost. */
async function putOrFind(store: ObjectStore, name: string, text: string, condition: { readonly ifMatch: string } | { readonly ifAbsent: true }): Promise<boolean> {
  if ((await store.put(name, textSource(text), condition)) !== undefined) return true;
  return (await store.read(name))?.content.toString('utf8') === text;
} // oxfmt-ignore

/** `may vanish`: without the lock, a run may remove a superseded file at any time. */
async function uploadData(push: Push, snapshot: Snapshot, head: MirrorHead | undefined, missing: 'may vanish' | 'must exist'): Promise<LocalFile[]> {
  const { store, held, settings } = push;
  const wanted = dataFiles(snapshot, push.config.dataDir);
  const proven = head ? await remoteChecksums(store, head) : new Map<string, string>();
  const needed = new Set([...proven.keys(), ...Object.keys(head?.superseded ?? {})]);
  const first = planUploads(wanted, held, proven, needed);
  await eachAtOnce(first.unproven, settings.parallel, async ({ name, bytes }) => {
    const sha256 = (await store.head(name))?.sha256;
    held.set(name, { bytes, sha256: sha256 ?? 'not written by the mirror' });
  });
  const plan = planUploads(wanted, held, proven, needed);
  const [conflict] = plan.conflicts;
  if (conflict)
    throw new MirrorError(`The mirror ${store.place} holds another file under the name of one of this lake.`, {
      reason: 'conflict',
      hint: 'Give the mirror a new prefix: the next push fills it. Nothing in this one was changed.',
      where: { mirror: store.place, object: conflict.name },
    });
  const paths = new Map(wanted.map((file) => [file.name, file]));
  await eachAtOnce(plan.missing, settings.parallel, async ({ name }) => {
    const file = paths.get(name);
    if (file) await uploadChecked(push, file, missing);
  });
  return wanted;
} // oxfmt-ignore

async function uploadChecked(push: Push, file: LocalFile, missing: 'may vanish' | 'must exist'): Promise<void> {
  const sha256 = await checksumOf(push.files, file.path);
  if (sha256 === undefined && missing === 'may vanish') return;
  if (sha256 !== file.sha256)
    throw new DamagedError(sha256 === undefined ? 'A file that the manifest names is missing' : 'A file differs from what was published', {
      hint: 'Run `insights-etl verify --deep`, then `insights-etl run`: it fetches again what the files have lost.',
      where: { file: file.path },
    });
  await upload(push, file, 'data');
} // oxfmt-ignore

/** Entries of logs in their order, because each one builds on those before it; then where the logs end. */
async function uploadLogs(push: Push): Promise<LocalFile[]> {
  const { files, config, held } = push;
  const [logs, pointers] = [await filesOf(files, config.dataDir, 'log'), await filesOf(files, config.dataDir, 'pointer')];
  for (const file of logs) if (held.get(file.name)?.bytes !== file.bytes) await upload(push, file, 'log');
  for (const file of pointers) await show(push, file);
  return [...logs, ...pointers];
} // oxfmt-ignore

/** Writes an object that must not exist yet, or replaces one that is left from a push that was cut off. */
async function upload({ store, files, held, uploaded, options }: Push, file: LocalFile, phase: string): Promise<void> {
  const { name, bytes, sha256 } = file;
  const condition = held.has(name) && phase === 'data' ? undefined : ({ ifAbsent: true } as const);
  const etag = await store.put(name, fileSource(file.path, file, files), condition);
  if (etag === undefined && (await store.head(name))?.sha256 !== sha256)
    throw new MirrorError(`The mirror ${store.place} holds another file under the name of one of this lake.`, {
      reason: 'conflict',
      hint: 'Another process writes there. `insights-etl mirror status` shows which data directory the mirror belongs to.',
      where: { mirror: store.place, object: name },
    });
  held.set(name, { bytes, sha256 });
  uploaded.files++;
  uploaded.bytes += bytes;
  await options.onStep?.(`${phase} ${name}`);
}

/** Writes an object under a fixed name, unless it is there. */
async function show({ store, files, held, uploaded, options }: Push, file: LocalFile): Promise<void> {
  const { name, bytes, sha256 } = file;
  if (held.get(name)?.bytes === bytes && (await store.head(name))?.sha256 === sha256) return;
  await store.put(name, fileSource(file.path, file, files));
  held.set(name, { bytes, sha256 });
  uploaded.files++;
  uploaded.bytes += bytes;
  await options.onStep?.(`shown ${name}`);
}

/** Deletes only what a mirror wrote: its objects carry their checksum. */
async function remove({ store, settings, options }: Push, names: readonly string[]): Promise<number> {
  let removed = 0;
  await eachAtOnce(names, settings.parallel, async (name) => {
    if ((await store.head(name))?.sha256 === undefined) return;
    await store.delete(name);
    removed++;
    await options.onStep?.(`removed ${name}`);
  });
  return removed;
} // oxfmt-ignore

function report({ store, uploaded }: Push, head: Omit<MirrorHead, 'format'>, { files }: Snapshot, removedFiles: number): MirrorPushReport {
  return {
    mirror: store.place,
    snapshot: head.snapshot,
    publishedAt: head.publishedAt,
    pushedAt: head.pushedAt,
    files: files.length,
    bytes: files.reduce((sum, { bytes }) => sum + bytes, 0),
    uploadedFiles: uploaded.files,
    uploadedBytes: uploaded.bytes,
    removedFiles,
    conditional: head.conditional,
  };
} // oxfmt-ignore
