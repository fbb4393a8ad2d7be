/**
 * The start of a run: what a killed one may have left is put away, so that the data directory is again exactly what
 * the ledger says. Landed files are the extract stage's and are not looked at here.
 */
import { existsSync } from 'node:fs';
import { join, relative } from 'node:path';
import { DamagedError } from '../../kernel/errors.ts';
import { TEMPORARY } from '../../kernel/files.ts';
import type { Files } from '../../kernel/files.ts';
import { TABLE_NAMES } from '../../model/tables.ts';
import type { TableName } from '../../model/tables.ts';
import { count, text } from '../ledger/engine.ts';
import type { Row } from '../ledger/engine.ts';
import type { Ledger } from '../ledger/ledger.ts';
import {
  CATALOGUE_FILE,
  HEAD_FOLDER,
  LEDGER_FILE,
  MANIFEST_FILE,
  STORE_FOLDER,
  WORK_FOLDER,
} from '../../model/data-dir.ts';
import { forgetMarts } from '../marts/marts.ts';
import { ZERO_SQL } from '../ledger/sql.ts';
import { sqlText } from '../../kernel/sql.ts';

/** What runs write at their end beside the lake: a killed one may leave its temporary file. */
const RECORDS = ['last-run.json', 'outcomes.json', 'webhook.json'];

export interface Recovery {
  /** Generations without a ledger entry: their merge never happened. Removed. */
  readonly orphans: number;
  /** Unfinished files. Removed. */
  readonly temporary: number;
  /** Current generations that are gone or have another size: their hours are partial now and will be asked again. */
  readonly lost: number;
}

/**
 * Costs one listing of the store and the head. Throws DamagedError where the store as a whole is gone: a disk that is not
 * mounted must not read as a lake without rows.
 */
export async function recover(ledger: Ledger): Promise<Recovery> {
  return ledger.exclusive(async () => {
    const { files } = ledger;
    let temporary = 0;
    const remove = async (path: string): Promise<void> => {
      await files.rm(path, { force: true });
      temporary += 1;
    };
    const work = join(ledger.dataDir, WORK_FOLDER);
    temporary += (await namesBelow(files, work)).length;
    await files.rm(work, { recursive: true, force: true });
    await files.mkdir(work, { recursive: true });
    for (const name of await namesBelow(files, join(ledger.dataDir, HEAD_FOLDER))) {
      if (name.endsWith(TEMPORARY)) await remove(join(ledger.dataDir, HEAD_FOLDER, name));
    }
    for (const name of [LEDGER_FILE, CATALOGUE_FILE, MANIFEST_FILE, ...RECORDS]) {
      for (const suffix of [TEMPORARY, `${TEMPORARY}.wal`]) {
        const path = join(ledger.dataDir, name + suffix);
        if (existsSync(path)) await remove(path);
      }
    }

    const rows = await ledger.rawRows(
      'select file, bytes, superseded_at is null as current from partitions where removed_at is null',
    );
    const marts = await ledger.rawRows('select file, bytes, superseded_at is null as current from mart_files');
    const known = new Set([...rows, ...marts].map((row) => text(row, 'file') ?? ''));
    let orphans = 0;
    const store = join(ledger.dataDir, STORE_FOLDER);
    if (!existsSync(store) && rows.some((row) => row['current'] === true)) {
      throw new DamagedError(`The ledger knows Parquet files, and their folder ${store} is missing`, {
        hint: 'Mount it or put it back. If it is lost, run `insights-etl repair`, then `insights-etl run`.',
      });
    }
    const present = new Set<string>();
    for (const name of await namesBelow(files, store)) {
      const file = relative(ledger.dataDir, join(store, name));
      if (file.endsWith(TEMPORARY)) await remove(join(store, name));
      else if (known.has(file)) present.add(file);
      else {
        await files.rm(join(store, name), { force: true });
        orphans += 1;
      }
    }

    const lostOf = async (expected: readonly Row[]): Promise<string[]> => {
      const lost: string[] = [];
      for (const row of expected) {
        const file = text(row, 'file') ?? '';
        if (row['current'] !== true) continue;
        const whole = present.has(file) && (await files.stat(join(ledger.dataDir, file))).size === count(row, 'bytes');
        if (!whole) lost.push(file);
      }
      return lost;
    };
    const lost = await lostOf(rows);
    if (lost.length > 0) await dropPartitions(ledger, lost);
    const lostMarts = await lostOf(marts);
    if (lostMarts.length > 0) await forgetMarts(ledger, lostMarts);
    const recovery = { orphans, temporary, lost: lost.length };
    if (orphans + temporary + lost.length > 0)
      ledger.runtime.log.info({ event: 'lake.recovered', ...recovery }, 'put away what an earlier run left');
    return recovery;
  });
}

/**
 * Current generations that cannot be trusted leave the ledger; the lake's part of their hours becomes nothing and the
 * hours partial, so that the next reconcile asks for them. Inside the ledger's exclusive turn.
 */
export async function dropPartitions(ledger: Ledger, files: readonly string[]): Promise<void> {
  const list = files.map(sqlText).join(', ');
  await ledger.transaction(async () => {
    for (const table of TABLE_NAMES) await forgetHours(ledger, table, list);
    await ledger.run(
      `update partitions set superseded_at = ${ledger.nowSql()}, unpublished_at = null where superseded_at is null and file in (${list})`,
    );
  });
}

async function forgetHours(ledger: Ledger, table: TableName, list: string): Promise<void> {
  const spans = `select 1 from partitions
    where table_name = ${sqlText(table)} and file in (${list})
      and partitions.tenant = hours.tenant and hours.hour >= from_ts and hours.hour < to_ts`;
  await ledger.run(
    `update hours set lake = ${ZERO_SQL}, state = 'partial', verified_at = null
     where table_name = ${sqlText(table)} and lake.n > 0 and exists (${spans})`,
  );
}

async function namesBelow(files: Files, folder: string): Promise<string[]> {
  if (!existsSync(folder)) return [];
  const entries = await files.readdir(folder, { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => !entry.isDirectory())
    .map((entry) => relative(folder, join(entry.parentPath, entry.name)));
}
