-- As queries/views/passes.sql.
with
named as (
  select
    tenant_id,
    pass_id,
    max_by(customer_id, struct(timestamp, step, customer_id)) filter (where customer_id is not null) as customer_id,
    -- The same on each row that has one.
    max(pass_type) as pass_type,
    max(pass_store_id) as store_id,
    min_by(medium, struct(timestamp, step, medium)) filter (where kind = 'installed' and medium is not null) as medium,
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
    max_by(wallet_status, struct(changed_at, step, platform, event_id)) as wallet_status,
    max_by(active_platforms, struct(changed_at, step, platform, event_id)) as active_platforms
  from pass_states
  group by tenant_id, pass_id
)

select
  named.tenant_id, named.pass_id, named.customer_id, named.pass_type, named.store_id, named.medium, named.first_seen_at, named.last_seen_at,
  named.created_at, lives.first_installed_at, lives.last_installed_at, lives.last_removed_at, named.first_scanned_at, named.last_scanned_at, named.scans,
  coalesce(lives.wallet_status, 'none') as wallet_status,
  coalesce(lives.active_platforms, 0) > 0 as is_active
from named
left join lives on lives.tenant_id = named.tenant_id and lives.pass_id = named.pass_id
