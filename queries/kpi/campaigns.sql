-- title: Campaigns and what followed
-- question: Do they use it?
-- description: Notifications by campaign, and how many of the notified passes were scanned, removed or installed again within 1 and 7 days.
-- formula: scan_rate_d7 = scanned_d7 / notified_passes; removal_rate_d7 = removed_d7 / notified_passes
-- grain: one row per tenant, period and campaign that sent a notification
-- parameter: from:date=null First day, inclusive
-- parameter: to:date=null Last day, exclusive
-- parameter: tenant:text=null Only these tenants, separated by commas
-- parameter: zone:zone=UTC Time zone in which periods begin
-- parameter: grain:hour|day|week|month|quarter|year=day Length of a period
-- parameter: week_start:monday|tuesday|wednesday|thursday|friday|saturday|sunday=monday First day of a week
-- parameter: pass_type:text=null Only passes of these types
-- dimensions: pass_type, store, medium, origin, tag, promoted
-- rows_by: campaign
-- additive: notifications
-- additive: notified_passes, scanned_d1, scanned_d7, removed_d1, removed_d7, reinstalled_d1, reinstalled_d7
-- unit: events, passes, share
-- mart: week_after of events
-- over_days: sum notifications by campaign
-- caveat: What follows a notification is not caused by it: these passes would also be scanned and removed without it. Compare campaigns with each other, or with passes that were not notified.
-- caveat: A day is 24 hours after a notification. A pass that several campaigns notified counts for each of them, so passes do not add up over campaigns, and neither do they over periods.
-- caveat: removed and reinstalled count passes with such a change on any platform (pass_states). A notification that names no pass counts as a notification only.
-- caveat: campaign is (none) if the notification names none. Only the sending is known: wallets report no delivery, opening or click.
-- caveat: coverage is that of all hours of events up to 7 days after the end of the period, because the figures depend on the past and on those days: verified, open (the rest is not over or not settled, so the figures can still grow) or unverified (an hour is missing or does not balance).
-- chart: bar x=campaign y=scan_rate_d7,removal_rate_d7
with
sent as (
  select
    facts.tenant_id,
    period_of(facts.timestamp, $zone, $grain, $week_start) as period,
    coalesce(facts.campaign, '(none)') as campaign,
    facts.pass_id,
    facts.timestamp as sent_at
  from event_facts as facts
  left join (
    select
      tenant_id,
      pass_id,
      any_value(pass_type) as pass_type
    from pass_events
    group by tenant_id, pass_id
  ) as typed
    on typed.tenant_id = facts.tenant_id
    and typed.pass_id = facts.pass_id
  where facts.tenant_id = coalesce($tenant, facts.tenant_id)
    and facts.kind = 'notified'
    and ($pass_type is null or typed.pass_type = $pass_type)
    and is_in_days(facts.timestamp, $zone, $from, $to)
),

counted as (
  select
    tenant_id,
    period,
    campaign,
    count(*) as notifications,
    count(distinct pass_id) as notified_passes
  from sent
  group by tenant_id, period, campaign
),

happened as (
  select
    tenant_id,
    pass_id,
    'scanned' as what,
    timestamp as happened_at
  from pass_events
  where kind = 'scanned'
    and tenant_id = coalesce($tenant, tenant_id)
  union all
  select
    tenant_id,
    pass_id,
    change as what,
    changed_at as happened_at
  from pass_states
  where change in ('removed', 'reinstalled')
    and tenant_id = coalesce($tenant, tenant_id)
),

followed as (
  select
    sent.tenant_id,
    sent.period,
    sent.campaign,
    sent.pass_id,
    happened.what,
    min(happened.happened_at - sent.sent_at) as after
  from sent
  inner join happened
    on happened.tenant_id = sent.tenant_id
    and happened.pass_id = sent.pass_id
    and happened.happened_at > sent.sent_at
    and happened.happened_at <= sent.sent_at + to_hours(24 * 7)
  group by sent.tenant_id, sent.period, sent.campaign, sent.pass_id, happened.what
),

reactions as (
  select
    tenant_id,
    period,
    campaign,
    count(*) filter (where what = 'scanned' and after <= to_hours(24)) as scanned_d1,
    count(*) filter (where what = 'scanned') as scanned_d7,
    count(*) filter (where what = 'removed' and after <= to_hours(24)) as removed_d1,
    count(*) filter (where what = 'removed') as removed_d7,
    count(*) filter (where what = 'reinstalled' and after <= to_hours(24)) as reinstalled_d1,
    count(*) filter (where what = 'reinstalled') as reinstalled_d7
  from followed
  group by tenant_id, period, campaign
)

select
  periods.tenant_id,
  periods.period,
  counted.campaign,
  counted.notifications,
  counted.notified_passes,
  coalesce(reactions.scanned_d1, 0) as scanned_d1,
  coalesce(reactions.scanned_d7, 0) as scanned_d7,
  coalesce(reactions.removed_d1, 0) as removed_d1,
  coalesce(reactions.removed_d7, 0) as removed_d7,
  coalesce(reactions.reinstalled_d1, 0) as reinstalled_d1,
  coalesce(reactions.reinstalled_d7, 0) as reinstalled_d7,
  round(coalesce(reactions.scanned_d7, 0) / nullif(counted.notified_passes, 0), 4) as scan_rate_d7,
  round(coalesce(reactions.removed_d7, 0) / nullif(counted.notified_passes, 0), 4) as removal_rate_d7,
  periods.is_cut,
  periods.verified_share,
  periods.partial_share,
  periods.open_share,
  periods.coverage,
  periods.loaded_at
from history('events', $tenant, $zone, $grain, $from, $to, [7], $week_start) as periods
inner join counted
  on counted.tenant_id = periods.tenant_id
  and counted.period = periods.period
left join reactions
  on reactions.tenant_id = counted.tenant_id
  and reactions.period = counted.period
  and reactions.campaign = counted.campaign
order by periods.tenant_id, periods.period, counted.campaign
