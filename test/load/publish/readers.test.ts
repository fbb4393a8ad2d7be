/** Invariant 5, with a reader in a process of its own, while merges publish: each read is the content of one snapshot. */
import { spawn } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { z } from 'zod';
import { text } from '../../support/cells.ts';
import { publish } from '../../../src/load/publish/publish.ts';
import { contentSql, filesOf } from '../../bench/reader.mjs';
import { event, load, metric, scratchLake, span } from '../support/lake.ts';
import type { Scratch } from '../support/lake.ts';
import { LONG } from '../../support/campaign.ts';

const READER = fileURLToPath(new URL('../../bench/reader.mjs', import.meta.url));
const ALL = span('2026-06-30T00:00:00Z', '2026-07-02T00:00:00Z');

const contentsSchema = z.strictObject({ events: z.string(), logs: z.string(), metrics: z.string() });
const readSchema = z.strictObject({
  kind: z.enum(['catalogue', 'manifest']),
  snapshot: z.int(),
  /** Rows in the snapshot's files according to the catalogue. */
  counted: z.string().optional(),
  contents: contentsSchema,
});
type Contents = z.output<typeof contentsSchema>;
type Read = z.output<typeof readSchema>;

/** Repeatedly reads the catalogue and then the files of the manifest. */
function startReader(dir: string) {
  const child = spawn(process.execPath, [READER, 'catalogue,manifest', dir], { stdio: ['pipe', 'pipe', 'inherit'] });
  const lines: string[] = [];
  const ended = new Promise((resolve) => child.once('close', resolve));
  const output = createInterface({ input: child.stdout }).on('line', (line) => lines.push(line));
  return {
    lines,
    next: () => new Promise((resolve) => output.once('line', resolve)),
    async stop(): Promise<void> {
      child.stdin.end();
      await ended;
    },
  };
}

/** Snapshot `n`: other rows in both periods of events, the same number in one of metrics, and in every second one none in the other. */
async function publishNext(lake: Scratch, n: number): Promise<[number, Contents]> {
  const times = ['2026-06-30', '2026-07-01'].flatMap((day) => Array.from({ length: 20 + n }, (_, k) => `${day}T1${k % 9}:00:00Z`)); // oxfmt-ignore
  const events = times.map((time, k) => event(`e${n % 2}-${k}`, time, { properties: `{"n":${n}}` }));
  const metrics = times.slice(n % 2 === 0 ? 20 + n : 0).map((time, k) => metric(`m${k}`, time, String(n)));
  await load(lake, ALL, events);
  await load(lake, ALL, metrics, { table: 'Metrics' });
  const { snapshot } = await publish(lake.ledger, { run: `run-${n}`, head: true });
  // Nothing is being merged now, so the files of the manifest are this snapshot.
  const manifest: unknown = JSON.parse(await readFile(join(lake.dir, 'manifest.json'), 'utf8'));
  const held = async (table: 'events' | 'metrics'): Promise<string> => {
    const [row] = await lake.ledger.rawRows(contentSql(table, filesOf(manifest, lake.dir, table) ?? ''));
    return text(row ?? {}, 'content') ?? '';
  };
  const contents = { events: await held('events'), logs: '0 0 0', metrics: await held('metrics') };
  expect([rowsOf(contents.events), rowsOf(contents.metrics)]).toEqual([events.length, metrics.length]);
  return [snapshot, contents];
}

/** Throws for a line that is not a complete read, for example an error. */
function readsOf(lines: readonly string[]): Read[] {
  return lines.map((line) => {
    const { success, data } = readSchema.safeParse(JSON.parse(line));
    if (!success) throw new Error(`no whole read: ${line}`);
    return data;
  });
}

/** The number of snapshots that the reader has seen in the catalogue or in the manifest; the smaller of the two. */
function leastSeen(reads: readonly Read[]): number {
  const seen = { catalogue: new Set(), manifest: new Set() };
  for (const { kind, snapshot } of reads) seen[kind].add(snapshot);
  return Math.min(seen.catalogue.size, seen.manifest.size);
}

const rowsOf = (content: string): number => Number(content.split(' ')[0]);

test(
  'catalogue and manifest always show exactly one complete snapshot while newer ones are published',
  LONG,
  async () => {
    // Each snapshot replaces the rows of the one before, so the guard against mass loss is off.
    await using lake = await scratchLake({ threads: 1, deletes: { maxShare: 1, minRows: 1 } });
    const truths = new Map([await publishNext(lake, 1)]);
    const reader = startReader(lake.dir);
    try {
      await reader.next();
      // However fast or slow this machine is, there are reads between, before and during publishes.
      for (let n = 2; n <= 4 || leastSeen(readsOf(reader.lines)) < 4; n++) {
        const [snapshot, contents] = await publishNext(lake, n);
        truths.set(snapshot, contents);
      }
    } finally {
      await reader.stop();
    }
    const reads = readsOf(reader.lines);
    expect(leastSeen(reads)).toBeGreaterThanOrEqual(4);
    for (const { kind, snapshot, contents, counted } of reads) {
      const truth = truths.get(snapshot);
      const rows = rowsOf(contents.events) + rowsOf(contents.metrics);
      const expectedCount = kind === 'catalogue' ? String(rows) : undefined;
      expect({ snapshot, contents, counted }).toEqual({ snapshot, contents: truth, counted: expectedCount });
    }
  },
);
