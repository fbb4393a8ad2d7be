-- title: Log volume
-- question: Is the service healthy?
-- description: Log entries by type.
-- formula: entries = log entries of the type in the period
-- grain: one row per tenant, period and log type that occurs
-- parameter: from:date=null First day, inclusive
-- parameter: to:date=null Last day, exclusive
-- parameter: tenant:text=null Only these tenants, separated by commas
-- parameter: zone:zone=UTC Time zone in which periods begin
-- parameter: grain:hour|day|week|month|quarter|year=day Length of a period
-- parameter: week_start:monday|tuesday|wednesday|thursday|friday|saturday|sunday=monday First day of a week
-- dimensions: promoted
-- additive: entries
-- unit: log entries
-- mart: day of logs
-- over_days: sum entries by log_type
-- caveat: The source keeps logs for 45 days: hours lost before they were read make a period unverified.
-- caveat: A type without entries in a period has no row.
-- caveat: coverage says verified, open (not over or not settled) or unverified: only verified periods are final; loaded_at is when the lake was published.
-- chart: line x=period y=entries series=log_type
with
counted as (
  select
    tenant_id,
    period_of(timestamp, $zone, $grain, $week_start) as period,
    event_type as log_type,
    count(*) as entries
  from logs
  where tenant_id = coalesce($tenant, tenant_id)
    and is_in_days(timestamp, $zone, $from, $to)
  group by tenant_id, period, log_type
)

select
  periods.tenant_id,
  periods.period,
  counted.log_type,
  counted.entries,
  periods.is_cut,
  periods.verified_share,
  periods.partial_share,
  periods.open_share,
  periods.coverage,
  periods.loaded_at
from periods('logs', $tenant, $zone, $grain, $from, $to, $week_start) as periods
inner join counted
  on counted.tenant_id = periods.tenant_id
  and counted.period = periods.period
order by periods.tenant_id, periods.period, counted.log_type
