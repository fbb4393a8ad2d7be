-- title: Installs per day
-- description: Installations of passes per day and device, and how many were the first of their pass on that device.
-- formula: first_installs = installs that are the first of their pass on that device
-- grain: one row per tenant, day and device
-- parameter: from:date=null First day, inclusive
-- parameter: to:date=null Last day, exclusive
-- parameter: zone:zone=UTC Time zone in which days begin
-- parameter: tenant:text=null One tenant alone
-- unit: events
-- caveat: An installation can repeat (re-installs, several devices): first_installs counts each pass and device once.
-- caveat: verified_share below 1 marks a day that can still change; open_share is the part that is not over or not settled.
-- chart: line x=day y=installs series=device
with
installs as (
  select
    tenant_id,
    (timestamp at time zone $zone)::date as day,
    platform as device,
    is_first
  from registrations
  where kind = 'installed'
    and tenant_id = coalesce($tenant, tenant_id)
),

coverage_by_day as (
  select
    tenant_id,
    (hour at time zone $zone)::date as day,
    avg((state = 'verified')::integer) as verified_share,
    avg((state = 'partial')::integer) as partial_share,
    avg((state = 'open')::integer) as open_share
  from coverage
  where table_name = 'events'
  group by tenant_id, day
),

by_day as (
  select
    tenant_id,
    day,
    device,
    count(*) as installs,
    count(*) filter (where is_first) as first_installs
  from installs
  where day >= coalesce($from::date, day)
    and (day < $to::date or $to is null)
  group by tenant_id, day, device
)

select
  by_day.tenant_id,
  by_day.day,
  by_day.device,
  by_day.installs,
  by_day.first_installs,
  round(coalesce(coverage_by_day.verified_share, 0), 3) as verified_share,
  round(coalesce(coverage_by_day.partial_share, 0), 3) as partial_share,
  round(coalesce(coverage_by_day.open_share, 0), 3) as open_share
from by_day
left join coverage_by_day
  on coverage_by_day.tenant_id = by_day.tenant_id
  and coverage_by_day.day = by_day.day
order by by_day.tenant_id, by_day.day, by_day.device
