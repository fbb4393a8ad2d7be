-- title: Active passes by platform
-- question: How many passes are in wallets?
-- description: Passes whose last installation or removal on a platform says that they are in a wallet.
-- formula: retention = active_passes / ever_installed
-- grain: one row per tenant and platform
-- parameter: at:timestamp=null State at this instant; none = now
-- parameter: tenant:text=null Only these tenants, separated by commas
-- parameter: pass_type:text=null Only passes of these types
-- dimensions: pass_type, store, medium, origin, tag, promoted
-- rows_by: platform
-- additive: active_passes, ever_installed
-- unit: passes on a platform, share
-- caveat: Events before the first loaded day are not known, so this is a lower bound.
-- caveat: If an event has a number of active registrations, that number decides: 0 is inactive, more is active.
-- caveat: coverage is that of all hours of events before that instant: verified, open (the rest is not over or not settled) or unverified (an hour is missing or does not balance).
-- caveat: retention is active passes / passes ever installed on that platform.
-- chart: bar x=platform y=active_passes
with
states as (
  select
    tenant_id,
    platform,
    is_active,
    bool_or(kind = 'installed' or is_active) over (partition by tenant_id, pass_id, platform) as was_installed,
    row_number() over (partition by tenant_id, pass_id, platform order by timestamp desc, step desc) as from_last
  from registrations
  where tenant_id = coalesce($tenant, tenant_id)
    and ($pass_type is null or pass_type = $pass_type)
    and (timestamp < $at::timestamptz or $at is null)
),

last_states as (
  select
    tenant_id,
    platform,
    was_installed,
    is_active
  from states
  where from_last = 1
),

counted as (
  select
    tenant_id,
    -- Begun hours count.
    if(
      coalesce($at::timestamptz > first_hour, true),
      (epoch_us(coalesce($at::timestamptz, last_hour + interval '1 hour')) - epoch_us(first_hour) + 3599999999) // 3600000000 + earlier,
      known
    ) as hours,
    verified,
    partial,
    open
    + greatest((epoch_us(coalesce($at::timestamptz, last_hour)) - epoch_us(last_hour) + 3599999999) // 3600000000 - 1, 0) as open
  from hour_counts('events', $tenant)
  where hour < $at::timestamptz
    or $at is null
  qualify row_number() over (partition by tenant_id order by hour desc) = 1
),

coverage_of_tenant as (
  select
    tenant_id,
    least(round(verified / hours, 3), if(verified = hours, 1, 0.999)) as verified_share,
    round(partial / hours, 3) as partial_share,
    round(open / hours, 3) as open_share,
    case
      when verified = hours then 'verified'
      when verified + open = hours then 'open'
      else 'unverified'
    end as coverage
  from counted
)

select
  last_states.tenant_id,
  last_states.platform,
  count(*) filter (where last_states.is_active) as active_passes,
  count(*) filter (where last_states.was_installed) as ever_installed,
  round(active_passes / nullif(ever_installed, 0), 4) as retention,
  coalesce(any_value(coverage_of_tenant.verified_share), 0) as verified_share,
  coalesce(any_value(coverage_of_tenant.partial_share), 0) as partial_share,
  coalesce(any_value(coverage_of_tenant.open_share), 0) as open_share,
  coalesce(any_value(coverage_of_tenant.coverage), 'unverified') as coverage,
  (select max(published_at) from snapshot) as loaded_at
from last_states
left join coverage_of_tenant
  on coverage_of_tenant.tenant_id = last_states.tenant_id
group by last_states.tenant_id, last_states.platform
order by last_states.tenant_id, last_states.platform
