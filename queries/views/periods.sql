-- title: Periods and their coverage
-- description: The hours, days, weeks, months, quarters or years that the lake covers, in a time zone, each with its coverage.
-- grain: one row per tenant and period
-- arguments: of_table, of_tenant, in_zone, by_grain, from_day, to_day, week_start := 'monday'
-- caveat: period is local time: in the night when clocks go back, two hours have the same name and form one period of grain hour.
-- caveat: is_cut is true if the range contains only a part of the period.
-- caveat: If the zone's offset is not a whole number of hours, an hour of coverage belongs to the period in which it begins.
with
known as (
  select
    tenant_id,
    first_hour,
    last_hour
  from beginnings(of_table, of_tenant)
),

bounds as (
  select
    tenant_id,
    first_hour,
    last_hour,
    -- Both pass over null: no bound.
    greatest(
      case when by_grain = 'hour' then first_hour else day_start(period_of(first_hour, in_zone, by_grain, week_start), in_zone) end,
      day_start(from_day, in_zone)
    ) as lower_at,
    least(
      case
        when by_grain = 'hour' then last_hour + interval '1 hour'
        else day_start(period_of(last_hour, in_zone, by_grain, week_start) + ('1 ' || by_grain)::interval, in_zone)
      end,
      day_start(to_day, in_zone)
    ) as upper_at
  from known
),

hours as (
  select
    tenant_id,
    first_hour,
    last_hour,
    unnest(
      generate_series(
        date_trunc('hour', lower_at + interval '59 minutes 59.999999 seconds'),
        upper_at - interval '1 microsecond',
        interval '1 hour'
      )
    ) as hour
  from bounds
  union all
  -- Of the time before the beginning, the known hours and not the empty years between them.
  select
    bounds.tenant_id,
    bounds.first_hour,
    bounds.last_hour,
    coverage.hour
  from bounds
  inner join coverage
    on coverage.tenant_id = bounds.tenant_id
    and coverage.table_name = of_table
    and coverage.hour < bounds.first_hour
    and is_in_days(coverage.hour, in_zone, from_day, to_day)
),

states as (
  select
    hours.tenant_id,
    hours.hour,
    period_of(hours.hour, in_zone, by_grain, week_start) as period,
    case
      when coverage.state = 'unchecked' then 'partial'
      when coverage.state is not null then coverage.state
      when hours.hour > hours.last_hour then 'open'
    end as state
  from hours
  left join coverage
    on coverage.tenant_id = hours.tenant_id
    and coverage.hour = hours.hour
    and coverage.table_name = of_table
)

select
  tenant_id,
  period,
  -- Of a period in local time, as the range is: an hour is never cut, because a range consists of whole days.
  by_grain <> 'hour'
  and (
    coalesce(from_day::timestamp > period, false)
    or coalesce(to_day::timestamp < period + ('1 ' || by_grain)::interval, false)
  ) as is_cut,
  min(hour) as starts_at,
  max(hour) + interval '1 hour' as ends_at,
  count(*) as hours,
  round(count(*) filter (where state = 'verified') / count(*), 3) as verified_share,
  round(count(*) filter (where state = 'partial') / count(*), 3) as partial_share,
  round(count(*) filter (where state = 'open') / count(*), 3) as open_share,
  -- Shares are rounded, this mark is not.
  case
    when count(*) filter (where state = 'verified') = count(*) then 'verified'
    when count(*) filter (where state = 'open') > 0 then 'open'
    else 'unverified'
  end as coverage,
  (select max(published_at) from snapshot) as loaded_at
from states
group by tenant_id, period
