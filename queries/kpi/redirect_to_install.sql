-- title: Installs per redirect
-- question: Where do they come from?
-- description: Installation events against followed QR codes and short links, by store or by code.
-- formula: installs_per_redirect = installs / redirects
-- grain: one row per tenant, period and place that has one of them
-- parameter: from:date=null First day, inclusive
-- parameter: to:date=null Last day, exclusive
-- parameter: tenant:text=null Only these tenants, separated by commas
-- parameter: zone:zone=UTC Time zone in which periods begin
-- parameter: grain:hour|day|week|month|quarter|year=day Length of a period
-- parameter: week_start:monday|tuesday|wednesday|thursday|friday|saturday|sunday=monday First day of a week
-- parameter: by:store|redirect=store What a place is: the store, or the QR code or link
-- dimensions: pass_type, medium, origin, tag, promoted
-- additive: redirects, installs
-- unit: events, ratio
-- mart: past of events
-- over_days: sum redirects, installs by place
-- caveat: A ratio of counts: no key is shared between a redirect and an installation; it can exceed 1.
-- caveat: The store of an installation is the one that it names, otherwise the one that its pass was created with. Its code is only the one that it names. place is (none) if there is none.
-- caveat: A place without redirects and installs in a period has no row.
-- caveat: coverage is that of all hours of events up to the end of the period, because the figures depend on the past: verified, open (the rest is not over or not settled) or unverified (an hour is missing or does not balance).
-- chart: bar x=place y=installs_per_redirect
with
happened as (
  select
    tenant_id,
    period_of(timestamp, $zone, $grain, $week_start) as period,
    coalesce(case when $by = 'store' then store_id else redirect_id end, '(none)') as place,
    1 as redirects,
    0 as installs
  from event_facts
  where tenant_id = coalesce($tenant, tenant_id)
    and kind = 'redirected'
    and is_in_days(timestamp, $zone, $from, $to)
  union all
  select
    tenant_id,
    period_of(timestamp, $zone, $grain, $week_start) as period,
    coalesce(case when $by = 'store' then coalesce(store_id, pass_store_id) else redirect_id end, '(none)') as place,
    0 as redirects,
    1 as installs
  from registrations
  where tenant_id = coalesce($tenant, tenant_id)
    and kind = 'installed'
    and is_in_days(timestamp, $zone, $from, $to)
),

counted as (
  select
    tenant_id,
    period,
    place,
    sum(redirects)::bigint as redirects,
    sum(installs)::bigint as installs
  from happened
  group by tenant_id, period, place
)

select
  periods.tenant_id,
  periods.period,
  counted.place,
  counted.redirects,
  counted.installs,
  round(counted.installs / nullif(counted.redirects, 0), 4) as installs_per_redirect,
  periods.is_cut,
  periods.verified_share,
  periods.partial_share,
  periods.open_share,
  periods.coverage,
  periods.loaded_at
from history('events', $tenant, $zone, $grain, $from, $to, [0], $week_start) as periods
inner join counted
  on counted.tenant_id = periods.tenant_id
  and counted.period = periods.period
order by periods.tenant_id, periods.period, counted.place
