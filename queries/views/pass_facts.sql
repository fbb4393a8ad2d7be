-- title: Events that name a pass
-- description: The facts of events that name a pass, with what each event itself says about its pass.
-- grain: one row per row of events that names a pass
-- arguments: of_tenant
-- caveat: If of_tenant is null, those of all tenants.
-- caveat: Repeated ids are still here: pass_events has each event id once, and the type and the store of each pass.
-- caveat: place is the order of a pass's events: their time, then step.
-- A macro, because pass_events reads it several times: DuckDB keeps a copy of all rows of a common table expression in memory. It forgets
-- `not materialized` of a view when it opens a catalogue.
select
  * exclude (pass_type),
  pass_type as given_type,
  if(kind in ('created', 'installed'), store_id, null) as given_store,
  -- Comparing numbers takes less time than comparing both columns.
  epoch_us(timestamp) * 8 + step as place
from event_facts
where event like 'pass:%'
  and pass_id is not null
  and (of_tenant is null or tenant_id = of_tenant)
