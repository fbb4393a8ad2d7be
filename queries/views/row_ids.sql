-- title: Ids of rows
-- description: The id and the time of every row of the three tables.
-- grain: one row per row of events, logs and metrics
-- arguments: of_tenant, from_day
-- caveat: If of_tenant is null, those of all tenants; if from_day is null, those from the beginning.
-- A macro for the same reason as pass_facts.
select
  tenant_id,
  table_name,
  timestamp,
  id
from (
  select tenant_id, 'events' as table_name, timestamp, event_id as id from events
  union all
  select tenant_id, 'logs' as table_name, timestamp, event_id as id from logs
  union all
  select tenant_id, 'metrics' as table_name, timestamp, metric_id as id from metrics
) as ids
where tenant_id = coalesce(of_tenant, tenant_id)
  and timestamp >= coalesce(from_day::timestamptz, '-infinity'::timestamptz)
