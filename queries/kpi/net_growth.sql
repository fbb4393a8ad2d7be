-- title: Net growth
-- question: Are people installing?
-- description: First installs and re-installs less removals, counted on changes of state and not on raw events.
-- formula: net_growth = installed + reinstalled - removed
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
-- additive: installed, reinstalled, removed, net_growth
-- unit: units (passes on a platform)
-- mart: past of events
-- over_days: sum installed, reinstalled, removed, net_growth
-- caveat: Repeated installations and removals of what was not installed change nothing, so net_growth is the change of active_units.
-- caveat: coverage is that of all hours of events up to the end of the period, because the figures depend on the past: verified, open (the rest is not over or not settled) or unverified (an hour is missing or does not balance).
-- chart: bar x=period y=net_growth
select
  activity.tenant_id,
  activity.period,
  activity.installed,
  activity.reinstalled,
  activity.removed,
  activity.installed + activity.reinstalled - activity.removed as net_growth,
  activity.is_cut,
  activity.verified_share,
  activity.partial_share,
  activity.open_share,
  activity.coverage,
  activity.loaded_at
from activity($tenant, $zone, $grain, $from, $to, $pass_type, $platform, $week_start) as activity
order by activity.tenant_id, activity.period
