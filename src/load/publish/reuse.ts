/**
 * Most of a catalogue is the same at every publish: the shared views and macros, and the typed views as long as no new type
 * or path appears. DuckDB parses and binds every view that is created, which takes longer than the rest of a publish. So
 * database files that hold these views are kept, and a new catalogue starts as a copy of one: small files in the memory of
 * the process, and a file with many views in the data directory, where the next run finds it.
 *
 * A kept file holds definitions and no rows, so nothing from an older snapshot can remain in a newer catalogue.
 */
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { commitFile, isMissing } from '../../kernel/files.ts';
import { sqlName, sqlText } from '../../kernel/sql.ts';
import { DEFINITIONS_FOLDER, unfinishedPath } from '../../model/data-dir.ts';
import { asText } from '../ledger/cells.ts';
import type { Ledger } from '../ledger/ledger.ts';
import { BULK_SQL } from '../ledger/sql.ts';

/** Statements whose effect depends only on themselves and on the layers before them. */
export type Layer = readonly (string | Derived)[];

/** Statements that are made from what the catalogue holds when their turn comes. */
interface Derived {
  /** All else that they depend on. */
  readonly from: unknown;
  readonly statements: () => Promise<readonly string[]>;
}

/** A view of the schema `main` that reads only what the first layer holds. */
export interface View {
  readonly name: string;
  /** Creates the view with its comments. */
  readonly statements: string;
}

/** Characters; the views of a shorter layer are created faster than a file is copied. */
const SHORTEST_KEPT = 10_000;

/** Characters, about a hundred views of ten columns; longer layers are kept in the data directory. */
const LONGEST_IN_MEMORY = 250_000;

/** Bounds the memory of the kept files. */
const MOST_KEPT = { files: 3, digests: 20 } as const;

/** Database files by the digest of their layers, the most recently used last. */
const keptFiles = new Map<string, Uint8Array>();

/** Digests of layers that were built once, the oldest first. */
const seenDigests = new Map<string, 'once'>();

/**
 * Creates the database file `path` with the shared layer, the views and what `work` adds, attached as `catalogue` in the
 * meantime. The file is complete on return; the caller renames it. `work` may be repeated.
 */
export async function buildCatalogue(
  ledger: Ledger,
  path: string,
  shared: Layer,
  views: readonly View[],
  work: () => Promise<void>,
): Promise<void> {
  const all = statementsOf(views);
  const isLong = lengthOf([...shared, ...all]) > LONGEST_IN_MEMORY;
  if (isLong) await buildLong(ledger, path, shared, views, work);
  else await buildShort(ledger, path, [shared, [all.join(';\n')]], work);
}

function statementsOf(views: readonly View[]): string[] {
  return ['use catalogue.main', ...views.map(({ statements }) => statements)];
}

/** In a file in the data directory: the digest of each view and, without a name, of the shared layer. */
const KEPT_VIEWS = 'kept_views';

/** Copying definitions binds nothing and takes a twentieth of the time that creating them takes. */
const COPY: Layer = [`copy from database definitions to catalogue (schema);\ndrop table catalogue.main.${KEPT_VIEWS}`];

