/** The snapshot that a mirror holds, as its own manifest describes it. */
import { ConfigError, DamagedError, MirrorError } from '../../kernel/errors.ts';
import { parseSnapshot } from '../../load/maintenance/backup-folder.ts';
import type { Snapshot } from '../../load/maintenance/backup-folder.ts';
import { readHead } from '../../mirror/head.ts';
import type { FoundHead, MirrorHead } from '../../mirror/head.ts';
import type { ObjectStore } from '../../mirror/object-store.ts';
import { MANIFEST_FILE } from '../../model/data-dir.ts';
import { MIRROR_HEAD } from '../../model/mirror-address.ts';
import { digestOf } from './local.ts';

/** The head of a mirror that holds a snapshot. Throws ConfigError when there is none. */
export function requireSnapshot(store: ObjectStore, found: FoundHead | undefined): FoundHead {
  if (found && found.head.snapshot > 0) return found;
  throw new ConfigError(`There is no snapshot in the mirror ${store.place}.`, {
    hint: found
      ? 'It was claimed, but no push was completed. `insights-etl mirror push` continues it.'
      : 'Check the address, or fill it with `insights-etl mirror push`.',
    where: { mirror: store.place },
  });
}

/**
 * The head of a mirror to restore. In the place of one that is lost or damaged, the manifest that readers use says which files there
 * are, with their checksums, and the ledger is rebuilt from them. Throws ConfigError when there is no snapshot, MirrorError.
 */
export async function headToRestore(store: ObjectStore): Promise<MirrorHead> {
  const found = await readHead(store).catch(damagedHead);
  if (found !== undefined && 'head' in found) return requireSnapshot(store, found).head;
  const head = await headOfManifest(store);
  if (head) return head;
  if (found === undefined) return requireSnapshot(store, found).head;
  throw new MirrorError(`Neither the head nor the manifest of the mirror ${store.place} can be read.`, {
    reason: 'damaged',
    hint: `Bring ${MIRROR_HEAD} or ${MANIFEST_FILE} back from versions or a backup of the store.`,
    where: { mirror: store.place, object: MIRROR_HEAD },
    cause: found,
  });
}

function damagedHead(error: unknown): MirrorError {
  if (error instanceof MirrorError && error.reason === 'damaged') return error;
  throw error;
}

async function headOfManifest(store: ObjectStore): Promise<MirrorHead | undefined> {
  const content = (await store.read(MANIFEST_FILE))?.content;
  if (!content) return undefined;
  try {
    const { number, publishedAt, run } = parseSnapshot(content.toString('utf8'), `${store.place}/${MANIFEST_FILE}`);
    const manifest = { file: MANIFEST_FILE, object: MANIFEST_FILE, bytes: content.length, sha256: digestOf(content) };
    const unknown = { format: 1, writer: '', conditional: true, superseded: {} } as const;
    return { ...unknown, snapshot: number, run, publishedAt, pushedAt: publishedAt, state: [manifest] };
  } catch (error) {
    if (error instanceof DamagedError) return undefined;
    throw error;
  }
}

/** Throws MirrorError when the manifest is damaged or missing, and so is the copy that readers of the mirror use. */
export async function remoteSnapshot(store: ObjectStore, { state }: MirrorHead): Promise<Snapshot> {
  const { object = MANIFEST_FILE, sha256 } = state.find(({ file }) => file === MANIFEST_FILE) ?? {};
  let isThere = false;
  for (const name of [object, MANIFEST_FILE]) {
    const found = await store.read(name);
    isThere ||= found !== undefined;
    if (found && digestOf(found.content) === sha256)
      return parseSnapshot(found.content.toString('utf8'), `${store.place}/${name}`);
  }
  throw new MirrorError(`The manifest of the mirror ${store.place} is ${isThere ? 'damaged' : 'missing'}.`, {
    reason: 'damaged',
    hint: 'Run `insights-etl mirror push` on the machine that writes the mirror: it writes the manifest again. If that machine is lost, bring the object back from versions or a backup of the store.',
    where: { mirror: store.place, object },
  });
}

/** The checksums of the files that the mirror's snapshot names. */
export async function remoteChecksums(store: ObjectStore, head: MirrorHead): Promise<Map<string, string>> {
  if (head.snapshot === 0) return new Map();
  try {
    const { files } = await remoteSnapshot(store, head);
    return new Map(files.map(({ file, sha256 }) => [file, sha256]));
  } catch (error) {
    // The push replaces it. Until then the checksums that are stored with the objects are looked up.
    if (error instanceof MirrorError && error.reason === 'damaged') return new Map();
    throw error;
  }
}
