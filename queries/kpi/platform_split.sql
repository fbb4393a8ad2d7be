-- title: Platform split
-- question: How many passes are in wallets?
-- description: Active units (passes on a platform) by platform at the end of each period.
-- formula: share = active_units of the platform / all active units
-- grain: one row per tenant, period and platform installed on by then
-- parameter: from:date=null First day, inclusive
-- parameter: to:date=null Last day, exclusive
-- parameter: tenant:text=null Only these tenants, separated by commas
-- parameter: zone:zone=UTC Time zone in which periods begin
-- parameter: grain:hour|day|week|month|quarter|year=day Length of a period
-- parameter: week_start:monday|tuesday|wednesday|thursday|friday|saturday|sunday=monday First day of a week
-- parameter: pass_type:text=null Only passes of these types
-- dimensions: pass_type, store, medium, origin, tag, promoted
-- rows_by: platform
-- additive: active_units
-- unit: units (passes on a platform), share
-- mart: past of events
-- over_days: end active_units by platform
-- caveat: A pass on two platforms counts on both.
-- caveat: Events before the first loaded day are not known, so what is active is a lower bound.
-- caveat: coverage is that of all hours of events up to the end of the period, because the figures depend on the past: verified, open (the rest is not over or not settled) or unverified (an hour is missing or does not balance).
-- chart: area x=period y=active_units series=platform
with
totals as (
  select
    tenant_id,
    platform,
    period_of(changed_at, $zone, $grain, $week_start) as period,
    sum(unit_delta) as delta
  from (
    select tenant_id, platform, changed_at, unit_delta
    from pass_states
    where tenant_id = coalesce($tenant, tenant_id)
      and ($pass_type is null or pass_type = $pass_type)
    union all
    select tenant_id, platform, carried_at as changed_at, active_units as unit_delta
    from carried
    where platform is not null
  ) as changes
  where is_in_days(changed_at, $zone, null, $to)
  group by tenant_id, platform, period
),

running as (
  select
    tenant_id,
    platform,
    period,
    sum(delta) over (partition by tenant_id, platform order by period) as active_units
  from totals
),

platforms as (
  select distinct tenant_id, platform
  from totals
),

spine as (
  select
    periods.*,
    platforms.platform
  from history('events', $tenant, $zone, $grain, $from, $to, [0], $week_start) as periods
  inner join platforms
    on platforms.tenant_id = periods.tenant_id
),

counted as (
  select
    spine.*,
    running.active_units::bigint as active_units
  from spine
  asof inner join running
    on running.tenant_id = spine.tenant_id
    and running.platform = spine.platform
    and running.period <= spine.period
)

select
  counted.tenant_id,
  counted.period,
  counted.platform,
  counted.active_units,
  round(counted.active_units / nullif(sum(counted.active_units) over (partition by counted.tenant_id, counted.period), 0), 4) as share,
  counted.is_cut,
  counted.verified_share,
  counted.partial_share,
  counted.open_share,
  counted.coverage,
  counted.loaded_at
from counted
order by counted.tenant_id, counted.period, counted.platform
