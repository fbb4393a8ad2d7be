-- title: Installed against created
-- question: Are people installing?
-- description: Passes installed in the period against passes created in it, whether or not they are the same.
-- formula: installed_per_created = installed / created
-- grain: one row per tenant and period
-- parameter: from:date=null First day, inclusive
-- parameter: to:date=null Last day, exclusive
-- parameter: tenant:text=null Only these tenants, separated by commas
-- parameter: zone:zone=UTC Time zone in which periods begin
-- parameter: grain:hour|day|week|month|quarter|year=day Length of a period
-- parameter: week_start:monday|tuesday|wednesday|thursday|friday|saturday|sunday=monday First day of a week
-- parameter: pass_type:text=null Only passes of these types
-- parameter: platform:text=null Only these platforms (apple, google or (unknown))
-- dimensions: pass_type, platform, store, medium, origin, tag, promoted
-- additive: created, installed over pass_type, store, medium, origin, promoted
-- unit: passes, ratio
-- mart: day of events
-- caveat: A ratio of two counts, not a share: it can exceed 1. installation_rate follows the passes themselves.
-- caveat: With a platform, only the installations are of that platform: a creation has none.
-- caveat: coverage says verified, open (not over or not settled) or unverified: only verified periods are final; loaded_at is when the lake was published.
-- chart: line x=period y=installed_per_created
with
counted as (
  select
    tenant_id,
    period_of(timestamp, $zone, $grain, $week_start) as period,
    count(distinct pass_id) filter (where kind = 'created') as created,
    count(distinct pass_id) filter (where kind = 'installed') as installed
  from pass_events
  where tenant_id = coalesce($tenant, tenant_id)
    and kind in ('created', 'installed')
    and ($pass_type is null or pass_type = $pass_type)
    and ($platform is null or kind = 'created' or platform = $platform)
    and is_in_days(timestamp, $zone, $from, $to)
  group by tenant_id, period
)

select
  periods.tenant_id,
  periods.period,
  coalesce(counted.created, 0) as created,
  coalesce(counted.installed, 0) as installed,
  round(counted.installed / nullif(counted.created, 0), 4) as installed_per_created,
  periods.is_cut,
  periods.verified_share,
  periods.partial_share,
  periods.open_share,
  periods.coverage,
  periods.loaded_at
from periods('events', $tenant, $zone, $grain, $from, $to, $week_start) as periods
left join counted
  on counted.tenant_id = periods.tenant_id
  and counted.period = periods.period
order by periods.tenant_id, periods.period
