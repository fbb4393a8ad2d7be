-- title: Id twice in one hour
-- description: Different rows of one hour have the same id. All are kept, because only rows that are equal in every cell are copies; the state of passes counts the earliest.
-- grain: one row per tenant, table and hour
-- severity: warning
-- parameter: tenant:text=null Only this tenant
-- parameter: from:date=null Rows from this UTC day on
select
  tenant_id,
  table_name,
  hour,
  count(*) as ids,
  sum(rows)::bigint as rows
from repeated_ids($tenant, $from)
where rows > 1
group by tenant_id, table_name, hour
order by tenant_id, table_name, hour
