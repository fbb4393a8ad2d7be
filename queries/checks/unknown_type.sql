-- title: Event type that no report knows
-- description: Such events are loaded like all others, but no KPI counts them: a new spelling may belong into queries/views/event_facts.sql.
-- grain: one row per tenant and event type
-- severity: warning
-- parameter: tenant:text=null One tenant alone
-- parameter: from:date=null Events from this UTC day on
select
  tenant_id,
  event_type,
  count(*) as rows,
  min(timestamp) as first_at,
  max(timestamp) as last_at
from event_facts
where kind is null
  and not starts_with(event, 'pass:')
  and not starts_with(event, 'customer:')
  and tenant_id = coalesce($tenant, tenant_id)
  and timestamp >= coalesce($from::timestamptz, '-infinity'::timestamptz)
group by tenant_id, event_type
order by tenant_id, event_type
