-- title: Totals of passes that are not read
-- description: Always empty here, because reports read all events. While a run computes marts, it reads the passes that have changed, and this view holds what all other passes were counted as before.
-- grain: one row per tenant and platform (units, active_passes, ever_installed), per wallet status (passes), and per day of cohorts (created to alive_d365)
-- caveat: Each kind of row has its own figures, and null in all others. Platforms and wallet statuses have a carried_at before every event.
select
  null::varchar as tenant_id,
  null::timestamptz as carried_at,
  null::varchar as platform,
  null::varchar as wallet_status,
  null::bigint as active_units,
  null::bigint as active_passes,
  null::bigint as ever_installed,
  null::bigint as passes,
  null::bigint as created,
  null::bigint as installed_later,
  null::bigint as cohort,
  null::bigint as alive_d1,
  null::bigint as alive_d7,
  null::bigint as alive_d30,
  null::bigint as alive_d90,
  null::bigint as alive_d180,
  null::bigint as alive_d365
where false
