/** `schedule.json`: the last completed slot of each table, and this installation's share of the jitter. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { writeDurably } from '../kernel/files.ts';
import type { Files } from '../kernel/files.ts';
import { parseJson } from '../kernel/json.ts';
import { SCHEDULE_FILE } from '../model/data-dir.ts';
import { writtenBy } from '../kernel/version.ts';

export interface SlotRecord {
  /** Milliseconds since 1970, by the key of a table. */
  readonly slots: ReadonlyMap<string, number>;
  /** In [0, 1), drawn once so that a restart does not move the slots. Undefined before the first start. */
  readonly share: number | undefined;
  /** One slot for all tables, as an earlier version recorded it. */
  readonly common: number | undefined;
}

const instant = z
  .string()
  .transform((text) => Date.parse(text))
  .refine((ms) => !Number.isNaN(ms));

const recordSchema = z.object({
  share: z.number().min(0).lt(1).optional(),
  lastSlot: instant.optional(),
  slots: z.record(z.string(), instant).default({}),
});

/** An invalid record counts as empty. At worst that costs one extra run. */
export async function readSlots(dataDir: string): Promise<SlotRecord> {
  const text = await readFile(join(dataDir, SCHEDULE_FILE), 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return '{}';
    throw error;
  });
  const parsed = recordSchema.safeParse(parseJson(text));
  const { slots, share, lastSlot } = parsed.success
    ? parsed.data
    : { slots: {}, share: undefined, lastSlot: undefined };
  return { slots: new Map(Object.entries(slots)), share, common: lastSlot };
}

export async function writeSlots(
  dataDir: string,
  slots: ReadonlyMap<string, number>,
  share: number,
  files?: Files,
): Promise<void> {
  const named = Object.fromEntries([...slots].map(([key, ms]) => [key, new Date(ms).toISOString()]));
  await writeDurably(
    join(dataDir, SCHEDULE_FILE),
    `${JSON.stringify({ version: 1, ...writtenBy(), share, slots: named })}\n`,
    files,
  );
}
