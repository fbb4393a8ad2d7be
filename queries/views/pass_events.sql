-- title: Events of wallet passes
-- description: The events that name a pass, each event id once, with the type and the store of their pass.
-- grain: one row per tenant, event and event id
-- caveat: Rows with the same event and id count as one event, the earliest. The all-zero guid is not an id: each of its rows counts.
-- caveat: pass_type is the last type that any event of the pass gives. pass_store_id is the store of its first created or installed event that names one, up to this event.
-- caveat: Events of a pass at the same instant are in the order of its life (step): created, installed, others, removed. Within a step they are in the order of their store and type, not of their ids.
with
-- Groups need less time and memory than windows, which sort all events. Few passes have more than one type or store.
given as (
  select
    tenant_id,
    pass_id,
    min(given_type) as lowest_type,
    max(given_type) as highest_type,
    min(given_store) as lowest_store,
    max(given_store) as highest_store,
    min(place) filter (where given_store is not null) as store_place
  from pass_facts(null)
  group by tenant_id, pass_id
),

varied as (
  select
    tenant_id,
    pass_id,
    last(given_type order by place, store_id, given_type) filter (where given_type is not null) as pass_type,
    first(given_store order by place, given_store) filter (where given_store is not null) as store_id
  from pass_facts(null)
  semi join (
    select tenant_id, pass_id
    from given
    where lowest_type <> highest_type
      or lowest_store <> highest_store
  ) as several using (tenant_id, pass_id)
  group by tenant_id, pass_id
),

decided as (
  select
    given.tenant_id,
    given.pass_id,
    given.store_place,
    coalesce(varied.pass_type, given.lowest_type) as pass_type,
    coalesce(varied.store_id, given.lowest_store) as store_id
  from given
  left join varied
    on varied.tenant_id = given.tenant_id
    and varied.pass_id = given.pass_id
),

-- A group per number takes less time than a group per text, and few ids repeat.
suspects as (
  select hash(tenant_id, event, event_id) as suspect
  from pass_facts(null)
  where event_id <> '00000000-0000-0000-0000-000000000000'
  group by suspect
  having count(*) > 1
),

once as (
  select *
  from pass_facts(null) as facts
  anti join suspects on suspects.suspect = hash(tenant_id, event, event_id)
  union all
  select *
  from pass_facts(null) as facts
  semi join suspects on suspects.suspect = hash(tenant_id, event, event_id)
  qualify row_number() over (
    -- kind follows from event. Named here, a condition on it is applied before the window.
    partition by tenant_id, kind, event, event_id
    order by timestamp, pass_id, device, active_registrations, store_id
  ) = 1
)

select
  once.* exclude (given_type, given_store, place),
  coalesce(once.device, '(unknown)') as platform,
  decided.pass_type,
  if(once.place >= decided.store_place, decided.store_id, null) as pass_store_id
from once
inner join decided
  on decided.tenant_id = once.tenant_id
  and decided.pass_id = once.pass_id
