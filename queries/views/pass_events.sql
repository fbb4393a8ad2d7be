-- title: Events of wallet passes
-- description: Event names compared without case and with '.' as ':', and the pass, device and count that the properties hold.
-- grain: one row per event that names a pass
-- caveat: The paths of properties are not documented for this API; each is looked up in the places other channels use.
select
  tenant_id,
  timestamp,
  event_id,
  event,
  coalesce(found[1], found[2]) as pass_id,
  lower(coalesce(found[3], found[4], found[5])) as device,
  try_cast(found[6] as bigint) as active_registrations
from (
  select
    tenant_id,
    timestamp,
    event_id,
    replace(lower(event_type), '.', ':') as event,
    -- One call for all paths: the text is parsed once.
    json_extract_string(
      properties,
      [
        '$.passId',
        '$.pass.id',
        '$.device',
        '$.registrationInformation.device',
        '$.registrationSource.device',
        '$.registrationInformation.activeRegistrationCount'
      ]
    ) as found
  from events
  where replace(lower(event_type), '.', ':') like 'pass:%'
) as named
where coalesce(found[1], found[2]) is not null
