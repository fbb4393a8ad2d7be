-- title: Installation rate of cohorts
-- question: Are people installing?
-- description: Of the passes created in the period, the share that was installed at any time after.
-- formula: installation_rate = installed_later / created
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
-- additive: created, installed_later over pass_type, store, medium, origin, promoted
-- unit: passes, share
-- mart: all of events
-- caveat: Young cohorts still grow: compare periods of the same age. `to` limits the cohorts, not their installations.
-- caveat: Industry reference only: 0.70-0.85 on Apple, 0.55-0.75 on Google.
-- caveat: coverage is that of all hours of events from the beginning of the period on, because an installation counts whenever it comes: verified, open (hours of the period are not over or not settled) or unverified (an hour is missing or does not balance).
-- chart: line x=period y=installation_rate
with
counted as (
  select
    tenant_id,
    period,
    sum(created)::bigint as created,
    sum(installed_later)::bigint as installed_later
  from (
    select
      tenant_id,
      period,
      1 as created,
      is_installed_later::integer as installed_later
    from creations($tenant, $zone, $grain, $from, $to, $pass_type, $platform, null, $week_start)
    union all
    select
      tenant_id,
      period_of(carried_at, $zone, $grain, $week_start) as period,
      created,
      installed_later
    from carried
    where created is not null
      and is_in_days(carried_at, $zone, $from, $to)
  ) as found
  group by tenant_id, period
),

known as (
  select
    tenant_id,
    max(hour) filter (where state <> 'open') + interval '1 hour' as known_to
  from coverage
  where table_name = 'events'
  group by tenant_id
),

spine as (
  select
    periods.*,
    -- Hours after the period that are not over yet are no gap.
    greatest(periods.ends_at, known.known_to) as known_until
  from periods('events', $tenant, $zone, $grain, $from, $to, $week_start) as periods
  inner join known
    on known.tenant_id = periods.tenant_id
),

proven as (
  select
    spine.tenant_id,
    spine.period,
    spine.is_cut,
    spine.loaded_at,
    if(
      spine.ends_at > so_far.first_hour,
      (epoch_us(spine.known_until) - epoch_us(spine.starts_at)) // 3600000000,
      -- The cohort is older than continuous coverage: of the time before that, the known hours count.
      so_far.earlier - coalesce(earlier.known, 0) + (epoch_us(spine.known_until) - epoch_us(so_far.first_hour)) // 3600000000
    ) as hours,
    coalesce(so_far.verified, 0) - coalesce(earlier.verified, 0) as verified,
    coalesce(so_far.partial, 0) - coalesce(earlier.partial, 0) as partial,
    coalesce(so_far.open, 0) - coalesce(earlier.open, 0)
    + greatest(coalesce((epoch_us(spine.known_until) - epoch_us(so_far.last_hour)) // 3600000000 - 1, 0), 0) as open
  from spine
  asof left join hour_counts('events', $tenant) as so_far
    on so_far.tenant_id = spine.tenant_id
    and so_far.hour < spine.known_until
  asof left join hour_counts('events', $tenant) as earlier
    on earlier.tenant_id = spine.tenant_id
    and earlier.hour < spine.starts_at
)

select
  periods.tenant_id,
  periods.period,
  coalesce(counted.created, 0) as created,
  coalesce(counted.installed_later, 0) as installed_later,
  round(counted.installed_later / nullif(counted.created, 0), 4) as installation_rate,
  periods.is_cut,
  least(round(periods.verified / periods.hours, 3), if(periods.verified = periods.hours, 1, 0.999)) as verified_share,
  round(periods.partial / periods.hours, 3) as partial_share,
  round(periods.open / periods.hours, 3) as open_share,
  case
    when periods.verified = periods.hours then 'verified'
    when periods.verified + periods.open = periods.hours then 'open'
    else 'unverified'
  end as coverage,
  periods.loaded_at
from proven as periods
left join counted
  on counted.tenant_id = periods.tenant_id
  and counted.period = periods.period
order by periods.tenant_id, periods.period
