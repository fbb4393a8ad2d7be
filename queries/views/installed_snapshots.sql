-- title: Snapshots of installed passes
-- description: What the hourly metric passes.installed says, one number a platform where its value is an object.
-- grain: one row per snapshot and platform; platform is null where one number stands for all
-- arguments: of_tenant
-- caveat: The metric's name and shape are not documented for this API; where there is none of this name, there is no row.
select
  tenant_id,
  timestamp,
  coalesce(properties::varchar, '') as series,
  pass_type,
  nullif(lower(number.key), '') as platform,
  number.value as units
from (
  select
    tenant_id,
    timestamp,
    properties,
    pass_type,
    unnest(
      case
        when value_number is not null then [{'key': '', 'value': value_number}]
        else map_entries(try_cast(value as map(varchar, double)))
      end
    ) as number
  from metrics
  where replace(lower(metric_type), '.', ':') in ('passes:installed', 'pass:installed')
    and (of_tenant is null or tenant_id = of_tenant)
)
