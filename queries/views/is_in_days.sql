-- title: In a range of local days
-- description: True if an instant lies in a range of days of a time zone. A bound that is null does not apply.
-- grain: one boolean
-- arguments: instant, in_zone, from_day, to_day
-- returns: boolean
-- caveat: from_day is inclusive, to_day exclusive.
(
  instant >= coalesce(day_start(from_day, in_zone), '-infinity'::timestamptz)
  and instant < coalesce(day_start(to_day, in_zone), 'infinity'::timestamptz)
)
