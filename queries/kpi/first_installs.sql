-- title: First installs and first uninstalls
-- question: Are people installing?
-- description: The first installation and the first removal of each pass and platform; repetitions do not count.
-- formula: first_installs, first_uninstalls = units whose first event of the kind lies in the period
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
-- additive: first_installs, first_uninstalls
-- unit: units (passes on a platform)
-- mart: past of events
-- over_days: sum first_installs, first_uninstalls
-- caveat: A removal without a known installation is still the first removal.
-- caveat: What is first depends on the first loaded day: an earlier installation is not known.
-- caveat: coverage is that of all hours of events up to the end of the period, because the figures depend on the past: verified, open (the rest is not over or not settled) or unverified (an hour is missing or does not balance).
-- chart: line x=period y=first_installs,first_uninstalls
with
counted as (
  select
    tenant_id,
    period_of(timestamp, $zone, $grain, $week_start) as period,
    count(*) filter (where kind = 'installed') as first_installs,
    count(*) filter (where kind = 'uninstalled') as first_uninstalls
  from registrations
  where tenant_id = coalesce($tenant, tenant_id)
    and is_first
    and ($pass_type is null or pass_type = $pass_type)
    and ($platform is null or platform = $platform)
    and is_in_days(timestamp, $zone, $from, $to)
  group by tenant_id, period
)

select
  periods.tenant_id,
  periods.period,
  coalesce(counted.first_installs, 0) as first_installs,
  coalesce(counted.first_uninstalls, 0) as first_uninstalls,
  periods.is_cut,
  periods.verified_share,
  periods.partial_share,
  periods.open_share,
  periods.coverage,
  periods.loaded_at
from history('events', $tenant, $zone, $grain, $from, $to, [0], $week_start) as periods
left join counted
  on counted.tenant_id = periods.tenant_id
  and counted.period = periods.period
order by periods.tenant_id, periods.period