/** Starts from the file in the data directory. If a view has changed, that file is written first. */
async function buildLong(
  ledger: Ledger,
  path: string,
  shared: Layer,
  views: readonly View[],
  work: () => Promise<void>,
): Promise<void> {
  const { files, dataDir } = ledger;
  const folder = join(dataDir, DEFINITIONS_FOLDER);
  const name = `${digestOf([shared, views])}.duckdb`;
  const kept = join(folder, name);
  const startFromKept = async (): Promise<void> => {
    await files.rm(path, { force: true });
    await withDefinitions(ledger, kept, () => inCatalogue(ledger, path, [COPY], work));
  };
  if (existsSync(kept) && (await succeeds(startFromKept))) return;
  await files.mkdir(folder, { recursive: true, mode: 0o700 });
  const temporary = unfinishedPath(dataDir, name);
  const digests = new Map([['', digestOf(shared)], ...views.map((view) => [view.name, digestOf(view)] as const)]);
  const record = async (): Promise<void> => {
    await ledger.run(
      `create table catalogue.main.${KEPT_VIEWS} as
       select r[1] as name, r[2] as digest from ${BULK_SQL}`,
      [JSON.stringify([...digests])],
    );
  };
  const changeOld = async (old: string): Promise<void> => {
    await files.rm(temporary, { force: true });
    await withDefinitions(ledger, join(folder, old), async () => {
      const changes = await changesTo(ledger, digests, views);
      // In one transaction with the copy, so that no block of the new file names a type or key that is gone.
      await inCatalogue(ledger, temporary, [COPY, changes], record);
    });
  };
  const [old] = (await definitionFiles(ledger)).filter((file) => file !== name);
  if (old === undefined || !(await succeeds(() => changeOld(old)))) {
    await files.rm(temporary, { force: true });
    await inCatalogue(ledger, temporary, [shared, statementsOf(views)], record);
  }
  await dropDefinitions(ledger);
  await commitFile(temporary, kept, files);
  await startFromKept();
}

/** Runs `work` while a kept file is attached as `definitions`. */
async function withDefinitions(ledger: Ledger, file: string, work: () => Promise<void>): Promise<void> {
  await ledger.run(`attach ${sqlText(file)} as definitions (read_only)`);
  try {
    await work();
  } finally {
    await ledger.run('detach definitions');
  }
}

/**
 * The statements that lead from the attached kept file to these views. Throws if that file does not say what it holds, or if its
 * shared layer differs.
 */
async function changesTo(
  ledger: Ledger,
  digests: ReadonlyMap<string, string>,
  views: readonly View[],
): Promise<string[]> {
  const rows = await ledger.rows(`select name, digest from definitions.main.${KEPT_VIEWS}`, {
    name: asText,
    digest: asText,
  });
  const kept = new Map(rows.map(({ name, digest }) => [name, digest]));
  if (kept.get('') !== digests.get('')) throw new Error('the shared definitions have changed');
  const differs = (name: string): boolean => kept.get(name) !== digests.get(name);
  const dropped = [...kept.keys()].filter(differs).map((name) => `drop view catalogue.main.${sqlName(name)}`);
  return [...dropped, ...statementsOf(views.filter(({ name }) => differs(name)))];
}

/** False if it fails: the kept file may be damaged. If something else is wrong, that fails again with a new one. */
async function succeeds(work: () => Promise<void>): Promise<boolean> {
  return work().then(
    () => true,
    () => false,
  );
}

/** Deletes the file in the data directory: it names types and keys that the lake may no longer hold. */
async function dropDefinitions(ledger: Ledger): Promise<void> {
  const folder = join(ledger.dataDir, DEFINITIONS_FOLDER);
  for (const name of await definitionFiles(ledger)) await ledger.files.rm(join(folder, name), { force: true });
}

async function definitionFiles({ files, dataDir }: Ledger): Promise<readonly string[]> {
  return files.readdir(join(dataDir, DEFINITIONS_FOLDER)).catch((error: unknown) => {
    if (isMissing(error)) return [];
    throw error;
  });
}

async function buildShort(
  ledger: Ledger,
  path: string,
  layers: readonly Layer[],
  work: () => Promise<void>,
): Promise<void> {
  await dropDefinitions(ledger);
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
  remember(keptFiles, digest, file, MOST_KEPT.files);
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
  return lengthOf(layer) >= SHORTEST_KEPT;
}

function lengthOf(layer: Layer): number {
  return layer.reduce((length, step) => length + (typeof step === 'string' ? step.length : 0), 0);
}

function digestOf(definitions: unknown): string {
  return createHash('sha256').update(JSON.stringify(definitions)).digest('hex');
}
