/** Stages a batch: reads its landed pages into temporary tables and decides which rows can be loaded. */
import { join } from 'node:path';
import { AlteredPageError, DamagedError, InsightsError, PartError } from '../../kernel/errors.ts';
import { DIGEST_COLUMN } from '../../model/fingerprint.ts';
import type { Batch, LandedPage } from '../../model/page.ts';
import { TABLES } from '../../model/tables.ts';
import type { Table } from '../../model/tables.ts';
import { disarm } from '../../transform/disarm.ts';
import { stageSql } from '../../transform/stage.ts';
import { asCount, asOptional, asText } from '../ledger/cells.ts';
import { OutOfMemoryError } from '../ledger/engine-errors.ts';
import { dropFileFingerprints } from '../store/file-fingerprints.ts';
import { guardsOf } from '../ledger/ledger.ts';
import type { Ledger } from '../ledger/ledger.ts';
import { WORK_FOLDER } from '../../model/data-dir.ts';
import { createStage, dropMergeTables, STAGE, STAGED } from './merge-tables.ts';
import { findExcessCopies } from './copies.ts';
import { profileOf } from '../ledger/profile.ts';

/** From this size of a batch's pages on, memory is given back to the system before and after staging. */
const LARGE_BYTES = 8 << 20;

export interface Stage {
  /** Rows to load by UTC day, as the day's number since 1970. */
  readonly days: ReadonlyMap<bigint, number>;
  readonly quarantined: number;
  /** The tenant id to pin with this batch; undefined when one is pinned already or no row has one. */
  readonly pin: string | undefined;
}

/** Fills STAGE and EXCESS_COPIES; MOVED_OUT is left empty. Throws PartError when a whole page is refused. */
export async function stageBatch(
  ledger: Ledger,
  batch: Batch,
  landed: readonly LandedPage[],
  { acceptAltered = false }: { readonly acceptAltered?: boolean } = {},
): Promise<Stage> {
  const table = TABLES[batch.table];
  const { pinnedTenantId } = await profileOf(ledger, batch.tenant);
  // Staging a large page takes the most memory of a backfill. So memory that earlier work freed is given back first, and
  // what staging freed is given back before rows are compared and written.
  const isLarge = landed.reduce((sum, page) => sum + page.bytes, 0) >= LARGE_BYTES;
  if (isLarge) await ledger.release();
  const substitutes = await stagePages(ledger, batch, landed, pinnedTenantId, new Map<string, string>());
  let pin: string | undefined;
  if (pinnedTenantId === undefined) {
    const seen = await ledger.rows(
      `select source_tenant_id as id from ${STAGED} where reason is null and source_tenant_id is not null
       group by 1 order by (id = $1) desc, count(*) desc, id`,
      { id: asText },
      [batch.tenant],
    );
    pin = seen[0]?.id;
    if (seen.length > 1) await stagePages(ledger, batch, landed, pin, substitutes);
  }
  await checkDigests(ledger, batch, landed, acceptAltered);
  const quarantined = await checkPages(ledger, batch, landed, substitutes);
  if (isLarge) await ledger.release();
  return { days: await findExcessCopies(ledger, table), quarantined, pin };
}

/** Statements after `stageSql`: a value that no double can hold, such as `1e400`, is no number; its text is kept. */
export function finiteNumbersSql({ columns }: Table): string[] {
  return columns
    .filter(({ anyJson }) => anyJson === true)
    .map(({ lake }) => `"${lake}_number"`)
    .map((number) => `update ${STAGED} set ${number} = null where not isfinite(${number})`);
}

/** Drops what a merge has staged and gives its memory back. */
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
  const table = ledger.settings.tables[batch.table];
  const stage = async (substitutes: ReadonlyMap<string, string>): Promise<void> => {
    const statements = stageSql({
      table,
      pages,
      pinned,
      into: STAGE,
      substitutes,
    });
    await createStage(ledger, table);
    for (const sql of [...statements, ...finiteNumbersSql(table)]) await ledger.run(sql);
  };
  let suspects = pages;
  try {
    await stage(substitutes);
    if (substitutes.size > 0) return substitutes;
    const malformed = await ledger.rows(`select distinct landed from ${STAGED} where reason = 'malformed'`, {
      landed: asCount,
    });
    suspects = pages.filter((_, index) => malformed.some(({ landed }) => landed === index));
  } catch (error) {
    // The line reader fails on bytes that are not text, and reports no kind of error of its own. Any other failure
    // occurs again with the disarmed copies.
    const mayBeBytes = error instanceof InsightsError && error.failure === 'unexpected' && !(error instanceof OutOfMemoryError); // oxfmt-ignore
    if (!mayBeBytes || substitutes.size > 0) throw error;
  }
  const copies = new Map<string, string>();
  for (const page of suspects) {
    const copy = join(ledger.dataDir, WORK_FOLDER, `page-${pages.indexOf(page)}.ndjson`);
    const cells = { order: page.columns ?? table.columns.map(({ name }) => name), id: table.id };
    if ((await disarm(page.file, copy, cells)) > 0) copies.set(page.file, copy);
    else await ledger.files.rm(copy, { force: true });
  }
  if (copies.size > 0 || suspects === pages) await stage(copies);
  return copies;
}

