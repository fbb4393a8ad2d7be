-- title: Hourly snapshot missing
-- description: A metric that was seen before has no snapshot in a verified hour: the source has none either.
-- grain: one row per tenant and metric type
-- severity: warning
-- parameter: tenant:text=null Only this tenant
-- parameter: from:date=null Hours from this UTC day on
with
snapshots as (
  select distinct
    tenant_id,
    metric_type,
    date_trunc('hour', timestamp) as hour
  from metrics
  where tenant_id = coalesce($tenant, tenant_id)
    and timestamp >= coalesce($from::timestamptz, '-infinity'::timestamptz)
),

types as (
  select
    tenant_id,
    metric_type,
    min(hour) as first_hour
  from snapshots
  group by tenant_id, metric_type
)

select
  types.tenant_id,
  types.metric_type,
  count(*) as missing_hours,
  min(coverage.hour) as first_missing,
  max(coverage.hour) as last_missing
from types
inner join coverage
  on coverage.tenant_id = types.tenant_id
  and coverage.table_name = 'metrics'
  and coverage.state = 'verified'
  and coverage.hour > types.first_hour
anti join snapshots
  on snapshots.tenant_id = types.tenant_id
  and snapshots.metric_type = types.metric_type
  and snapshots.hour = coverage.hour
group by types.tenant_id, types.metric_type
order by types.tenant_id, types.metric_type
