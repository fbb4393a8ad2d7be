/**
 * The property catalogue: which paths the JSON of each type has, of which kinds, in how many rows, from when to when.
 *
 * It is kept per file (`property_counts`), because files are immutable. Before each publish, current files without a
 * description get one, and descriptions of other files are deleted. So late data, erasures, compaction, a killed run and a
 * rebuilt ledger need no extra code, and a run pays only for the files that it wrote. Key names are kept, values never.
 */
import { join } from 'node:path';
import { TABLES } from '../../model/tables.ts';
import type { TableName } from '../../model/tables.ts';
import { PARSED_OF_A_TYPE, countsSql, jsonColumns, refineSql, shapesSql, typesSql } from '../../transform/shapes.ts';
import type { ShapesInput } from '../../transform/shapes.ts';
import { spellKeySql } from '../../kernel/json-path.ts';
import { sqlText } from '../../kernel/sql.ts';
import { columnTypeSql } from '../../transform/typed-view.ts';
import { asCount, asTable, asText } from '../ledger/cells.ts';
import type { Lane } from '../ledger/engine.ts';
import { parquetSql } from '../ledger/sql.ts';

/** Files described by one statement; the limit on rows bounds its memory. */
const TOGETHER = { files: 500, rows: 500_000 } as const;

/** From this number of rows on, memory is given back to the system between statements. */
const LARGE_ROWS = 10_000;

/** Files of one table, of any tenants: many small tenants take no more statements than one tenant. */
interface Pending {
  readonly table: TableName;
  readonly files: string[];
  rows: number;
}

/** A JSON pointer as a readable path (`shownPath` in SQL); `$` is the whole value. No two pointers have the same path. */
export function pathSql(pointer: string): string {
  const key = `replace(replace(step, '~1', '/'), '~0', '~')`;
  const steps = `list_transform(string_split(${pointer}[2:], '/'), lambda step: case step when '[]' then step else '.' || ${spellKeySql(key)} end)`;
  // Most paths have plain keys, and those need no lists.
  return `case
    when ${pointer} = '' then '$'
    when regexp_full_match(${pointer}, '(/[A-Za-z0-9_-]+)+') then replace(${pointer}[2:], '/', '.')
    else ltrim(array_to_string(${steps}, ''), '.')
  end`;
}

/** One row per path: the `properties` table of the catalogue. `shown_columns` is a temporary table (typed-views.ts). */
export const PROPERTIES_SQL = `with kind_bits as (
  select kind, 1::bigint << (row_number() over (order by kind) - 1) as kind_bit from (select distinct kind from property_counts)
),
paths as (
  select
    tenant, table_name, type, json_column, pointer,
    -- A list per path would take a third of the whole time.
    bit_or(kind_bit) as kind_bits,
    coalesce(sum(rows) filter (where kind <> 'null'), 0)::bigint as rows,
    bool_or(is_estimate) as is_estimate,
    min(first_at) as first_seen_at,
    max(last_at) as last_seen_at
  from property_counts
  join kind_bits using (kind)
  group by all
),
types as (
  select tenant, table_name, type, sum(rows) as rows
  from property_counts
  where pointer = '' and json_column = 'properties'
  group by all
),
-- Many types have the same paths, so each path is spelled once: a third of a second less for 70,000 rows.
spelled as (select pointer, ${pathSql('pointer')} as path from (select distinct pointer from property_counts)),
inferred as (
  select kind_bits, kinds, ${columnTypeSql('kinds')} as inferred_type
  from (
    select paths.kind_bits, list(kind order by kind) as kinds
    from (select distinct kind_bits from paths) as paths
    join kind_bits on kind_bit & paths.kind_bits <> 0
    group by all
  )
)
select
  paths.tenant as tenant_id, lower(paths.table_name) as table_name, paths.type, paths.json_column,
  path, pointer as json_pointer, inferred_type, kinds, paths.rows,
  paths.rows / types.rows as share, is_estimate, first_seen_at, last_seen_at, view_name,
  coalesce(shown_columns.column_name, view_columns.column_name) as column_name
from paths
join types using (tenant, table_name, type)
join spelled using (pointer)
join inferred using (kind_bits)
left join view_names using (tenant, table_name, type)
left join view_columns using (tenant, table_name, view_name, json_column, pointer)
left join shown_columns using (view_name, json_column, pointer)
order by tenant_id, table_name, paths.type, json_column, json_pointer`;

/**
 * Describes every current file that is not described yet. It may run on a lane, beside work that does not write `property_counts` and
 * `partitions`. Call it inside the ledger's exclusive turn.
 */
export async function describeProperties(engine: Lane, dataDir: string): Promise<void> {
  await engine.run(
    `delete from property_counts where file not in (select file from partitions where superseded_at is null)`,
  );
  for (const group of await pendingFiles(engine)) await describe(engine, dataDir, group);
}

async function pendingFiles(engine: Lane): Promise<Pending[]> {
  const pending = await engine.rows(
    `select table_name, file, rows from partitions
     where superseded_at is null and file not in (select distinct file from property_counts)
     order by table_name, tenant, period`,
    { table_name: asTable, file: asText, rows: asCount },
  );
  const groups: Pending[] = [];
  for (const { table_name: table, file, rows } of pending) {
    let last = groups.at(-1);
    const fits = last?.table === table && last.files.length < TOGETHER.files && last.rows + rows <= TOGETHER.rows;
    if (!last || !fits) groups.push((last = { table, files: [], rows: 0 }));
    last.files.push(file);
    last.rows += rows;
  }
  return groups;
}

async function describe(engine: Lane, dataDir: string, { table, files, rows }: Pending): Promise<void> {
  // What merges and marts have freed, and later what parsing has freed, is given back to the system: a load has its peak here.
  const release = async (): Promise<void> => {
    if (rows >= LARGE_ROWS) await engine.release();
  };
  await release();
  const source = parquetSql(
    files.map((file) => join(dataDir, file)),
    ', filename = true',
  );
  const definition = TABLES[table];
  const folderLength = dataDir.length;
  await engine.run(typesSql(definition, source, folderLength));
  const { most } = await engine.row('select coalesce(max(rows), 0) as most from described_types', { most: asCount });
  const sampled = most > PARSED_OF_A_TYPE;
  const selects: string[] = [];
  for (const column of jsonColumns(definition)) {
    const input: ShapesInput = { table: definition, column, source, folderLength, sampled };
    for (const sql of shapesSql(input)) await engine.run(sql);
    await release();
    await engine.run(refineSql(input));
    await release();
    await engine.run(`create or replace temp table counted_${column} as ${countsSql(column)}`);
    selects.push(`select * from counted_${column}`);
  }
  await engine.run(
    `insert into property_counts
     select tenant, table_name, file, type, json_column, pointer, kind, counted.rows, first_at, last_at, is_estimate
     from (${selects.join(' union all ')}) as counted
     join (select tenant, table_name, file from partitions where table_name = ${sqlText(table)} and superseded_at is null) using (file)`,
  );
  const made = ['described_types', 'structures_by_day', 'structures', 'nodes', 'doubtful', 'refined'];
  const all = [...made, ...jsonColumns(definition).map((column) => `counted_${column}`)];
  await engine.run(all.map((name) => `drop table temp.${name}`).join(';\n'));
}
