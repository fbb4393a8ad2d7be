-- title: Events with their kind and the facts that reports need
-- description: Every event with its kind and the promoted columns of its properties. Event names are compared without case, and with '.' as ':'.
-- grain: one row per row of events
-- caveat: Names of page views, API requests and notifications are not documented for this API: this view lists the spellings known so far.
-- caveat: The paths of properties are not documented either; each promoted column looks in the places that other channels use (docs/lake.md).
select
  tenant_id,
  timestamp,
  event_id,
  event_type,
  event,
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
  pass_id,
  pass_type,
  nullif(lower(trim(device)), '') as device,
  active_registrations,
  medium,
  origin_host,
  tags,
  store_id,
  redirect_id,
  customer_id,
  campaign,
  status_code,
  -- The order of events of a pass at the same instant: created, installed, all others, removed. What decides comes last: an
  -- installation that leaves the pass active, a removal that leaves it inactive.
  case
    when event = 'pass:created' then 1
    when event = 'pass:installed' then if(coalesce(active_registrations > 0, true), 3, 2)
    when event = 'pass:uninstalled' then if(coalesce(active_registrations > 0, false), 5, 6)
    else 4
  end as step
from (
  select
    tenant_id,
    timestamp,
    event_id,
    event_type,
    replace(lower(event_type), '.', ':') as event,
    pass_id,
    pass_type,
    device,
    active_registrations,
    medium,
    origin_host,
    tags,
    store_id,
    redirect_id,
    customer_id,
    campaign,
    status_code
  from events
) as spelled
