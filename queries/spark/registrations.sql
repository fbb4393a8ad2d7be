-- As queries/views/registrations.sql.
select
  tenant_id, pass_id, pass_type, platform, timestamp, event_id, kind, medium, origin_host, tags, store_id, pass_store_id, redirect_id, step, is_active,
  lag(is_active, 1, false) over (
    partition by tenant_id, pass_id, platform
    order by timestamp, step, medium nulls last, origin_host nulls last, named_tags nulls last, store_id nulls last, redirect_id nulls last, event_id
  ) as was_active,
  -- Each kind is counted by itself, because a count over a window takes no filter.
  row_number() over (
    partition by tenant_id, pass_id, platform, kind
    order by timestamp, step, medium nulls last, origin_host nulls last, named_tags nulls last, store_id nulls last, redirect_id nulls last, event_id
  ) = 1 as is_first
from (
  select
    *,
    coalesce(active_registrations > 0, kind = 'installed') as is_active,
    case when size(tags) > 0 then tags end as named_tags
  from pass_events
  where kind in ('installed', 'uninstalled')
)
