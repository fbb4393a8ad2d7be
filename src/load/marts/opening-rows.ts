/**
 * The rows of an opening that a span needs: those of the passes with an event in the span. All other passes count with what they add up
 * to (the view `carried`), so a night costs as much as the passes that it changes, and not as much as all passes that there ever were.
 */
import { CARRIED } from '../../query/definitions.ts';
import { sqlText } from '../../kernel/sql.ts';
import { NIL_ID } from '../../model/tables.ts';
import type { Ledger } from '../ledger/ledger.ts';

export interface OpeningOf {
  /** The table or view with an opening: the rows of passes, those of metrics, and the totals. */
  readonly relation: string;
  /** A select of what the passes of the span add up to before it. */
  readonly totals: string;
}

/** The temporary view with the opening's rows of passes that the span does not read. */
const UNREAD = 'opening_unread';
const READ = 'opening_read';
const TOUCHED = 'opening_touched';

/**
 * Creates the opening's rows that the span reads (the relation that it returns) and the other ones. The view `events` has the rows of the span.
 *
 * Each row of an opening was counted, also if passes that were not read together have an event with the same id. Such an id is no longer
 * the same here: otherwise one of the two would not count now, and what was counted for it would be carried for ever.
 */
export async function divideOpening(ledger: Ledger, { relation }: OpeningOf): Promise<string> {
  await ledger.run(
    `create or replace temp table ${TOUCHED} as select distinct tenant_id, pass_id from events where pass_id is not null;
     create or replace temp table ${READ} as
       select * from ${relation} where metric_type is not null
       union all select * from ${relation} semi join ${TOUCHED} using (tenant_id, pass_id);
     update ${READ} set event_id = event_id || ' ' || pass_id
       where event_id <> ${sqlText(NIL_ID)} and hash(tenant_id, event_id) in (
         select hash(tenant_id, event_id) from ${READ} where event_id <> ${sqlText(NIL_ID)} group by all having min(pass_id) <> max(pass_id));
     create or replace temp view ${UNREAD} as select * from ${relation} anti join ${TOUCHED} using (tenant_id, pass_id) where pass_id is not null`,
  );
  return READ;
}

/**
 * Removes what the span has read from the temporary table with its opening. The opening of a later day, added to it, replaces the
 * table. All other rows stay where they are: in a long history they are most of it, and copying them would take longer than all else.
 */
export async function removeRead(ledger: Ledger, relation: string): Promise<void> {
  await ledger.run(
    `delete from ${relation} where pass_id is null or (tenant_id, pass_id) in (select (tenant_id, pass_id) from ${TOUCHED});
     create or replace temp view ${UNREAD} as select * from ${relation} where false`,
  );
}

/** Creates what a span from the first row on has in place of an opening: no rows, with the columns of one. */
export async function withoutOpening(ledger: Ledger, define: (sql: string) => Promise<void>): Promise<void> {
  const none = `
    select tenant_id, carried_at as timestamp, null::varchar as pass_id, null::varchar as metric_type, null::json as properties,
      null::varchar as pass_type, null::json as value, null::double as value_number, totals as carried
    from ${CARRIED} as totals where false`;
  await define(none);
  await ledger.run(`create or replace temp view ${UNREAD} as ${none}`);
}

/** Creates `carried`: what the opening's passes add up to, without those that the span reads. */
export async function carryOver(
  ledger: Ledger,
  { relation, totals }: OpeningOf,
  define: (sql: string) => Promise<void>,
): Promise<void> {
  await define(totals);
  const before = `select unnest(carried) from ${relation} where carried is not null`;
  await ledger.run(`create or replace temp table ${CARRIED} as ${sumSql(before, totals, -1)}`);
}

/** Statements that drop what this module creates. */
export const DROP_OPENING: readonly string[] = [
  `drop view if exists temp.${UNREAD}`,
  `drop table if exists temp.${READ}`,
  `drop table if exists temp.${TOUCHED}`,
];

/** A select of the totals in an opening: what the passes of the span add up to before its day, and all others. */
export function totalsOfOpening(totals: string): string {
  return `with totals as (${sumSql(`from ${CARRIED}`, totals, 1)}) select tenant_id, totals as carried from totals`;
}

/** The sum of two selects with the columns of `carried`, or their difference. */
function sumSql(totals: string, others: string, sign: 1 | -1): string {
  const keys = 'tenant_id, carried_at, platform, wallet_status';
  return `
    select ${keys}, sum(sign * columns(* exclude (${keys}, sign)))::bigint
    from (select *, 1 as sign from (${totals}) union all by name select *, ${sign} as sign from (${others}))
    group by all`;
}
