-- title: Customers
-- description: Every customer that any event names, with their passes and what was done with them.
-- grain: one row per tenant and customer
-- caveat: A customer is a value of the promoted column customer_id. The path is not documented for this API and differs between brands: see docs/lake.md.
-- caveat: Privacy rules apply before. If a rule hashes the identifier, customer_id is the hash; if a rule drops it, there are no customers.
-- caveat: A pass belongs to the last customer that one of its events names. Its whole past counts for that customer.
with
named as (
  select
    tenant_id,
    customer_id,
    min(timestamp) as first_seen_at,
    max(timestamp) as last_seen_at
  from event_facts
  where customer_id is not null
  group by tenant_id, customer_id
),

owned as (
  select
    tenant_id,
    customer_id,
    count(*) as passes,
    count(*) filter (where is_active) as active_passes,
    min(first_seen_at) as first_seen_at,
    max(last_seen_at) as last_seen_at,
    min(first_installed_at) as first_installed_at,
    sum(scans)::bigint as scans,
    min(first_scanned_at) as first_scanned_at,
    max(last_scanned_at) as last_scanned_at
  from passes
  where customer_id is not null
  group by tenant_id, customer_id
),

installed as (
  select
    registrations.tenant_id,
    passes.customer_id,
    list_sort(list(distinct registrations.platform)) as platforms,
    list_sort(list(distinct registrations.medium) filter (where registrations.medium is not null)) as media,
    list_sort(list_distinct(flatten(list(registrations.tags)))) as tags
  from registrations
  inner join passes
    on passes.tenant_id = registrations.tenant_id
    and passes.pass_id = registrations.pass_id
  where registrations.kind = 'installed'
    and passes.customer_id is not null
  group by registrations.tenant_id, passes.customer_id
)

select
  named.tenant_id,
  named.customer_id,
  -- Events of a pass need not name its customer.
  least(named.first_seen_at, owned.first_seen_at) as first_seen_at,
  greatest(named.last_seen_at, owned.last_seen_at) as last_seen_at,
  coalesce(owned.passes, 0) as passes,
  coalesce(owned.active_passes, 0) as active_passes,
  owned.first_installed_at,
  coalesce(installed.platforms, []) as platforms,
  coalesce(installed.media, []) as media,
  coalesce(installed.tags, []) as tags,
  coalesce(owned.scans, 0) as scans,
  owned.first_scanned_at,
  owned.last_scanned_at
from named
left join owned
  on owned.tenant_id = named.tenant_id
  and owned.customer_id = named.customer_id
left join installed
  on installed.tenant_id = named.tenant_id
  and installed.customer_id = named.customer_id
