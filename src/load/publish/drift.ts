/**
 * Drift: what changed in the shape of a source's JSON, told from the property catalogue alone.
 *
 * Keys that are rare come and go by chance. So a path is new only where its share of the rows since then would have shown
 * it EXPECTED times before, and stopped only where it would have shown that often since. Days are the grain: rows of the
 * same file count neither as before nor as after.
 */
import type { Drift } from '../../model/report.ts';
import { shown, shownPath } from '../../transform/names.ts';
import { sqlText } from '../../kernel/sql.ts';
import { tableOf, text } from '../ledger/engine.ts';
import type { Ledger } from '../ledger/ledger.ts';

/** By chance alone, one absence in e^20 looks like a change. */
const EXPECTED = 20;

/** What has drifted, as the catalogue of properties shows it now: columns of `property_drift` but for run and found_at. */
const DRIFT_SQL = `with
of_files as (
  select tenant, table_name, type, file, sum(rows) as rows, min(first_at) as first_at, max(last_at) as last_at
  from property_counts
  where pointer = '' and json_column = 'properties'
  group by all
),
of_tables as (
  select tenant, table_name, file, sum(rows) as rows, min(first_at) as first_at, max(last_at) as last_at
  from of_files
  group by all
),
types as (
  select tenant, table_name, type, sum(rows) as rows, min(first_at) as first_at
  from of_files
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
    tenant, table_name, type, json_column, pointer, string_agg(kind, ', ' order by kind) as kind, sum(rows) as rows,
    min(first_at) as first_at, max(last_at) as last_at
  from kinds
  group by all
),
-- Members of something that is new, or has stopped, itself say nothing more.
own as (
  select paths.*, above.first_at as above_first_at, above.last_at as above_last_at
  from paths
  left join paths as above
    on above.tenant = paths.tenant and above.table_name = paths.table_name and above.type = paths.type
    and above.json_column = paths.json_column and above.pointer = regexp_replace(paths.pointer, '/[^/]*$', '')
)
select types.tenant, types.table_name, types.type, 'properties' as json_column, '' as pointer, 'new_type' as change, '' as kind, types.first_at as changed_at
from types
join of_tables using (tenant, table_name)
group by types.tenant, types.table_name, types.type, types.first_at
having any_value(types.rows) * coalesce(sum(of_tables.rows) filter (where of_tables.last_at < types.first_at), 0)
  >= ${EXPECTED} * sum(of_tables.rows) filter (where of_tables.last_at >= types.first_at)
union all
select tenant, table_name, type, json_column, pointer, 'new_path', own.kind, own.first_at
from own
join of_files using (tenant, table_name, type)
where own.above_first_at is distinct from own.first_at
group by tenant, table_name, type, json_column, pointer, own.kind, own.first_at
having any_value(own.rows) * coalesce(sum(of_files.rows) filter (where of_files.last_at < own.first_at), 0)
  >= ${EXPECTED} * sum(of_files.rows) filter (where of_files.last_at >= own.first_at)
union all
select tenant, table_name, type, json_column, pointer, 'stopped', own.kind, own.last_at
from own
join of_files using (tenant, table_name, type)
where own.above_last_at is distinct from own.last_at
group by tenant, table_name, type, json_column, pointer, own.kind, own.last_at
having any_value(own.rows) * coalesce(sum(of_files.rows) filter (where of_files.first_at > own.last_at), 0)
  >= ${EXPECTED} * sum(of_files.rows) filter (where of_files.first_at <= own.last_at)
union all
select tenant, table_name, type, json_column, pointer, 'new_kind', kinds.kind, kinds.first_at
from kinds
join paths using (tenant, table_name, type, json_column, pointer)
join of_files using (tenant, table_name, type)
where kinds.first_at > paths.first_at and of_files.last_at >= paths.first_at
group by tenant, table_name, type, json_column, pointer, kinds.kind, kinds.first_at
having any_value(kinds.rows) * coalesce(sum(of_files.rows) filter (where of_files.last_at < kinds.first_at), 0)
  >= ${EXPECTED} * sum(of_files.rows) filter (where of_files.last_at >= kinds.first_at)`;

/**
 * Brings `property_drift` up to date and returns what is new in it. What was found stays while its path is there: a month
 * that became one file no longer tells its days apart. A first load has a history and no news.
 */
export async function recordDrift(ledger: Ledger, run: string): Promise<readonly Drift[]> {
  await ledger.run(`create or replace temp table drifted as ${DRIFT_SQL}`);
  const keys = 'tenant, table_name, type, json_column, pointer, change, kind';
  const fresh = await ledger.rawRows(
    `select ${keys}, strftime(changed_at, '%Y-%m-%dT%H:%M:%SZ') as since
     from drifted
     anti join property_drift using (${keys}, changed_at)
     where exists (
       select 1 from partitions
       where partitions.tenant = drifted.tenant and partitions.table_name = drifted.table_name and partitions.run <> ${sqlText(run)})
     order by all`,
  );
  await ledger.transaction(async () => {
    await ledger.run(
      `delete from property_drift
       where not exists (
           select 1 from property_counts as held
           where held.tenant = property_drift.tenant and held.table_name = property_drift.table_name and held.type = property_drift.type
             and held.json_column = property_drift.json_column and held.pointer = property_drift.pointer)
         -- It is sent again.
         or change = 'stopped' and exists (
           select 1 from property_counts as held
           where held.tenant = property_drift.tenant and held.table_name = property_drift.table_name and held.type = property_drift.type
             and held.json_column = property_drift.json_column and held.pointer = property_drift.pointer
             and held.kind <> 'null' and held.last_at > property_drift.changed_at)`,
    );
    await ledger.run(
      `insert into property_drift
       select ${keys}, changed_at, ${sqlText(run)}, ${ledger.nowSql()} from drifted anti join property_drift using (${keys}, changed_at)`,
    );
  });
  await ledger.run('drop table temp.drifted');
  return fresh.flatMap((row) => {
    const change = driftChange(text(row, 'change'));
    if (change === undefined) return [];
    const [table, column, pointer] = [tableOf(row), text(row, 'json_column') ?? '', text(row, 'pointer') ?? ''];
    const path = column === 'properties' ? shownPath(pointer) : `${column} ${shownPath(pointer)}`;
    const [tenant = '', kind = '', at = ''] = [text(row, 'tenant'), text(row, 'kind'), text(row, 'since')];
    return [{ tenant, table, type: shown(text(row, 'type') ?? ''), path, change, kind, at }];
  });
}

/** A change by its word in the ledger and the catalogue; undefined for any other. */
export function driftChange(word: string | undefined): Drift['change'] | undefined {
  return (['new_type', 'new_path', 'new_kind', 'stopped'] as const).find((change) => change === word);
}
