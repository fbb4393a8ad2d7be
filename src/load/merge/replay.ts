/**
 * Judges quarantined rows again by today's rules and the pinned tenant id. A row that now passes goes through the ordinary
 * merge as one more row of its hour: no held row is replaced, the earliest of several copies is kept, and the account of the
 * hour does not change, because the row only moves from one part of it to another.
 */
import { z } from 'zod';
import { sqlText } from '../../kernel/sql.ts';
import { DIGEST_COLUMN } from '../../model/fingerprint.ts';
import type { LandedPage } from '../../model/page.ts';
import type { ReplayCount } from '../../model/report.ts';
import { TABLES } from '../../model/tables.ts';
import type { TableName } from '../../model/tables.ts';
import { lakeName } from '../../transform/lake.ts';
import { countedSql, stageSql } from '../../transform/stage.ts';
import { asCount, asOptional, asTable, asText } from '../ledger/cells.ts';
import type { RowOf } from '../ledger/cells.ts';
import type { Ledger } from '../ledger/ledger.ts';
import { profileOf } from '../ledger/profile.ts';
import { tableFilterSql } from '../ledger/sql.ts';
import { applyStage } from './merge.ts';
import { createEmpty, createStage, REPLAYED_ROWS, STAGE, STAGED, STAGED_PAGES } from './merge-tables.ts';
import { filterSql } from './quarantine.ts';
import type { QuarantineFilter } from './quarantine.ts';
import { findExcessCopies } from './copies.ts';
import { dropStage, finiteNumbersSql } from './staging.ts';

/** A row cannot be judged again without its text, or without the windows of its page (an entry of an older version). */
const REPLAYABLE = 'raw is not null and coalesce(windows, minute::varchar) is not null';

/**
 * Judges rows again and loads those that now pass. Each tenant, table and day is one merge: memory stays flat, and a replay
 * that was interrupted continues from there when it is run again. The source is not queried.
 */
export async function replayQuarantined(ledger: Ledger, filter: QuarantineFilter, run: string): Promise<ReplayCount[]> {
  return ledger.onAllThreads(async () => {
    const days = await ledger.rows(
      `select tenant, table_name as "table", strftime(placed_at, '%Y-%m-%d') as day
       from quarantine where ${filterSql(filter)} and ${REPLAYABLE} group by all order by all`,
      { tenant: asText, table: asTable, day: asText },
    );
    const counts = new Map<string, ReplayCount>();
    for (const [index, { tenant, table, day }] of days.entries()) {
      const rows = `${filterSql(filter)} and ${REPLAYABLE} and ${tableFilterSql(tenant, table)}
        and strftime(placed_at, '%Y-%m-%d') = ${sqlText(day)}`;
      try {
        const done = await replayDay(ledger, { tenant, table }, rows, `${run}-${index + 1}`);
        const key = `${tenant} ${table}`;
        const sum = counts.get(key) ?? { tenant, table, judged: 0, loaded: 0, copies: 0, refused: 0 };
        counts.set(key, {
          tenant,
          table,
          judged: sum.judged + done.judged,
          loaded: sum.loaded + done.loaded,
          copies: sum.copies + done.copies,
          refused: sum.refused + done.refused,
        });
      } finally {
        await dropStage(ledger);
      }
    }
    return [...counts.values()];
  });
}

