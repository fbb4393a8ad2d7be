-- title: Row outside its partition
-- description: A row is not in the file of its UTC day or month, so readers that prune by path miss it.
-- grain: one row per tenant, table and partition
-- severity: error
-- parameter: tenant:text=null Only this tenant
-- parameter: from:date=null Rows from this UTC day on
with
placed as (
  select tenant_id, 'events' as table_name, timestamp, month, try_cast(month || '-01' as timestamptz) as first_instant from events
  union all
  select tenant_id, 'logs' as table_name, timestamp, month, try_cast(month || '-01' as timestamptz) as first_instant from logs
  union all
  select tenant_id, 'metrics' as table_name, timestamp, month, try_cast(month || '-01' as timestamptz) as first_instant from metrics
),

misplaced as (
  select
    tenant_id,
    table_name,
    month as partition,
    count(*) as rows
  from placed
  where (timestamp >= first_instant and timestamp < first_instant + interval '1 month') is not true
    and timestamp >= coalesce($from::timestamptz, '-infinity'::timestamptz)
  group by tenant_id, table_name, month
  union all
  -- A day's file: its ends are enough.
  select
    tenant_id,
    table_name,
    period as partition,
    null as rows
  from lake_files
  where max_timestamp >= coalesce($from::timestamptz, '-infinity'::timestamptz)
    and not (
      starts_with(strftime(min_timestamp, '%Y-%m-%d'), period)
      and starts_with(strftime(max_timestamp, '%Y-%m-%d'), period)
    )
)

select
  tenant_id,
  table_name,
  partition,
  rows
from misplaced
where tenant_id = coalesce($tenant, tenant_id)
order by tenant_id, table_name, partition
