-- title: Log errors
-- question: Is the service healthy?
-- formerly: log_errors_per_day
-- description: Log entries by period, and how many of them are errors, by type or by severity.
-- formula: error_share = errors / entries
-- grain: one row per tenant and period
-- parameter: from:date=null First day, inclusive
-- parameter: to:date=null Last day, exclusive
-- parameter: tenant:text=null Only these tenants, separated by commas
-- parameter: zone:zone=UTC Time zone in which periods begin
-- parameter: grain:hour|day|week|month|quarter|year=day Length of a period
-- parameter: week_start:monday|tuesday|wednesday|thursday|friday|saturday|sunday=monday First day of a week
-- dimensions: event_type, promoted
-- additive: errors, entries
-- unit: log entries, share
-- mart: day of logs
-- over_days: sum errors, entries
-- caveat: An entry is an error when its type holds the word error, critical or fatal, or its severity or level is one of them.
-- caveat: The source keeps logs for 45 days: hours lost before they were read make a period unverified.
-- caveat: coverage says verified, open (not over or not settled) or unverified: only verified periods are final; loaded_at is when the lake was published.
-- chart: line x=period y=errors
with
counted as (
  select
    tenant_id,
    period_of(timestamp, $zone, $grain, $week_start) as period,
    count(*) filter (
      where regexp_matches(lower(event_type), '(^|[^a-z])(error|critical|fatal)([^a-z]|$)')
        or lower(severity) in ('error', 'critical', 'fatal')
    ) as errors,
    count(*) as entries
  from logs
  where tenant_id = coalesce($tenant, tenant_id)
    and is_in_days(timestamp, $zone, $from, $to)
  group by tenant_id, period
)

select
  periods.tenant_id,
  periods.period,
  coalesce(counted.errors, 0) as errors,
  coalesce(counted.entries, 0) as entries,
  round(counted.errors / nullif(counted.entries, 0), 4) as error_share,
  periods.is_cut,
  periods.verified_share,
  periods.partial_share,
  periods.open_share,
  periods.coverage,
  periods.loaded_at
from periods('logs', $tenant, $zone, $grain, $from, $to, $week_start) as periods
left join counted
  on counted.tenant_id = periods.tenant_id
  and counted.period = periods.period
order by periods.tenant_id, periods.period