/** `rows`: a condition on `quarantine`. */
async function replayDay(
  ledger: Ledger,
  { tenant, table }: { readonly tenant: string; readonly table: TableName },
  rows: string,
  batchId: string,
): Promise<Pick<ReplayCount, 'judged' | 'loaded' | 'copies' | 'refused'>> {
  await createEmpty(ledger, REPLAYED_ROWS);
  await ledger.run(
    `insert into ${REPLAYED_ROWS} by name
     select 'replay-' || dense_rank() over (order by windows, cells) as file, *
     from (
       select placed_at, hour, page, quarantine.run, raw, cells,
         coalesce(windows, json_array(json_array(epoch_us(minute)::varchar, (epoch_us(minute) + 60000000)::varchar))::varchar) as windows
       from quarantine where ${rows}
     )`,
  );
  const groups = await ledger.rows(
    `select file, windows, cells, count(*) as rows from ${REPLAYED_ROWS} group by all order by all`,
    REPLAYED_PAGE,
  );
  const pages = groups.map(pageOf);
  const { pinnedTenantId } = await profileOf(ledger, tenant);
  const definition = ledger.settings.tables[table];
  await createStage(ledger, definition);
  const statements = stageSql({
    table: definition,
    pages,
    pinned: pinnedTenantId,
    into: STAGE,
    lines: `select file, raw as line from ${REPLAYED_ROWS}`,
  });
  for (const sql of [...statements, ...finiteNumbersSql(definition)]) await ledger.run(sql);
  const days = await findExcessCopies(ledger, TABLES[table]);
  const { judged, refused } = await ledger.row(`select count(*) as judged, count(reason) as refused from ${STAGED}`, {
    judged: asCount,
    refused: asCount,
  });
  const batch = { id: batchId, tenant, table, windows: [], pages: pages.map(({ page }) => page) };
  const stage = { days, quarantined: refused, pin: undefined };
  const { inserted: loaded } = await applyStage(ledger, batch, stage, {
    run: batchId,
    moveRows: () => updateQuarantine(ledger, tenant, table),
  });
  return { judged, refused, loaded, copies: judged - refused - loaded };
}

/** Deletes the rows that passed from the quarantine and updates the others. Returns a select of the hours of all of them. */
async function updateQuarantine(ledger: Ledger, tenant: string, table: TableName): Promise<string> {
  const id = lakeName(TABLES[table], TABLES[table].id);
  // A text that occurs several times in a page is judged the same each time. `reason` is null for a row that passed.
  const verdicts = `(
    select distinct replayed.placed_at, replayed.page, replayed.run, replayed.raw, refused.reason, refused."timestamp", refused."${id}" as id,
      refused.${DIGEST_COLUMN} as digest
    from ${REPLAYED_ROWS} as replayed left join (
      select distinct file, raw, reason, "timestamp", "${id}", ${DIGEST_COLUMN}
      from ${STAGED} join ${STAGED_PAGES} using (landed) where reason is not null
    ) as refused
      on refused.file = replayed.file and refused.raw = replayed.raw
  )`;
  const isSameRow = `quarantine.placed_at = verdict.placed_at and quarantine.page = verdict.page
    and quarantine.run is not distinct from verdict.run and quarantine.raw = verdict.raw`;
  const isCounted = countedSql('verdict.reason');
  await ledger.run(
    `delete from quarantine using ${verdicts} as verdict
     where ${tableFilterSql(tenant, table)} and ${isSameRow} and verdict.reason is null`,
  );
  await ledger.run(
    `update quarantine set
       reason = verdict.reason, id = verdict.id, digest = verdict.digest,
       placed_at = case when ${isCounted} then verdict."timestamp" else quarantine.placed_at end,
       hour = case when ${isCounted} then date_trunc('hour', verdict."timestamp") end,
       minute = case when ${isCounted} then date_trunc('minute', verdict."timestamp") end
     from ${verdicts} as verdict where ${tableFilterSql(tenant, table)} and ${isSameRow}
       and verdict.reason is not null and verdict.reason <> quarantine.reason`,
  );
  return `select hour from ${REPLAYED_ROWS} where hour is not null
    union select date_trunc('hour', "timestamp") as hour from ${STAGED}
    where "timestamp" is not null and (reason is null or ${countedSql()})`;
}

const WINDOWS = z.array(z.tuple([z.string(), z.string()]));
const CELLS = z.array(z.string());

const REPLAYED_PAGE = { file: asText, windows: asText, cells: asOptional(asText), rows: asCount } as const;

/** Rows of REPLAYED_ROWS with the same `file`, as a landed page. */
function pageOf({ file, windows, cells, rows }: RowOf<typeof REPLAYED_PAGE>): LandedPage {
  return {
    page: {
      id: file,
      windows: WINDOWS.parse(JSON.parse(windows)).map(([from, to]) => ({
        from: BigInt(from) * 10n,
        to: BigInt(to) * 10n,
      })),
      rows,
      bytes: 0,
    },
    file,
    rows,
    bytes: 0,
    largestRow: 0,
    ...(cells === undefined ? {} : { columns: CELLS.parse(JSON.parse(cells)) }),
  };
}
