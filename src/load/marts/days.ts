/**
 * The source of each UTC day: its rows, by the fingerprints of its hours, and the states of its hours. Whatever is derived from one day
 * only (marts, checks) is derived again when the day's source changes, and only then. A file does not count, because it may hold a month.
 */
import { HISTORY_LIMITS_SQL } from '../ledger/coverage.ts';
import { SHARED } from '../ledger/engine.ts';
import type { Ledger } from '../ledger/ledger.ts';

/** The table that `noteDays` creates. Lanes see it, too. */
export const DAY_SOURCES = `${SHARED}.day_sources`;

/**
 * Creates `DAY_SOURCES`: tenant, table_name, day, rows in the lake, `source`, which changes when the day changes in any way, and
 * `content`, which changes when its rows do.
 */
export async function noteDays(ledger: Ledger): Promise<void> {
  await ledger.run(
    `create or replace table ${DAY_SOURCES} as
     with days as (
       select tenant, table_name, hour::date as day, sum(hash(hour, state, lake))::varchar as hours, sum(hash(hour, lake))::varchar as lake, sum(lake.n)::bigint as rows,
         -- Without digests, the fingerprints say nothing of the rows' content.
         bool_or(lake.c is null) as is_known_by_file, max(hour) as last_hour
       from hours
       group by all
     ),
     -- The rules that a file was written with decide what its rows hold, too.
     files as (
       select tenant, table_name, period, sha256[:16] as sha256, hash(promotion, privacy)::varchar as rules from partitions where superseded_at is null
     ),
     known as (
       select days.*, coalesce(by_day.rules, by_month.rules) as rules, case when is_known_by_file then coalesce(by_day.sha256, by_month.sha256) end as file
       from days
       left join files as by_day
         on by_day.tenant = days.tenant and by_day.table_name = days.table_name and by_day.period = strftime(days.day, '%Y-%m-%d')
       left join files as by_month
         on by_month.tenant = days.tenant and by_month.table_name = days.table_name and by_month.period = strftime(days.day, '%Y-%m')
     )
     select known.tenant, known.table_name, known.day, known.rows, concat_ws(' ', known.hours, known.rules, known.file,
         -- The hours that follow are open, and missing once there is a later day.
         case when known.last_hour < known.day + interval 23 hours and known.day = max(known.day) over (partition by known.tenant, known.table_name) then 'last' end,
         case when limits.tenant_id is not null and known.day = min(known.day) over (partition by known.tenant, known.table_name) then 'limited' end) as source,
       concat_ws(' ', known.lake, known.rules, known.file) as content
     from known
     left join (${HISTORY_LIMITS_SQL}) as limits on limits.tenant_id = known.tenant and limits.table_name = lower(known.table_name)`,
  );
}

export async function dropDays(ledger: Ledger): Promise<void> {
  await ledger.run(`drop table if exists ${DAY_SOURCES}`);
}
