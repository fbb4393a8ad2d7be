-- title: Ids of more than one row
-- description: The ids that more than one row of a tenant's table has, with the hours of these rows.
-- grain: one row per tenant, table, id and hour
-- arguments: of_tenant, from_day
-- caveat: If of_tenant is null, those of all tenants; if from_day is null, those from the beginning.
with
-- A group per number takes a third of the time of a group per text, and few texts repeat.
suspects as (
  select hash(tenant_id, table_name, id) as suspect
  from row_ids(of_tenant, from_day)
  group by suspect
  having count(*) > 1
),

hours as (
  select
    tenant_id,
    table_name,
    id,
    -- Hours since the year 1: truncating a timestamp takes longer.
    (epoch_us(timestamp) + 62135596800000000) // 3600000000 as nth_hour,
    count(*) as rows,
    min(timestamp) as first_at,
    max(timestamp) as last_at
  from row_ids(of_tenant, from_day)
  where hash(tenant_id, table_name, id) in (select suspect from suspects)
  group by tenant_id, table_name, id, nth_hour
)

select
  tenant_id,
  table_name,
  id,
  make_timestamptz(nth_hour * 3600000000 - 62135596800000000) as hour,
  rows,
  first_at,
  last_at
from hours
