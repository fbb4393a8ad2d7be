-- title: Row of another tenant
-- description: Rows carry another tenant id than most rows of their tenant.
-- grain: one row per tenant and table
-- severity: error
-- parameter: tenant:text=null Only this tenant
-- parameter: from:date=null Rows from this UTC day on
with
carried as (
  select tenant_id, 'events' as table_name, timestamp, source_tenant_id from events
  union all
  select tenant_id, 'logs' as table_name, timestamp, source_tenant_id from logs
  union all
  select tenant_id, 'metrics' as table_name, timestamp, source_tenant_id from metrics
),

counted as (
  select
    tenant_id,
    table_name,
    source_tenant_id,
    count(*) as rows,
    min(timestamp) as first_at
  from carried
  where source_tenant_id is not null
    and tenant_id = coalesce($tenant, tenant_id)
    and timestamp >= coalesce($from::timestamptz, '-infinity'::timestamptz)
  group by tenant_id, table_name, source_tenant_id
),

own as (
  select
    tenant_id,
    arg_max(source_tenant_id, rows) as source_tenant_id
  from (
    select
      tenant_id,
      source_tenant_id,
      sum(rows) as rows
    from counted
    group by tenant_id, source_tenant_id
  ) as summed
  group by tenant_id
)

select
  counted.tenant_id,
  counted.table_name,
  sum(counted.rows)::bigint as rows,
  count(distinct counted.source_tenant_id) as other_tenants,
  min(counted.first_at) as first_at
from counted
inner join own
  on own.tenant_id = counted.tenant_id
  and own.source_tenant_id <> counted.source_tenant_id
group by counted.tenant_id, counted.table_name
order by counted.tenant_id, counted.table_name
