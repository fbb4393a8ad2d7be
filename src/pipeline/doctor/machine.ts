/** What `doctor` finds out about this machine and the data directory; asks the source nothing. */
import { existsSync } from 'node:fs';
import { link, readdir, rm, stat, statfs, writeFile } from 'node:fs/promises';
import { totalmem } from 'node:os';
import { join } from 'node:path';
import type { Config } from '../../config/config.ts';
import { TEMPORARY } from '../../kernel/files.ts';
import { text } from '../../load/ledger/engine.ts';
import type { Ledger } from '../../load/ledger/ledger.ts';
import { rebuildDue } from '../../load/maintenance/rebuild.ts';
import { WORK_FOLDER } from '../../model/data-dir.ts';
import { LANDING_FOLDER } from '../load-batches.ts';
import type { DoctorCheck } from '../../model/report.ts';

const GIB = 1024 ** 3;
/** Below this a merge of usual size may not find room. */
const LITTLE_DISK = GIB;
const NO_DISK = GIB / 10;

/** `ledger` is open: the lock is ours, and the schema is known. */
export async function* examineMachine(config: Config, ledger: Ledger): AsyncGenerator<DoctorCheck> {
  const [row] = await ledger.exclusive(() => ledger.rawRows('select version() as version'));
  yield {
    name: 'versions',
    ok: true,
    detail: `Node ${process.versions.node}, DuckDB ${text(row ?? {}, 'version') ?? '?'}, ${process.platform} ${process.arch}`,
  };
  yield { name: 'lock', ok: true, detail: `no other process writes to ${ledger.dataDir}` };
  yield await diskCheck(ledger.dataDir);
  yield memoryCheck(config);
  yield await linksCheck(ledger.dataDir);
  yield await permissionsCheck(ledger.dataDir);
  yield await leftoversCheck(ledger.dataDir);
  yield await rebuildCheck(ledger);
}

async function rebuildCheck(ledger: Ledger): Promise<DoctorCheck> {
  const files = (await rebuildDue(ledger)).reduce((sum, table) => sum + table.files, 0);
  if (files === 0)
    return { name: 'rebuild', ok: true, detail: 'every file is under the promoted columns and privacy rules of today' };
  return {
    name: 'rebuild',
    ok: true,
    detail: `${files} files are under other promoted columns or privacy rules than today's`,
    hint: 'Run `insights-etl rebuild`: it writes them anew and asks the source nothing.',
  };
}

async function diskCheck(dataDir: string): Promise<DoctorCheck> {
  const { bavail, bsize } = await statfs(dataDir);
  const free = bavail * bsize;
  const detail = `${(free / GIB).toFixed(1)} GiB free`;
  if (free >= LITTLE_DISK) return { name: 'disk', ok: true, detail };
  return { name: 'disk', ok: free >= NO_DISK, detail, hint: 'Make room, or set dataDir to a larger disk.' };
}

function memoryCheck({ engine }: Config): DoctorCheck {
  const has = totalmem();
  const detail = `${engine.memoryLimit} for the engine, ${(has / GIB).toFixed(1)} GiB in this machine, ${engine.threads} threads`;
  if (bytesOf(engine.memoryLimit) < has * 0.8) return { name: 'memory', ok: true, detail };
  return { name: 'memory', ok: true, detail, hint: 'Lower engine.memoryLimit: beyond it the engine spills to disk.' };
}

function bytesOf(size: string): number {
  const match = /^([\d.]+)\s?([KMGT])(i?)B$/.exec(size);
  if (!match) return 0;
  const power = 'KMGT'.indexOf(match[2] ?? '') + 1;
  return Number(match[1]) * (match[3] === 'i' ? 1024 : 1000) ** power;
}

async function linksCheck(dataDir: string): Promise<DoctorCheck> {
  const file = join(dataDir, WORK_FOLDER, 'doctor');
  try {
    await writeFile(file, '');
    await link(file, `${file}.link`);
    return { name: 'hard links', ok: true, detail: 'lake/ costs no space' };
  } catch {
    return {
      name: 'hard links',
      ok: true,
      detail: 'this file system has none: lake/ holds copies, and the lake takes twice the space',
      hint: 'Set dataDir to a local disk, if that is too much.',
    };
  } finally {
    for (const path of [file, `${file}.link`]) await rm(path, { force: true });
  }
}

async function permissionsCheck(dataDir: string): Promise<DoctorCheck> {
  const { mode } = await stat(dataDir);
  const open = (mode & 0o077) !== 0 && process.platform !== 'win32';
  const detail = `mode ${(mode & 0o777).toString(8)}`;
  if (!open) return { name: 'permissions', ok: true, detail: `${detail}: for its owner alone` };
  return {
    name: 'permissions',
    ok: true,
    detail,
    hint: `chmod 700 ${dataDir}, unless others are meant to read it: rows may hold personal data.`,
  };
}

/** Said, not removed: the next run does that, and loads what is landed. */
async function leftoversCheck(dataDir: string): Promise<DoctorCheck> {
  const names = (await readdir(dataDir, { recursive: true })).filter((name) => !name.startsWith(WORK_FOLDER));
  const temporary = names.filter((name) => name.endsWith(TEMPORARY)).length;
  const landing = join(dataDir, LANDING_FOLDER);
  const landed = existsSync(landing)
    ? (await readdir(landing, { recursive: true, withFileTypes: true })).filter((entry) => entry.isFile()).length
    : 0;
  if (temporary + landed === 0) return { name: 'leftovers', ok: true, detail: 'none' };
  return {
    name: 'leftovers',
    ok: true,
    detail: `${temporary} unfinished files, ${landed} files of answers that are not merged`,
    hint: 'Nothing to do: the next run puts the first away and loads the others.',
  };
}
