-- title: Active passes and units
-- question: How many passes are in wallets?
-- description: Passes and units (a pass on a platform) in a wallet at the end of each period, counted from events, and the numbers of the hourly snapshots for comparison.
-- formula: active_units = units whose last event says installed; active_passes = distinct passes with one
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
-- additive: active_passes over pass_type, store, medium, origin, promoted
-- additive: active_units
-- unit: passes, units, series
-- mart: past of events, past of metrics
-- over_days: end active_passes, active_units
-- caveat: Events before the first loaded day are not known, so what is active is a lower bound. Prefer snapshot_units where there is one.
-- caveat: If an event has a number of active registrations, that number decides for its unit: 0 is inactive, more is active.
-- caveat: snapshot_units is the sum of the last snapshot of the metric passes.installed in the period, for each series (the metric's properties) and platform. It is never interpolated.
-- caveat: snapshot_units is null unless every known series has a snapshot in the period (snapshot_series = known_series). A series is known if it has a snapshot in the period or in the 30 days before it.
-- caveat: coverage is that of all hours of events up to the end of the period, because the figures depend on the past: verified, open (the rest is not over or not settled) or unverified (an hour is missing or does not balance).
-- chart: line x=period y=active_passes,active_units
with
active as materialized (
  select *
  from activity($tenant, $zone, $grain, $from, $to, $pass_type, $platform, $week_start)
),

last_snapshots as (
  select
    tenant_id,
    period_of(timestamp, $zone, $grain, $week_start) as period,
    series,
    coalesce(platform, '') as platform,
    arg_max(units, {'at': timestamp, 'units': units}) as units,
    max(timestamp) as last_at
  from installed_snapshots($tenant)
  where units is not null
    and ($pass_type is null or pass_type = $pass_type)
    and ($platform is null or platform = $platform)
    and is_in_days(timestamp, $zone, null, $to)
  group by all
),

spine as (
  select
    active.tenant_id,
    active.period,
    active.starts_at,
    all_series.series,
    all_series.platform
  from active
  inner join (select distinct tenant_id, series, platform from last_snapshots) as all_series
    on all_series.tenant_id = active.tenant_id
),

latest as (
  select
    spine.tenant_id,
    spine.period,
    snapshots.units,
    -- Of a period that the range cuts, only the part inside the range counts.
    snapshots.period = spine.period
    and is_in_days(snapshots.last_at, $zone, $from, null) as is_in_period,
    snapshots.last_at >= spine.starts_at - interval '720 hours' as is_known
  from spine
  asof inner join last_snapshots as snapshots
    on snapshots.tenant_id = spine.tenant_id
    and snapshots.series = spine.series
    and snapshots.platform = spine.platform
    and snapshots.period <= spine.period
),

snapshots as (
  select
    tenant_id,
    period,
    count(*) filter (where is_in_period) as snapshot_series,
    count(*) filter (where is_known) as known_series,
    sum(units) filter (where is_in_period) as units
  from latest
  group by tenant_id, period
)

select
  activity.tenant_id,
  activity.period,
  activity.active_passes,
  activity.active_units,
  case when snapshots.snapshot_series = snapshots.known_series then snapshots.units end as snapshot_units,
  coalesce(snapshots.snapshot_series, 0) as snapshot_series,
  coalesce(snapshots.known_series, 0) as known_series,
  activity.is_cut,
  activity.verified_share,
  activity.partial_share,
  activity.open_share,
  activity.coverage,
  activity.loaded_at
from active as activity
left join snapshots
  on snapshots.tenant_id = activity.tenant_id
  and snapshots.period = activity.period
order by activity.tenant_id, activity.period
