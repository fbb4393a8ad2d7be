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
import type { MirrorHead, MirrorRecord, WrittenMirror } from '../../mirror/head.ts';
import { MIRRORED_FILE } from '../../model/data-dir.ts';
import type { FormerMirror, FormerMirrors } from '../../model/former-mirror.ts';
import { mirrorAddress } from '../../mirror/open.ts';
import { findMirror, isSameAddress } from '../../model/mirror-address.ts';
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

type Settings = Pick<Config, 'dataDir' | 'mirror' | 'shard'>;

/** A former mirror as the record has it, and as a configuration would name it. */
export interface RecordedFormer {
  readonly written: WrittenMirror;
  readonly shown: FormerMirror;
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

export async function isPurgeDue(files: Files, dataDir: string): Promise<boolean> {
  return (await readRecord(files, dataDir))?.mirrors.some(({ purgeDue }) => purgeDue) ?? false;
}

/** Nothing removes from them what is purged here. `head`: that of the mirror of the configuration, where it was read. */
export async function formerMirrors(files: Files, settings: Settings, head?: MirrorHead): Promise<FormerMirrors> {
  const record = await readRecord(files, settings.dataDir);
  return record ? shownFormer(formersOf(record, settings, head)) : { formerMirrors: [], mirrorsOfOldShards: [] };
}

/** Those of them where a tenant that was purged may still be, because no push has gone there since. */
export async function duePurges(files: Files, settings: Settings, head?: MirrorHead): Promise<FormerMirrors> {
  const record = await readRecord(files, settings.dataDir);
  const formers = record ? formersOf(record, settings, head) : [];
  return shownFormer(formers.filter(({ written }) => written.purgeDue === true));
}

export function formersOf(record: MirrorRecord, { mirror, shard }: Settings, head?: MirrorHead): RecordedFormer[] {
  const { mirrors, writer } = record;
  const address = mirror && mirrorAddress(mirror);
  const current = address && findMirror(mirrors, address);
  // The endpoint of the configuration may have been changed since one without an endpoint was written. Its head shows whether it was.
  const isCurrent = current && (isSameAddress(current, address) || head?.writer === writer);
  // The configuration names the place that the mirrors of all shards are in.
  const own = shard ? `/${shardFolder('', shard)}` : '';
  return mirrors
    .filter((each) => each.formerWriter !== undefined || each !== current || !isCurrent)
    .map((written) => {
      const { to, endpoint, formerWriter } = written;
      const isOwn = formerWriter === undefined && to.endsWith(own);
      const shown = {
        to: isOwn ? to.slice(0, to.length - own.length) : to,
        ...(endpoint === undefined ? {} : { endpoint }),
        ...(formerWriter === undefined && written === current ? { mayBeConfigured: true as const } : {}),
      };
      return { written, shown };
    });
}

function shownFormer(formers: readonly RecordedFormer[]): FormerMirrors {
  const ofOldShards = formers.filter(({ written }) => written.formerWriter !== undefined);
  return {
    formerMirrors: formers.filter((each) => !ofOldShards.includes(each)).map(({ shown }) => shown),
    mirrorsOfOldShards: ofOldShards.map(({ shown }) => shown),
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
