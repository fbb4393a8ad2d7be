-- title: What passes count as before a day
-- description: The totals that the events before a day add up to, in the shape of the view `carried`. A later run adds them to what it computes from the passes that have changed.
-- parameter: before:date The day
-- Together with these, the events of some passes and the totals of all others give what the events of all passes give. So whatever a
-- report with `past of` or `all of` in its head counts over earlier events must be in here, and the report must add it.
-- test/load/marts/openings.test.ts holds every report to it.
select
  tenant_id,
  '0001-01-01 (BC)'::timestamptz as carried_at,
  platform,
  sum(unit_delta) as active_units,
  sum(pass_delta) as active_passes,
  count(*) filter (where is_first_of_pass) as ever_installed
from pass_states
where changed_at < $before::timestamptz
group by tenant_id, platform
union all by name
select
  tenant_id,
  '0001-01-01 (BC)'::timestamptz as carried_at,
  wallet_status,
  sum(delta) as passes
from (
  select tenant_id, wallet_status, 1 as delta
  from pass_states
  where changed_at < $before::timestamptz
  union all
  select tenant_id, previous_status as wallet_status, -1 as delta
  from pass_states
  where changed_at < $before::timestamptz
  union all
  select tenant_id, 'none' as wallet_status, 1 as delta
  from pass_events
  where timestamp < $before::timestamptz
  group by tenant_id, pass_id
) as moves
group by tenant_id, wallet_status
union all by name
select
  tenant_id,
  period::timestamptz as carried_at,
  count(*) as created,
  count(*) filter (where is_installed_later) as installed_later
from creations(null, 'UTC', 'day', null, null, null, null, $before::timestamptz)
group by tenant_id, period
union all by name
select
  tenant_id,
  period_of(installed_at, 'UTC', 'day')::timestamptz as carried_at,
  count(*) as cohort,
  count(*) filter (where alive_d1) as alive_d1,
  count(*) filter (where alive_d7) as alive_d7,
  count(*) filter (where alive_d30) as alive_d30,
  count(*) filter (where alive_d90) as alive_d90,
  count(*) filter (where alive_d180) as alive_d180,
  count(*) filter (where alive_d365) as alive_d365
from lives(null, null, null, $before::timestamptz)
group by tenant_id, carried_at
