-- title: Installs per page view
-- question: Where do they come from?
-- description: Installation events against page views of the same period.
-- formula: installs_per_view = installs / page_views
-- grain: one row per tenant and period
-- parameter: from:date=null First day, inclusive
-- parameter: to:date=null Last day, exclusive
-- parameter: tenant:text=null Only these tenants, separated by commas
-- parameter: zone:zone=UTC Time zone in which periods begin
-- parameter: grain:hour|day|week|month|quarter|year=day Length of a period
-- parameter: week_start:monday|tuesday|wednesday|thursday|friday|saturday|sunday=monday First day of a week
-- dimensions: store, medium, origin, tag, promoted
-- additive: page_views, installs
-- unit: events, ratio
-- mart: day of events
-- over_days: sum page_views, installs
-- caveat: A ratio of counts: no key is shared between a view and an installation, so it is not the share of visitors who installed, and it can exceed 1.
-- caveat: coverage says verified, open (not over or not settled) or unverified: only verified periods are final; loaded_at is when the lake was published.
-- chart: line x=period y=installs_per_view
with
page_views as (
  select
    tenant_id,
    period_of(timestamp, $zone, $grain, $week_start) as period,
    count(*) as page_views
  from event_facts
  where tenant_id = coalesce($tenant, tenant_id)
    and kind = 'viewed'
    and is_in_days(timestamp, $zone, $from, $to)
  group by tenant_id, period
),

installs as (
  select
    tenant_id,
    period_of(timestamp, $zone, $grain, $week_start) as period,
    count(*) as installs
  from registrations
  where tenant_id = coalesce($tenant, tenant_id)
    and kind = 'installed'
    and is_in_days(timestamp, $zone, $from, $to)
  group by tenant_id, period
)

select
  periods.tenant_id,
  periods.period,
  coalesce(page_views.page_views, 0) as page_views,
  coalesce(installs.installs, 0) as installs,
  round(coalesce(installs.installs, 0) / nullif(page_views.page_views, 0), 4) as installs_per_view,
  periods.is_cut,
  periods.verified_share,
  periods.partial_share,
  periods.open_share,
  periods.coverage,
  periods.loaded_at
from periods('events', $tenant, $zone, $grain, $from, $to, $week_start) as periods
left join page_views
  on page_views.tenant_id = periods.tenant_id
  and page_views.period = periods.period
left join installs
  on installs.tenant_id = periods.tenant_id
  and installs.period = periods.period
order by periods.tenant_id, periods.period
