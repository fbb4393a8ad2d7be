-- The rows of queries/views/pass_events.sql, decided by windows. Spark sorts nulls first by default, and has no `qualify`.
select
  tenant_id, timestamp, event_id, event_type, event, kind, pass_id, device, active_registrations, medium, origin_host, tags, store_id,
  redirect_id, customer_id, campaign, status_code, step, platform, pass_type, pass_store_id
from (
  select
    tenant_id, timestamp, event_id, event_type, event, kind, pass_id, device, active_registrations, medium, origin_host, tags, store_id,
    redirect_id, customer_id, campaign, status_code, step,
    coalesce(device, '(unknown)') as platform,
    last_value(pass_type, true) over (
      partition by tenant_id, pass_id order by timestamp, step, store_id nulls last, pass_type nulls last
      rows between unbounded preceding and unbounded following
    ) as pass_type,
    first_value(case when kind in ('created', 'installed') then store_id end, true) over (
      partition by tenant_id, pass_id order by timestamp, step, store_id nulls last, pass_type nulls last
      rows between unbounded preceding and current row
    ) as pass_store_id,
    row_number() over (
      partition by tenant_id, event, event_id
      order by timestamp, pass_id, device nulls last, active_registrations nulls last, store_id nulls last
    ) as nth
  from event_facts
  where event like 'pass:%' and pass_id is not null
)
where event_id = '00000000-0000-0000-0000-000000000000' or nth = 1
