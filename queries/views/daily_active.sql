-- title: Active passes per day
-- description: Passes and units (a pass on a platform) that are active at the end of each UTC day.
-- grain: one row per tenant and UTC day
-- caveat: Events before the first loaded day are not known, so the figures are lower bounds.
select
  tenant_id,
  period::date as day,
  active_passes,
  active_units,
  active_apple,
  active_google,
  verified_share,
  partial_share,
  open_share,
  coverage,
  loaded_at
from activity(null, 'UTC', 'day', null, null, null, null)
