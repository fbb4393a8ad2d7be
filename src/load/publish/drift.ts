/**
 * Drift: changes in the shape of a source's JSON, found from the property catalogue only.
 *
 * Rare keys come and go by chance. So a path counts as new only if, at its present share of the rows, about EXPECTED earlier
 * rows would have had it; and as stopped only if that many later rows would have. The grain is a UTC day of a file: rows of the same
 * day are neither earlier nor later. In files that an earlier version described, it is the file.
 */
import type { Drift } from '../../model/report.ts';
import { shown, shownPath } from '../../transform/names.ts';
import { sqlText } from '../../kernel/sql.ts';
import { asFlag, asOneOf, asTable, asText } from '../ledger/cells.ts';
import type { Ledger } from '../ledger/ledger.ts';

/** The chance that an absence is taken for a change is one in e^20. */
const EXPECTED = 20;

/** All drift that the property catalogue shows now: the columns of `property_drift` except run and found_at. */
const DRIFT_SQL = `with
type_days as (
  select tenant, table_name, type, file, first_at::date as day, sum(rows) as rows, min(first_at) as first_at, max(last_at) as last_at
  from property_counts
  where pointer = '' and json_column = 'properties'
  group by all
),
table_days as (
  select tenant, table_name, file, day, sum(rows) as rows, min(first_at) as first_at, max(last_at) as last_at
  from type_days
  group by all
),
types as (
  select tenant, table_name, type, sum(rows) as rows, min(first_at) as first_at,
    min(last_at) as first_end, max(first_at) as last_begin
  from type_days
  group by all
),
kinds as (
  select
    tenant, table_name, type, json_column, pointer, kind, sum(rows) as rows,
    min(first_at) as first_at, max(last_at) as last_at
  from property_counts
  where kind <> 'null' and pointer <> ''
  group by all
),
paths as (
  select
    tenant, table_name, type, json_column, pointer, array_to_string(list_sort(list(kind)), ', ') as kind, sum(rows) as rows,
    min(first_at) as first_at, max(last_at) as last_at
  from kinds
  group by all
),
-- Only paths with an earlier or a later day. If an object is new or has stopped, its members are not reported as well.
path_and_parent as (
  select paths.*, parent.first_at as parent_first_at, parent.last_at as parent_last_at, first_end, last_begin
  from paths
  join types
    on types.tenant = paths.tenant and types.table_name = paths.table_name and types.type = paths.type
    and (first_end < paths.first_at or last_begin > paths.last_at)
  left join paths as parent
    on parent.tenant = paths.tenant and parent.table_name = paths.table_name and parent.type = paths.type
    and parent.json_column = paths.json_column and parent.pointer = regexp_replace(paths.pointer, '/[^/]*$', '')
)
select types.tenant, types.table_name, types.type, 'properties' as json_column, '' as pointer, 'new_type' as change, '' as kind, types.first_at as changed_at
from types
join table_days using (tenant, table_name)
group by types.tenant, types.table_name, types.type, types.first_at
having any_value(types.rows) * coalesce(sum(table_days.rows) filter (where table_days.last_at < types.first_at), 0)
  >= ${EXPECTED} * sum(table_days.rows) filter (where table_days.last_at >= types.first_at)
union all
select tenant, table_name, type, json_column, pointer, 'new_path', path_and_parent.kind, path_and_parent.first_at
from path_and_parent
join type_days using (tenant, table_name, type)
where path_and_parent.parent_first_at is distinct from path_and_parent.first_at and first_end < path_and_parent.first_at
group by tenant, table_name, type, json_column, pointer, path_and_parent.kind, path_and_parent.first_at
having any_value(path_and_parent.rows) * coalesce(sum(type_days.rows) filter (where type_days.last_at < path_and_parent.first_at), 0)
  >= ${EXPECTED} * sum(type_days.rows) filter (where type_days.last_at >= path_and_parent.first_at)
union all
select tenant, table_name, type, json_column, pointer, 'stopped', path_and_parent.kind, path_and_parent.last_at
from path_and_parent
join type_days using (tenant, table_name, type)
where path_and_parent.parent_last_at is distinct from path_and_parent.last_at and last_begin > path_and_parent.last_at
group by tenant, table_name, type, json_column, pointer, path_and_parent.kind, path_and_parent.last_at
having any_value(path_and_parent.rows) * coalesce(sum(type_days.rows) filter (where type_days.first_at > path_and_parent.last_at), 0)
  >= ${EXPECTED} * sum(type_days.rows) filter (where type_days.first_at <= path_and_parent.last_at)
union all
select tenant, table_name, type, json_column, pointer, 'new_kind', kinds.kind, kinds.first_at
from kinds
join paths using (tenant, table_name, type, json_column, pointer)
join types using (tenant, table_name, type)
join type_days using (tenant, table_name, type)
where kinds.first_at > paths.first_at and types.first_end < kinds.first_at and type_days.last_at >= paths.first_at
group by tenant, table_name, type, json_column, pointer, kinds.kind, kinds.first_at
having any_value(kinds.rows) * coalesce(sum(type_days.rows) filter (where type_days.last_at < kinds.first_at), 0)
  >= ${EXPECTED} * sum(type_days.rows) filter (where type_days.last_at >= kinds.first_at)`;

