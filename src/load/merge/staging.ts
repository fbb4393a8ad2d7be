/** A batch's landed pages as temp tables of the engine, judged: what may be loaded, what not, and whose rows these are. */
import { join } from 'node:path';
import { DamagedError, InsightsError, PartError } from '../../kernel/errors.ts';
import type { Batch, LandedPage } from '../../model/page.ts';
import { TABLES } from '../../model/tables.ts';
import type { Table } from '../../model/tables.ts';
import { disarm } from '../../transform/disarm.ts';
import { lakeName } from '../../transform/lake.ts';
import { stageSql } from '../../transform/stage.ts';
import { count, OutOfMemoryError, text } from '../ledger/engine.ts';
import { dropFileFingerprints } from '../store/file-fingerprints.ts';
import { guardsOf } from '../ledger/ledger.ts';
import type { Ledger } from '../ledger/ledger.ts';
import { WORK_FOLDER } from '../../model/data-dir.ts';
import {
  createEmpty,
  createStage,
  dropMergeTables,
  EXCESS_COPIES,
  REPEATED_IDS,
  STAGE,
  STAGED,
} from './merge-tables.ts';
import { profileOf } from '../ledger/profile.ts';
import { contentHashSql, hourNumberSql } from '../ledger/sql.ts';

const LARGE_BYTES = 8 << 20;

export interface Stage {
  /** UTC day number since 1970 → rows staged, copies of an id counted once. */
  readonly days: ReadonlyMap<bigint, number>;
  readonly quarantined: number;
  /** The tenant id to pin with this batch; undefined when one is pinned already or no row carries any. */
  readonly pin: string | undefined;
}

/** Fills STAGE and EXCESS_COPIES; MOVED_OUT is left empty. Throws PartError when a whole page is refused. */
export async function stageBatch(ledger: Ledger, batch: Batch, landed: readonly LandedPage[]): Promise<Stage> {
  const table = TABLES[batch.table];
  const { pinnedTenantId } = await profileOf(ledger, batch.tenant);
  // Reading and sorting a large page is the peak of a backfill: it begins without what earlier work has freed, and what
  // it frees itself is not there when the rows are compared and written.
  const isLarge = landed.reduce((sum, page) => sum + page.bytes, 0) >= LARGE_BYTES;
  if (isLarge) await ledger.release();
  const substitutes = await stagePages(ledger, batch, landed, pinnedTenantId, new Map<string, string>());
  let pin: string | undefined;
  if (pinnedTenantId === undefined) {
    const seen = await ledger.rawRows(
      `select source_tenant_id as id from ${STAGED} where reason is null and source_tenant_id is not null
       group by 1 order by (id = $1) desc, count(*) desc, id`,
      [batch.tenant],
    );
    pin = seen[0] ? text(seen[0], 'id') : undefined;
    if (seen.length > 1) await stagePages(ledger, batch, landed, pin, substitutes);
  }
  const quarantined = await refusePages(ledger, batch, landed, substitutes);
  if (isLarge) await ledger.release();
  return { days: await leaveOutCopies(ledger, table), quarantined, pin };
}

/** Fills EXCESS_COPIES from STAGED. Returns the staged rows by UTC day, copies of an id counted once. */
export async function leaveOutCopies(ledger: Ledger, table: Table): Promise<ReadonlyMap<bigint, number>> {
  const id = lakeName(table, table.id);
  await createEmpty(ledger, REPEATED_IDS);
  await ledger.run(
    `insert into ${REPEATED_IDS}
     select ${hourNumberSql()} as hour, "${id}" as id from ${STAGED} where reason is null group by all having count(*) > 1`,
  );
  const [repeated] = await ledger.rawRows(`select count(*) as n from ${REPEATED_IDS}`);
  // The window function sees only ids that occur twice: over all rows it costs as much as the whole stage.
  if (count(repeated, 'n') > 0) {
    const order = [`"timestamp"`, ...table.columns.map((column) => `"${column.lake}"::varchar`)].join(', ');
    await ledger.run(
      `insert into ${EXCESS_COPIES}
       select row_id, hour, id, date_trunc('minute', moment), date_trunc('minute', kept_moment), content = kept_content
       from (
         select
           staged.rowid as row_id, repeated.hour, repeated.id, "timestamp" as moment, ${contentHashSql(table)} as content,
           row_number() over copies as place,
           first_value("timestamp") over copies as kept_moment,
           first_value(${contentHashSql(table)}) over copies as kept_content
         from ${STAGED} as staged
         join ${REPEATED_IDS} as repeated on "${id}" = repeated.id and ${hourNumberSql()} = repeated.hour
         where reason is null
         window copies as (partition by repeated.hour, repeated.id order by ${order} rows between unbounded preceding and unbounded following)
       )
       where place > 1`,
    );
  }
  const days = await ledger.rawRows(
    `select epoch_us("timestamp") // 86400000000 as day, count(*) as n
     from ${STAGED} where reason is null and rowid not in (select row_id from ${EXCESS_COPIES}) group by 1`,
  );
  return new Map(days.map((row) => [BigInt(text(row, 'day') ?? 0), count(row, 'n')]));
}

