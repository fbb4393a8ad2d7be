-- title: Numbers of metrics
-- description: Each number inside a metric's value, with its path. A member of a list also has its position, counted from 0.
-- grain: one row per number; path is null if the value itself is the number
-- caveat: Numbers written as text are not included; they stay in `metrics.value`.
select
  metrics.tenant_id,
  metrics.month,
  metrics.timestamp,
  metrics.metric_id,
  metrics.metric_type,
  nullif(regexp_replace(node.fullkey, '^\$\.?', ''), '') as path,
  node.key,
  case when node.fullkey[-1] = ']' then try_cast(node.key as bigint) end as position,
  try_cast(node.atom as double) as value_number
from metrics, json_tree(metrics.value) as node
where node.type in ('BIGINT', 'UBIGINT', 'HUGEINT', 'DOUBLE') and isfinite(try_cast(node.atom as double))
