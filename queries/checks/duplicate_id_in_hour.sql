-- title: Id twice in one hour
-- description: Different rows of one hour have the same id. All are kept, because only rows that are equal in every cell are copies; the state of passes counts the earliest.
-- grain: one row per tenant, table and hour
-- severity: warning
-- parameter: tenant:text=null Only this tenant
-- parameter: from:date=null Rows from this UTC day on
with
ids as (
  select tenant_id, 'events' as table_name, timestamp, event_id as id from events
  union all
  select tenant_id, 'logs' as table_name, timestamp, event_id as id from logs
  union all
  select tenant_id, 'metrics' as table_name, timestamp, metric_id as id from metrics
),

repeated as (
  select
    tenant_id,
    table_name,
    date_trunc('hour', timestamp) as hour,
    id,
    count(*) as copies
  from ids
  where tenant_id = coalesce($tenant, tenant_id)
    and timestamp >= coalesce($from::timestamptz, '-infinity'::timestamptz)
  group by tenant_id, table_name, hour, id
  having count(*) > 1
)

select
  tenant_id,
  table_name,
  hour,
  count(*) as ids,
  sum(copies)::bigint as rows
from repeated
group by tenant_id, table_name, hour
order by tenant_id, table_name, hour
