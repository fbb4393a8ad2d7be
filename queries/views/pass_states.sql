-- title: Changes of state
-- description: When a pass became active or inactive on a platform, and the effect on the pass as a whole.
-- grain: one row per change of a pass on a platform; an event that changes nothing has no row
-- caveat: A removal without a known installation changes nothing, and neither does a repeated installation.
with
changes as (
  select
    tenant_id,
    pass_id,
    pass_type,
    platform,
    timestamp as changed_at,
    event_id,
    step,
    is_active,
    case
      when not is_active then 'removed'
      when row_number() over of_unit = 1 then 'installed'
      else 'reinstalled'
    end as change,
    lead(timestamp) over of_unit as until,
    row_number() over of_pass = 1 as is_first_of_pass,
    case when is_active then 1 else -1 end as unit_delta,
    sum(case when is_active then 1 else -1 end) over of_pass as active_platforms,
    coalesce(last_value(case when platform = 'apple' then is_active end ignore nulls) over of_pass, false) as on_apple,
    coalesce(last_value(case when platform = 'google' then is_active end ignore nulls) over of_pass, false) as on_google
  from registrations
  where is_active <> was_active
  window
    of_unit as (partition by tenant_id, pass_id, platform order by timestamp, step, event_id),
    of_pass as (
      partition by tenant_id, pass_id
      order by timestamp, step, platform, event_id
      rows between unbounded preceding and current row
    )
)

select
  tenant_id,
  pass_id,
  pass_type,
  platform,
  changed_at,
  until,
  event_id,
  step,
  is_active,
  change,
  is_first_of_pass,
  active_platforms,
  unit_delta,
  -- +1 when the pass as a whole becomes active, -1 when its last platform goes, else 0.
  case
    when is_active and active_platforms = 1 then 1
    when not is_active and active_platforms = 0 then -1
    else 0
  end as pass_delta,
  case
    when on_apple and on_google then 'both'
    when on_apple then 'apple'
    when on_google then 'google'
    when active_platforms > 0 then 'unknown'
    else 'none'
  end as wallet_status,
  case
    when was_on_apple and was_on_google then 'both'
    when was_on_apple then 'apple'
    when was_on_google then 'google'
    when active_platforms - unit_delta > 0 then 'unknown'
    else 'none'
  end as previous_status
from (
  select
    *,
    -- A change turns the state of its own platform round, and no other one.
    if(platform = 'apple', not is_active, on_apple) as was_on_apple,
    if(platform = 'google', not is_active, on_google) as was_on_google
  from changes
) as compared
