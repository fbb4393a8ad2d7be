-- title: Where continuous coverage begins
-- description: The first hour of the newest stretch of coverage that has no gap of more than 400 days, and the last known hour.
-- grain: one row per tenant and table
-- arguments: of_table, of_tenant
-- caveat: Rows before that hour have a default date such as 1970-01-01 as their time. Only their own days are covered, and the empty years in between do not count as a gap.
with
-- A gap of more than 400 days is never inside one of these, so their ends are enough to find it.
stretches as (
  select
    tenant_id,
    table_name,
    epoch_us(hour) // 17280000000000 as stretch,
    min(hour) as first_hour,
    max(hour) as last_hour
  from coverage
  where (of_table is null or table_name = of_table)
    and (of_tenant is null or tenant_id = of_tenant)
  group by tenant_id, table_name, stretch
),

connected as (
  select
    tenant_id,
    table_name,
    first_hour,
    last_hour,
    coalesce(epoch_us(first_hour) - epoch_us(lag(last_hour) over (partition by tenant_id, table_name order by first_hour)) > 34560000000000, true) as begins
  from stretches
)

select
  tenant_id,
  table_name,
  max(first_hour) filter (where begins) as first_hour,
  max(last_hour) as last_hour
from connected
group by tenant_id, table_name
