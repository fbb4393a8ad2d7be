-- title: Wallet status
-- question: How many passes are in wallets?
-- description: Passes by the wallet they are in at the end of each period: none, apple, google or both.
-- formula: share = passes_in_status / all passes seen until the end of the period
-- grain: one row per tenant, period and wallet status
-- parameter: from:date=null First day, inclusive
-- parameter: to:date=null Last day, exclusive
-- parameter: tenant:text=null Only these tenants, separated by commas
-- parameter: zone:zone=UTC Time zone in which periods begin
-- parameter: grain:hour|day|week|month|quarter|year=day Length of a period
-- parameter: week_start:monday|tuesday|wednesday|thursday|friday|saturday|sunday=monday First day of a week
-- parameter: pass_type:text=null Only passes of these types
-- dimensions: pass_type, store, medium, origin, tag, promoted
-- additive: passes_in_status
-- unit: passes, share
-- mart: past of events
-- over_days: end passes_in_status by wallet_status
-- caveat: none holds passes that are known and in no wallet; unknown, shown only if there are any, holds active passes whose events name neither platform.
-- caveat: Events before the first loaded day are not known, so what is active is a lower bound.
-- caveat: coverage is that of all hours of events up to the end of the period, because the figures depend on the past: verified, open (the rest is not over or not settled) or unverified (an hour is missing or does not balance).
-- chart: area x=period y=passes_in_status series=wallet_status
with
moves as (
  select
    tenant_id,
    changed_at as moved_at,
    unnest([wallet_status, previous_status]) as wallet_status,
    unnest([1, -1]) as delta
  from pass_states
  where tenant_id = coalesce($tenant, tenant_id)
    and ($pass_type is null or pass_type = $pass_type)
  union all
  select tenant_id, min(timestamp) as moved_at, 'none' as wallet_status, 1 as delta
  from pass_events
  where tenant_id = coalesce($tenant, tenant_id)
    and ($pass_type is null or pass_type = $pass_type)
  group by tenant_id, pass_id
  union all
  select tenant_id, carried_at as moved_at, wallet_status, passes as delta
  from carried
  where wallet_status is not null
),

totals as (
  select
    tenant_id,
    wallet_status,
    period_of(moved_at, $zone, $grain, $week_start) as period,
    sum(delta) as delta
  from moves
  where is_in_days(moved_at, $zone, null, $to)
  group by tenant_id, wallet_status, period
),

running as (
  select
    tenant_id,
    wallet_status,
    period,
    sum(delta) over (partition by tenant_id, wallet_status order by period) as passes_in_status
  from totals
),

spine as (
  select
    periods.*,
    unnest(['none', 'apple', 'google', 'both', 'unknown']) as wallet_status
  from history('events', $tenant, $zone, $grain, $from, $to, [0], $week_start) as periods
),

counted as (
  select
    spine.*,
    coalesce(running.passes_in_status, 0)::bigint as passes_in_status
  from spine
  asof left join running
    on running.tenant_id = spine.tenant_id
    and running.wallet_status = spine.wallet_status
    and running.period <= spine.period
)

select
  counted.tenant_id,
  counted.period,
  counted.wallet_status,
  counted.passes_in_status,
  round(
    counted.passes_in_status / nullif(sum(counted.passes_in_status) over (partition by counted.tenant_id, counted.period), 0), 4
  ) as share,
  counted.is_cut,
  counted.verified_share,
  counted.partial_share,
  counted.open_share,
  counted.coverage,
  counted.loaded_at
from counted
qualify counted.wallet_status <> 'unknown'
  or counted.passes_in_status > 0
order by counted.tenant_id, counted.period, counted.wallet_status
