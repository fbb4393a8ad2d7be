-- title: First installations and what became of them
-- description: The first installation of each selected pass, and whether the pass was active 1 to 365 days later, by the events before an instant.
-- grain: one row per tenant and pass that was installed
-- arguments: of_tenant, of_type, of_platform, until_instant
-- caveat: Of a pass that is younger than an age, the state is the last known one. If of_platform is given, each pass counts as its unit on that platform.
with
changes as (
  select
    tenant_id,
    pass_id,
    case when of_platform is null then pass_delta else unit_delta end as delta,
    min(changed_at) over of_pass as installed_at,
    -- Microseconds: adding an interval to a timestamp takes longer for each row.
    (epoch_us(changed_at) - epoch_us(min(changed_at) over of_pass)) / 86400000000 as age_days
  from pass_states
  where tenant_id = coalesce(of_tenant, tenant_id)
    and (of_type is null or pass_type = of_type)
    and (of_platform is null or platform = of_platform)
    and (until_instant is null or changed_at < until_instant)
  window of_pass as (partition by tenant_id, pass_id)
)

select
  tenant_id,
  pass_id,
  any_value(installed_at) as installed_at,
  sum(delta) filter (where age_days <= 1) > 0 as alive_d1,
  sum(delta) filter (where age_days <= 7) > 0 as alive_d7,
  sum(delta) filter (where age_days <= 30) > 0 as alive_d30,
  sum(delta) filter (where age_days <= 90) > 0 as alive_d90,
  sum(delta) filter (where age_days <= 180) > 0 as alive_d180,
  sum(delta) filter (where age_days <= 365) > 0 as alive_d365
from changes
group by tenant_id, pass_id
