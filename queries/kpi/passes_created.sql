-- title: Passes created
-- question: How many passes are in wallets?
-- description: Passes with a created event in the period.
-- formula: passes_created = distinct passes with a created event in the period
-- grain: one row per tenant and period
-- parameter: from:date=null First day, inclusive
-- parameter: to:date=null Last day, exclusive
-- parameter: tenant:text=null Only these tenants, separated by commas
-- parameter: zone:zone=UTC Time zone in which periods begin
-- parameter: grain:hour|day|week|month|quarter|year=day Length of a period
-- parameter: week_start:monday|tuesday|wednesday|thursday|friday|saturday|sunday=monday First day of a week
-- parameter: pass_type:text=null Only passes of these types
-- dimensions: pass_type, store, medium, origin, tag, promoted
-- additive: passes_created
-- unit: passes
-- mart: day of events
-- caveat: A pass counts once in each period in which it has a created event, however many.
-- caveat: coverage says verified, open (not over or not settled) or unverified: only verified periods are final; loaded_at is when the lake was published.
-- chart: line x=period y=passes_created
with
counted as (
  select
    tenant_id,
    period_of(timestamp, $zone, $grain, $week_start) as period,
    count(distinct pass_id) as passes_created
  from pass_events
  where tenant_id = coalesce($tenant, tenant_id)
    and kind = 'created'
    and ($pass_type is null or pass_type = $pass_type)
    and is_in_days(timestamp, $zone, $from, $to)
  group by tenant_id, period
)

select
  periods.tenant_id,
  periods.period,
  coalesce(counted.passes_created, 0) as passes_created,
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
