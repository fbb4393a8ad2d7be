-- title: Ever installed and retention
-- question: Do they stay?
-- description: Passes installed at any time until the end of the period, and the share of them that is still active.
-- formula: retention = active_passes / ever_installed
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
-- additive: ever_installed, active_passes over pass_type, store, medium, origin, promoted
-- unit: passes, share
-- mart: past of events
-- over_days: end ever_installed, active_passes
-- caveat: retention is active passes / passes ever installed; null while none was.
-- caveat: Events before the first loaded day are not known, so what is active is a lower bound.
-- caveat: coverage is that of all hours of events up to the end of the period, because the figures depend on the past: verified, open (the rest is not over or not settled) or unverified (an hour is missing or does not balance).
-- chart: line x=period y=retention
select
  activity.tenant_id,
  activity.period,
  activity.ever_installed,
  activity.active_passes,
  round(activity.active_passes / nullif(activity.ever_installed, 0), 4) as retention,
  activity.is_cut,
  activity.verified_share,
  activity.partial_share,
  activity.open_share,
  activity.coverage,
  activity.loaded_at
from activity($tenant, $zone, $grain, $from, $to, $pass_type, $platform, $week_start) as activity
order by activity.tenant_id, activity.period
