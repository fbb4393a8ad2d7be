/** The rows that could not be loaded: counted, listed and dropped. `replay.ts` judges them again. */
import { globDuckDb } from '../../kernel/glob.ts';
import { sqlText, sqlTexts } from '../../kernel/sql.ts';
import type { Instant } from '../../kernel/instant.ts';
import type { DropCount, QuarantineCount, QuarantinedRow } from '../../model/report.ts';
import { NO_TIMESTAMP } from '../../model/outside.ts';
import type { TableName } from '../../model/tables.ts';
import { countedSql } from '../../transform/stage.ts';
import { asCount, asOptional, asTable, asText } from '../ledger/cells.ts';
import type { Ledger } from '../ledger/ledger.ts';
import { instantSql } from '../ledger/sql.ts';

/** Selects rows of the quarantine. A missing field does not restrict the selection. */
export interface QuarantineFilter {
  /** Tenants by name, `*` and `?` allowed. */
  readonly tenants?: readonly string[];
  readonly tables?: readonly TableName[];
  readonly reasons?: readonly string[];
  /** Rows placed in time before this instant. */
  readonly before?: Instant;
}

/** Counts by tenant, table, day and reason. */
export async function countQuarantine(ledger: Ledger, filter: QuarantineFilter): Promise<QuarantineCount[]> {
  return ledger.exclusive(() =>
    ledger.rows(
      `select
         tenant, table_name as "table",
         case when reason = ${sqlText(NO_TIMESTAMP)} then 'none' else strftime(placed_at, '%Y-%m-%d') end as day, reason,
         count(*) as rows, count(dropped_at) as dropped
       from quarantine where ${filterSql(filter)} group by all order by all`,
      { tenant: asText, table: asTable, day: asText, reason: asText, rows: asCount, dropped: asCount },
    ),
  );
}

/** Rows with their text, oldest first. No other function gives out the text of a row. */
export async function quarantinedRows(
  ledger: Ledger,
  filter: QuarantineFilter,
  limit: number,
): Promise<QuarantinedRow[]> {
  return ledger.exclusive(() =>
    ledger.rows(
      `select
         tenant, table_name as "table", strftime(placed_at, '%Y-%m-%dT%H:%M:%S.%fZ') as at, reason, id, page, run,
         raw as text
       from quarantine where ${filterSql(filter)}
       order by tenant, table_name, placed_at, reason, id, raw limit ${Math.trunc(limit)}`,
      {
        tenant: asText,
        table: asTable,
        at: asText,
        reason: asText,
        id: asOptional(asText),
        page: asText,
        run: asOptional(asText),
        text: asOptional(asText),
      },
    ),
  );
}

/**
 * Drops rows. A row that is counted in its hour's account stays counted: its text is deleted and its id is kept, because the
 * account is computed from ids. So a verified hour stays verified and the next comparison fetches nothing. A row without a
 * known hour is in no account: its entry is deleted and its hour stays partial.
 */
export async function dropQuarantined(ledger: Ledger, filter: QuarantineFilter): Promise<DropCount[]> {
  return ledger.exclusive(() =>
    ledger.transaction(async () => {
      const selected = `${filterSql(filter)} and dropped_at is null`;
      const isCounted = countedSql();
      const counts = await ledger.rows(
        `select
           tenant, table_name as "table",
           count(*) filter (where ${isCounted}) as emptied, count(*) filter (where not ${isCounted}) as removed
         from quarantine where ${selected} group by all order by all`,
        { tenant: asText, table: asTable, emptied: asCount, removed: asCount },
      );
      await ledger.run(`delete from quarantine where ${selected} and not ${isCounted}`);
      await ledger.run(`update quarantine set raw = null, dropped_at = ${ledger.nowSql()} where ${selected}`);
      return counts;
    }),
  );
}

/** The filter as a condition on `quarantine`. */
export function filterSql({ tenants, tables, reasons, before }: QuarantineFilter): string {
  const globs = tenants?.map((tenant) => `tenant glob ${sqlText(globDuckDb(tenant, { questionMark: true }))}`);
  return [
    globs === undefined ? 'true' : `(${globs.join(' or ') || 'false'})`,
    tables === undefined ? 'true' : `table_name in (${sqlTexts(tables)})`,
    reasons === undefined ? 'true' : `reason in (${sqlTexts(reasons)})`,
    before === undefined ? 'true' : `placed_at < ${instantSql(before)}`,
  ].join(' and ');
}
