-- title: Survival after 7, 30 and 90 days
-- question: Do they stay?
-- description: Passes by the period of their first installation, and how many are active 1 to 365 days later.
-- formula: survival_dN = alive_dN / cohort; alive_dN = passes of the cohort active N days after their first installation
-- ratio: survival_d7 = alive_d7 / cohort; survival_d30 = alive_d30 / cohort; survival_d90 = alive_d90 / cohort
-- grain: one row per tenant and period of first installation
-- parameter: from:date=null First day, inclusive
-- parameter: to:date=null Last day, exclusive
-- parameter: tenant:text=null Only these tenants, separated by commas
-- parameter: zone:zone=UTC Time zone in which periods begin
-- parameter: grain:hour|day|week|month|quarter|year=day Length of a period
-- parameter: week_start:monday|tuesday|wednesday|thursday|friday|saturday|sunday=monday First day of a week
-- parameter: pass_type:text=null Only passes of these types
-- parameter: platform:text=null Only these platforms (apple, google or (unknown))
-- dimensions: pass_type, platform, store, medium, origin, tag, promoted
-- additive: cohort, alive_d1, alive_d7, alive_d30, alive_d90, alive_d180, alive_d365 over pass_type, store, medium, origin, promoted
-- unit: passes, share
-- mart: all of events
-- over_days: sum cohort, alive_d1, alive_d7, alive_d30, alive_d90, alive_d180, alive_d365
-- caveat: alive and survival are null for a cohort whose last day has not reached the age yet.
-- caveat: A pass that was removed and came back before the day counts as alive.
-- caveat: Days are 24 hours after the first installation of each pass.
-- caveat: coverage is that of all hours of events up to the oldest age that is shown, or to the end of the period while none is: verified, open (the rest is not over or not settled) or unverified (an hour is missing or does not balance).
-- chart: line x=period y=survival_d7,survival_d30,survival_d90
with
cohorts as (
  select
    tenant_id,
    period_of(installed_at, $zone, $grain, $week_start) as period,
    sum(cohort)::bigint as cohort,
    sum(alive_d1)::bigint as alive_d1,
    sum(alive_d7)::bigint as alive_d7,
    sum(alive_d30)::bigint as alive_d30,
    sum(alive_d90)::bigint as alive_d90,
    sum(alive_d180)::bigint as alive_d180,
    sum(alive_d365)::bigint as alive_d365
  from (
    select
      tenant_id,
      installed_at,
      1 as cohort,
      alive_d1::integer as alive_d1,
      alive_d7::integer as alive_d7,
      alive_d30::integer as alive_d30,
      alive_d90::integer as alive_d90,
      alive_d180::integer as alive_d180,
      alive_d365::integer as alive_d365
    from lives($tenant, $pass_type, $platform, null)
    union all
    select
      tenant_id,
      carried_at as installed_at,
      cohort,
      alive_d1,
      alive_d7,
      alive_d30,
      alive_d90,
      alive_d180,
      alive_d365
    from carried
    where cohort is not null
  ) as counted
  where is_in_days(installed_at, $zone, $from, $to)
  group by tenant_id, period
),

known as (
  select
    tenant_id,
    max(case when state = 'open' then hour else hour + interval '1 hour' end) as known_to
  from coverage
  where table_name = 'events'
  group by tenant_id
),

judged as (
  select
    history.*
  from history('events', $tenant, $zone, $grain, $from, $to, [0, 1, 7, 30, 90, 180, 365], $week_start) as history
  inner join known
    on known.tenant_id = history.tenant_id
  where history.age_days = 0
    or known.known_to >= history.ends_at + to_hours(24 * history.age_days)
  qualify row_number() over (partition by history.tenant_id, history.period order by history.age_days desc) = 1
)

select
  periods.tenant_id,
  periods.period,
  coalesce(cohorts.cohort, 0) as cohort,
  case when periods.age_days >= 7 then round(cohorts.alive_d7 / cohorts.cohort, 4) end as survival_d7,
  case when periods.age_days >= 30 then round(cohorts.alive_d30 / cohorts.cohort, 4) end as survival_d30,
  case when periods.age_days >= 90 then round(cohorts.alive_d90 / cohorts.cohort, 4) end as survival_d90,
  case when periods.age_days >= 1 then coalesce(cohorts.alive_d1, 0) end as alive_d1,
  case when periods.age_days >= 7 then coalesce(cohorts.alive_d7, 0) end as alive_d7,
  case when periods.age_days >= 30 then coalesce(cohorts.alive_d30, 0) end as alive_d30,
  case when periods.age_days >= 90 then coalesce(cohorts.alive_d90, 0) end as alive_d90,
  case when periods.age_days >= 180 then coalesce(cohorts.alive_d180, 0) end as alive_d180,
  case when periods.age_days >= 365 then coalesce(cohorts.alive_d365, 0) end as alive_d365,
  periods.is_cut,
  periods.verified_share,
  periods.partial_share,
  periods.open_share,
  periods.coverage,
  periods.loaded_at
from judged as periods
left join cohorts
  on cohorts.tenant_id = periods.tenant_id
  and cohorts.period = periods.period
order by periods.tenant_id, periods.period
