-- title: Freshness
-- description: How old the newest row of each table is, and up to when the table is proven.
-- formula: age_minutes = now - newest_row_at
-- grain: one row per tenant and table
-- parameter: now:timestamp=null The instant to measure from; none = now
-- parameter: tenant:text=null One tenant alone
-- unit: minutes
-- caveat: A table in which nothing happened looks old: proven_to tells up to when that is known.
-- caveat: proven_to is the end of the newest verified hour; hours before it may still be unproven, as the shares over all known hours show.
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

known as (
  select
    tenant_id,
    table_name,
    max(hour) filter (where state = 'verified') + interval '1 hour' as proven_to,
    round(count(*) filter (where state = 'verified') / count(*), 3) as verified_share,
    round(count(*) filter (where state in ('partial', 'unchecked')) / count(*), 3) as partial_share,
    round(count(*) filter (where state = 'open') / count(*), 3) as open_share,
    case
      when count(*) filter (where state = 'verified') = count(*) then 'verified'
      when count(*) filter (where state not in ('verified', 'open')) = 0 then 'open'
      else 'unverified'
    end as coverage
  from coverage
  where tenant_id = coalesce($tenant, tenant_id)
  group by tenant_id, table_name
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
