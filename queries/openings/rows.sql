-- title: Openings
-- description: The rows of the past that decide what later rows mean: of years of events a few per pass.
-- parameter: before:date The day that they open
-- parameter: part:int=0 Which part of the passes, from 0; no part needs another one
-- parameter: parts:int=1 The number of parts
-- A report with `past of` or `all of` in its head says the same over these and the rows after them as over all rows:
-- * `past`: each unit (a pass on a platform) has its state, what was first stays first, and sums over all changes stay what they are,
--   for changes alternate: a unit's first and last one add up to what all of them do.
-- * `all`: of each pass, what its cohorts are judged by: creations, the first and the last installation. What it was counted as at an earlier
--   age is in the totals (totals.sql): it is subtracted from them as it is counted from these rows, and then counted again.
-- * of metrics: the first row of each type, and the last snapshot of each series of passes.installed.
-- test/load/marts/openings.test.ts holds every report to it.
with
earlier_events as (
  select
    tenant_id,
    pass_id,
    kind,
    kind in ('created', 'installed') and store_id is not null as has_store,
    timestamp,
    event_id,
    -- Comparing numbers takes a tenth of the time of comparing the four columns.
    row_number() over (order by timestamp, step, store_id, event_id) as place
  from pass_events
  where timestamp < $before::timestamptz
    and hash(tenant_id, pass_id) % $parts::ubigint = $part::ubigint
),

passes_decided as (
  select
    [
      min(place),
      min(place) filter (where has_store),
      max(place) filter (where kind = 'installed')
    ] as places
  from earlier_events
  group by tenant_id, pass_id
),

registered as (
  select
    tenant_id,
    pass_id,
    platform,
    kind,
    is_active,
    timestamp,
    event_id,
    row_number() over (order by timestamp, step, store_id, event_id) as place
  from registrations
  where timestamp < $before::timestamptz
    and hash(tenant_id, pass_id) % $parts::ubigint = $part::ubigint
),

units_decided as (
  select
    [
      min(place) filter (where kind = 'installed'),
      min(place) filter (where kind = 'uninstalled'),
      min(place) filter (where is_active),
      max(place)
    ] as places
  from registered
  group by tenant_id, pass_id, platform
),

creations_decided as (
  select [min(place)] as places
  from earlier_events
  where kind = 'created'
  group by tenant_id, pass_id, timestamp::date
),

decisive as (
  select tenant_id, pass_id, timestamp, event_id
  from earlier_events
  where place in (
    select unnest(places) from passes_decided
    union all
    select unnest(places) from creations_decided
  )
  union
  select tenant_id, pass_id, timestamp, event_id
  from registered
  where place in (select unnest(places) from units_decided)
)

-- The rows of the opening before it whose passes have no later event.
select *
from opening_unread
where $part::ubigint = 0
union all by name
-- Without the type: it may come from a later event, and no mart asks for it.
select * exclude (event, kind, platform, pass_type, pass_store_id, status_code, step)
from pass_events
where hash(tenant_id, pass_id) % $parts::ubigint = $part::ubigint
  and (tenant_id, pass_id, timestamp, event_id) in (
    select (tenant_id, pass_id, timestamp, event_id) from decisive
  )
union all by name
select
  tenant_id,
  metric_type,
  min(timestamp) as timestamp
from metrics
where timestamp < $before::timestamptz
  and $part::ubigint = 0
group by tenant_id, metric_type
union all by name
select
  tenant_id,
  metric_type,
  timestamp,
  properties,
  pass_type,
  value,
  value_number
from metrics
where timestamp < $before::timestamptz
  and $part::ubigint = 0
  and value is not null
  and replace(lower(metric_type), '.', ':') in ('passes:installed', 'pass:installed')
qualify rank() over (partition by tenant_id, metric_type, properties::varchar, json_structure(value)::varchar order by timestamp desc) = 1
