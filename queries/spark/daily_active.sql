-- As queries/views/daily_active.sql, without what is known of its coverage: the view `mart_active_passes` has that.
with
days as (
  select tenant_id, explode(sequence(min(to_date(hour)), max(to_date(hour)))) as day
  from coverage
  where table_name = 'events'
  group by tenant_id
),

changes as (
  select
    tenant_id,
    to_date(changed_at) as day,
    sum(pass_delta) as passes,
    sum(unit_delta) as units,
    sum(unit_delta) filter (where platform = 'apple') as apple,
    sum(unit_delta) filter (where platform = 'google') as google
  from pass_states
  group by tenant_id, to_date(changed_at)
)

select
  tenant_id,
  day,
  cast(coalesce(sum(passes) over so_far, 0) as bigint) as active_passes,
  cast(coalesce(sum(units) over so_far, 0) as bigint) as active_units,
  cast(coalesce(sum(apple) over so_far, 0) as bigint) as active_apple,
  cast(coalesce(sum(google) over so_far, 0) as bigint) as active_google
from days
left join changes using (tenant_id, day)
window so_far as (partition by tenant_id order by day)
