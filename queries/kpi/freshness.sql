-- title: Freshness
-- question: Is the data complete?
-- description: How old the newest row of each table is, and up to when the table is proven.
-- formula: age_minutes = now - newest_row_at
-- grain: one row per tenant and table
-- parameter: now:timestamp=null The instant to measure from; none = now
-- parameter: tenant:text=null Only these tenants, separated by commas
-- unit: minutes
-- caveat: A table in which nothing happened looks old: proven_to shows up to when that is proven.
-- caveat: proven_to is the end of the newest verified hour; hours before it may still be unproven, as the shares over all hours from the first known to the last known one show.
-- caveat: coverage says verified, open (not over or not settled) or unverified: only verified periods are final; loaded_at is when the lake was published.
-- chart: bar x=table_name y=age_minutes
with
newest as (
  select
    tenant_id,
    table_name,
    max(max_timestamp) as newest_row_at
  from lake_files
  where tenant_id = coalesce($tenant, tenant_id)
  group by tenant_id, table_name
),

counted as (
  select
    coverage.tenant_id,
    coverage.table_name,
    max(coverage.hour) filter (where coverage.state = 'verified') + interval '1 hour' as proven_to,
    -- Hours between the beginning of coverage and the last known one that were never read count too.
    (epoch_us(beginnings.last_hour) - epoch_us(beginnings.first_hour)) // 3600000000 + 1
    + count(*) filter (where coverage.hour < beginnings.first_hour) as hours,
    count(*) filter (where coverage.state = 'verified') as verified,
    count(*) filter (where coverage.state in ('partial', 'unchecked')) as partial,
    count(*) filter (where coverage.state = 'open') as open
  from coverage
  inner join beginnings(null, $tenant) as beginnings
    on beginnings.tenant_id = coverage.tenant_id
    and beginnings.table_name = coverage.table_name
  group by coverage.tenant_id, coverage.table_name, beginnings.first_hour, beginnings.last_hour
),

known as (
  select
    tenant_id,
    table_name,
    proven_to,
    least(round(verified / hours, 3), if(verified = hours, 1, 0.999)) as verified_share,
    round(partial / hours, 3) as partial_share,
    round(open / hours, 3) as open_share,
    case
      when verified = hours then 'verified'
      when verified + open = hours then 'open'
      else 'unverified'
    end as coverage
  from counted
)

select
  known.tenant_id,
  known.table_name,
  newest.newest_row_at,
  date_diff('minute', newest.newest_row_at, coalesce($now::timestamptz, current_timestamp)) as age_minutes,
  known.proven_to,
  known.verified_share,
  known.partial_share,
  known.open_share,
  known.coverage,
  (select max(published_at) from snapshot) as loaded_at
from known
left join newest
  on newest.tenant_id = known.tenant_id
  and newest.table_name = known.table_name
order by known.tenant_id, known.table_name
