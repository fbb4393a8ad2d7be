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
  (sum((coverage.hour < beginnings.first_hour)::integer) over (partition by coverage.tenant_id))::bigint as earlier,
  -- Sums over rows: counts with a filter take fourteen times as long.
  count(*) over hours_so_far as known,
  (sum((coverage.state = 'verified')::integer) over hours_so_far)::bigint as verified,
  (sum((coverage.state in ('partial', 'unchecked'))::integer) over hours_so_far)::bigint as partial,
  (sum((coverage.state = 'open')::integer) over hours_so_far)::bigint as open
from coverage
inner join beginnings(of_table, of_tenant) as beginnings
  on beginnings.tenant_id = coverage.tenant_id
where coverage.table_name = of_table
window hours_so_far as (partition by coverage.tenant_id order by coverage.hour rows between unbounded preceding and current row)
