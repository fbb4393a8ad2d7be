-- title: Timestamp in the future
-- description: A row is later than the moment at which the lake was published: the clock of the source or of this machine is wrong.
-- grain: one row per tenant and table
-- severity: error
-- parameter: tenant:text=null Only this tenant
-- parameter: from:date=null Rows from this UTC day on
with
placed as (
  select tenant_id, 'events' as table_name, timestamp from events
  union all
  select tenant_id, 'logs' as table_name, timestamp from logs
  union all
  select tenant_id, 'metrics' as table_name, timestamp from metrics
)

select
  tenant_id,
  table_name,
  count(*) as rows,
  min(timestamp) as first_at,
  max(timestamp) as last_at
from placed
where timestamp > (select max(published_at) from snapshot)
  and tenant_id = coalesce($tenant, tenant_id)
  and timestamp >= coalesce($from::timestamptz, '-infinity'::timestamptz)
group by tenant_id, table_name
order by tenant_id, table_name
