-- title: Log errors per day
-- description: Log entries per day and how many of them are errors, by type or by severity.
-- formula: error_share = errors / entries
-- grain: one row per tenant and day
-- parameter: from:date=null First day, inclusive
-- parameter: to:date=null Last day, exclusive
-- parameter: zone:zone=UTC Time zone in which days begin
-- parameter: tenant:text=null One tenant alone
-- unit: log entries, share
-- caveat: An entry is an error when its type holds the word error, critical or fatal, or its severity or level is one of them.
-- caveat: verified_share below 1 marks a day that can still change; the source forgets logs, so a day may end as expired.
-- chart: line x=day y=errors
with
entries as (
  select
    tenant_id,
    (timestamp at time zone $zone)::date as day,
    regexp_matches(lower(event_type), '(^|[^a-z])(error|critical|fatal)([^a-z]|$)')
      or coalesce(lower(severity) in ('error', 'critical', 'fatal'), false) as is_error
  from logs
  where tenant_id = coalesce($tenant, tenant_id)
),

coverage_by_day as (
  select
    tenant_id,
    (hour at time zone $zone)::date as day,
    avg((state = 'verified')::integer) as verified_share,
    avg((state = 'partial')::integer) as partial_share,
    avg((state = 'open')::integer) as open_share
  from coverage
  where table_name = 'logs'
  group by tenant_id, day
),

by_day as (
  select
    tenant_id,
    day,
    count(*) filter (where is_error) as errors,
    count(*) as entries
  from entries
  where day >= coalesce($from::date, day)
    and (day < $to::date or $to is null)
  group by tenant_id, day
)

select
  by_day.tenant_id,
  by_day.day,
  by_day.errors,
  by_day.entries,
  round(by_day.errors / nullif(by_day.entries, 0), 4) as error_share,
  round(coalesce(coverage_by_day.verified_share, 0), 3) as verified_share,
  round(coalesce(coverage_by_day.partial_share, 0), 3) as partial_share,
  round(coalesce(coverage_by_day.open_share, 0), 3) as open_share
from by_day
left join coverage_by_day
  on coverage_by_day.tenant_id = by_day.tenant_id
  and coverage_by_day.day = by_day.day
order by by_day.tenant_id, by_day.day
