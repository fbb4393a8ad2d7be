/**
 * Brings the mirror up to the published snapshot: data files, the logs of tables, then manifest, catalogue and ledger, then the head,
 * which makes them the snapshot of the mirror. Each step writes only what no reader of the mirror's snapshot needs, so a push that is
 * cut off anywhere leaves the snapshot before it. Large uploads take place without the lock of the data directory.
 */
import { randomUUID } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import type { Config } from '../../config/config.ts';
import { MirrorError, MirrorTakenError } from '../../kernel/errors.ts';
import { onDisk, systemFiles } from '../../kernel/files.ts';
import type { Runtime } from '../../kernel/runtime.ts';
import { writtenBy } from '../../kernel/version.ts';
import { raiseGenerationFloor } from '../../load/ledger/generation-floor.ts';
import type { Ledger } from '../../load/ledger/ledger.ts';
import type { Snapshot } from '../../load/maintenance/backup-folder.ts';
import {
  isSameSnapshot,
  LOGS_FILE,
  readHead,
  requireWriter,
  showHead,
  stateObject,
  withClaimed,
  withMirror,
  withPush,
  writtenAt,
} from '../../mirror/head.ts';
import type { FoundHead, MirrorHead, MirrorRecord } from '../../mirror/head.ts';
import { textSource } from '../../mirror/object-store.ts';
import type { ObjectStore } from '../../mirror/object-store.ts';
import { mirrorAddress, openStore } from '../../mirror/open.ts';
import { inGrace, planRemovals } from '../../mirror/plan.ts';
import { isSameAddress, MIRROR_HEAD } from '../../model/mirror-address.ts';
import type { MirrorAddress } from '../../model/mirror-address.ts';
import type { MirrorPushReport } from '../../model/mirror-report.ts';
import { openExisting } from '../maintenance/existing.ts';
import { refuseInside, requireOwnFolder } from './folder.ts';
import { requireMirror } from './inspect.ts';
import {
  dataFiles,
  isMirrorName,
  isPageObject,
  publishedSnapshot,
  requirePublished,
  scratchFolder,
  shownFiles,
  stateFiles,
} from './local.ts';
import type { LocalFile } from './local.ts';
import { abandonedLogs, removeLogs, showLogs, uploadLogs } from './logs.ts';
import { newRecord, readRecord, writeRecord } from './record.ts';
import { planData, remove, show, upload, uploadData } from './upload.ts';
import type { Push } from './upload.ts';

export interface PushOptions {
  /** Replace another data directory as the writer of the mirror. */
  readonly takeOver?: boolean;
  /** Do nothing when the snapshot was pushed before. */
  readonly onlyNew?: boolean;
  /** @default the store of `mirror.to` */
  readonly store?: ObjectStore;
  readonly onStep?: (step: string) => void | Promise<void>;
}

interface PushWith extends Push {
  readonly address: MirrorAddress;
  readonly options: PushOptions;
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
  await refuseInside(config.dataDir, settings.place, files);
  const store = options.store ?? (await openStore(settings, runtime, files, signal));
  const { onStep } = options;
  const push: PushWith = { config, settings, address: mirrorAddress(settings), store, files, runtime, options, held: new Map(), uploaded: { files: 0, bytes: 0 }, ...(onStep ? { onStep } : {}) }; // oxfmt-ignore
  return onDisk(config.dataDir, async () => {
    const snapshot = await publishedSnapshot(files, config.dataDir);
    const found = await readHead(store);
    const record = await readRecord(files, config.dataDir);
    // Whether one that is not there is new or gone is decided under the lock: another process may be filling it.
    if (found && options.takeOver !== true) requireWriter(push.address, found.head, record);
    const isMine = found !== undefined && options.takeOver !== true;
    if (isMine && options.onlyNew === true && isDone(push, found.head, record, snapshot))
      return report(push, found.head, snapshot, 0);
    await (isMine ? noteHeld(push) : underLock(push, (ledger) => claim(push, ledger)));
    const graceMs = graceOf(push, await readRecord(files, config.dataDir));
    await uploadData(push, snapshot, (await readHead(store))?.head, graceMs, 'may vanish');
    return underLock(push, async (ledger) => {
      try {
        // The head may be replaced meanwhile by this data directory itself: an attempt completes the push before it, if that was killed
        // while it replaced the head in a folder.
        const pushed = (await commit(push, ledger)) ?? (await commit(push, ledger));
        if (pushed) return pushed;
        throw new MirrorTakenError(`Another data directory wrote the mirror ${store.place} during this push.`, {
          hint: '`insights-etl mirror status` shows which one. Nothing of its snapshot was changed.',
          where: { mirror: store.place },
        });
      } finally {
        await files.rm(scratchFolder(config.dataDir), { recursive: true, force: true });
      }
    });
  });
}

