-- title: Events of wallet passes
-- description: The events that name a pass, each event id once, with the type and the store of their pass.
-- grain: one row per tenant, event and event id
-- caveat: Rows with the same event and id count as one event, the earliest. The all-zero guid is not an id: each of its rows counts.
-- caveat: pass_type is the last type that any event of the pass gives. pass_store_id is the store of its first created or installed event that names one, up to this event.
-- caveat: Events of a pass at the same instant are in the order of its life (step): created, installed, others, removed. Within a step they are in the order of their store and type, not of their ids.
select
  * exclude (pass_type),
  coalesce(device, '(unknown)') as platform,
  last_value(pass_type ignore nulls) over of_pass as pass_type,
  first_value(case when kind in ('created', 'installed') then store_id end ignore nulls) over so_far as pass_store_id
from event_facts
where event like 'pass:%'
  and pass_id is not null
window
  of_pass as (
    partition by tenant_id, pass_id
    order by timestamp, step, store_id, pass_type
    rows between unbounded preceding and unbounded following
  ),
  so_far as (
    partition by tenant_id, pass_id
    order by timestamp, step, store_id, pass_type
    rows between unbounded preceding and current row
  )
qualify event_id = '00000000-0000-0000-0000-000000000000'
  or row_number() over (
    partition by tenant_id, event, event_id
    order by timestamp, pass_id, device, active_registrations, store_id
  ) = 1
