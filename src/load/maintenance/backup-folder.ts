/** What a backup is on disk: a snapshot with its manifest, or a folder of dated snapshots. Read by `backup`, its check and `restore`. */
import { join } from 'node:path';
import { DuckDBInstance } from '@duckdb/node-api';
import { ConfigError, DamagedError } from '../../kernel/errors.ts';
import { isMissing, pathExists, sha256Of } from '../../kernel/files.ts';
import type { Files } from '../../kernel/files.ts';
import { plural } from '../../kernel/plural.ts';
import { sqlText } from '../../kernel/sql.ts';
import { CATALOGUE_FILE, LEDGER_FILE, MANIFEST_FILE } from '../../model/data-dir.ts';
import { isMartFile, parseGenerationFile } from '../../model/data-path.ts';
import { manifestPartitions, parseManifest } from '../../model/manifest.ts';
import type { Manifest, ManifestPartition } from '../../model/manifest.ts';
import { asCount, asText, readRow } from '../ledger/cells.ts';
import type { RowOf, Shape } from '../ledger/cells.ts';

export type StoredFile = Pick<ManifestPartition, 'file' | 'bytes' | 'sha256'>;

export interface Snapshot {
  readonly number: number;
  readonly publishedAt: string;
  readonly run: string;
  readonly json: string;
  readonly partitions: readonly StoredFile[];
  /** The partitions and the marts. */
  readonly files: readonly StoredFile[];
}

/** Ending of the folder of a dated snapshot that is not complete. */
export const UNFINISHED = '.unfinished';

/** `2026-11-29T00-08-05Z`: sorts by time, and is a file name everywhere. */
export function datedName(nowMs: number): string {
  return `${new Date(nowMs).toISOString().slice(0, 19).replaceAll(':', '-')}Z`;
}

/** The names of the dated snapshots in a folder, the oldest first. */
export async function datedSnapshots(files: Files, folder: string): Promise<string[]> {
  try {
    return (await files.readdir(folder)).filter((name) => /^\d{4}-\d\d-\d\dT\d\d-\d\d-\d\dZ$/.test(name)).toSorted();
  } catch (error) {
    if (isMissing(error)) return [];
    throw error;
  }
}

/** Throws ConfigError if a folder holds backups with a date and one without is to be added (`isDated`: the other way round), or both. */
export async function requireOneKind(files: Files, folder: string, isDated: boolean): Promise<void> {
  const dated = await datedSnapshots(files, folder);
  const where = { folder };
  if (await pathExists(join(folder, MANIFEST_FILE), files)) {
    if (dated.length > 0) throw twoKinds(folder, dated);
    if (isDated)
      throw new ConfigError('The folder holds a backup without a date.', {
        hint: 'Give --keep a folder of its own.',
        where,
      });
  } else if (dated.length > 0 && !isDated)
    throw new ConfigError(`The folder holds ${plural(dated.length, 'dated snapshot')}.`, {
      hint: 'Add --keep with the number of snapshots to keep, or name another folder.',
      where,
    });
}

function twoKinds(folder: string, dated: readonly string[]): ConfigError {
  return new ConfigError(`The folder holds a backup without a date and ${plural(dated.length, 'dated snapshot')}.`, {
    hint: `Move ${dated.length === 1 ? `the folder ${dated[0] ?? ''}` : `the folders ${dated[0] ?? ''} to ${dated.at(-1) ?? ''}`} into a new folder, and name that one from now on. This folder then holds the backup without a date only.`,
    where: { folder },
  });
}

/** The folders of the snapshots that a backup holds, the oldest first. Throws ConfigError when it holds none, or a backup without a date, too. */
export async function snapshotFolders(files: Files, folder: string): Promise<string[]> {
  const dated = await datedSnapshots(files, folder);
  if (await pathExists(join(folder, MANIFEST_FILE), files)) {
    if (dated.length > 0) throw twoKinds(folder, dated);
    return [folder];
  }
  if (dated.length > 0) return dated.map((name) => join(folder, name));
  throw new ConfigError('There is no backup in this folder.', {
    hint: 'Name the folder that `insights-etl backup` wrote: it has a manifest.json, or dated snapshots.',
    where: { folder },
  });
}

