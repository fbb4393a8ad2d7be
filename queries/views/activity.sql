-- title: Activity of passes by period
-- description: What changed in each period, and what was active at its end, for the selected passes.
-- grain: one row per tenant and period
-- arguments: of_tenant, in_zone, by_grain, from_day, to_day, of_type, of_platform, week_start := 'monday'
-- caveat: The coverage of a period is that of all hours up to its end.
-- caveat: If of_platform is given, each pass counts as its unit on that platform.
with
changes as (
  select
    tenant_id,
    period_of(changed_at, in_zone, by_grain, week_start) as period,
    is_in_days(changed_at, in_zone, from_day, null) as is_asked,
    pass_id,
    platform,
    change,
    unit_delta,
    case when of_platform is null then pass_delta else unit_delta end as pass_delta,
    case when of_platform is null then is_first_of_pass else change = 'installed' end::integer as first_passes
  from pass_states
  where (of_tenant is null or tenant_id = of_tenant)
    and (of_type is null or pass_type = of_type)
    and (of_platform is null or platform = of_platform)
    and is_in_days(changed_at, in_zone, null, to_day)
  union all by name
  select
    tenant_id,
    period_of(carried_at, in_zone, by_grain, week_start) as period,
    false as is_asked,
    platform,
    active_units as unit_delta,
    active_passes as pass_delta,
    ever_installed as first_passes
  from carried
  where platform is not null
),

totals as (
  select
    tenant_id,
    period,
    count(*) filter (where is_asked and change = 'installed') as installed,
    count(*) filter (where is_asked and change = 'reinstalled') as reinstalled,
    count(*) filter (where is_asked and change = 'removed') as removed,
    count(distinct pass_id) filter (where is_asked and pass_delta = -1) as lapsed_passes,
    coalesce(sum(pass_delta) filter (where is_asked), 0) as pass_growth,
    sum(unit_delta) as unit_sum,
    sum(unit_delta) filter (where platform = 'apple') as apple_units,
    sum(unit_delta) filter (where platform = 'google') as google_units,
    sum(pass_delta) as pass_sum,
    sum(first_passes) as first_passes
  from changes
  group by tenant_id, period
),

running as (
  select
    tenant_id,
    period,
    installed,
    reinstalled,
    removed,
    lapsed_passes,
    pass_growth,
    sum(unit_sum) over so_far as active_units,
    sum(apple_units) over so_far as active_apple,
    sum(google_units) over so_far as active_google,
    sum(pass_sum) over so_far as active_passes,
    sum(first_passes) over so_far as ever_installed
  from totals
  window so_far as (partition by tenant_id order by period)
)

select
  periods.*,
  -- What happened belongs to its own period, what is active stays so in the periods after it.
  case when running.period = periods.period then running.installed else 0 end::bigint as installed,
  case when running.period = periods.period then running.reinstalled else 0 end::bigint as reinstalled,
  case when running.period = periods.period then running.removed else 0 end::bigint as removed,
  case when running.period = periods.period then running.lapsed_passes else 0 end::bigint as lapsed_passes,
  case when running.period = periods.period then running.pass_growth else 0 end::bigint as pass_growth,
  coalesce(running.active_units, 0)::bigint as active_units,
  coalesce(running.active_apple, 0)::bigint as active_apple,
  coalesce(running.active_google, 0)::bigint as active_google,
  coalesce(running.active_passes, 0)::bigint as active_passes,
  coalesce(running.ever_installed, 0)::bigint as ever_installed
from history('events', of_tenant, in_zone, by_grain, from_day, to_day, [0], week_start) as periods
asof left join running
  on running.tenant_id = periods.tenant_id
  and running.period <= periods.period
