-- title: Installation rate of cohorts
-- description: Of the passes created in the period, the share that was installed at any time after.
-- formula: installation_rate = installed_later / created
-- grain: one row per tenant and period
-- parameter: from:date=null First day, inclusive
-- parameter: to:date=null Last day, exclusive
-- parameter: tenant:text=null One tenant alone
-- parameter: zone:zone=UTC Time zone in which periods begin
-- parameter: grain:hour|day|week|month=day Length of a period; weeks begin on Monday
-- parameter: pass_type:text=null Passes of this type alone
-- parameter: platform:text=null This platform alone (apple, google or (unknown))
-- unit: passes, share
-- mart: all of events
-- caveat: Young cohorts still grow: compare periods of the same age. to bounds the cohorts, not their installations.
-- caveat: Industry reference only: 0.70-0.85 on Apple, 0.55-0.75 on Google.
-- caveat: coverage says verified, open (not over or not settled) or unverified: only verified periods are final; loaded_at is when the lake was published.
-- chart: line x=period y=installation_rate
with
created as (
  select
    tenant_id,
    pass_id,
    date_trunc($grain, timestamp at time zone $zone) as period,
    min(timestamp) as created_at
  from pass_events
  where tenant_id = coalesce($tenant, tenant_id)
    and kind = 'created'
    and ($pass_type is null or pass_type = $pass_type)
    and timestamp >= coalesce($from::timestamp at time zone $zone, '-infinity'::timestamptz)
    and timestamp < coalesce($to::timestamp at time zone $zone, 'infinity'::timestamptz)
  group by tenant_id, pass_id, period
),

installed as (
  select
    tenant_id,
    pass_id,
    max(timestamp) as installed_at
  from pass_events
  where tenant_id = coalesce($tenant, tenant_id)
    and kind = 'installed'
    and ($platform is null or platform = $platform)
  group by tenant_id, pass_id
),

counted as (
  select
    created.tenant_id,
    created.period,
    count(*) as created,
    count(*) filter (where installed.installed_at >= created.created_at) as installed_later
  from created
  left join installed
    on installed.tenant_id = created.tenant_id
    and installed.pass_id = created.pass_id
  group by created.tenant_id, created.period
)

select
  periods.tenant_id,
  periods.period,
  coalesce(counted.created, 0) as created,
  coalesce(counted.installed_later, 0) as installed_later,
  round(counted.installed_later / nullif(counted.created, 0), 4) as installation_rate,
  periods.verified_share,
  periods.partial_share,
  periods.open_share,
  periods.coverage,
  periods.loaded_at
from periods('events', $tenant, $zone, $grain, $from, $to) as periods
left join counted
  on counted.tenant_id = periods.tenant_id
  and counted.period = periods.period
order by periods.tenant_id, periods.period
