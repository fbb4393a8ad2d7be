-- title: Id twice in one hour
-- description: Different rows of one hour have the same id. All are kept, because only rows that are equal in every cell are copies; the state of passes counts the earliest.
-- grain: one row per tenant, table and hour
-- severity: warning
-- parameter: tenant:text=null Only this tenant
-- parameter: from:date=null Rows from this UTC day on
with
ids as not materialized (
  select tenant_id, 'events' as table_name, timestamp, event_id as id from events
  union all
  select tenant_id, 'logs' as table_name, timestamp, event_id as id from logs
  union all
  select tenant_id, 'metrics' as table_name, timestamp, metric_id as id from metrics
),

-- A group per number takes a third of the time of a group per text, and few texts repeat.
suspects as (
  select hash(tenant_id, table_name, id) as suspect
  from ids
  where tenant_id = coalesce($tenant, tenant_id)
    and timestamp >= coalesce($from::timestamptz, '-infinity'::timestamptz)
  group by suspect
  having count(*) > 1
),

repeated as (
  select
    tenant_id,
    table_name,
    -- Hours since the year 1: truncating a timestamp takes longer.
    (epoch_us(timestamp) + 62135596800000000) // 3600000000 as nth_hour,
    id,
    count(*) as copies
  from ids
  where tenant_id = coalesce($tenant, tenant_id)
    and timestamp >= coalesce($from::timestamptz, '-infinity'::timestamptz)
    and hash(tenant_id, table_name, id) in (select suspect from suspects)
  group by tenant_id, table_name, nth_hour, id
  having count(*) > 1
)

select
  tenant_id,
  table_name,
  make_timestamptz(nth_hour * 3600000000 - 62135596800000000) as hour,
  count(*) as ids,
  sum(copies)::bigint as rows
from repeated
group by tenant_id, table_name, hour
order by tenant_id, table_name, hour
