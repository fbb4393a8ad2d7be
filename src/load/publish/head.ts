/**
 * The head, `lake/`: the current generations as hard links, for readers that glob (Spark, pandas, polars):
 * `lake/<table>/v<number>/tenant_id=…/month=…/<period>.parquet`. New links are first made in the work folder, because some
 * readers open every file that they list, whatever its name; then the table's folder is missing for the milliseconds that it
 * takes to rename them.
 */
import { errorCode } from '../../kernel/errors.ts';
import { existsSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { commitFile, lookAtEach, syncPath } from '../../kernel/files.ts';
import type { Files } from '../../kernel/files.ts';
import { TABLES, TABLE_NAMES } from '../../model/tables.ts';
import { sqlText } from '../../kernel/sql.ts';
import { formerMarts } from '../../query/definitions.ts';
import { COVERAGE_SQL } from '../ledger/coverage.ts';
import { asTable, asText } from '../ledger/cells.ts';
import type { Ledger } from '../ledger/ledger.ts';
import {
  HEAD_COVERAGE_FILE,
  HEAD_COVERAGE_MARK,
  HEAD_FOLDER,
  HEAD_MARTS_FOLDER,
  PUBLISHED_MARTS_SQL,
  unfinishedPath,
  WORK_FOLDER,
} from '../../model/data-dir.ts';
import { provenanceOption } from '../../model/provenance.ts';
import { partitionFolder } from '../../model/partition-path.ts';

/**
 * Makes the head show the ledger's current generations and touches nothing that already does. The folder of a table that
 * changes is named after `snapshot`.
 */
export async function syncHead(ledger: Ledger, snapshot: number): Promise<void> {
  const current = await ledger.rows(
    'select tenant, table_name, period, file from partitions where superseded_at is null',
    { tenant: asText, table_name: asTable, period: asText, file: asText },
  );
  for (const table of TABLE_NAMES) {
    const { lakeName } = TABLES[table];
    const files = current.filter((row) => row.table_name === table);
    const expected = files.map(({ tenant, period, file }): [string, string] => {
      const folder = relative(lakeName, partitionFolder(table, tenant, period));
      return [join(folder, `${period}.parquet`), join(ledger.dataDir, file)];
    });
    await syncTable(ledger, lakeName, new Map(expected), snapshot);
  }
  await syncMarts(ledger);
}

/**
 * Updates one table. Its folder is moved to the work folder, changed, and put back under a new version number. A reader that
 * listed files earlier then fails because they are gone, and never mixes files of two snapshots. If the process is killed in
 * between, the next run empties the work folder and creates the table's folder again.
 *
 * `expected` has the store's file for each name below the version's folder.
 */
async function syncTable(
  ledger: Ledger,
  lakeName: string,
  expected: ReadonlyMap<string, string>,
  snapshot: number,
): Promise<void> {
  const { files, dataDir } = ledger;
  const root = join(dataDir, HEAD_FOLDER, lakeName);
  const versions = existsSync(root) ? await files.readdir(root) : [];
  const number = Math.max(0, ...versions.map(versionNumber));
  const shown = join(root, versionName(number));
  const names = await filesBelow(files, shown);
  const stale = names.map((name) => relative(shown, name)).filter((name) => !expected.has(name));
  const others = await notShown(files, [...expected], (name) => join(shown, name));
  if (others.length === 0 && stale.length === 0 && versions.length <= 1) return;
  const links = await emptyFolder(ledger, `head-${lakeName}-links`);
  const fresh: string[] = [];
  for (const [name, file] of others)
    if (await linkOrCopy(files, file, join(shown, name), join(links, String(fresh.length)))) fresh.push(name);
  if (fresh.length === 0 && stale.length === 0 && versions.length <= 1) return files.rmdir(links);

  const aside = join(dataDir, WORK_FOLDER, `head-${lakeName}`);
  const before = join(aside, versionName(number));
  await files.rm(aside, { recursive: true, force: true });
  await files.mkdir(dirname(root), { recursive: true });
  if (existsSync(root)) await files.rename(root, aside);
  for (const [nth, name] of fresh.entries()) {
    await files.mkdir(dirname(join(before, name)), { recursive: true });
    await files.rename(join(links, String(nth)), join(before, name));
  }
  await files.rmdir(links);
  for (const name of stale) await files.rm(join(before, name), { force: true });
  const changed = [...new Set([...fresh, ...stale].map((name) => dirname(name)))];
  for (const folder of changed) await removeIfEmpty(files, join(before, folder));
  for (const other of versions)
    if (other !== versionName(number)) await files.rm(join(aside, other), { recursive: true, force: true });
  const next = versionName(Math.max(snapshot, number + 1));
  if (expected.size > 0) {
    await files.rename(before, join(aside, next));
    await files.rename(aside, root);
    for (const folder of changed)
      if (existsSync(join(root, next, folder))) await syncPath(join(root, next, folder), files);
    await syncPath(root, files);
  } else await files.rm(aside, { recursive: true, force: true });
  await syncPath(dirname(root), files);
}

/** An empty folder below the work folder. */
async function emptyFolder({ files, dataDir }: Ledger, name: string): Promise<string> {
  const folder = join(dataDir, WORK_FOLDER, name);
  await files.rm(folder, { recursive: true, force: true });
  await files.mkdir(folder, { recursive: true });
  return folder;
}

const versionName = (number: number): string => `v${number}`;

/** 0 for any other name, such as the folders of the earlier layout without versions. */
function versionNumber(name: string): number {
  return /^v\d+$/.test(name) ? Number(name.slice(1)) : 0;
}

/** Removes the folder of a month, and that of its tenant, if they have lost their last file. */
async function removeIfEmpty(files: Files, folder: string): Promise<void> {
  for (const level of [folder, dirname(folder)])
    if ((await files.readdir(level)).length === 0) await files.rmdir(level);
}

/** Each mart is one file, so a rename replaces it in one step. */
async function syncMarts(ledger: Ledger): Promise<void> {
  const { files, dataDir } = ledger;
  const root = join(dataDir, HEAD_MARTS_FOLDER);
  const marts = await ledger.rows(`select mart, file from mart_files where ${PUBLISHED_MARTS_SQL}`, {
    mart: asText,
    file: asText,
  });
  const former = await formerMarts();
  const expected = new Map(
    marts.flatMap(({ mart, file }) => {
      const names = [mart, ...[...former.keys()].filter((name) => former.get(name) === mart)];
      return names.map((name) => [join(root, `${name}.parquet`), join(dataDir, file)] as const);
    }),
  );
  let changed = false;
  const link = unfinishedPath(dataDir, HEAD_MARTS_FOLDER);
  for (const [name, file] of await notShown(files, [...expected], (path) => path)) {
    if (!(await linkOrCopy(files, file, name, link))) continue;
    await files.mkdir(root, { recursive: true });
    await files.rename(link, name);
    changed = true;
  }
  for (const name of await filesBelow(files, root)) {
    if (expected.has(name)) continue;
    await files.rm(name, { force: true });
    changed = true;
  }
  if (!changed) return;
  if ((await files.readdir(root)).length === 0) await files.rmdir(root);
  else await syncPath(root, files);
}

/** Writes `lake/coverage.parquet` when the content key next to it is not the snapshot's. */
export async function writeCoverage(ledger: Ledger, content: string): Promise<void> {
  const { files } = ledger;
  const path = join(ledger.dataDir, HEAD_COVERAGE_FILE);
  const mark = join(ledger.dataDir, HEAD_COVERAGE_MARK);
  const written = existsSync(path) && existsSync(mark) ? await files.readFile(mark, 'utf8') : '';
  if (written === content) return;
  await files.mkdir(dirname(path), { recursive: true });
  const temporary = unfinishedPath(ledger.dataDir, HEAD_COVERAGE_FILE);
  await ledger.run(
    `copy (${COVERAGE_SQL}) to ${sqlText(temporary)} (format parquet, compression zstd, ${provenanceOption({ table: 'coverage' })})`,
  );
  await commitFile(temporary, path, files);
  await files.writeFile(mark, content);
}

async function filesBelow(files: Files, folder: string): Promise<string[]> {
  if (!existsSync(folder)) return [];
  const entries = await files.readdir(folder, { recursive: true, withFileTypes: true });
  return entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
}

/** The expected names that are no link to their file. `pathOf`: where a name is. */
async function notShown(
  files: Files,
  expected: readonly (readonly [name: string, file: string])[],
  pathOf: (name: string) => string,
): Promise<(readonly [name: string, file: string])[]> {
  const isShown = await lookAtEach(expected, ([name, file]) => sameFile(files, pathOf(name), file));
  return expected.filter((_, index) => isShown[index] !== true);
}

async function sameFile(files: Files, name: string, file: string): Promise<boolean> {
  if (!existsSync(name)) return false;
  const [shown, original] = await Promise.all([files.stat(name), files.stat(file)]);
  return shown.ino === original.ino && shown.dev === original.dev;
}

/**
 * Makes `temporary`, which is to become `name`, from `file`, to which `name` is no link. False if `name` is a copy of it, as where links
 * are not supported.
 */
async function linkOrCopy(files: Files, file: string, name: string, temporary: string): Promise<boolean> {
  await files.rm(temporary, { force: true });
  try {
    await files.link(file, temporary);
  } catch (error) {
    const code = errorCode(error) ?? '';
    if (!['EXDEV', 'EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'EMLINK'].includes(code)) throw error;
    const { atime, mtime, mtimeMs, size } = await files.stat(file);
    const shown = existsSync(name) ? await files.stat(name) : undefined;
    // A copy made below has the time of its original. The link count excludes files of a lake that was copied as a whole.
    if (shown?.nlink === 1 && shown.size === size && Math.abs(shown.mtimeMs - mtimeMs) < 2) return false;
    await files.copyFile(file, temporary);
    await files.utimes(temporary, atime, mtime);
    await syncPath(temporary, files);
  }
  return true;
}
