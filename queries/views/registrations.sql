-- title: Installations and removals with the resulting state
-- description: The installations and removals of each unit (a pass on a platform) in the order of time, with its state before and after. Events at the same instant are in the order of step.
-- grain: one row per installation or removal event
-- caveat: If an event has a number of active registrations, that number decides the state: 0 is inactive, more is active. Otherwise an installation makes the unit active and a removal makes it inactive.
-- caveat: A unit counts as inactive before its first event: what happened before the first loaded day is not known.
with
stated as (
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
  step,
  is_active,
  lag(is_active, 1, false) over of_unit as was_active,
  -- First of its kind for this pass and platform: repeats do not count.
  if(
    kind = 'installed',
    count(*) filter (where kind = 'installed') over of_unit,
    count(*) filter (where kind = 'uninstalled') over of_unit
  ) = 1 as is_first
from stated
-- Within a step, what an event says decides. Its id orders only events that say the same.
window of_unit as (
  partition by tenant_id, pass_id, platform
  order by timestamp, step, medium, origin_host, nullif(tags, []), store_id, redirect_id, event_id
  rows between unbounded preceding and current row
)
