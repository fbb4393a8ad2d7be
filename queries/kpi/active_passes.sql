-- title: Active passes and units
-- description: Passes and units (a pass on a platform) in a wallet at the end of each period, from events, and beside them what the hourly snapshots say.
-- formula: active_units = units whose last event says installed; active_passes = distinct passes with one
-- grain: one row per tenant and period
-- parameter: from:date=null First day, inclusive
-- parameter: to:date=null Last day, exclusive
-- parameter: tenant:text=null One tenant alone
-- parameter: zone:zone=UTC Time zone in which periods begin
-- parameter: grain:hour|day|week|month=day Length of a period; weeks begin on Monday
-- parameter: pass_type:text=null Passes of this type alone
-- parameter: platform:text=null This platform alone (apple, google or (unknown))
-- unit: passes, units
-- mart: past of events, day of metrics
-- caveat: Events before the first loaded day are unseen: what is active is a lower bound. Prefer snapshot_units where there is one.
-- caveat: Where an event tells the number of active registrations, that number decides for its unit: 0 is inactive, more is active.
-- caveat: snapshot_units is the last snapshot of the period of the metric passes.installed, null without one: never interpolated.
-- caveat: coverage says verified, open (not over or not settled) or unverified: only verified periods are final; loaded_at is when the lake was published.
-- chart: line x=period y=active_passes,active_units
with
last_snapshots as (
  select
    tenant_id,
    date_trunc($grain, timestamp at time zone $zone) as period,
    arg_max(units, timestamp) as units
  from installed_snapshots($tenant)
  where ($pass_type is null or pass_type = $pass_type)
    and ($platform is null or platform = $platform)
    and timestamp >= coalesce($from::timestamp at time zone $zone, '-infinity'::timestamptz)
    and timestamp < coalesce($to::timestamp at time zone $zone, 'infinity'::timestamptz)
  group by tenant_id, period, series, platform
),

snapshots as (
  select
    tenant_id,
    period,
    sum(units) as snapshot_units
  from last_snapshots
  group by tenant_id, period
)

select
  activity.tenant_id,
  activity.period,
  activity.active_passes,
  activity.active_units,
  snapshots.snapshot_units,
  activity.verified_share,
  activity.partial_share,
  activity.open_share,
  activity.coverage,
  activity.loaded_at
from activity($tenant, $zone, $grain, $from, $to, $pass_type, $platform) as activity
left join snapshots
  on snapshots.tenant_id = activity.tenant_id
  and snapshots.period = activity.period
order by activity.tenant_id, activity.period
