-- As queries/views/event_facts.sql.
select
  tenant_id, timestamp, event_id, event_type, event,
  case
    when event = 'pass:created' then 'created'
    when event = 'pass:installed' then 'installed'
    when event = 'pass:uninstalled' then 'uninstalled'
    when event = 'pass:scanned' then 'scanned'
    when event in ('redirect:redirected', 'redirect') then 'redirected'
    when event in ('notification:sent', 'notificationsent', 'notification') then 'notified'
    when event in ('pageview', 'page_view', 'page:view', 'page:viewed') then 'viewed'
    when event in ('apirequest', 'api_request', 'api:request', 'api:requested') then 'requested'
  end as kind,
  pass_id, pass_type,
  nullif(lower(trim(device)), '') as device,
  active_registrations, medium, origin_host, tags, store_id, redirect_id, customer_id, campaign, status_code,
  case
    when event = 'pass:created' then 1
    when event = 'pass:installed' then if(coalesce(active_registrations > 0, true), 3, 2)
    when event = 'pass:uninstalled' then if(coalesce(active_registrations > 0, false), 5, 6)
    else 4
  end as step
from (select *, replace(lower(event_type), '.', ':') as event from events)
