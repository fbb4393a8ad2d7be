-- title: Churn
-- question: Do they stay?
-- description: Passes that became fully inactive in the period, against those active at its start.
-- formula: churn_rate = churned_passes / active_at_start
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
-- additive: active_at_start, churned_passes over pass_type, store, medium, origin, promoted
-- unit: passes, share
-- mart: past of events
-- over_days: start active_at_start
-- caveat: A pass that was installed and removed in the period counts as churned but not as active at its start, so the rate can exceed 1.
-- caveat: A pass that lapsed and came back in the period counts as churned once.
-- caveat: Events before the first loaded day are not known, so what is active is a lower bound.
-- caveat: coverage is that of all hours of events up to the end of the period, because the figures depend on the past: verified, open (the rest is not over or not settled) or unverified (an hour is missing or does not balance).
-- chart: line x=period y=churn_rate
select
  activity.tenant_id,
  activity.period,
  activity.active_passes - activity.pass_growth as active_at_start,
  activity.lapsed_passes as churned_passes,
  round(activity.lapsed_passes / nullif(activity.active_passes - activity.pass_growth, 0), 4) as churn_rate,
  activity.is_cut,
  activity.verified_share,
  activity.partial_share,
  activity.open_share,
  activity.coverage,
  activity.loaded_at
from activity($tenant, $zone, $grain, $from, $to, $pass_type, $platform, $week_start) as activity
order by activity.tenant_id, activity.period
