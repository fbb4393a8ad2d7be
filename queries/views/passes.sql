-- title: Passes
-- description: Every pass that any event names, with its current wallet status and when it was created, installed and removed.
-- grain: one row per tenant and pass
-- caveat: wallet_status is none, apple, google, both, or unknown if the pass is active and its events name neither platform.
with
named as (
  select
    tenant_id,
    pass_id,
    any_value(pass_type) as pass_type,
    any_value(pass_store_id) as store_id,
    min(timestamp) as first_seen_at,
    min(timestamp) filter (where kind = 'created') as created_at
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
    last(wallet_status order by changed_at, event_id) as wallet_status,
    last(active_platforms order by changed_at, event_id) as active_platforms
  from pass_states
  group by tenant_id, pass_id
)

select
  named.tenant_id,
  named.pass_id,
  named.pass_type,
  named.store_id,
  named.first_seen_at,
  named.created_at,
  lives.first_installed_at,
  lives.last_installed_at,
  lives.last_removed_at,
  coalesce(lives.wallet_status, 'none') as wallet_status,
  coalesce(lives.active_platforms, 0) > 0 as is_active
from named
left join lives
  on lives.tenant_id = named.tenant_id
  and lives.pass_id = named.pass_id
