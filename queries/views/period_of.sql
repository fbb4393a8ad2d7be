-- title: Period of an instant
-- description: The local start of the hour, day, week, month, quarter or year in which an instant lies.
-- grain: one local timestamp
-- arguments: instant, in_zone, by_grain, week_start := 'monday'
-- returns: timestamp
-- caveat: week_start is the first day of a week: monday, tuesday and so on.
date_trunc(by_grain, (instant at time zone in_zone) + week_shift(by_grain, week_start)) - week_shift(by_grain, week_start)
