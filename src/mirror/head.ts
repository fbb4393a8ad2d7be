/**
 * The head of a mirror, `mirror.json`: the snapshot that it holds and who writes it. It is written last and only over the head that
 * was read before, so a mirror always shows one whole snapshot, and two writers never mix theirs.
 */
import { z } from 'zod';
import { MirrorError, MirrorTakenError } from '../kernel/errors.ts';
import { parseJson } from '../kernel/json.ts';
import { findMirror, isSameAddress, MIRROR_HEAD } from '../model/mirror-address.ts';
import type { MirrorAddress } from '../model/mirror-address.ts';
import type { ObjectStore } from './object-store.ts';

/** Among the state of a push: the entries of the tables' logs, with their checksums. */
export const LOGS_FILE = 'logs.json';
/** Folder of the manifest, the ledger and the catalogue of each push. */
const STATE = 'state';
const FORMAT = 1;

const STORED = z.object({
  /** The name in a data directory. */
  file: z.string(),
  /** The name in the mirror. */
  object: z.string(),
  bytes: z.number(),
  sha256: z.string(),
});

const HEAD = z.object({
  format: z.literal(FORMAT),
  program: z.string().optional(),
  /** The data directory that writes this mirror. */
  writer: z.string(),
  /** 0: claimed by its writer, and nothing was pushed yet. */
  snapshot: z.int(),
  run: z.string(),
  publishedAt: z.string(),
  pushedAt: z.string(),
  /** The store refuses a write whose condition is not met. */
  conditional: z.boolean(),
  state: z.array(STORED),
  /** Objects of earlier snapshots, and since when no snapshot needs them. */
  superseded: z.record(z.string(), z.string()),
  /** A push has shown a dashboard: its files are the mirror's, also when `dashboard.out` is no longer set. */
  page: z.literal(true).optional(),
});

export type MirrorHead = z.output<typeof HEAD>;

export interface FoundHead {
  readonly head: MirrorHead;
  readonly etag: string;
}

/** Undefined: there is no mirror yet. Throws MirrorError when the head is damaged or of a newer version. */
export async function readHead(store: ObjectStore): Promise<FoundHead | undefined> {
  const found = await store.read(MIRROR_HEAD);
  if (!found) return undefined;
  const json = parseJson(found.content.toString('utf8'));
  const head = HEAD.safeParse(json);
  if (head.success) return { head: head.data, etag: found.etag };
  const format = z.object({ format: z.int() }).safeParse(json);
  const where = { mirror: store.place, object: MIRROR_HEAD };
  if (format.success && format.data.format > FORMAT)
    throw new MirrorError(`The mirror ${store.place} was written by a newer version (format ${format.data.format}; this program supports up to ${FORMAT}).`, { reason: 'version', hint: 'Upgrade insights-etl.', where }); // oxfmt-ignore
  throw new MirrorError(`The head of the mirror ${store.place} cannot be read.`, {
    reason: 'damaged',
    hint: 'Give the mirror another prefix: the next push fills it. Nothing in this one was changed.',
    where,
  });
} // oxfmt-ignore

export function showHead(head: Omit<MirrorHead, 'format'>): string {
  return `${JSON.stringify({ format: FORMAT, ...head }, null, 1)}\n`;
}

export function stateObject(snapshot: number, push: string, file: string): string {
  return `${STATE}/${snapshot}-${push}/${file}`;
}

export function isStateObject(name: string): boolean {
  return /^state\/\d+-[0-9a-f]+\/[^/]+$/.test(name);
}

/** What a data directory knows of the mirrors that it writes (`mirrored.json`). */
export interface MirrorRecord {
  readonly writer: string;
  /** The snapshots that it has pushed or tried to push, the newest last. */
  readonly pushes: readonly PushedSnapshot[];
  /** Every mirror that it has written to. */
  readonly mirrors: readonly WrittenMirror[];
}

export interface WrittenMirror extends MirrorAddress {
  /** The last push that was completed. */
  readonly done?: PushedSnapshot | undefined;
  /** A tenant was purged since: the next push there deletes what the lake no longer has at once, and leaves readers no grace period. */
  readonly purgeDue?: true | undefined;
  /** The writer that it had, if an old shard wrote it (`reshard`): no push goes there, unless it is taken over. */
  readonly formerWriter?: string | undefined;
}

/** A copy of a data directory may publish the same number, at another time. */
export interface PushedSnapshot {
  readonly snapshot: number;
  readonly publishedAt: string;
}

