/**
 * `lake/`: the current generations under stable names, as hard links, for readers that glob (Spark, pandas, polars).
 * All new links are made aside first and then swapped one after the other, within milliseconds; names that stand for
 * nothing any more go last.
 */
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { TEMPORARY, commitFile, syncPath } from '../files.ts';
import type { Files } from '../files.ts';
import { TABLES } from '../tables.ts';
import { sqlText } from '../transform/lake.ts';
import { COVERAGE_SQL } from './catalogue.ts';
import { tableOf, text } from './engine.ts';
import type { Ledger } from './ledger.ts';
import { HEAD_FOLDER, partitionFolder } from './layout.ts';

/** Makes the head show the ledger's current generations; touches nothing that already does. */
export async function syncHead(ledger: Ledger): Promise<void> {
  const { files } = ledger;
  const head = join(ledger.dataDir, HEAD_FOLDER);
  const rows = await ledger.rows('select tenant, table_name, period, file from partitions where superseded_at is null');
  const wanted = new Map<string, string>();
  for (const row of rows) {
    const period = text(row, 'period') ?? '';
    const folder = partitionFolder(tableOf(row), text(row, 'tenant') ?? '', period);
    wanted.set(join(head, folder, `${period}.parquet`), join(ledger.dataDir, text(row, 'file') ?? ''));
  }
  for (const row of await ledger.rows('select mart, file from mart_files where superseded_at is null'))
    wanted.set(
      join(head, 'marts', `${text(row, 'mart') ?? ''}.parquet`),
      join(ledger.dataDir, text(row, 'file') ?? ''),
    );
  const stale: string[] = [];
  for (const folder of [...Object.values(TABLES).map(({ lakeName }) => lakeName), 'marts']) {
    for (const name of await filesBelow(files, join(head, folder))) if (!wanted.has(name)) stale.push(name);
  }
  const fresh: string[] = [];
  for (const [name, file] of wanted) {
    if (await sameFile(files, name, file)) continue;
    await files.mkdir(dirname(name), { recursive: true });
    if (await linkOrCopy(files, file, name)) fresh.push(name);
  }
  for (const name of fresh) await files.rename(`${name}${TEMPORARY}`, name);
  for (const name of stale) await files.rm(name, { force: true });
  for (const folder of new Set([...fresh, ...stale].map((name) => dirname(name)))) {
    await syncPath(folder, files);
    // A month that lost its last file; fails, as it should, while anything is in it.
    if ((await files.readdir(folder)).length === 0) await files.rmdir(folder);
  }
}

/** `lake/coverage.parquet` and, beside it, the content it was made of: rewritten only when that changed. */
export async function writeCoverage(ledger: Ledger, content: string): Promise<void> {
  const { files } = ledger;
  const path = join(ledger.dataDir, HEAD_FOLDER, 'coverage.parquet');
  const mark = join(ledger.dataDir, HEAD_FOLDER, '.coverage');
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
