/**
 * The source of each UTC day: its files and the states of its hours. Whatever is derived from one day only (marts, checks) is
 * derived again when the day's source changes, and only then.
 */
import { HISTORY_LIMITS_SQL } from '../ledger/coverage.ts';
import type { Ledger } from '../ledger/ledger.ts';

/**
 * Creates the temporary table `day_sources`: tenant, table_name, day, rows in the lake, `source`, which changes when the day
 * changes in any way, and `content`, which changes when its rows do.
 */
export async function noteDays(ledger: Ledger): Promise<void> {
  await ledger.run(
    `create or replace temp table day_sources as
     with days as (
       select tenant, table_name, hour::date as day, sum(hash(hour, state, lake))::varchar as hours, sum(hash(hour, lake))::varchar as lake, sum(lake.n)::bigint as rows,
         max(hour) as last_hour
       from hours
       group by all
     ),
     files as (
       select tenant, table_name, period, sha256 from partitions where superseded_at is null
     )
     select days.tenant, days.table_name, days.day, days.rows, concat_ws(' ', days.hours, by_day.sha256[:16], by_month.sha256[:16],
         -- The hours that follow are open, and missing once there is a later day.
         case when days.last_hour < days.day + interval 23 hours and days.day = max(days.day) over (partition by days.tenant, days.table_name) then 'last' end,
         case when limits.tenant_id is not null and days.day = min(days.day) over (partition by days.tenant, days.table_name) then 'limited' end) as source,
       concat_ws(' ', days.lake, by_day.sha256[:16], by_month.sha256[:16]) as content
     from days
     left join files as by_day
       on by_day.tenant = days.tenant and by_day.table_name = days.table_name and by_day.period = strftime(days.day, '%Y-%m-%d')
     left join (${HISTORY_LIMITS_SQL}) as limits on limits.tenant_id = days.tenant and limits.table_name = lower(days.table_name)
     left join files as by_month
       on by_month.tenant = days.tenant and by_month.table_name = days.table_name and by_month.period = strftime(days.day, '%Y-%m')`,
  );
}

export async function dropDays(ledger: Ledger): Promise<void> {
  await ledger.run('drop table if exists temp.day_sources');
}
