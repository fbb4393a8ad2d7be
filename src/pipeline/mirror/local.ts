/** What a data directory gives to its mirror, as the inventory (model/data-dir.ts) says. */
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { ConfigError } from '../../kernel/errors.ts';
import { isMissing, pathExists, sha256Of, sizeOf } from '../../kernel/files.ts';
import type { Files } from '../../kernel/files.ts';
import { asCount, asText } from '../../load/ledger/cells.ts';
import type { Ledger } from '../../load/ledger/ledger.ts';
import { copyLedger } from '../../load/maintenance/backup.ts';
import { readSnapshot } from '../../load/maintenance/backup-folder.ts';
import type { Snapshot } from '../../load/maintenance/backup-folder.ts';
import { listDataDir } from '../../load/maintenance/list-data-dir.ts';
import { publishedDigest } from '../../load/publish/publish.ts';
import { isStateObject } from '../../mirror/head.ts';
import type { Wanted } from '../../mirror/plan.ts';
import { CATALOGUE_FILE, DATA_DIR, LEDGER_FILE, MANIFEST_FILE, WORK_FOLDER } from '../../model/data-dir.ts';
import type { MirrorPhase } from '../../model/data-entry.ts';
import { knownFile } from '../../model/data-path.ts';
import { isPageFile } from '../../model/page-file.ts';
import { requireNoRestore } from '../../query/shards.ts';

/** Folder of the dashboard's static files in the mirror. */
const PAGE = 'dashboard';

export interface LocalFile extends Wanted {
  /** Absolute. */
  readonly path: string;
}

/** Throws ConfigError when nothing is published, DamagedError when the manifest cannot be read. */
export async function publishedSnapshot(files: Files, dataDir: string): Promise<Snapshot> {
  if (await pathExists(join(dataDir, MANIFEST_FILE), files)) return readSnapshot(files, dataDir);
  await requireNoRestore(dataDir, () => true);
  throw new ConfigError('Nothing is published in this data directory yet.', {
    hint: 'Run `insights-etl run` first.',
    where: { folder: dataDir },
  });
}

export function dataFiles({ files }: Snapshot, dataDir: string): LocalFile[] {
  return files.map(({ file, bytes, sha256 }) => ({
    name: withSlashes(file),
    bytes,
    sha256,
    path: join(dataDir, file),
  }));
}

/** The files of a phase that no manifest names, in the order of their names. */
export async function filesOf(files: Files, dataDir: string, phase: MirrorPhase): Promise<LocalFile[]> {
  const entries = DATA_DIR.filter(({ mirror }) => mirror === phase);
  if (entries.length === 0) return [];
  const found = await listDataDir(files, dataDir, entries);
  const names = found.flatMap(({ path, entry, isUnfinished }) => (entry && !isUnfinished ? [path] : []));
  return Promise.all(names.toSorted().map((path) => describe(files, withSlashes(path), join(dataDir, path))));
}

/** The manifest, the catalogue and a copy of the ledger. Call it under the lock of the data directory, after `requirePublished`. */
export async function stateFiles(ledger: Ledger): Promise<LocalFile[]> {
  const { files, dataDir } = ledger;
  const folder = scratchFolder(dataDir);
  await files.mkdir(folder, { recursive: true });
  const copy = join(folder, LEDGER_FILE);
  await files.rm(copy, { force: true });
  await copyLedger(ledger, copy);
  const kept = [MANIFEST_FILE, CATALOGUE_FILE].map((name) => [name, join(dataDir, name)] as const);
  return Promise.all([...kept, [LEDGER_FILE, copy] as const].map(([name, path]) => describe(files, name, path)));
}

/** Where the copy of the ledger lies while it is uploaded. */
export function scratchFolder(dataDir: string): string {
  return join(dataDir, WORK_FOLDER, 'mirror');
}

/** Throws ConfigError when manifest, catalogue and ledger do not belong together, because a run was killed before it published. */
export async function requirePublished(ledger: Ledger, { number, partitions }: Snapshot): Promise<void> {
  const [last] = await ledger.rows('select snapshot, content from snapshots order by snapshot desc limit 1', {
    snapshot: asCount,
    content: asText,
  });
  const current = await ledger.rows('select file, sha256 from partitions where superseded_at is null', {
    file: asText,
    sha256: asText,
  });
  const checksums = new Map(current.map(({ file, sha256 }) => [file, sha256]));
  const isPublished =
    last?.snapshot === number &&
    last.content.split(' ')[1] === (await publishedDigest(ledger)) &&
    current.length === partitions.length &&
    partitions.every(({ file, sha256 }) => checksums.get(file) === sha256);
  if (isPublished) return;
  throw new ConfigError('The published snapshot is not what the ledger holds.', {
    hint: 'Run `insights-etl publish`, then `insights-etl mirror push`.',
    where: { folder: ledger.dataDir, snapshot: number },
  });
}

/** Files with fixed names, for readers of the mirror: the manifest, the marts, and the dashboard with its manifest last. */
export async function shownFiles(files: Files, dataDir: string, page: string | undefined): Promise<LocalFile[]> {
  const manifest = await describe(files, MANIFEST_FILE, join(dataDir, MANIFEST_FILE));
  return [manifest, ...(await filesOf(files, dataDir, 'shown')), ...(await pageFiles(files, page))];
}

async function pageFiles(files: Files, page: string | undefined): Promise<LocalFile[]> {
  if (page === undefined || !(await pathExists(join(page, MANIFEST_FILE), files))) return [];
  const entries = await files.readdir(page, { recursive: true, withFileTypes: true });
  const paths = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  const all = paths.map((path) => [path, withSlashes(path.slice(page.length + 1))] as const);
  const names = all.filter(([, name]) => isPageFile(name));
  const ordered = names.toSorted(([, a], [, b]) => pageOrder(a) - pageOrder(b) || (a < b ? -1 : 1));
  return Promise.all(ordered.map(([path, name]) => describe(files, `${PAGE}/${name}`, path)));
}

/** A reader who has the page's manifest finds all that it names. */
function pageOrder(name: string): number {
  return ['reports.json', 'index.html', MANIFEST_FILE].indexOf(name);
}

/**
 * True for the names of objects that only a mirror writes. `hasPage`: it has shown a dashboard. Otherwise the one there is somebody
 * else's, such as one that `dashboard build` wrote into the folder of a mirror.
 */
export function isMirrorName(name: string, hasPage: boolean): boolean {
  const known = knownFile(name);
  if (known?.isUnfinished === false && known.entry.mirror !== undefined) return true;
  return isStateObject(name) || (hasPage && isPageObject(name));
}

/** True for an object of a dashboard. Others may lie next to it, such as `robots.txt`. */
export function isPageObject(name: string): boolean {
  return name.startsWith(`${PAGE}/`) && isPageFile(name.slice(PAGE.length + 1));
}

async function describe(files: Files, name: string, path: string): Promise<LocalFile> {
  return { name, path, bytes: (await sizeOf(path, files)) ?? 0, sha256: await sha256Of(path, files) };
}

/** Undefined when the file is gone: a run may remove superseded files while they are uploaded. */
export async function checksumOf(files: Files, path: string): Promise<string | undefined> {
  try {
    return await sha256Of(path, files);
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
}

export function digestOf(text: string | Uint8Array): string {
  return createHash('sha256').update(text).digest('hex');
}

function withSlashes(path: string): string {
  return path.replaceAll('\\', '/');
}
