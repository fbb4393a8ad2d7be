/**
 * The manifest and the marts of all shards as those of one lake, for the dashboard: it reads one manifest and one file for each mart.
 * They are written into a folder of the caller. What a worker writes depends on nothing but what the shards have published.
 */
import { mkdir, readdir, readFile, rename, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { ConfigError } from '../kernel/errors.ts';
import { sha256Of, systemFiles, TEMPORARY, writeDurably } from '../kernel/files.ts';
import { sqlName, sqlText } from '../kernel/sql.ts';
import { MANIFEST_FILE, MARTS_FOLDER, martFile } from '../model/data-dir.ts';
import { parseManifest } from '../model/manifest.ts';
import type { Manifest } from '../model/manifest.ts';
import { openExporter, textRows } from './reader.ts';
import { shardsToRead } from './shards.ts';

type Marts = Manifest['marts'];

/** Tries while shards publish: the manifest of a shard is replaced a moment after its catalogue. */
const TRIES = 5;

interface Engine {
  readonly threads: number;
  readonly memoryLimit: string;
}

/** The snapshot that all shards together show: the sum of theirs. Undefined for a lake that is not divided. */
export async function sharedSnapshot(shared: string): Promise<number | undefined> {
  const manifests = await manifestsOf(shared);
  return manifests.length === 0 ? undefined : snapshotOf(manifests);
}

/** Writes the manifest and the marts into `folder`, which is absolute. */
export async function writeUnion(shared: string, folder: string, engine: Engine, signal: AbortSignal): Promise<void> {
  for (let tries = 1; ; tries++) {
    const manifests = await manifestsOf(shared);
    const snapshot = snapshotOf(manifests);
    await using reader = await openExporter(shared, folder, engine, signal);
    const [[shown] = []] = await textRows(reader, 'select snapshot from snapshot');
    if (Number(shown) !== snapshot) {
      if (tries < TRIES) continue;
      throw new ConfigError('A shard was published while the dashboard was being written.', {
        hint: 'Run the command again. The folder still shows what it showed before.',
      });
    }
    const marts: Record<string, Marts[string]> = {};
    for (const name of new Set(manifests.flatMap((manifest) => Object.keys(manifest.marts)))) {
      const of = manifests.flatMap((manifest) => manifest.marts[name] ?? []);
      const [first] = of;
      if (first === undefined) continue;
      const file = martFile(name, snapshot);
      const path = join(folder, file);
      await mkdir(dirname(path), { recursive: true });
      const view = sqlName(`mart_${name}`);
      // A statement that names the view creates it.
      await reader.check(`from ${view}`);
      const rows = await reader.write(
        `copy (from ${view} order by all) to ${sqlText(path + TEMPORARY)} (format parquet, compression zstd, row_group_size 4096)`,
      );
      await rename(path + TEMPORARY, path);
      const days = of.flatMap(({ firstDay, lastDay }) => [firstDay, lastDay]).filter((day) => day !== null);
      const sorted = days.toSorted();
      marts[name] = {
        comment: first.comment,
        file,
        rows,
        bytes: (await stat(path)).size,
        sha256: await sha256Of(path, systemFiles),
        days: of.reduce((sum, mart) => sum + mart.days, 0),
        firstDay: sorted[0] ?? null,
        lastDay: sorted.at(-1) ?? null,
      };
    }
    const manifest = merged(manifests, snapshot, marts);
    return writeDurably(join(folder, MANIFEST_FILE), `${JSON.stringify(manifest)}\n`);
  }
}

/** Deletes the marts of an earlier snapshot. */
export async function removeUnion(folder: string, snapshot: number): Promise<void> {
  const marts = join(folder, MARTS_FOLDER);
  for (const mart of await readdir(marts).catch(() => []))
    await rm(join(folder, martFile(mart, snapshot)), { force: true });
}

async function manifestsOf(shared: string): Promise<readonly Manifest[]> {
  const shards = await shardsToRead(shared);
  return Promise.all(
    shards.map(async (shard) => parseManifest(await readFile(join(shard.dataDir, MANIFEST_FILE), 'utf8'))),
  );
}

function snapshotOf(manifests: readonly Manifest[]): number {
  return manifests.reduce((sum, { snapshot }) => sum + snapshot, 0);
}

function merged(manifests: readonly Manifest[], snapshot: number, marts: Marts): Manifest {
  const [latest] = manifests.toSorted((a, b) => (a.publishedAt < b.publishedAt ? 1 : -1));
  if (latest === undefined) throw new RangeError('no manifest');
  const tables: Record<string, Manifest['tables'][string]> = {};
  for (const [name, table] of Object.entries(latest.tables)) {
    const tenants = manifests.flatMap((manifest) => Object.entries(manifest.tables[name]?.tenants ?? {}));
    tables[name] = { ...table, tenants: Object.fromEntries(tenants) };
  }
  return { ...latest, snapshot, tables, marts };
}