/**
 * Compares the rows' text with their digests. Throws AlteredPageError when they differ: the page was changed on its way, or the
 * source writes the same value in another way each time. If `acceptAltered`, such rows are loaded without their digests, and the
 * content of their hours is not proven.
 */
async function checkDigests(
  ledger: Ledger,
  batch: Batch,
  landed: readonly LandedPage[],
  acceptAltered: boolean,
): Promise<void> {
  const altered = await ledger.rows(`select landed, count(*) as n from ${STAGED} where altered group by 1 order by 1`, {
    landed: asCount,
    n: asCount,
  });
  const [first] = altered;
  if (!first) return;
  const rows = altered.reduce((sum, { n }) => sum + n, 0);
  const where = { tenant: batch.tenant, table: batch.table, rows };
  if (!acceptAltered) {
    throw new AlteredPageError(
      `${rows} rows of a page do not match the digests that the source computed: the page was refused`,
      {
        hint: 'The run fetches the page once more.',
        where,
        page: landed[first.landed]?.page.id ?? '',
      },
    );
  }
  ledger.runtime.log.warn(
    { event: 'page.altered', ...where },
    'rows do not match their digests: loaded, their content is not proven',
  );
  await ledger.run(`update ${STAGED} set ${DIGEST_COLUMN} = null where altered`);
}

/**
 * Checks every page. Throws DamagedError when its file holds fewer or more rows than recorded, and PartError when too many of
 * its rows cannot be loaded. Returns the number of rows that cannot be loaded.
 */
async function checkPages(
  ledger: Ledger,
  batch: Batch,
  landed: readonly LandedPage[],
  substitutes: ReadonlyMap<string, string>,
): Promise<number> {
  const counts = await ledger.rows(
    `select landed, reason, count(*) as n from ${STAGED} group by 1, 2 order by landed, reason`,
    { landed: asCount, reason: asOptional(asText), n: asCount },
  );
  let quarantined = 0;
  for (const [index, page] of landed.entries()) {
    const found = counts.filter(({ landed }) => landed === index);
    const lines = found.reduce((sum, { n }) => sum + n, 0);
    if (lines !== page.rows) {
      throw new DamagedError(`The file of a landed page holds ${lines} rows, expected ${page.rows}`, {
        hint: 'Move the landing folder of this table to another place, then run again: its pages will be fetched again.',
        where: { tenant: batch.tenant, table: batch.table, page: page.page.id },
      });
    }
    const bad = found.flatMap(({ reason, n }) => (reason === undefined ? [] : [{ reason, n }]));
    const unusable = bad.reduce((sum, { n }) => sum + n, 0);
    quarantined += unusable;
    const foreign = bad.some(({ reason, n }) => reason === 'foreign_tenant' && n === lines);
    const { maxShare, minRows } = guardsOf(ledger.settings, batch.tenant).quarantine;
    if (!foreign && (lines < minRows || unusable <= maxShare * lines)) continue;
    const reasons = bad.map(({ reason, n }) => `${n} ${reason.replaceAll('_', ' ')}`).join(', ');
    throw new PartError(
      foreign
        ? `A page holds only rows of another tenant (${lines}): the page was refused`
        : `${unusable} of ${lines} rows of a page cannot be loaded (${reasons}): the page was refused`,
      {
        hint: foreign
          ? 'Check that the credential belongs to this tenant. `insights-etl doctor` shows the tenant id of its rows; if the pinned id is wrong, correct it with `insights-etl tenant pin`.'
          : 'Run `insights-etl doctor` to see what the source sends. The next run fetches the page again.',
        where: { tenant: batch.tenant, table: batch.table },
        page: page.page.id,
      },
    );
  }
  for (const copy of substitutes.values()) await ledger.files.rm(copy, { force: true });
  return quarantined;
}
