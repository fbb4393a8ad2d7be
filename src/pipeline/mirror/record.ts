/** `mirrored.json`: which mirrors a data directory writes. Written only under the lock of the data directory. */
import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { z } from 'zod';
import type { Config } from '../../config/config.ts';
import { isMissing, writeDurably } from '../../kernel/files.ts';
import type { Files } from '../../kernel/files.ts';
import { parseJson } from '../../kernel/json.ts';
import { writtenBy } from '../../kernel/version.ts';
import { withMirror, writtenAt } from '../../mirror/head.ts';
import type { MirrorRecord, WrittenMirror } from '../../mirror/head.ts';
import { MIRRORED_FILE } from '../../model/data-dir.ts';
import { mirrorAddress } from '../../mirror/open.ts';
import { findMirror, isSameAddress } from '../../model/mirror-address.ts';
import type { MirrorAddress } from '../../model/mirror-address.ts';
import { shardFolder } from '../../model/shard.ts';

const PUSH = z.object({ snapshot: z.int(), publishedAt: z.string() });
const TRUE = z.literal(true).optional();
const MIRROR = z.object({
  to: z.string(),
  endpoint: z.string().optional(),
  done: PUSH.optional(),
  purgeDue: TRUE,
  formerWriter: z.string().optional(),
});
const RECORD = z
  .object({
    writer: z.string().min(1),
    pushes: z.array(PUSH),
    mirrors: z.array(MIRROR).optional(),
    // Earlier versions knew one mirror only.
    done: PUSH.extend({ to: z.string() }).optional(),
    purgeDue: TRUE,
  })
  .transform(({ writer, pushes, mirrors, done, purgeDue }): MirrorRecord => {
    if (mirrors || !done) return { writer, pushes, mirrors: mirrors ?? [] };
    const { to, ...push } = done;
    return { writer, pushes, mirrors: [{ to, done: push, purgeDue }] };
  });

export interface FormerMirrors {
  /** Mirrors that were written before `mirror.to` or the endpoint was changed, and still hold what they held. */
  readonly formerMirrors: readonly MirrorAddress[];
  /** Those that shards wrote which `reshard` has replaced. */
  readonly mirrorsOfOldShards: readonly MirrorAddress[];
}

/** Undefined: this data directory has written no mirror, or its record is lost. */
export async function readRecord(files: Files, dataDir: string): Promise<MirrorRecord | undefined> {
  try {
    return RECORD.safeParse(parseJson(await files.readFile(join(dataDir, MIRRORED_FILE), 'utf8'))).data;
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
}

export async function writeRecord(files: Files, dataDir: string, record: MirrorRecord): Promise<void> {
  await writeDurably(
    join(dataDir, MIRRORED_FILE),
    `${JSON.stringify({ ...writtenBy(), ...record }, null, 1)}\n`,
    files,
  );
}

/**
 * What a tenant had in a mirror must not outlive its purge, also if the push after it fails, or goes elsewhere. The mirror of the
 * configuration is one of them before the first push, because a restored lake takes it over.
 */
export async function requestPurge(files: Files, { dataDir, mirror }: Config): Promise<void> {
  const found = await readRecord(files, dataDir);
  if (!found && !mirror) return;
  const record = found ?? newRecord();
  const address = mirror && mirrorAddress(mirror);
  // The endpoint of one that is known is noted by a push, which sees whether it is that mirror.
  const isNew = address !== undefined && findMirror(record.mirrors, address) === undefined;
  const known = isNew ? withMirror(record, writtenAt(record, address)) : record;
  const mirrors = known.mirrors.map((each) => ({ ...each, purgeDue: true as const }));
  await writeRecord(files, dataDir, { ...known, mirrors });
}

/** Mirrors that no push goes to any more, as a configuration would name them. Nothing removes from them what is purged here. */
export async function formerMirrors(
  files: Files,
  { dataDir, mirror, shard }: Pick<Config, 'dataDir' | 'mirror' | 'shard'>,
): Promise<FormerMirrors> {
  const { mirrors = [] } = (await readRecord(files, dataDir)) ?? {};
  const current = mirror && findMirror(mirrors, mirrorAddress(mirror));
  const ofOldShards = mirrors.filter(({ formerWriter }) => formerWriter !== undefined);
  const former = mirrors.filter((each) => each.formerWriter === undefined && each !== current);
  // The configuration names the place that the mirrors of all shards are in.
  const own = shard ? `/${shardFolder('', shard)}` : '';
  const address = ({ to, endpoint }: MirrorAddress): MirrorAddress => ({
    to,
    ...(endpoint === undefined ? {} : { endpoint }),
  });
  return {
    formerMirrors: former.map((each) => {
      const { to } = each;
      return address({ ...each, to: to.endsWith(own) ? to.slice(0, to.length - own.length) : to });
    }),
    mirrorsOfOldShards: ofOldShards.map(address),
  };
}

/** For `reshard`: the mirrors of the old shards keep the tenants of the new one, and no push of the new one goes there. */
export async function inheritMirrors(files: Files, from: readonly string[], dataDir: string): Promise<void> {
  let mirrors: readonly WrittenMirror[] = [];
  for (const folder of from) {
    const old = await readRecord(files, folder);
    for (const { to, endpoint, purgeDue, formerWriter } of old?.mirrors ?? [])
      // Two shards may know of one that an even older shard wrote, and one of them may have taken it over.
      if (formerWriter === undefined || !mirrors.some((known) => isSameAddress(known, { to, endpoint }))) {
        const others = mirrors.filter((known) => !isSameAddress(known, { to, endpoint }));
        mirrors = [...others, { to, endpoint, purgeDue, formerWriter: formerWriter ?? old?.writer }];
      }
  }
  if (mirrors.length > 0) await writeRecord(files, dataDir, { ...newRecord(), mirrors });
}

export function newRecord(): MirrorRecord {
  return { writer: randomUUID(), pushes: [], mirrors: [] };
}
