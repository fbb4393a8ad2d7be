-- title: Shift of weeks
-- description: How far instants move so that weeks begin on Monday, as date_trunc expects.
-- grain: one interval
-- arguments: by_grain, week_start
-- returns: interval
-- caveat: The shift of every grain other than week is zero.
to_days(
  case
    when by_grain = 'week'
      then coalesce(list_position(['sunday', 'saturday', 'friday', 'thursday', 'wednesday', 'tuesday'], week_start), 0)
    else 0
  end
)
