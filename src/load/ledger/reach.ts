/** What the hours of a table say about its reach: where coverage begins and ends, and how far back it is unproven. */
import { DAY, HOUR } from '../../kernel/instant.ts';
import type { Instant, Window } from '../../kernel/instant.ts';
import { TABLE_NAMES } from '../../model/tables.ts';
import type { TableName } from '../../model/tables.ts';
import { asInstant, asOneOf, asOptional, asText } from './cells.ts';
import { countStates } from './hours.ts';
import type { HourCounts } from '../../model/coverage.ts';
import type { Ledger } from './ledger.ts';
import { BULK_SQL, beginningSql, insideSql, tableFilterSql } from './sql.ts';

/**
 * The oldest hour that is not proven, else the end of the proven ones; null when nothing of the table was ever compared. Expired hours do
 * not count: the source has deleted their rows.
 */
const UNPROVEN_SQL = `case when count(checked_at) > 0
  then coalesce(min(hour) filter (where state not in ('verified', 'expired')), max(covered_to)) end`;

/** From where on the table is not proven (`UNPROVEN_SQL`). */
export async function unprovenFrom(ledger: Ledger, tenant: string, table: TableName): Promise<Instant | undefined> {
  return instantOfHours(ledger, tenant, table, UNPROVEN_SQL);
}

/** `beginningOf` and `unprovenFrom` in one statement. */
export async function reachOf(
  ledger: Ledger,
  tenant: string,
  table: TableName,
): Promise<{ readonly begins: Instant | undefined; readonly unproven: Instant | undefined }> {
  return ledger.exclusive(() =>
    ledger.row(
      `select
         epoch_us(hour)::varchar as begins,
         (select epoch_us(${UNPROVEN_SQL})::varchar from hours where ${tableFilterSql(tenant, table)}) as unproven
       from ${beginningSql(tenant, table)}`,
      { begins: asOptional(asInstant), unproven: asOptional(asInstant) },
    ),
  );
}

/** How far the table was ever loaded; `undefined` when it never was. */
export async function coveredTo(ledger: Ledger, tenant: string, table: TableName): Promise<Instant | undefined> {
  return instantOfHours(ledger, tenant, table, 'max(covered_to)');
}

/** Where coverage begins (`beginningSql`); `undefined` when nothing of the table was ever compared. */
export async function beginningOf(ledger: Ledger, tenant: string, table: TableName): Promise<Instant | undefined> {
  const { instant } = await ledger.exclusive(() =>
    ledger.row(`select epoch_us(hour)::varchar as instant from ${beginningSql(tenant, table)}`, {
      instant: asOptional(asInstant),
    }),
  );
  return instant;
}

/** The proven hours of the window by UTC day, with the time of their oldest comparison. */
export async function provenDays(
  ledger: Ledger,
  tenant: string,
  table: TableName,
  { from, to }: Window,
): Promise<{ from: Instant; to: Instant; checkedAt: Instant }[]> {
  const days = await ledger.exclusive(() =>
    ledger.rows(
      `select
         epoch_us(min(hour))::varchar as first, epoch_us(max(hour))::varchar as last, epoch_us(min(checked_at))::varchar as checked_at
       from hours
       where ${tableFilterSql(tenant, table)} and state = 'verified' and ${insideSql([{ from, to }], 'hour')}
       group by epoch_us(hour) // ${DAY / 10n}
       order by 1`,
      { first: asInstant, last: asInstant, checked_at: asInstant },
    ),
  );
  return days.map(({ first, last, checked_at: checkedAt }) => ({ from: first, to: last + HOUR, checkedAt }));
}

/** When the verified hour of each table was compared that was not compared for the longest time, from an instant on. */
export async function oldestComparisons(
  ledger: Ledger,
  tables: readonly { readonly tenant: string; readonly table: TableName; readonly from: Instant }[],
): Promise<{ tenant: string; table: TableName; at: Instant }[]> {
  if (tables.length === 0) return [];
  // With microseconds, for make_timestamptz.
  const given = tables.map(({ tenant, table, from }) => [tenant, table, String(from / 10n)]);
  // A join: with 3,000 tables, a condition for each of them took half a minute.
  return ledger.exclusive(() =>
    ledger.rows(
      `select tenant, table_name as "table", epoch_us(min(checked_at))::varchar as at
       from hours
       join (select r[1] as tenant, r[2] as table_name, make_timestamptz(r[3]::bigint) as since from ${BULK_SQL}) as kept
         using (tenant, table_name)
       where state = 'verified' and checked_at is not null and hour >= since
       group by all
       order by all`,
      { tenant: asText, table: asOneOf(TABLE_NAMES), at: asInstant },
      [JSON.stringify(given)],
    ),
  );
}

/** An aggregate over the table's hours; `undefined` when there are none. */
async function instantOfHours(
  ledger: Ledger,
  tenant: string,
  table: TableName,
  aggregate: string,
): Promise<Instant | undefined> {
  const { instant } = await ledger.exclusive(() =>
    ledger.row(`select epoch_us(${aggregate})::varchar as instant from hours where ${tableFilterSql(tenant, table)}`, {
      instant: asOptional(asInstant),
    }),
  );
  return instant;
}

/** Hours of a table by state; hours that were loaded and never compared count as partial. */
export async function countHours(ledger: Ledger, tenant: string, table: TableName): Promise<HourCounts> {
  const { unchecked, ...counts } = await ledger.exclusive(() => countStates(ledger, tableFilterSql(tenant, table)));
  return { ...counts, partial: counts.partial + unchecked };
}
