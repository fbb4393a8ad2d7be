-- title: Notifications sent
-- question: Do they use it?
-- description: Notifications sent, and the passes they were sent to.
-- formula: notifications = notification events of the period
-- grain: one row per tenant and period
-- parameter: from:date=null First day, inclusive
-- parameter: to:date=null Last day, exclusive
-- parameter: tenant:text=null Only these tenants, separated by commas
-- parameter: zone:zone=UTC Time zone in which periods begin
-- parameter: grain:hour|day|week|month|quarter|year=day Length of a period
-- parameter: week_start:monday|tuesday|wednesday|thursday|friday|saturday|sunday=monday First day of a week
-- dimensions: pass_type, store, medium, origin, tag, campaign, event_type, promoted
-- additive: notifications
-- additive: notified_passes over pass_type, store, medium, origin, promoted
-- unit: events, passes
-- mart: day of events
-- over_days: sum notifications
-- caveat: Only the sending is known: wallets report no delivery, opening or click.
-- caveat: coverage says verified, open (not over or not settled) or unverified: only verified periods are final; loaded_at is when the lake was published.
-- chart: line x=period y=notifications
with
counted as (
  select
    tenant_id,
    period_of(timestamp, $zone, $grain, $week_start) as period,
    count(*) as notifications,
    count(distinct pass_id) as notified_passes
  from event_facts
  where tenant_id = coalesce($tenant, tenant_id)
    and kind = 'notified'
    and is_in_days(timestamp, $zone, $from, $to)
  group by tenant_id, period
)

select
  periods.tenant_id,
  periods.period,
  coalesce(counted.notifications, 0) as notifications,
  coalesce(counted.notified_passes, 0) as notified_passes,
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
