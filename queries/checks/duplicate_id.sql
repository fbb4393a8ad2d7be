-- title: Id in more than one hour
-- description: The source has the same id in more than one hour. All of these rows are kept, and the state of passes counts the earliest. The all-zero guid is not an id.
-- grain: one row per tenant and table
-- severity: warning
-- parameter: tenant:text=null Only this tenant
-- parameter: from:date=null Rows from this UTC day on
with
repeated as (
  select
    tenant_id,
    table_name,
    id,
    sum(rows) as copies,
    min(first_at) as first_at,
    max(last_at) as last_at
  from repeated_ids($tenant, $from)
  where id <> '00000000-0000-0000-0000-000000000000'
  group by tenant_id, table_name, id
  having count(*) > 1
)

select
  tenant_id,
  table_name,
  count(*) as ids,
  sum(copies)::bigint as rows,
  min(first_at) as first_at,
  max(last_at) as last_at
from repeated
group by tenant_id, table_name
order by tenant_id, table_name
