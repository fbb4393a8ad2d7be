-- title: Pass event without a pass
-- description: A pass was created, installed, removed or scanned, but no known path of the event's properties names the pass, so no KPI counts the event.
-- grain: one row per tenant and event
-- severity: warning
-- parameter: tenant:text=null Only this tenant
-- parameter: from:date=null Events from this UTC day on
select
  tenant_id,
  event,
  count(*) as rows,
  min(timestamp) as first_at,
  max(timestamp) as last_at
from event_facts
where kind in ('created', 'installed', 'uninstalled', 'scanned')
  and pass_id is null
  and tenant_id = coalesce($tenant, tenant_id)
  and timestamp >= coalesce($from::timestamptz, '-infinity'::timestamptz)
group by tenant_id, event
order by tenant_id, event
