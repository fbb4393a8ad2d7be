/**
 * The ledger's hours as readers see them: the view `coverage` and the file `coverage.parquet`. A comparison that changes nothing but
 * `checked_at` publishes nothing, so readers see it as of the last publish.
 */
export const COVERAGE_SQL = `select
  tenant as tenant_id,
  lower(table_name) as table_name,
  hour,
  state,
  grade,
  source.n::bigint as source_rows,
  lake.n::bigint as lake_rows,
  duplicates.n::bigint as duplicate_rows,
  quarantined.n::bigint as quarantined_rows,
  verified_at,
  checked_at
from hours
order by tenant_id, table_name, hour`;