/**
 * True if an entry could be added or removed. Something can only have changed between a day and a later one of the same table.
 * Far cheaper than DRIFT_SQL.
 */
const IS_POSSIBLE_SQL = `with tables as (
  select max(first_at) > min(last_at) as has_later_day from property_counts where pointer = '' group by tenant, table_name
)
select coalesce(bool_or(has_later_day), false) or exists (from property_drift) as possible from tables`;

/** What the property catalogue holds of the path of an entry. */
const HELD_SQL = `select 1 from property_counts as held
  where held.tenant = property_drift.tenant and held.table_name = property_drift.table_name and held.type = property_drift.type
    and held.json_column = property_drift.json_column and held.pointer = property_drift.pointer`;

/**
 * Brings `property_drift` up to date and returns what is new in it. An entry stays as long as its path exists and no row contradicts it,
 * because rare paths of a file of a day may be missing in the sample that is counted of a month. A tenant's first load is recorded but not returned as new.
 */
export async function recordDrift(ledger: Ledger, run: string): Promise<readonly Drift[]> {
  const { possible } = await ledger.row(IS_POSSIBLE_SQL, { possible: asFlag });
  if (!possible) return [];
  await ledger.run(`create or replace temp table current_drift as ${DRIFT_SQL}`);
  const keys = 'tenant, table_name, type, json_column, pointer, change, kind';
  const fresh = await ledger.rows(
    `select ${keys}, strftime(changed_at, '%Y-%m-%dT%H:%M:%SZ') as since
     from current_drift
     anti join property_drift using (${keys}, changed_at)
     where exists (
       select 1 from partitions
       where partitions.tenant = current_drift.tenant and partitions.table_name = current_drift.table_name
         and partitions.run <> ${sqlText(run)})
     order by all`,
    {
      tenant: asText,
      table_name: asTable,
      type: asText,
      json_column: asText,
      pointer: asText,
      change: asOneOf(DRIFT_CHANGES),
      kind: asText,
      since: asText,
    },
  );
  await ledger.transaction(async () => {
    await ledger.run(
      `delete from property_drift
       where not exists (
           ${HELD_SQL})
         -- The source sends it again.
         or change = 'stopped' and exists (
           ${HELD_SQL}
             and held.kind <> 'null' and held.last_at > property_drift.changed_at)
         -- It was there before: in late rows, or in a file that was damaged when the entry was made.
         or change <> 'stopped' and exists (
           ${HELD_SQL}
             and (held.kind <> 'null' or held.pointer = '') and (change <> 'new_kind' or held.kind = property_drift.kind)
             and held.first_at < property_drift.changed_at)`,
    );
    await ledger.run(
      `insert into property_drift
       select ${keys}, changed_at, ${sqlText(run)}, ${ledger.nowSql()} from current_drift anti join property_drift using (${keys}, changed_at)`,
    );
  });
  await ledger.run('drop table temp.current_drift');
  return fresh.map(({ tenant, table_name: table, type, json_column: column, pointer, change, kind, since: at }) => {
    const path = column === 'properties' ? shownPath(pointer) : `${column} ${shownPath(pointer)}`;
    return { tenant, table, type: shown(type), path, change, kind, at };
  });
}

const DRIFT_CHANGES = ['new_type', 'new_path', 'new_kind', 'stopped'] as const satisfies readonly Drift['change'][];
