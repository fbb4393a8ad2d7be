-- title: Event type that no report knows
-- description: Events of this type are loaded like all others, but no KPI counts them. A new spelling may belong in queries/views/event_facts.sql.
-- grain: one row per tenant and event type
-- severity: warning
-- parameter: tenant:text=null Only this tenant
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
