-- title: Passes
-- description: Every pass that any event names: its customer, its current wallet status, where it came from, and when it was created, installed, scanned and removed.
-- grain: one row per tenant and pass
-- caveat: wallet_status is none, apple, google, both, or unknown if the pass is active and its events name neither platform.
-- caveat: customer_id is the last customer that an event of the pass names, medium the one of its first installation that names one.
with
named as (
  select
    tenant_id,
    pass_id,
    last(customer_id order by timestamp, step, customer_id) filter (where customer_id is not null) as customer_id,
    any_value(pass_type) as pass_type,
    any_value(pass_store_id) as store_id,
    first(medium order by timestamp, step, medium) filter (where kind = 'installed' and medium is not null) as medium,
    min(timestamp) as first_seen_at,
    max(timestamp) as last_seen_at,
    min(timestamp) filter (where kind = 'created') as created_at,
    min(timestamp) filter (where kind = 'scanned') as first_scanned_at,
    max(timestamp) filter (where kind = 'scanned') as last_scanned_at,
    count(*) filter (where kind = 'scanned') as scans
  from pass_events
  group by tenant_id, pass_id
),

lives as (
  select
    tenant_id,
    pass_id,
    min(changed_at) as first_installed_at,
    max(changed_at) filter (where is_active) as last_installed_at,
    max(changed_at) filter (where not is_active) as last_removed_at,
    last(wallet_status order by changed_at, step, platform, event_id) as wallet_status,
    last(active_platforms order by changed_at, step, platform, event_id) as active_platforms
  from pass_states
  group by tenant_id, pass_id
)

select
  named.tenant_id,
  named.pass_id,
  named.customer_id,
  named.pass_type,
  named.store_id,
  named.medium,
  named.first_seen_at,
  named.last_seen_at,
  named.created_at,
  lives.first_installed_at,
  lives.last_installed_at,
  lives.last_removed_at,
  named.first_scanned_at,
  named.last_scanned_at,
  named.scans,
  coalesce(lives.wallet_status, 'none') as wallet_status,
  coalesce(lives.active_platforms, 0) > 0 as is_active
from named
left join lives
  on lives.tenant_id = named.tenant_id
  and lives.pass_id = named.pass_id
