-- title: Place of an event among those of its pass at the same instant
-- description: A number that orders events of a pass at the same instant: created, installed, all others, removed.
-- grain: one number
-- arguments: of_event, registrations_left
-- returns: integer
-- caveat: Of installations, those that leave the pass inactive come first; of removals, those that leave it active.
case of_event
  when 'pass:created' then 1
  when 'pass:installed' then if(coalesce(registrations_left > 0, true), 3, 2)
  when 'pass:uninstalled' then if(coalesce(registrations_left > 0, false), 5, 6)
  else 4
end
