-- title: Period of an instant
-- description: The local start of the hour, day, week, month, quarter or year in which an instant lies.
-- grain: one local timestamp
-- arguments: instant, in_zone, by_grain, week_start := 'monday'
-- returns: timestamp
-- caveat: week_start is the first day of a week: monday, tuesday and so on.
-- UTC by itself, and weeks by themselves: the functions of calendars and intervals take ten times as long for each row.
case
  when by_grain = 'week'
    then
      date_trunc(
        'week',
        case when in_zone = 'UTC' then make_timestamp(epoch_us(instant)) else instant at time zone in_zone end
        + week_shift(by_grain, week_start)
      ) - week_shift(by_grain, week_start)
  else
    date_trunc(
      by_grain,
      case when in_zone = 'UTC' then make_timestamp(epoch_us(instant)) else instant at time zone in_zone end
    )
end
