/**
 * The start of a run: removes what a killed run may have left, so that the data directory is again exactly what the ledger
 * says. Landed files belong to the fetch stage, which removes its own leftovers. Files that the inventory does not declare are
 * never touched.
 */
import { join } from 'node:path';
import { DamagedError } from '../../kernel/errors.ts';
import { lookAtEach, pathExists, sizeOf } from '../../kernel/files.ts';
import type { Files } from '../../kernel/files.ts';
import { TABLE_NAMES } from '../../model/tables.ts';
import type { TableName } from '../../model/tables.ts';
import { asCount, asFlag, asText } from '../ledger/cells.ts';
import type { RowOf } from '../ledger/cells.ts';
import type { Ledger } from '../ledger/ledger.ts';
import { DATA_DIR, STORE_FOLDER, WORK_FOLDER } from '../../model/data-dir.ts';
import { forgetMarts } from '../marts/mart-files.ts';
import { ZERO_SQL } from '../ledger/sql.ts';
import { sqlText, sqlTexts } from '../../kernel/sql.ts';
import { listDataDir } from './list-data-dir.ts';

export interface Recovery {
  /** Files of the store that the ledger does not know: their merge was never recorded. Removed. */
  readonly orphans: number;
  /** Unfinished files and those of the work folder. Removed. */
  readonly temporary: number;
  /** Current generations that are missing or have another size: their hours are partial now and will be fetched again. */
  readonly lost: number;
}

const STORED_FILE = { file: asText, bytes: asCount, current: asFlag };

/**
 * Costs one listing of the store and the head. Throws DamagedError when the whole store is missing: a disk that is not
 * mounted must not be taken for a lake without rows.
 */
export async function recover(ledger: Ledger): Promise<Recovery> {
  return ledger.exclusive(async () => {
    const generations = await ledger.rows(
      'select file, bytes, superseded_at is null as current from partitions where removed_at is null',
      STORED_FILE,
    );
    const marts = await ledger.rows(
      'select file, bytes, superseded_at is null as current from mart_files',
      STORED_FILE,
    );
    const known = new Set([...generations, ...marts].map(({ file }) => file));
    const store = join(ledger.dataDir, STORE_FOLDER);
    if (generations.some(({ current }) => current) && !(await pathExists(store, ledger.files))) {
      throw new DamagedError(`The ledger knows Parquet files, and their folder ${store} is missing`, {
        hint: 'Mount it or put it back. If it is lost, run `insights-etl repair`, then `insights-etl run`.',
      });
    }
    const { orphans, temporary } = await removeLeftovers(ledger, known);
    const lost = await lostFiles(ledger, generations);
    if (lost.length > 0) await dropPartitions(ledger, lost);
    const lostMarts = await lostFiles(ledger, marts);
    if (lostMarts.length > 0) await forgetMarts(ledger, lostMarts);
    const recovery = { orphans, temporary, lost: lost.length };
    if (orphans + temporary + lost.length > 0)
      ledger.runtime.log.info({ event: 'lake.recovered', ...recovery }, 'removed what an earlier run left');
    return recovery;
  });
}

/** Removes what the inventory says that recovery removes. `known` are the files of the store that the ledger lists. */
async function removeLeftovers(
  { files, dataDir }: Ledger,
  known: ReadonlySet<string>,
): Promise<Pick<Recovery, 'orphans' | 'temporary'>> {
  const entries = DATA_DIR.filter(({ recovery }) => recovery !== 'leaves');
  let [orphans, temporary] = [0, 0];
  for (const { path, entry, isUnfinished } of await listDataDir(files, dataDir, entries)) {
    const place = join(dataDir, path);
    if (entry?.recovery === 'deletes') {
      temporary += await countFiles(files, place);
      await files.rm(place, { recursive: true, force: true });
    } else if (entry && isUnfinished) {
      await files.rm(place, { force: true });
      temporary += 1;
    } else if (entry?.recovery === 'compares-with-ledger' && !known.has(path)) {
      await files.rm(place, { force: true });
      orphans += 1;
    }
  }
  await files.mkdir(join(dataDir, WORK_FOLDER), { recursive: true });
  return { orphans, temporary };
}

async function lostFiles(ledger: Ledger, expected: readonly RowOf<typeof STORED_FILE>[]): Promise<string[]> {
  const current = expected.filter((each) => each.current);
  const sizes = await lookAtEach(current, ({ file }) => sizeOf(join(ledger.dataDir, file), ledger.files));
  return current.filter(({ bytes }, index) => sizes[index] !== bytes).map(({ file }) => file);
}

/**
 * Removes current generations that cannot be trusted from the ledger. Their hours then hold no rows of the lake and are
 * partial, so that the next run fetches them again. Inside the ledger's exclusive turn.
 */
export async function dropPartitions(ledger: Ledger, files: readonly string[]): Promise<void> {
  const list = sqlTexts(files);
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

async function countFiles(files: Files, folder: string): Promise<number> {
  const entries = await files.readdir(folder, { recursive: true, withFileTypes: true });
  return entries.filter((entry) => !entry.isDirectory()).length;
}
