/**
 * `lake/`: the current generations as hard links, for readers that glob (Spark, pandas, polars):
 * `lake/<table>/v<number>/tenant_id=…/month=…/<period>.parquet`. All new links are made aside first; then the table is
 * away for the milliseconds that it takes to rename them.
 */
import { existsSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { TEMPORARY, commitFile, syncPath } from '../../kernel/files.ts';
import type { Files } from '../../kernel/files.ts';
import { TABLES } from '../../model/tables.ts';
import { sqlText } from '../../kernel/sql.ts';
import { COVERAGE_SQL } from '../ledger/coverage.ts';
import { tableOf, text } from '../ledger/engine.ts';
import type { Ledger } from '../ledger/ledger.ts';
import {
  HEAD_COVERAGE_FILE,
  HEAD_COVERAGE_MARK,
  HEAD_FOLDER,
  HEAD_MARTS_FOLDER,
  PUBLISHED_MARTS_SQL,
  partitionFolder,
  WORK_FOLDER,
} from '../../model/data-dir.ts';

/**
 * Makes the head show the ledger's current generations; touches nothing that already does. `snapshot` numbers what it
 * shows: the folder of a table that changes gets a new name.
 */
export async function syncHead(ledger: Ledger, snapshot: number): Promise<void> {
  const rows = await ledger.rawRows(
    'select tenant, table_name, period, file from partitions where superseded_at is null',
  );
  const wanted = new Map(Object.values(TABLES).map(({ lakeName }) => [lakeName, new Map<string, string>()]));
  for (const row of rows) {
    const table = tableOf(row);
    const period = text(row, 'period') ?? '';
    const folder = partitionFolder(table, text(row, 'tenant') ?? '', period);
    const name = join(relative(TABLES[table].lakeName, folder), `${period}.parquet`);
    wanted.get(TABLES[table].lakeName)?.set(name, join(ledger.dataDir, text(row, 'file') ?? ''));
  }
  for (const [lakeName, files] of wanted) await syncTable(ledger, lakeName, files, snapshot);
  await syncMarts(ledger);
}

/**
 * One table. Its folder is moved out of the way, changed, and put back with its content under another name: so whoever
 * listed names before or during that finds them gone, which fails loudly, and can never read some files of one snapshot
 * and some of another. Killed in between, the folder is one of those that the next run clears away and makes anew.
 */
async function syncTable(
  ledger: Ledger,
  lakeName: string,
  wanted: ReadonlyMap<string, string>,
  snapshot: number,
): Promise<void> {
  const { files, dataDir } = ledger;
  const root = join(dataDir, HEAD_FOLDER, lakeName);
  const versions = existsSync(root) ? await files.readdir(root) : [];
  const number = Math.max(0, ...versions.map(versionNumber));
  const shown = join(root, versionName(number));
  const names = await filesBelow(files, shown);
  const stale = names.map((name) => relative(shown, name)).filter((name) => !wanted.has(name));
  const fresh: string[] = [];
  for (const [name, file] of wanted) {
    const path = join(shown, name);
    if (await sameFile(files, path, file)) continue;
    await files.mkdir(dirname(path), { recursive: true });
    if (await linkOrCopy(files, file, path)) fresh.push(name);
  }
  if (fresh.length === 0 && stale.length === 0 && versions.length <= 1) return;

  const aside = join(dataDir, WORK_FOLDER, `head-${lakeName}`);
  await files.rm(aside, { recursive: true, force: true });
  await files.mkdir(dirname(aside), { recursive: true });
  await files.rename(root, aside);
  const before = join(aside, versionName(number));
  for (const name of fresh) await files.rename(join(before, `${name}${TEMPORARY}`), join(before, name));
  for (const name of stale) await files.rm(join(before, name), { force: true });
  const changed = [...new Set([...fresh, ...stale].map((name) => dirname(name)))];
  for (const folder of changed) await removeIfEmpty(files, join(before, folder));
  for (const other of versions)
    if (other !== versionName(number)) await files.rm(join(aside, other), { recursive: true, force: true });
  const next = versionName(Math.max(snapshot, number + 1));
  if (wanted.size > 0) {
    await files.rename(before, join(aside, next));
    await files.rename(aside, root);
    for (const folder of changed)
      if (existsSync(join(root, next, folder))) await syncPath(join(root, next, folder), files);
    await syncPath(root, files);
  } else await files.rm(aside, { recursive: true, force: true });
  await syncPath(dirname(root), files);
}

const versionName = (number: number): string => `v${number}`;

/** 0 for a name that stands for no version: what an earlier layout left. */
function versionNumber(name: string): number {
  return /^v\d+$/.test(name) ? Number(name.slice(1)) : 0;
}

/** A month, or a tenant, that lost its last file. */
async function removeIfEmpty(files: Files, folder: string): Promise<void> {
  for (const level of [folder, dirname(folder)])
    if ((await files.readdir(level)).length === 0) await files.rmdir(level);
}

/** Each mart is one file: its name is swapped in one step. */
async function syncMarts(ledger: Ledger): Promise<void> {
  const { files, dataDir } = ledger;
  const root = join(dataDir, HEAD_MARTS_FOLDER);
  const rows = await ledger.rawRows(`select mart, file from mart_files where ${PUBLISHED_MARTS_SQL}`);
  const wanted = new Map(
    rows.map((row) => [join(root, `${text(row, 'mart') ?? ''}.parquet`), join(dataDir, text(row, 'file') ?? '')]),
  );
  let changed = false;
  for (const [name, file] of wanted) {
    if (await sameFile(files, name, file)) continue;
    await files.mkdir(root, { recursive: true });
    if (!(await linkOrCopy(files, file, name))) continue;
    await files.rename(`${name}${TEMPORARY}`, name);
    changed = true;
  }
  for (const name of await filesBelow(files, root)) {
    if (wanted.has(name)) continue;
    await files.rm(name, { force: true });
    changed = true;
  }
  if (!changed) return;
  if ((await files.readdir(root)).length === 0) await files.rmdir(root);
  else await syncPath(root, files);
}

/** `lake/coverage.parquet` and, beside it, the content it was made of: rewritten only when that changed. */
export async function writeCoverage(ledger: Ledger, content: string): Promise<void> {
  const { files } = ledger;
  const path = join(ledger.dataDir, HEAD_COVERAGE_FILE);
  const mark = join(ledger.dataDir, HEAD_COVERAGE_MARK);
  const written = existsSync(path) && existsSync(mark) ? await files.readFile(mark, 'utf8') : '';
  if (written === content) return;
  await files.mkdir(dirname(path), { recursive: true });
  await ledger.run(`copy (${COVERAGE_SQL}) to ${sqlText(`${path}${TEMPORARY}`)} (format parquet, compression zstd)`);
  await commitFile(`${path}${TEMPORARY}`, path, files);
  await files.writeFile(mark, content);
}

async function filesBelow(files: Files, folder: string): Promise<string[]> {
  if (!existsSync(folder)) return [];
  const entries = await files.readdir(folder, { recursive: true, withFileTypes: true });
  return entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
}

async function sameFile(files: Files, name: string, file: string): Promise<boolean> {
  if (!existsSync(name)) return false;
  const [shown, original] = await Promise.all([files.stat(name), files.stat(file)]);
  return shown.ino === original.ino && shown.dev === original.dev;
}

/** Makes the name's new file aside; false where links are not to be had and a copy of that very file stands already. */
async function linkOrCopy(files: Files, file: string, name: string): Promise<boolean> {
  const temporary = `${name}${TEMPORARY}`;
  await files.rm(temporary, { force: true });
  try {
    await files.link(file, temporary);
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : '';
    if (!['EXDEV', 'EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'EMLINK'].includes(code)) throw error;
    const { atime, mtime, mtimeMs, size } = await files.stat(file);
    const shown = existsSync(name) ? await files.stat(name) : undefined;
    // Copies bear their original's time. Only here: in a folder that was copied as a whole, times say nothing.
    if (shown?.nlink === 1 && shown.size === size && Math.abs(shown.mtimeMs - mtimeMs) < 2) return false;
    await files.copyFile(file, temporary);
    await files.utimes(temporary, atime, mtime);
    await syncPath(temporary, files);
  }
  return true;
}
