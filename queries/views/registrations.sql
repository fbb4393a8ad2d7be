-- title: Installations and removals with the state they lead to
-- description: The life of each unit (a pass on a platform) in the order of time; ties by event id, whatever the order of arrival.
-- grain: one row per installation or removal event
-- caveat: A number of active registrations decides where an event tells one: 0 is inactive, more is active. Otherwise the event does.
-- caveat: Before its first event a unit counts as inactive: what happened before the first loaded day is unseen.
with
told as (
  select
    *,
    coalesce(active_registrations > 0, kind = 'installed') as is_active
  from pass_events
  where kind in ('installed', 'uninstalled')
)

select
  tenant_id,
  pass_id,
  pass_type,
  platform,
  timestamp,
  event_id,
  kind,
  medium,
  origin_host,
  tags,
  store_id,
  pass_store_id,
  redirect_id,
  is_active,
  lag(is_active, 1, false) over (
    partition by tenant_id, pass_id, platform
    order by timestamp, event_id
  ) as was_active,
  -- First of its kind for this pass and platform: repeats do not count.
  row_number() over (partition by tenant_id, pass_id, platform, kind order by timestamp, event_id) = 1 as is_first
from told