/** The head and what follows it are complete, and nothing has to be deleted. */
function isDone(push: PushWith, head: MirrorHead, record: MirrorRecord | undefined, { number: snapshot, publishedAt }: Snapshot): boolean {
  const { done, purgeDue } = writtenAt(record, push.address);
  const isPushed = [done, head].every((each) => each !== undefined && isSameSnapshot(each, { snapshot, publishedAt }));
  const waiting = inGrace(head.superseded, push.runtime.now(), graceOf(push, record));
  // One that an earlier version wrote gets its endpoint into the record.
  const isNoted = record?.mirrors.some((mirror) => isSameAddress(mirror, push.address)) === true;
  return isPushed && isNoted && Object.keys(head.superseded).length === waiting.size && purgeDue !== true;
} // oxfmt-ignore

/** How long readers may use objects of earlier snapshots in this mirror. A purge that is due leaves them no time. */
function graceOf(push: PushWith, record: MirrorRecord | undefined): number {
  return writtenAt(record, push.address).purgeDue ? 0 : push.config.lake.keepHours * 3_600_000;
}

async function underLock<T>({ config, runtime }: PushWith, work: (ledger: Ledger) => Promise<T>): Promise<T> {
  await using ledger = await openExisting(config, runtime, { privacyKey: 'unused' });
  return await work(ledger);
}

async function noteHeld({ store, held }: Push): Promise<void> {
  for await (const { name, bytes } of store.list('')) held.set(name, { bytes });
}

/** Before the other writer is replaced: a take-over that cannot succeed leaves it in its place. */
async function requireNoConflict(push: PushWith, ledger: Ledger, head: MirrorHead): Promise<void> {
  const snapshot = await publishedSnapshot(push.files, ledger.dataDir);
  await requirePublished(ledger, snapshot);
  const record = await readRecord(push.files, ledger.dataDir);
  await planData(push, dataFiles(snapshot, ledger.dataDir), head, graceOf(push, record));
}

