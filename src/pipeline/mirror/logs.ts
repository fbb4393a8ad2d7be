/**
 * The logs of tables in a mirror. An entry of a log never changes, but a log may begin again: after a purge, when it was damaged, when
 * `lake.delta` was off for a while, or when a lake continues from an older snapshot. Then the whole log is replaced. What the log is at
 * a snapshot is kept with its state.
 */
import { dirname } from 'node:path';
import { z } from 'zod';
import { MirrorError } from '../../kernel/errors.ts';
import { parseJson } from '../../kernel/json.ts';
import { parseEntry } from '../../load/publish/delta/commit.ts';
import { LOGS_FILE } from '../../mirror/head.ts';
import { eachAtOnce } from '../../mirror/each.ts';
import type { MirrorHead } from '../../mirror/head.ts';
import type { ObjectStore } from '../../mirror/object-store.ts';
import type { Wanted } from '../../mirror/plan.ts';
import { filesOf } from './local.ts';
import type { LocalFile } from './local.ts';
import { planWithChecksums, remove, replace, show, upload } from './upload.ts';
import type { Push } from './upload.ts';

const LOG_FILES = z.array(z.object({ name: z.string(), bytes: z.number(), sha256: z.string() }));

export type LogFile = z.output<typeof LOG_FILES>[number];

/** Of the snapshot in the mirror. Empty: it has no logs, or the list cannot be read. */
export async function remoteLogs(store: ObjectStore, { state }: MirrorHead): Promise<readonly LogFile[]> {
  const object = state.find(({ file }) => file === LOGS_FILE)?.object;
  const found = object === undefined ? undefined : await store.read(object);
  return LOG_FILES.safeParse(found && parseJson(found.content.toString('utf8'))).data ?? [];
}

export function showLogs(files: readonly LocalFile[]): string {
  return JSON.stringify(files.map(({ name, bytes, sha256 }) => ({ name, bytes, sha256 })));
}

/**
 * Entries in their order, because each one builds on those before it; then where the logs end. Throws MirrorError if another program
 * has written to a log in the mirror: readers would follow its entries, and no push can tell what it has done to the files.
 */
export async function uploadLogs(push: Push, head: MirrorHead): Promise<LocalFile[]> {
  const { store, files, held, config } = push;
  const logs = (await filesOf(files, config.dataDir, 'log')).toSorted(byVersion);
  const pointers = await filesOf(files, config.dataDir, 'pointer');
  const proven = new Map((await remoteLogs(store, head)).map(({ name, sha256 }) => [name, sha256]));
  const [foreign] = await foreignEntries(store, held.keys(), proven);
  if (foreign !== undefined) throw foreignIn(store, foreign);
  const { missing } = await planWithChecksums(push, logs, proven, new Set());
  const begunAgain = foldersBegunAgain(logs, missing, [...held.keys()]);
  const stale = [...held.keys()].filter((name) => begunAgain.has(dirname(name)));
  await removeLogs(push, stale);
  const names = new Set(missing.map(({ name }) => name));
  for (const file of logs) {
    if (begunAgain.has(dirname(file.name))) await replace(push, file, 'log');
    else if (names.has(file.name)) await upload(push, file, 'log');
  }
  for (const file of pointers) await show(push, file);
  return [...logs, ...pointers];
}

/** Objects of logs whose table has no log here any more: `lake.delta` is off, or a report is gone. */
export function abandonedLogs(held: Iterable<string>, kept: ReadonlySet<string>): string[] {
  const folders = new Set([...kept].map((name) => dirname(name)));
  return [...held].filter((name) => dirname(name).endsWith('/_delta_log') && !folders.has(dirname(name)));
}

/** What says where a log ends goes first, so that no reader looks for an entry that is gone. Returns how many were removed. */
export async function removeLogs(push: Push, names: readonly string[]): Promise<number> {
  let removed = 0;
  const newestFirst = names.toSorted(byName).toReversed();
  await eachAtOnce([...new Set(names.map((name) => dirname(name)))], push.settings.parallel, async (folder) => {
    for (const name of newestFirst) if (dirname(name) === folder) removed += await remove(push, [name]);
  });
  return removed;
}

const COMMIT = /\/_delta_log\/(\d{20})\.json$/;

/** Entries of logs in the mirror that no push has written. `known`: by the list of the snapshot; the others are read. */
export async function foreignEntries(
  store: ObjectStore,
  names: Iterable<string>,
  known: { has(name: string): boolean },
): Promise<string[]> {
  const foreign: string[] = [];
  for (const name of names) {
    const version = COMMIT.exec(name)?.[1];
    if (version === undefined || known.has(name)) continue;
    const found = await store.read(name);
    const isOwn = found && parseEntry(Number(version), found.content.toString('utf8'))?.own !== undefined;
    if (isOwn === false) foreign.push(name);
  }
  return foreign.toSorted(byName);
}

function foreignIn({ place }: ObjectStore, object: string): MirrorError {
  return new MirrorError(`Another program has written to the Delta log of a table in the mirror ${place}.`, {
    reason: 'conflict',
    hint: `Other programs may only read the mirror. Delete its folder ${dirname(object)}: the next push uploads the log again, and no row is lost.`,
    where: { mirror: place, object },
  });
}

/**
 * Folders whose log in the mirror is not the beginning of the one here: an entry differs, or the newest one of the mirror is not here.
 * Entries of two logs must not lie in one folder, because a reader would take the highest version.
 */
function foldersBegunAgain(logs: readonly LocalFile[], missing: readonly Wanted[], held: readonly string[]): ReadonlySet<string> {
  const here = new Set(logs.map(({ name }) => name));
  const folders = new Set(logs.map(({ name }) => dirname(name)));
  const newest = new Map<string, string>();
  for (const name of held.filter((each) => each.endsWith('.json')).toSorted(byName)) newest.set(dirname(name), name);
  const isHeld = new Set(held);
  const differing = missing.filter(({ name }) => isHeld.has(name)).map(({ name }) => dirname(name));
  const gone = [...newest].filter(([folder, name]) => folders.has(folder) && !here.has(name)).map(([folder]) => folder);
  return new Set([...differing, ...gone]);
} // oxfmt-ignore

function byName(a: string, b: string): number {
  return a < b ? -1 : 1;
}

/** A checkpoint comes after the entry that it sums up. */
function byVersion(a: LocalFile, b: LocalFile): number {
  const key = ({ name }: LocalFile): string => name.replace('.checkpoint.', '.~');
  return byName(key(a), key(b));
}
