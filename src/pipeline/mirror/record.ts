/** `mirrored.json`: which mirrors a data directory writes. Written only under the lock of the data directory. */
import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { z } from 'zod';
import { isMissing, writeDurably } from '../../kernel/files.ts';
import type { Files } from '../../kernel/files.ts';
import { parseJson } from '../../kernel/json.ts';
import { writtenBy } from '../../kernel/version.ts';
import type { MirrorRecord } from '../../mirror/head.ts';
import { MIRRORED_FILE } from '../../model/data-dir.ts';

const PUSH = z.object({ snapshot: z.int(), publishedAt: z.string() });
const RECORD = z.object({
  writer: z.string().min(1),
  pushes: z.array(PUSH),
  done: PUSH.extend({ to: z.string() }).optional(),
  purgeDue: z.literal(true).optional(),
});

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

/** What a tenant had in a mirror must not outlive its purge, also if the push after it fails. */
export async function requestPurge(files: Files, dataDir: string): Promise<void> {
  const record = await readRecord(files, dataDir);
  if (record) await writeRecord(files, dataDir, { ...record, purgeDue: true });
}

export function newRecord(): MirrorRecord {
  return { writer: randomUUID(), pushes: [] };
}
