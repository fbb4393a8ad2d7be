/** The steps of a push that write or delete objects. */
import type { Config, MirrorSettings } from '../../config/config.ts';
import { DamagedError, MirrorError } from '../../kernel/errors.ts';
import type { Files } from '../../kernel/files.ts';
import type { Runtime } from '../../kernel/runtime.ts';
import type { Snapshot } from '../../load/maintenance/backup-folder.ts';
import { eachAtOnce } from '../../mirror/each.ts';
import type { MirrorHead } from '../../mirror/head.ts';
import { fileSource } from '../../mirror/object-store.ts';
import type { ObjectStore } from '../../mirror/object-store.ts';
import { inGrace, planUploads } from '../../mirror/plan.ts';
import type { UploadPlan, Wanted } from '../../mirror/plan.ts';
import { checksumOf, dataFiles } from './local.ts';
import type { LocalFile } from './local.ts';
import { remoteChecksums } from './remote.ts';

export interface Push {
  readonly config: Config;
  readonly settings: MirrorSettings;
  readonly store: ObjectStore;
  readonly files: Files;
  readonly runtime: Runtime;
  /** The objects of the mirror. */
  readonly held: Map<string, { readonly bytes: number; readonly sha256?: string }>;
  readonly uploaded: { files: number; bytes: number };
  readonly onStep?: (step: string) => void | Promise<void>;
}

/**
 * Uploads what is missing of the snapshot's files. `graceMs`: how long readers may use a superseded object. `may vanish`: without the
 * lock, a run may remove a superseded file at any time.
 */
export async function uploadData(
  push: Push,
  snapshot: Snapshot,
  head: MirrorHead | undefined,
  graceMs: number,
  missing: 'may vanish' | 'must exist',
): Promise<LocalFile[]> {
  const { settings, config, held } = push;
  const wanted = dataFiles(snapshot, config.dataDir);
  const plan = await planData(push, wanted, head, graceMs);
  const byName = new Map(wanted.map((file) => [file.name, file]));
  await eachAtOnce(plan.missing, settings.parallel, async ({ name }) => {
    const file = byName.get(name);
    if (!file) return;
    const sha256 = await checksumOf(push.files, file.path);
    if (sha256 === undefined && missing === 'may vanish') return;
    if (sha256 !== file.sha256) throw damagedHere(file, sha256 === undefined);
    await (held.has(name) ? replace(push, file, 'data') : upload(push, file, 'data'));
  });
  return wanted;
}

/** Throws MirrorError when the mirror needs an object that has the name of another file of this lake. */
export async function planData(
  push: Push,
  wanted: readonly Wanted[],
  head: MirrorHead | undefined,
  graceMs: number,
): Promise<UploadPlan> {
  const proven = head ? await remoteChecksums(push.store, head) : new Map<string, string>();
  const waiting = inGrace(head?.superseded ?? {}, push.runtime.now(), graceMs);
  const plan = await planWithChecksums(push, wanted, proven, new Set([...proven.keys(), ...waiting.keys()]));
  const conflict = plan.conflicts.find(({ name }) => proven.has(name)) ?? plan.conflicts[0];
  if (conflict) {
    const newPrefix = 'Give `mirror.to` a new prefix: the next push fills it, in a divided lake that of each shard. Nothing in this mirror was changed.'; // oxfmt-ignore
    const end = Math.max(...plan.conflicts.map(({ name }) => waiting.get(name) ?? 0));
    const wait = `Only readers of earlier snapshots need it, until ${new Date(end).toISOString()} (\`lake.keepHours\`). The first push after that replaces it.`;
    throw conflictAt(push, conflict.name, proven.has(conflict.name) ? newPrefix : wait);
  }
  return plan;
}

/** The plan, after the stored checksums of objects that no manifest of the mirror describes were looked up. */
export async function planWithChecksums(
  { store, held, settings }: Push,
  wanted: readonly Wanted[],
  proven: ReadonlyMap<string, string>,
  needed: ReadonlySet<string>,
): Promise<UploadPlan> {
  const { unproven } = planUploads(wanted, held, proven, needed);
  await eachAtOnce(unproven, settings.parallel, async ({ name, bytes }) => {
    held.set(name, { bytes, sha256: (await store.head(name))?.sha256 ?? 'not written by a mirror' });
  });
  return planUploads(wanted, held, proven, needed);
}

/** Writes an object that must not exist yet. */
export async function upload(push: Push, file: LocalFile, phase: string): Promise<void> {
  const { store, files } = push;
  const { name, sha256 } = file;
  const etag = await store.put(name, fileSource(file.path, file, files), { ifAbsent: true });
  // An earlier attempt may have written it although its answer was lost.
  if (etag === undefined && (await store.head(name))?.sha256 !== sha256)
    throw conflictAt(push, name, 'Another process writes there. `insights-etl mirror status` shows which data directory the mirror belongs to.'); // oxfmt-ignore
  await noteUpload(push, file, phase);
} // oxfmt-ignore

/** Writes an object, whatever has its name. */
export async function replace(push: Push, file: LocalFile, phase: string): Promise<void> {
  await push.store.put(file.name, fileSource(file.path, file, push.files));
  await noteUpload(push, file, phase);
}

/** Writes an object under a fixed name, unless it is there. */
export async function show(push: Push, file: LocalFile): Promise<void> {
  const isThere =
    push.held.get(file.name)?.bytes === file.bytes && (await push.store.head(file.name))?.sha256 === file.sha256;
  if (!isThere) await replace(push, file, 'shown');
}

async function noteUpload(
  { held, uploaded, onStep }: Push,
  { name, bytes, sha256 }: LocalFile,
  phase: string,
): Promise<void> {
  held.set(name, { bytes, sha256 });
  uploaded.files++;
  uploaded.bytes += bytes;
  await onStep?.(`${phase} ${name}`);
}

/** Deletes only what a mirror wrote: its objects carry their checksum. */
export async function remove({ store, settings, held, onStep }: Push, names: readonly string[]): Promise<number> {
  let removed = 0;
  await eachAtOnce(names, settings.parallel, async (name) => {
    if ((await store.head(name))?.sha256 === undefined) return;
    await store.delete(name);
    held.delete(name);
    removed++;
    await onStep?.(`removed ${name}`);
  });
  return removed;
}

function conflictAt({ store }: Push, object: string, hint: string): MirrorError {
  return new MirrorError(`The mirror ${store.place} holds another file under the name of one of this lake.`, {
    reason: 'conflict',
    hint,
    where: { mirror: store.place, object },
  });
}

function damagedHere({ path }: LocalFile, isMissing: boolean): DamagedError {
  const message = isMissing ? 'A file that the manifest names is missing' : 'A file differs from what was published';
  return new DamagedError(message, {
    hint: 'Run `insights-etl verify --deep`, then `insights-etl run`: it fetches again what the files have lost.',
    where: { file: path },
  });
}
