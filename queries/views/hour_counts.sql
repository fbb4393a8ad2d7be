-- title: Running counts of hours by state
-- description: For each known hour of a table, how many hours up to and including it are in which state, and where coverage begins and ends.
-- grain: one row per tenant and hour
-- arguments: of_table, of_tenant
-- caveat: Hours between two known hours that were never read are in none of the counts.
select
  tenant_id,
  hour,
  min(hour) over (partition by tenant_id) as first_hour,
  max(hour) over (partition by tenant_id) as last_hour,
  count(*) filter (where state = 'verified') over (partition by tenant_id order by hour) as verified,
  count(*) filter (where state in ('partial', 'unchecked')) over (partition by tenant_id order by hour) as partial,
  count(*) filter (where state = 'open') over (partition by tenant_id order by hour) as open
from coverage
where table_name = of_table
  and (of_tenant is null or tenant_id = of_tenant)
