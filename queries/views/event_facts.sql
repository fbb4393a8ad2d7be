-- title: Events with a kind and the facts that reports need
-- description: Event names compared without case and with '.' as ':', and what their properties hold, looked up in one place.
-- grain: one row per row of events
-- caveat: Names of page views, API requests and notifications are not documented for this API: the spellings known so far are listed here.
-- caveat: The paths of properties are not documented either; each fact is looked up in the places that other channels use.
select
  tenant_id,
  timestamp,
  event_id,
  event_type,
  event,
  kind,
  nullif(coalesce(found[1], found[2], found[3]), '') as pass_id,
  nullif(coalesce(found[4], found[5], found[6]), '') as pass_type,
  nullif(lower(trim(coalesce(found[7], found[8], found[9], found[10]))), '') as device,
  try_cast(coalesce(found[11], found[12], found[13]) as bigint) as active_registrations,
  nullif(coalesce(found[14], found[15], found[16]), '') as medium,
  nullif(lower(regexp_extract(coalesce(found[17], found[18], found[19]), '^(?:[A-Za-z][A-Za-z0-9+.-]*://)?([^/?#:]*)', 1)), '')
    as origin_host,
  -- A list, or one tag alone.
  case
    when left(coalesce(found[20], found[21], found[22]), 1) = '['
      then try(from_json(coalesce(found[20], found[21], found[22]), '["VARCHAR"]'))
    when coalesce(found[20], found[21], found[22]) <> '' then [coalesce(found[20], found[21], found[22])]
  end as tags,
  nullif(coalesce(found[23], found[24], found[25], found[26]), '') as store_id,
  nullif(coalesce(found[27], found[28], found[29]), '') as redirect_id,
  try_cast(coalesce(found[30], found[31], found[32]) as integer) as status_code
from (
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
    -- One call for all paths: the text is parsed once.
    json_extract_string(
      properties,
      [
        '$.passId', '$.pass.id', '$.pass_id',
        '$.passType', '$.pass.type', '$.pass_type',
        '$.device', '$.registrationInformation.device', '$.registrationSource.device', '$.pass.device',
        '$.registrationInformation.activeRegistrationCount', '$.activeRegistrationCount', '$.active_registration_count',
        '$.registrationSource.medium', '$.source.medium', '$.medium',
        '$.registrationSource.origin', '$.source.origin', '$.origin',
        '$.registrationSource.tags', '$.source.tags', '$.tags',
        '$.storeId', '$.metadata.storeId', '$.store.id', '$.store_id',
        '$.redirectId', '$.redirect.id', '$.redirect_id',
        '$.statusCode', '$.response.statusCode', '$.status_code'
      ]
    ) as found
  from (
    select *, replace(lower(event_type), '.', ':') as event
    from events
  ) as spelled
) as named
