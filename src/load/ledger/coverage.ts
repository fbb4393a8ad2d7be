/**
 * The ledger's hours as readers see them: the view `coverage` and the file `coverage.parquet`. A comparison that changes nothing but
 * `checked_at` publishes nothing, so readers see it as of the last publish.
 */
import { sqlText } from '../../kernel/sql.ts';
import { TABLE_NAMES } from '../../model/tables.ts';

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

/** One row per tenant and table of which only a part of the history was ever compared (`comparedFrom` in profile.ts). */
export const HISTORY_LIMITS_SQL = `select
  tenant as tenant_id,
  lower(name) as table_name,
  (profile ->> ('$.comparedFrom.' || name))::timestamptz as compared_from
from tenants, (values ${TABLE_NAMES.map((name) => `(${sqlText(name)})`).join(', ')}) as tables(name)
where profile ->> ('$.comparedFrom.' || name) is not null
order by all`;
