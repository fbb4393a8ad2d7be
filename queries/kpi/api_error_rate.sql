-- title: API error rate
-- question: Is the service healthy?
-- description: API requests and the share of them answered with status 400 or more.
-- formula: error_rate = requests with status >= 400 / requests
-- ratio: error_rate = errors / requests
-- grain: one row per tenant and period
-- parameter: from:date=null First day, inclusive
-- parameter: to:date=null Last day, exclusive
-- parameter: tenant:text=null Only these tenants, separated by commas
-- parameter: zone:zone=UTC Time zone in which periods begin
-- parameter: grain:hour|day|week|month|quarter|year=day Length of a period
-- parameter: week_start:monday|tuesday|wednesday|thursday|friday|saturday|sunday=monday First day of a week
-- dimensions: event_type, promoted
-- additive: requests, errors, without_status
-- unit: requests, share
-- mart: day of events
-- over_days: sum requests, errors, without_status
-- caveat: A request without a readable status counts as a request and not as an error; without_status is the number of such requests.
-- caveat: coverage says verified, open (not over or not settled) or unverified: only verified periods are final; loaded_at is when the lake was published.
-- chart: line x=period y=error_rate
with
counted as (
  select
    tenant_id,
    period_of(timestamp, $zone, $grain, $week_start) as period,
    count(*) as requests,
    count(*) filter (where status_code >= 400) as errors,
    count(*) filter (where status_code is null) as without_status
  from event_facts
  where tenant_id = coalesce($tenant, tenant_id)
    and kind = 'requested'
    and is_in_days(timestamp, $zone, $from, $to)
  group by tenant_id, period
)

select
  periods.tenant_id,
  periods.period,
  coalesce(counted.requests, 0) as requests,
  coalesce(counted.errors, 0) as errors,
  coalesce(counted.without_status, 0) as without_status,
  round(counted.errors / nullif(counted.requests, 0), 4) as error_rate,
  periods.is_cut,
  periods.verified_share,
  periods.partial_share,
  periods.open_share,
  periods.coverage,
  periods.loaded_at
from periods('events', $tenant, $zone, $grain, $from, $to, $week_start) as periods
left join counted
  on counted.tenant_id = periods.tenant_id
  and counted.period = periods.period
order by periods.tenant_id, periods.period
