-- title: Attribution of first installs
-- question: Where do they come from?
-- description: First installs by medium, by the host of the page they came from, or by tag.
-- formula: share = first_installs of the source / all first installs of the period
-- grain: one row per tenant, period and source that has one
-- parameter: from:date=null First day, inclusive
-- parameter: to:date=null Last day, exclusive
-- parameter: tenant:text=null Only these tenants, separated by commas
-- parameter: zone:zone=UTC Time zone in which periods begin
-- parameter: grain:hour|day|week|month|quarter|year=day Length of a period
-- parameter: week_start:monday|tuesday|wednesday|thursday|friday|saturday|sunday=monday First day of a week
-- parameter: pass_type:text=null Only passes of these types
-- parameter: platform:text=null Only these platforms (apple, google or (unknown))
-- parameter: by:medium|origin|tag=medium What a source is
-- dimensions: pass_type, platform, store, medium, origin, tag, promoted
-- additive: first_installs
-- unit: units (passes on a platform), share
-- mart: past of events
-- over_days: sum first_installs by source
-- caveat: Tags are multi-valued (campaign and source are both tags, unlabelled): an install counts under each of its tags, so rows do not add up to the total.
-- caveat: The source is (none) if the installation names none; installs that were started on a desktop have no origin.
-- caveat: coverage is that of all hours of events up to the end of the period, because the figures depend on the past: verified, open (the rest is not over or not settled) or unverified (an hour is missing or does not balance).
-- chart: bar x=source y=first_installs
with
sourced as (
  select
    tenant_id,
    period_of(timestamp, $zone, $grain, $week_start) as period,
    case $by
      when 'medium' then [coalesce(medium, '(none)')]
      when 'origin' then [coalesce(origin_host, '(none)')]
      else coalesce(nullif(list_distinct(list_filter(tags, lambda tag: tag <> '')), []), ['(none)'])
    end as sources
  from registrations
  where tenant_id = coalesce($tenant, tenant_id)
    and kind = 'installed'
    and is_first
    and ($pass_type is null or pass_type = $pass_type)
    and ($platform is null or platform = $platform)
    and is_in_days(timestamp, $zone, $from, $to)
),

totals as (
  select
    tenant_id,
    period,
    count(*) as total
  from sourced
  group by tenant_id, period
),

counted as (
  select
    tenant_id,
    period,
    source,
    count(*) as first_installs
  from (
    select
      tenant_id,
      period,
      unnest(sources) as source
    from sourced
  ) as listed
  group by tenant_id, period, source
)

select
  periods.tenant_id,
  periods.period,
  counted.source,
  counted.first_installs,
  round(counted.first_installs / totals.total, 4) as share,
  periods.is_cut,
  periods.verified_share,
  periods.partial_share,
  periods.open_share,
  periods.coverage,
  periods.loaded_at
from history('events', $tenant, $zone, $grain, $from, $to, [0], $week_start) as periods
inner join totals
  on totals.tenant_id = periods.tenant_id
  and totals.period = periods.period
inner join counted
  on counted.tenant_id = periods.tenant_id
  and counted.period = periods.period
order by periods.tenant_id, periods.period, counted.source
