-- title: Creations and whether an installation followed
-- description: When each selected pass was first created in a period, and whether it was installed at any time after, by the events before an instant.
-- grain: one row per tenant, pass and period in which the pass was created
-- arguments: of_tenant, in_zone, by_grain, from_day, to_day, of_type, of_platform, until_instant, week_start := 'monday'
-- caveat: If of_platform is given, only installations on that platform count. of_type selects passes, from_day and to_day select creations.
with
created as (
  select
    tenant_id,
    pass_id,
    period_of(timestamp, in_zone, by_grain, week_start) as period,
    min(timestamp) as created_at
  from pass_events
  where tenant_id = coalesce(of_tenant, tenant_id)
    and kind = 'created'
    and (of_type is null or pass_type = of_type)
    and is_in_days(timestamp, in_zone, from_day, to_day)
    and (until_instant is null or timestamp < until_instant)
  group by tenant_id, pass_id, period
),

installed as (
  select
    tenant_id,
    pass_id,
    max(timestamp) as installed_at
  from pass_events
  where tenant_id = coalesce(of_tenant, tenant_id)
    and kind = 'installed'
    and (of_platform is null or platform = of_platform)
    and (until_instant is null or timestamp < until_instant)
  group by tenant_id, pass_id
)

select
  created.tenant_id,
  created.pass_id,
  created.period,
  created.created_at,
  coalesce(installed.installed_at >= created.created_at, false) as is_installed_later
from created
left join installed
  on installed.tenant_id = created.tenant_id
  and installed.pass_id = created.pass_id
