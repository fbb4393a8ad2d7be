-- title: Start of a local day
-- description: The first instant of a day in a time zone, also where clocks change at midnight.
-- grain: one instant
-- arguments: of_day, in_zone
-- returns: timestamp with time zone
-- caveat: If midnight does not exist, the day starts when clocks have gone forward. If it exists twice, the day starts with the first one.
-- The engine takes the second of two midnights. The first is what a clock shows that was not changed in the 24 hours before.
-- Where that clock does not show midnight, it gives null, which least passes over.
least(
  of_day::timestamp at time zone in_zone,
  case
    when
      (
        (of_day::timestamp at time zone in_zone) - interval '24 hours'
        + (of_day::timestamp - (((of_day::timestamp at time zone in_zone) - interval '24 hours') at time zone in_zone))
      ) at time zone in_zone = of_day::timestamp
      then
        (of_day::timestamp at time zone in_zone) - interval '24 hours'
        + (of_day::timestamp - (((of_day::timestamp at time zone in_zone) - interval '24 hours') at time zone in_zone))
  end
)
