-- title: Event of a pass that names none
-- description: A pass was created, installed, removed or scanned, and no known path of the event's properties tells which: no KPI counts it.
-- grain: one row per tenant and event
-- severity: warning
-- parameter: tenant:text=null One tenant alone
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
