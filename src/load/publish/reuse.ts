/**
 * Most of a catalogue is the same at every publish: the shared views and macros, and the typed views as long as no new type
 * or path appears. DuckDB parses and binds every view that is created, which takes longer than the rest of a publish. So
 * the process keeps database files that hold these views in memory, and a new catalogue starts as a copy of one.
 *
 * A kept file holds definitions and no rows, so nothing from an older snapshot can remain in a newer catalogue.
 */
import { createHash } from 'node:crypto';
import { sqlName, sqlText } from '../../kernel/sql.ts';
import { asText } from '../ledger/cells.ts';
import type { Ledger } from '../ledger/ledger.ts';

/** Statements whose effect depends only on themselves and on the layers before them. */
export type Layer = readonly (string | Derived)[];

/** Statements that are made from what the catalogue holds when their turn comes. */
interface Derived {
  /** All else that they depend on. */
  readonly from: unknown;
  readonly statements: () => Promise<readonly string[]>;
}

/** Characters; the views of a shorter layer are created faster than a file is copied. */
const SHORTEST_KEPT = 10_000;

/** Bounds the memory of the kept files. */
const MOST_KEPT = { files: 3, bytesPerFile: 16_000_000, digests: 20 } as const;

/** Database files by the digest of their layers, the most recently used last. */
const keptFiles = new Map<string, Uint8Array>();

/** Digests of layers that were built once or are too large to keep, the oldest first. */
const seenDigests = new Map<string, 'once' | 'too large'>();

/**
 * Creates the database file `path` with the layers and what `work` adds, attached as `catalogue` in the meantime. The file is
 * complete on return; the caller renames it.
 */
export async function buildCatalogue(
  ledger: Ledger,
  path: string,
  layers: readonly Layer[],
  work: () => Promise<void>,
): Promise<void> {
  const digests = layers.map((_, nth) => digestOf(layers.slice(0, nth + 1)));
  let built = await copyKept(ledger, path, digests);
  for (const [nth, layer] of layers.entries()) {
    if (nth < built) continue;
    // Only layers that come up again are kept: for a run that publishes once, keeping them costs more than it saves.
    if (seenDigests.get(digests[nth] ?? '') !== 'once') break;
    await inCatalogue(ledger, path, [layer]);
    await keep(ledger, path, digests[nth] ?? '');
    built = nth + 1;
  }
  const missing = layers.slice(built);
  await inCatalogue(ledger, path, missing, work);
  for (const [nth, layer] of missing.entries()) {
    const digest = digests[built + nth] ?? '';
    if (isWorthKeeping(layer) && !seenDigests.has(digest)) remember(seenDigests, digest, 'once', MOST_KEPT.digests);
  }
}

/** Starts from the kept file with the most layers; returns how many it holds. */
async function copyKept(ledger: Ledger, path: string, digests: readonly string[]): Promise<number> {
  const layers = digests.findLastIndex((digest) => keptFiles.has(digest)) + 1;
  for (const [nth, digest] of digests.slice(0, layers).entries()) {
    const file = keptFiles.get(digest);
    if (!file) continue;
    remember(keptFiles, digest, file, MOST_KEPT.files);
    if (nth === layers - 1) await ledger.files.writeFile(path, file);
  }
  return layers;
}

async function keep(ledger: Ledger, path: string, digest: string): Promise<void> {
  const file = await ledger.files.readFile(path);
  if (file.length > MOST_KEPT.bytesPerFile) remember(seenDigests, digest, 'too large', MOST_KEPT.digests);
  else remember(keptFiles, digest, file, MOST_KEPT.files);
}

/** Adds an entry as the newest, and drops the oldest beyond `most`. */
function remember<T>(map: Map<string, T>, key: string, value: T, most: number): void {
  map.delete(key);
  map.set(key, value);
  for (const oldest of [...map.keys()].slice(0, -most)) map.delete(oldest);
}

/**
 * Runs layers and then `work`, which begins with the ledger as the current database, in one transaction of the attached file.
 * There is no write-ahead log: the file is thrown away unless all of this succeeds.
 */
async function inCatalogue(
  ledger: Ledger,
  path: string,
  layers: readonly Layer[],
  work?: () => Promise<void>,
): Promise<void> {
  const { name } = await ledger.row('select current_database() as name', { name: asText });
  const useLedger = `use ${sqlName(name)}`;
  await ledger.run(`attach ${sqlText(path)} as catalogue (recovery_mode no_wal_writes)`);
  try {
    await ledger.run('begin');
    try {
      for (const step of layers.flat())
        for (const sql of typeof step === 'string' ? [step] : await step.statements()) await ledger.run(sql);
      await ledger.run(useLedger);
      await work?.();
      await ledger.run('commit');
    } catch (error) {
      await ledger.run('rollback').catch(() => undefined);
      throw error;
    }
    // Detaching writes the file too, but would not report a failure.
    await ledger.run('checkpoint catalogue');
  } finally {
    await ledger.run(`${useLedger}; detach catalogue`);
  }
}

function isWorthKeeping(layer: Layer): boolean {
  return layer.reduce((length, step) => length + (typeof step === 'string' ? step.length : 0), 0) >= SHORTEST_KEPT;
}

function digestOf(layers: readonly Layer[]): string {
  return createHash('sha256').update(JSON.stringify(layers)).digest('hex');
}
