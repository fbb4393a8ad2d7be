-- title: Gross installs and uninstalls
-- question: Are people installing?
-- description: Installation and removal events, repetitions included, each event id once.
-- formula: installs, uninstalls = distinct event ids of the kind in the period
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
-- additive: installs, uninstalls
-- unit: events
-- mart: day of events
-- over_days: sum installs, uninstalls
-- caveat: Re-installs and further devices count again: first_installs counts each pass and platform once.
-- caveat: coverage says verified, open (not over or not settled) or unverified: only verified periods are final; loaded_at is when the lake was published.
-- chart: line x=period y=installs,uninstalls
with
counted as (
  select
    tenant_id,
    period_of(timestamp, $zone, $grain, $week_start) as period,
    count(*) filter (where kind = 'installed') as installs,
    count(*) filter (where kind = 'uninstalled') as uninstalls
  from registrations
  where tenant_id = coalesce($tenant, tenant_id)
    and ($pass_type is null or pass_type = $pass_type)
    and ($platform is null or platform = $platform)
    and is_in_days(timestamp, $zone, $from, $to)
  group by tenant_id, period
)

select
  periods.tenant_id,
  periods.period,
  coalesce(counted.installs, 0) as installs,
  coalesce(counted.uninstalls, 0) as uninstalls,
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
