/** The content of a lake: two lakes with the same result are equal row by row. */
export const CONTENT = `
  select 'events' as name, count(*)::int as n, sum(hash(event_id, timestamp, event_type, operation_id, properties::varchar))::varchar as h from events
  union all select 'logs', count(*)::int, sum(hash(event_id, timestamp, event_type, operation_id, properties::varchar))::varchar from logs
  union all select 'metrics', count(*)::int, sum(hash(metric_id, timestamp, metric_type, value::varchar))::varchar from metrics
  order by 1`;

/** Hours by state, of one table. */
export const COVERAGE = `
  select state, count(*)::int as hours from coverage where table_name = 'events' group by all order by all`;
