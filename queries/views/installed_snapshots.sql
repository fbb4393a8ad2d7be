-- title: Snapshots of installed passes
-- description: The numbers in the hourly metric passes.installed: one for each platform if its value is an object, otherwise one for all platforms.
-- grain: one row per snapshot and platform; platform is null if the number is for all platforms
-- arguments: of_tenant
-- caveat: The name and shape of this metric are not documented for this API. A source that uses another name has no rows here.
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