/** Throws DamagedError when the manifest cannot be read. */
export async function readSnapshot(files: Files, dataDir: string): Promise<Snapshot> {
  const path = join(dataDir, MANIFEST_FILE);
  return parseSnapshot((await files.readFile(path)).toString('utf8'), path);
}

/** `place`: where the text is from. Throws DamagedError when it is no manifest. */
export function parseSnapshot(json: string, place: string): Snapshot {
  let manifest: Manifest;
  try {
    manifest = parseManifest(json);
  } catch (error) {
    throw new DamagedError('The manifest cannot be read', {
      hint: 'Run `insights-etl publish`: it writes the manifest again. In a backup, use another snapshot.',
      where: { file: place },
      cause: error,
    });
  }
  const partitions = manifestPartitions(manifest);
  const stored = [...partitions, ...Object.values(manifest.marts)];
  const stray = stored.find(({ file }) => parseGenerationFile(file) === undefined && !isMartFile(file));
  if (stray) throw new DamagedError('The manifest names a file outside of the store', { where: { file: stray.file } });
  const { snapshot: number, publishedAt, run } = manifest;
  return { number, publishedAt, run, json, partitions, files: stored };
}

export type StoredFault = 'missing' | 'size' | 'sha256' | 'unreadable';

/** How a file differs from what the manifest says; undefined if it does not. */
export async function storedFault(
  files: Files,
  folder: string,
  { file, bytes, sha256 }: StoredFile,
): Promise<StoredFault | undefined> {
  const path = join(folder, file);
  try {
    if ((await files.stat(path)).size !== bytes) return 'size';
    return (await sha256Of(path, files)) === sha256 ? undefined : 'sha256';
  } catch (error) {
    if (isMissing(error)) return 'missing';
    if (error instanceof Error && 'code' in error && error.code === 'EIO') return 'unreadable';
    throw error;
  }
}

/** The snapshot that a catalogue shows; undefined when it cannot be read. */
export async function catalogueSnapshot(path: string): Promise<number | undefined> {
  try {
    const [row] = await rowsOfDatabase(path, 'select snapshot from snapshot', { snapshot: asCount });
    return row?.snapshot;
  } catch {
    return undefined;
  }
}

/** True if a ledger can be read as a whole and knows exactly the files of the snapshot. */
export async function ledgerAgrees(folder: string, { partitions }: Snapshot): Promise<boolean> {
  const path = join(folder, LEDGER_FILE);
  try {
    const tables = await rowsOfDatabase(path, 'select table_name as name from duckdb_tables() where not internal', {
      name: asText,
    });
    for (const { name } of tables)
      await rowsOfDatabase(path, `select bit_xor(hash(whole)) as read from "${name}" as whole`, {});
    const known = await rowsOfDatabase(path, 'select file, sha256 from partitions where superseded_at is null', {
      file: asText,
      sha256: asText,
    });
    const checksums = new Map(known.map(({ file, sha256 }) => [file, sha256]));
    return known.length === partitions.length && partitions.every(({ file, sha256 }) => checksums.get(file) === sha256);
  } catch {
    return false;
  }
}

export async function hasLedger(files: Files, folder: string): Promise<boolean> {
  return pathExists(join(folder, LEDGER_FILE), files);
}

export async function hasCatalogue(files: Files, folder: string): Promise<boolean> {
  return pathExists(join(folder, CATALOGUE_FILE), files);
}

/** From memory, with the database attached read-only: a backup may lie on a read-only disk. */
async function rowsOfDatabase<S extends Shape>(path: string, sql: string, shape: S): Promise<RowOf<S>[]> {
  const instance = await DuckDBInstance.create(':memory:', { threads: '1' });
  const connection = await instance.connect();
  try {
    await connection.run(`attach ${sqlText(path)} as checked (read_only)`);
    await connection.run('use checked');
    return (await connection.runAndReadAll(sql)).getRowObjectsJson().map((row) => readRow(shape, row));
  } finally {
    connection.closeSync();
    instance.closeSync();
  }
}
