-- title: Scans and scan rate
-- question: Do they use it?
-- description: Scan events, the passes scanned, and their share of the passes active at the end of the period.
-- formula: scan_rate = scanning_passes / active_passes
-- grain: one row per tenant and period
-- parameter: from:date=null First day, inclusive
-- parameter: to:date=null Last day, exclusive
-- parameter: tenant:text=null Only these tenants, separated by commas
-- parameter: zone:zone=UTC Time zone in which periods begin
-- parameter: grain:hour|day|week|month|quarter|year=day Length of a period
-- parameter: week_start:monday|tuesday|wednesday|thursday|friday|saturday|sunday=monday First day of a week
-- parameter: pass_type:text=null Only passes of these types
-- dimensions: pass_type, store, medium, origin, tag, promoted
-- additive: scans, scanning_passes, active_passes
-- unit: events, passes, ratio
-- mart: past of events
-- over_days: sum scans
-- over_days: end active_passes
-- caveat: A scan is a barcode matched to a pass: not a redemption.
-- caveat: scan_rate can exceed 1: a pass scanned in the period may be removed before its end, or never have been seen installed.
-- caveat: coverage is that of all hours of events up to the end of the period, because the figures depend on the past: verified, open (the rest is not over or not settled) or unverified (an hour is missing or does not balance).
-- chart: line x=period y=scans,scanning_passes
with
counted as (
  select
    tenant_id,
    period_of(timestamp, $zone, $grain, $week_start) as period,
    count(*) as scans,
    count(distinct pass_id) as scanning_passes
  from pass_events
  where tenant_id = coalesce($tenant, tenant_id)
    and kind = 'scanned'
    and ($pass_type is null or pass_type = $pass_type)
    and is_in_days(timestamp, $zone, $from, $to)
  group by tenant_id, period
)

select
  activity.tenant_id,
  activity.period,
  coalesce(counted.scans, 0) as scans,
  coalesce(counted.scanning_passes, 0) as scanning_passes,
  activity.active_passes,
  round(coalesce(counted.scanning_passes, 0) / nullif(activity.active_passes, 0), 4) as scan_rate,
  activity.is_cut,
  activity.verified_share,
  activity.partial_share,
  activity.open_share,
  activity.coverage,
  activity.loaded_at
from activity($tenant, $zone, $grain, $from, $to, $pass_type, null, $week_start) as activity
left join counted
  on counted.tenant_id = activity.tenant_id
  and counted.period = activity.period
order by activity.tenant_id, activity.period
