-- title: Ever installed and retention
-- description: Passes installed at any time until the end of the period, and the share of them that is still active.
-- formula: retention = active_passes / ever_installed
-- grain: one row per tenant and period
-- parameter: from:date=null First day, inclusive
-- parameter: to:date=null Last day, exclusive
-- parameter: tenant:text=null One tenant alone
-- parameter: zone:zone=UTC Time zone in which periods begin
-- parameter: grain:hour|day|week|month=day Length of a period; weeks begin on Monday
-- parameter: pass_type:text=null Passes of this type alone
-- parameter: platform:text=null This platform alone (apple, google or (unknown))
-- unit: passes, share
-- mart: past of events
-- caveat: retention is active passes / passes ever installed; null while none was.
-- caveat: Events before the first loaded day are unseen: what is active is a lower bound.
-- caveat: coverage says verified, open (not over or not settled) or unverified: only verified periods are final; loaded_at is when the lake was published.
-- chart: line x=period y=retention
select
  activity.tenant_id,
  activity.period,
  activity.ever_installed,
  activity.active_passes,
  round(activity.active_passes / nullif(activity.ever_installed, 0), 4) as retention,
  activity.verified_share,
  activity.partial_share,
  activity.open_share,
  activity.coverage,
  activity.loaded_at
from activity($tenant, $zone, $grain, $from, $to, $pass_type, $platform) as activity
order by activity.tenant_id, activity.period
