-- title: Periods with the coverage of their past
-- description: The periods of a table, each with the coverage of all hours from the first known one to the end of the period, or to a number of days after it.
-- grain: one row per tenant, period and age
-- arguments: of_table, of_tenant, in_zone, by_grain, from_day, to_day, at_ages, week_start := 'monday'
-- caveat: at_ages lists days after the end of the period; [0] is the end itself.
-- caveat: If the first load was a backfill, nothing is known about the rows before it, so every period is unverified until the first run.
-- caveat: A figure that depends on the past is wrong if any earlier hour is missing, so one missing hour makes every later period unverified.
with
spine as (
  select
    *,
    ends_at + to_hours(24 * age_days) as known_until
  from (
    select
      periods.*,
      unnest(at_ages) as age_days
    from periods(of_table, of_tenant, in_zone, by_grain, from_day, to_day, week_start) as periods
  ) as aged
),

counted as (
  select
    spine.tenant_id,
    spine.period,
    spine.is_cut,
    spine.starts_at,
    spine.ends_at,
    spine.age_days,
    spine.loaded_at,
    -- In the first period the hours before the first known one are missing, as in `periods`.
    if(
      spine.known_until > counts.first_hour,
      (epoch_us(spine.known_until) - epoch_us(least(spine.starts_at, counts.first_hour))) // 3600000000 + counts.earlier,
      counts.known
    ) as hours,
    coalesce(counts.verified, 0) as verified,
    coalesce(counts.partial, 0) as partial,
    -- The hours after the last known one are not read yet.
    coalesce(counts.open, 0)
    + greatest(coalesce((epoch_us(spine.known_until) - epoch_us(counts.last_hour)) // 3600000000 - 1, 0), 0) as open
  from spine
  asof left join hour_counts(of_table, of_tenant) as counts
    on counts.tenant_id = spine.tenant_id
    and counts.hour < spine.known_until
),

known as (
  select
    *,
    verified = hours and is_whole as is_proven
  from (
    select
      counted.*,
      not exists (
        select 1
        from history_limits as limits
        where limits.tenant_id = counted.tenant_id
          and limits.table_name = of_table
      ) as is_whole
    from counted
  ) as limited
)

select
  tenant_id,
  period,
  is_cut,
  starts_at,
  ends_at,
  age_days,
  hours,
  -- Rounding never hides a gap: 1 means that every hour is proven.
  least(round(verified / hours, 3), if(is_proven, 1, 0.999)) as verified_share,
  round(partial / hours, 3) as partial_share,
  round(open / hours, 3) as open_share,
  case
    when is_proven then 'verified'
    when verified + open = hours and is_whole then 'open'
    else 'unverified'
  end as coverage,
  loaded_at
from known