/** Frees what a batch staged: memory stays flat over any number of batches. */
export async function dropStage(ledger: Ledger): Promise<void> {
  await dropMergeTables(ledger);
  await dropFileFingerprints(ledger);
  await ledger.release();
}

async function stagePages(
  ledger: Ledger,
  batch: Batch,
  pages: readonly LandedPage[],
  pinned: string | undefined,
  substitutes: ReadonlyMap<string, string>,
): Promise<ReadonlyMap<string, string>> {
  const stage = async (substitutes: ReadonlyMap<string, string>): Promise<void> => {
    const statements = stageSql({
      table: ledger.settings.tables[batch.table],
      pages,
      pinned,
      into: STAGE,
      substitutes,
    });
    await createStage(ledger, ledger.settings.tables[batch.table]);
    for (const sql of statements) await ledger.run(sql);
  };
  try {
    await stage(substitutes);
    return substitutes;
  } catch (error) {
    // The line reader refuses bytes that are not text; any other failure comes again with the copies.
    const isOfText = error instanceof InsightsError && error.failure === 'unexpected' && !(error instanceof OutOfMemoryError); // prettier-ignore
    if (!isOfText || substitutes.size > 0) throw error;
  }
  const copies = new Map<string, string>();
  for (const [index, page] of pages.entries()) {
    const copy = join(ledger.dataDir, WORK_FOLDER, `page-${index}.ndjson`);
    await disarm(page.file, copy);
    copies.set(page.file, copy);
  }
  await stage(copies);
  return copies;
}

/** Counts lines and reasons per page; refuses damaged files and pages that are mostly unusable. Returns bad rows. */
async function refusePages(
  ledger: Ledger,
  batch: Batch,
  landed: readonly LandedPage[],
  substitutes: ReadonlyMap<string, string>,
): Promise<number> {
  const rows = await ledger.rawRows(
    `select landed, coalesce(reason, '') as reason, count(*) as n from ${STAGED} group by 1, 2 order by 1, 2`,
  );
  let quarantined = 0;
  for (const [place, page] of landed.entries()) {
    const reasons = rows.filter((row) => count(row, 'landed') === place);
    const lines = reasons.reduce((sum, row) => sum + count(row, 'n'), 0);
    if (lines !== page.rows) {
      throw new DamagedError(`A landed page holds ${lines} rows, its record says ${page.rows}`, {
        hint: 'Remove the landing folder of this table; its pages are then asked again.',
        where: { tenant: batch.tenant, table: batch.table, page: page.page.id },
      });
    }
    const bad = reasons.filter((row) => text(row, 'reason') !== '');
    const unusable = bad.reduce((sum, row) => sum + count(row, 'n'), 0);
    quarantined += unusable;
    const foreign = bad.some((row) => text(row, 'reason') === 'foreign_tenant' && count(row, 'n') === lines);
    const { maxShare, minRows } = guardsOf(ledger.settings, batch.tenant).quarantine;
    if (!foreign && (lines < minRows || unusable <= maxShare * lines)) continue;
    const counts = bad
      .map((row) => `${count(row, 'n')} ${(text(row, 'reason') ?? '').replaceAll('_', ' ')}`)
      .join(', ');
    throw new PartError(
      foreign
        ? `A page holds only rows of another tenant (${lines}): refused`
        : `${unusable} of ${lines} rows of a page cannot be loaded (${counts}): the page was refused`,
      {
        hint: foreign
          ? 'Check that tenant and credential belong together; `insights-etl doctor` shows what rows carry, `tenant pin` corrects what they must.'
          : 'Run `insights-etl doctor`; the page is asked again by the next run.',
        where: { tenant: batch.tenant, table: batch.table },
        page: page.page.id,
      },
    );
  }
  for (const copy of substitutes.values()) await ledger.files.rm(copy, { force: true });
  return quarantined;
}