/** Becomes the writer of the mirror before anything is uploaded. What the mirror shows stays as it is. */
async function claim(push: PushWith, ledger: Ledger, mayRepeat = true): Promise<void> {
  const { store, files, runtime, options, settings } = push;
  const { dataDir } = ledger;
  const found = await readHead(store);
  const before = await readRecord(files, dataDir);
  if (options.takeOver !== true) {
    requireWriter(push.address, found?.head, before);
    // Another process of this data directory has claimed it meanwhile.
    if (found) return noteHeld(push);
  }
  const isNew = found === undefined && writtenAt(before, push.address).done === undefined;
  if (isNew) await requireOwnFolder(settings.place, files);
  await noteHeld(push);
  if (found) {
    await requireNoConflict(push, ledger, found.head);
    // The mirror has files that the other writer named.
    await raiseGenerationFloor(ledger);
  }
  const own = before ?? newRecord();
  // From now on, what a purge deletes may be in this mirror.
  const known = withClaimed(own, push.address, found?.head);
  const record = found === undefined ? known : withPush(known, found.head);
  await writeRecord(files, dataDir, record);
  const { writer } = record;
  const at = new Date(runtime.now()).toISOString();
  const empty = { ...writtenBy(), writer, snapshot: 0, run: '', publishedAt: at, pushedAt: at, state: [], superseded: {} };
  const wanted = found ? { ...found.head, writer } : { ...empty, conditional: true };
  const condition = found ? { ifMatch: found.etag } : ({ ifAbsent: true } as const);
  if (!(await putOrFind(store, MIRROR_HEAD, showHead(wanted), condition))) {
    const other = await readHead(store);
    // The other writer has gone on, or a push of it that was killed while it replaced the head in a folder is complete now.
    if (mayRepeat && found && other?.head.writer === found.head.writer) return claim(push, ledger, false);
    throw new MirrorTakenError(`Another data directory claimed the mirror ${store.place} at the same time.`, {
      hint: found
        ? 'If this data directory is to write it, and not the other one, run `insights-etl mirror push --take-over` again.'
        : 'Give this data directory a prefix of its own.',
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

/** The last part of a push, under the lock: what is uploaded now belongs together. Undefined: the head was replaced meanwhile. */
async function commit(push: PushWith, ledger: Ledger): Promise<MirrorPushReport | undefined> {
  const { store, files, runtime, options, config } = push;
  const { dataDir } = ledger;
  const record = await readRecord(files, dataDir);
  const found = await readHead(store);
  if (found === undefined)
    throw new MirrorError(`The head of the mirror ${store.place} was deleted during the push.`, { reason: 'conflict', hint: 'Find out who deletes objects there, then run `insights-etl mirror push`.' }); // oxfmt-ignore
  requireWriter(push.address, found.head, record);
  const snapshot = await publishedSnapshot(files, dataDir);
  await requirePublished(ledger, snapshot);
  const graceMs = graceOf(push, record);
  const data = await uploadData(push, snapshot, found.head, graceMs, 'must exist');
  const logs = await uploadLogs(push, found.head);
  const { purgeDue } = writtenAt(record, push.address);
  const held = purgeDue || options.takeOver ? undefined : await heldState(store, found.head, snapshot, logs);
  const stored = held ?? (await uploadState(push, ledger, snapshot, logs));
  const shown = await shownFiles(files, dataDir, config.dashboard.out);
  const kept = new Set([...data, ...logs, ...shown].map(({ name }) => name).concat(stored.map(({ object }) => object)));
  const now = runtime.now();
  const hasPage = found.head.page === true || shown.some(({ name }) => isPageObject(name));
  const isOwn = (name: string): boolean => isMirrorName(name, hasPage);
  // Readers would take them for the tables of today, so they get no grace period. Their files do.
  const abandoned = new Set(abandonedLogs(push.held.keys(), kept).filter(isOwn));
  const others = [...push.held.keys()].filter((name) => !abandoned.has(name));
  const removals = planRemovals(others, kept, isOwn, found.head.superseded, now, graceMs);
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
    // After a purge all of them are due, and their names hold the tenant.
    superseded: purgeDue ? {} : removals.superseded,
    ...(hasPage ? { page: true } : {}),
  };
  const isNews =
    held === undefined || head.page !== found.head.page || !isDeepStrictEqual(head.superseded, found.head.superseded);
  if (isNews && !(await replaceHead(push, found, showHead(head)))) return undefined;
  await options.onStep?.('head');
  // The manifest first: a reader who has it finds the files that it names, whatever comes after it.
  for (const file of shown) await show(push, file);
  const removed = (await removeLogs(push, [...abandoned])) + (await remove(push, removals.due));
  // What an upload has left may hold a tenant that was purged since: then it goes now, or the purge stays due.
  await store.abortUploads(purgeDue ? 'any' : now - UPLOADS_KEPT_MS).catch((error: unknown) => {
    if (!(error instanceof MirrorError) || purgeDue) throw error;
    runtime.log.debug({ event: 'mirror.uploads', reason: error.reason }, 'cannot look for unfinished uploads');
  });
  await writeRecord(files, dataDir, withMirror(pushed, { ...push.address, done: { snapshot: number, publishedAt } }));
  return report(push, isNews ? head : found.head, snapshot, removed);
}

/** The state of an earlier push of this snapshot, whole and with the same logs. The ledger may have changed since, but no row of the lake. */
async function heldState(store: ObjectStore, head: MirrorHead, { number: snapshot, publishedAt }: Snapshot, logs: readonly LocalFile[]): Promise<MirrorHead['state'] | undefined> {
  const list = head.state.find(({ file }) => file === LOGS_FILE)?.sha256;
  const isSame = list === (logs.length > 0 ? textSource(showLogs(logs)).sha256 : undefined);
  if (!isSame || !isSameSnapshot(head, { snapshot, publishedAt })) return undefined;
  for (const { object, bytes, sha256 } of head.state) {
    const found = await store.head(object);
    if (found?.bytes !== bytes || found.sha256 !== sha256) return undefined;
  }
  return head.state;
} // oxfmt-ignore

/** Manifest, catalogue, ledger, and what the logs are at this snapshot. */
async function uploadState(push: PushWith, ledger: Ledger, snapshot: Snapshot, logs: readonly LocalFile[]): Promise<MirrorHead['state']> {
  const id = randomUUID().slice(0, 8);
  const stored: MirrorHead['state'] = [];
  for (const file of await stateFiles(ledger)) {
    const object = stateObject(snapshot.number, id, file.name);
    await upload(push, { ...file, name: object }, 'state');
    stored.push({ file: file.name, object, bytes: file.bytes, sha256: file.sha256 });
  }
  if (logs.length > 0) {
    const source = textSource(showLogs(logs));
    const object = stateObject(snapshot.number, id, LOGS_FILE);
    await push.store.put(object, source, { ifAbsent: true });
    stored.push({ file: LOGS_FILE, object, bytes: source.bytes, sha256: source.sha256 });
  }
  return stored;
} // oxfmt-ignore

/** False if it is no longer the head that was read. */
async function replaceHead({ store }: Push, { head, etag }: FoundHead, text: string): Promise<boolean> {
  // Without conditional writes, the best that can be done.
  const isUnchanged = head.conditional || (await store.read(MIRROR_HEAD))?.etag === etag;
  return isUnchanged && putOrFind(store, MIRROR_HEAD, text, { ifMatch: etag });
}

/** True also if an earlier attempt has written the text and its answer was lost. */
async function putOrFind(store: ObjectStore, name: string, text: string, condition: { readonly ifMatch: string } | { readonly ifAbsent: true }): Promise<boolean> {
  if ((await store.put(name, textSource(text), condition)) !== undefined) return true;
  return (await store.read(name))?.content.toString('utf8') === text;
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
