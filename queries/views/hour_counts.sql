-- title: Running counts of hours by state
-- description: For each known hour of a table, how many hours up to and including it are in each state, and where coverage begins and ends.
-- grain: one row per tenant and hour
-- arguments: of_table, of_tenant
-- caveat: earlier is the number of known hours before continuous coverage begins (see beginnings).
-- caveat: Hours that were never read are in none of the counts.
select
  coverage.tenant_id,
  coverage.hour,
  beginnings.first_hour,
  beginnings.last_hour,
  count(*) filter (where coverage.hour < beginnings.first_hour) over (partition by coverage.tenant_id) as earlier,
  count(*) over (partition by coverage.tenant_id order by coverage.hour) as known,
  count(*) filter (where coverage.state = 'verified') over (partition by coverage.tenant_id order by coverage.hour) as verified,
  count(*) filter (where coverage.state in ('partial', 'unchecked')) over (partition by coverage.tenant_id order by coverage.hour) as partial,
  count(*) filter (where coverage.state = 'open') over (partition by coverage.tenant_id order by coverage.hour) as open
from coverage
inner join beginnings(of_table, of_tenant) as beginnings
  on beginnings.tenant_id = coverage.tenant_id
where coverage.table_name = of_table
