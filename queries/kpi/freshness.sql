-- title: Freshness
-- description: How old the newest row of each table is, and up to when the table is proven.
-- formula: age_minutes = now - newest_row_at
-- grain: one row per tenant and table
-- parameter: now:timestamp=null The instant to measure from; none = now
-- parameter: tenant:text=null One tenant alone
-- unit: minutes
-- caveat: A table in which nothing happened looks old: proven_to tells up to when that is known.
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
    tenant_id,
    table_name,
    max(hour) filter (where state = 'verified') + interval '1 hour' as proven_to,
    -- Hours between the first and the last known one that were never read count too.
    (epoch_us(max(hour)) - epoch_us(min(hour))) // 3600000000 + 1 as hours,
    count(*) filter (where state = 'verified') as verified,
    count(*) filter (where state in ('partial', 'unchecked')) as partial,
    count(*) filter (where state = 'open') as open
  from coverage
  where tenant_id = coalesce($tenant, tenant_id)
  group by tenant_id, table_name
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
