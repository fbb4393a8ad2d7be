-- title: Completeness of metrics
-- question: Is the data complete?
-- description: Hours with and without a snapshot, for each metric type since it was first seen.
-- formula: completeness = 1 - missing_hours / expected_hours
-- grain: one row per tenant, metric type and period
-- parameter: from:date=null First day, inclusive
-- parameter: to:date=null Last day, exclusive
-- parameter: tenant:text=null Only these tenants, separated by commas
-- parameter: zone:zone=UTC Time zone in which periods begin
-- parameter: grain:hour|day|week|month|quarter|year=day Length of a period
-- parameter: week_start:monday|tuesday|wednesday|thursday|friday|saturday|sunday=monday First day of a week
-- unit: hours, share
-- mart: past of metrics
-- over_days: sum expected_hours, missing_hours by metric_type
-- caveat: Missing hours are reported and never interpolated.
-- caveat: Only hours that are verified are expected to hold a snapshot; an hour that is not proven may still get one.
-- caveat: coverage is that of all hours of metrics up to the end of the period, because the figures depend on the past: verified, open (the rest is not over or not settled) or unverified (an hour is missing or does not balance).
-- chart: line x=period y=completeness series=metric_type
with
snapshots as (
  select distinct
    tenant_id,
    metric_type,
    date_trunc('hour', timestamp) as hour
  from metrics
  where tenant_id = coalesce($tenant, tenant_id)
),

types as (
  select
    tenant_id,
    metric_type,
    min(hour) as first_hour
  from snapshots
  group by tenant_id, metric_type
),

expected as (
  select
    types.tenant_id,
    types.metric_type,
    period_of(coverage.hour, $zone, $grain, $week_start) as period,
    snapshots.hour is not null as is_present
  from types
  inner join coverage
    on coverage.tenant_id = types.tenant_id
    and coverage.table_name = 'metrics'
    and coverage.state = 'verified'
    and coverage.hour >= types.first_hour
    and is_in_days(coverage.hour, $zone, $from, $to)
  left join snapshots
    on snapshots.tenant_id = types.tenant_id
    and snapshots.metric_type = types.metric_type
    and snapshots.hour = coverage.hour
),

counted as (
  select
    tenant_id,
    metric_type,
    period,
    count(*) as expected_hours,
    count(*) filter (where not is_present) as missing_hours
  from expected
  group by tenant_id, metric_type, period
)

select
  periods.tenant_id,
  periods.period,
  counted.metric_type,
  counted.expected_hours,
  counted.missing_hours,
  round(1 - counted.missing_hours / counted.expected_hours, 4) as completeness,
  periods.is_cut,
  periods.verified_share,
  periods.partial_share,
  periods.open_share,
  periods.coverage,
  periods.loaded_at
from history('metrics', $tenant, $zone, $grain, $from, $to, [0], $week_start) as periods
inner join counted
  on counted.tenant_id = periods.tenant_id
  and counted.period = periods.period
order by periods.tenant_id, periods.period, counted.metric_type