export function isSameSnapshot(a: PushedSnapshot, b: PushedSnapshot): boolean {
  return a.snapshot === b.snapshot && a.publishedAt === b.publishedAt;
}

/** A push that fails adds one entry, at most one a snapshot. */
const PUSHES_KEPT = 1000;

export function withPush(record: MirrorRecord, { snapshot, publishedAt }: PushedSnapshot): MirrorRecord {
  const push = { snapshot, publishedAt };
  const others = record.pushes.filter((each) => !isSameSnapshot(each, push));
  return { ...record, pushes: [...others, push].slice(-PUSHES_KEPT) };
}

/**
 * What is known of a mirror that may be new. It may also be one whose store got another endpoint: then what a purge has left to do
 * there is still due.
 */
export function writtenAt(record: MirrorRecord | undefined, address: MirrorAddress): WrittenMirror {
  const mirrors = record?.mirrors ?? [];
  const known = findMirror(mirrors, address);
  return known ? { ...known, ...address } : newAt(mirrors, address);
}

function newAt(mirrors: readonly WrittenMirror[], address: MirrorAddress): WrittenMirror {
  const isDue = mirrors.some(({ to, purgeDue }) => to === address.to && purgeDue);
  return { ...address, ...(isDue ? { purgeDue: true } : {}) };
}

export function withMirror(record: MirrorRecord, mirror: WrittenMirror): MirrorRecord {
  const known = findMirror(record.mirrors, mirror);
  return { ...record, mirrors: [...record.mirrors.filter((other) => other !== known), mirror] };
}

/**
 * Notes a mirror that is claimed. If one was noted without its endpoint, it may be another one, at an endpoint of before: unless the head
 * shows that it is this one, it stays noted, so that a purge names it. `head`: undefined if there is none.
 */
export function withClaimed(record: MirrorRecord, address: MirrorAddress, head: MirrorHead | undefined): MirrorRecord {
  const known = findMirror(record.mirrors, address);
  const isThis = head !== undefined && [record.writer, known?.formerWriter].includes(head.writer);
  if (!known || isSameAddress(known, address) || isThis) return withMirror(record, writtenAt(record, address));
  return { ...record, mirrors: [...record.mirrors, newAt(record.mirrors, address)] };
}

/**
 * Throws MirrorTakenError when another data directory writes this mirror, or a copy of this one does, and MirrorError when this one has
 * written it and it is gone. `head`: undefined if there is none.
 */
export function requireWriter(
  address: MirrorAddress,
  head: MirrorHead | undefined,
  record: MirrorRecord | undefined,
): void {
  const { to: place, endpoint } = address;
  const { done, formerWriter } = writtenAt(record, address);
  const mirror = { mirror: place, ...(endpoint === undefined ? {} : { endpoint }) };
  if (head === undefined && done === undefined) return;
  if (head === undefined)
    throw new MirrorError(`The mirror ${place} is gone: it held snapshot ${done?.snapshot} of ${done?.publishedAt}.`, {
      reason: 'gone',
      hint: 'Check `mirror.to` and `mirror.endpoint`, whether the disk of a folder is mounted, and who may have emptied the place. To fill it as a new mirror, run `insights-etl mirror push --take-over`. If it is a former mirror that no longer exists, `insights-etl mirror forget` takes it out of the record.',
      where: mirror,
    });
  const hint =
    'Give this data directory a prefix of its own. If it replaces the other one, for example after `restore`, run `insights-etl mirror push --take-over`: the other one is refused from then on.';
  const where = { ...mirror, writer: head.writer, snapshot: head.snapshot, pushedAt: head.pushedAt };
  if (head.writer === formerWriter)
    throw new MirrorTakenError(`The mirror ${place} was written by an old shard of this lake, before \`reshard\`.`, {
      hint: 'Take it over with `insights-etl mirror push --take-over`: it then shows the snapshot of this data directory.',
      where,
    });
  if (head.writer !== record?.writer)
    throw new MirrorTakenError(`The mirror ${place} belongs to another data directory.`, { hint, where });
  // Of a mirror that no push has gone to for long, only the last push that was completed is still known.
  const own = done === undefined ? record.pushes : [...record.pushes, done];
  if (head.snapshot !== 0 && !own.some((push) => isSameSnapshot(push, head)))
    throw new MirrorTakenError(`The mirror ${place} was written by a copy of this data directory.`, { hint, where });
}
