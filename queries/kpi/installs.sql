-- title: Installs
-- question: Are people installing?
-- formerly: installs_per_day
-- description: Installations of passes by period and platform, and how many were the first of their pass there.
-- formula: first_installs = installs that are the first of their pass on that platform
-- grain: one row per tenant, period and platform that has one
-- parameter: from:date=null First day, inclusive
-- parameter: to:date=null Last day, exclusive
-- parameter: tenant:text=null Only these tenants, separated by commas
-- parameter: zone:zone=UTC Time zone in which periods begin
-- parameter: grain:hour|day|week|month|quarter|year=day Length of a period
-- parameter: week_start:monday|tuesday|wednesday|thursday|friday|saturday|sunday=monday First day of a week
-- parameter: pass_type:text=null Only passes of these types
-- parameter: platform:text=null Only these platforms (apple, google or (unknown))
-- dimensions: pass_type, store, medium, origin, tag, promoted
-- rows_by: platform
-- additive: installs, first_installs
-- unit: events
-- mart: past of events
-- over_days: sum installs, first_installs by platform
-- caveat: An installation can repeat (re-installs, several devices): first_installs counts each pass and platform once.
-- caveat: A platform without installations in a period has no row: gross_installs has one row for every period.
-- caveat: coverage is that of all hours of events up to the end of the period, because the figures depend on the past: verified, open (the rest is not over or not settled) or unverified (an hour is missing or does not balance).
-- chart: line x=period y=installs series=platform
with
counted as (
  select
    tenant_id,
    period_of(timestamp, $zone, $grain, $week_start) as period,
    platform,
    count(*) as installs,
    count(*) filter (where is_first) as first_installs
  from registrations
  where kind = 'installed'
    and tenant_id = coalesce($tenant, tenant_id)
    and ($pass_type is null or pass_type = $pass_type)
    and ($platform is null or platform = $platform)
    and is_in_days(timestamp, $zone, $from, $to)
  group by tenant_id, period, platform
)

select
  periods.tenant_id,
  periods.period,
  counted.platform,
  counted.installs,
  counted.first_installs,
  periods.is_cut,
  periods.verified_share,
  periods.partial_share,
  periods.open_share,
  periods.coverage,
  periods.loaded_at
from history('events', $tenant, $zone, $grain, $from, $to, [0], $week_start) as periods
inner join counted
  on counted.tenant_id = periods.tenant_id
  and counted.period = periods.period
order by periods.tenant_id, periods.period, counted.platform
