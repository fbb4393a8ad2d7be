-- title: Hour missing inside a verified range
-- description: An hour between the first and the last verified hour of a table is not known, or a verified hour does not hold the rows that it was proven with.
-- grain: one row per tenant, table and hour
-- severity: error
-- parameter: tenant:text=null Only this tenant
-- parameter: from:date=null Hours from this UTC day on
with
verified as (
  select
    tenant_id,
    table_name,
    hour,
    lake_rows
  from coverage
  where state = 'verified'
    and tenant_id = coalesce($tenant, tenant_id)
    and hour >= coalesce($from::timestamptz, '-infinity'::timestamptz)
),

expected as (
  -- From the beginning of coverage on: the years before it are empty but for days with an old default as their time.
  select
    verified.tenant_id,
    verified.table_name,
    unnest(generate_series(min(verified.hour), max(verified.hour), interval '1 hour')) as hour
  from verified
  inner join beginnings(null, $tenant) as beginnings
    on beginnings.tenant_id = verified.tenant_id
    and beginnings.table_name = verified.table_name
    and beginnings.first_hour <= verified.hour
  group by verified.tenant_id, verified.table_name
),

held as (
  select tenant_id, 'events' as table_name, timestamp from events
  union all
  select tenant_id, 'logs' as table_name, timestamp from logs
  union all
  select tenant_id, 'metrics' as table_name, timestamp from metrics
),

counted as (
  select
    tenant_id,
    table_name,
    -- Hours since the year 1: truncating the timestamp of each row would take most of the time of this check.
    (epoch_us(timestamp) + 62135596800000000) // 3600000000 as nth_hour,
    count(*) as rows
  from held
  where tenant_id = coalesce($tenant, tenant_id)
    and timestamp >= coalesce($from::timestamptz, '-infinity'::timestamptz)
  group by tenant_id, table_name, nth_hour
),

faults as (
  select
    expected.tenant_id,
    expected.table_name,
    expected.hour,
    'unknown' as fault,
    null::bigint as proven_rows,
    null::bigint as rows
  from expected
  anti join coverage
    on coverage.tenant_id = expected.tenant_id
    and coverage.table_name = expected.table_name
    and coverage.hour = expected.hour
  union all
  select
    verified.tenant_id,
    verified.table_name,
    verified.hour,
    'rows differ' as fault,
    verified.lake_rows as proven_rows,
    coalesce(counted.rows, 0) as rows
  from verified
  left join counted
    on counted.tenant_id = verified.tenant_id
    and counted.table_name = verified.table_name
    and make_timestamptz(counted.nth_hour * 3600000000 - 62135596800000000) = verified.hour
  where coalesce(counted.rows, 0) <> coalesce(verified.lake_rows, 0)
)

select
  tenant_id,
  table_name,
  hour,
  fault,
  proven_rows,
  rows
from faults
order by tenant_id, table_name, hour
