-- As queries/views/pass_states.sql.
select
  tenant_id, pass_id, pass_type, platform, changed_at, until, event_id, step, is_active, change, is_first_of_pass, active_platforms, unit_delta,
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
  select *, if(platform = 'apple', not is_active, on_apple) as was_on_apple, if(platform = 'google', not is_active, on_google) as was_on_google
  from (
  select
    tenant_id, pass_id, pass_type, platform, timestamp as changed_at, event_id, step, is_active,
    case
      when not is_active then 'removed'
      when row_number() over (partition by tenant_id, pass_id, platform order by timestamp, step, event_id) = 1 then 'installed'
      else 'reinstalled'
    end as change,
    lead(timestamp) over (partition by tenant_id, pass_id, platform order by timestamp, step, event_id) as until,
    row_number() over (partition by tenant_id, pass_id order by timestamp, step, platform, event_id) = 1 as is_first_of_pass,
    case when is_active then 1 else -1 end as unit_delta,
    sum(case when is_active then 1 else -1 end) over (
      partition by tenant_id, pass_id order by timestamp, step, platform, event_id rows between unbounded preceding and current row
    ) as active_platforms,
    coalesce(last_value(case when platform = 'apple' then is_active end, true) over (
      partition by tenant_id, pass_id order by timestamp, step, platform, event_id rows between unbounded preceding and current row
    ), false) as on_apple,
    coalesce(last_value(case when platform = 'google' then is_active end, true) over (
      partition by tenant_id, pass_id order by timestamp, step, platform, event_id rows between unbounded preceding and current row
    ), false) as on_google
  from registrations
  where is_active <> was_active
)
)
