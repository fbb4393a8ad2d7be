/**
 * A view per event, log and metric type, built from the property catalogue. A name is given once and kept in the ledger, so a
 * type or path that appears later never takes the name of an earlier one.
 */
import { TABLES, TABLE_NAMES } from '../../model/tables.ts';
import type { TableName } from '../../model/tables.ts';
import { commonType } from '../../model/type-spelling.ts';
import { columnName, shown, shownPath, viewName } from '../../transform/names.ts';
import { columnType, fixedColumns, splitPromoted, typedViewSql } from '../../transform/typed-view.ts';
import type { TypedColumn } from '../../transform/typed-view.ts';
import { asCells, asList, asTable, asText } from '../ledger/cells.ts';
import type { Ledger } from '../ledger/ledger.ts';
import { BULK_SQL, cellsSql } from '../ledger/sql.ts';

/** Columns of one view: the paths that were most frequent when they were first seen. Others are found in the JSON column only. */
const MOST_COLUMNS = 40;

/** Limits a source that makes up a type per row: the types seen first have a view. */
const MOST_VIEWS = 2_000;

const NOUNS: Readonly<Record<TableName, string>> = { Events: 'event', Logs: 'log', Metrics: 'metric' };

export interface TypedView {
  readonly name: string;
  readonly columns: readonly { readonly name: string; readonly comment: () => string }[];
  readonly sql: string;
  readonly comment: string;
}

/** Names the types and paths that have no name yet. `taken`: names of the catalogue's other views, macros and tables. */
export async function nameTypes(ledger: Ledger, taken: readonly string[]): Promise<void> {
  const known = await ledger.rows('select distinct table_name, type, view_name from view_names', {
    table_name: asTable,
    type: asText,
    view_name: asText,
  });
  const names = new Map(known.map((row) => [typeKey(row.table_name, row.type), row.view_name]));
  const used = new Set([...taken, ...names.values()]);
  const unnamed = await ledger.rows(
    `select tenant, table_name, type from property_counts
     anti join view_names using (tenant, table_name, type)
     where pointer = '' and json_column = 'properties'
     group by all order by min(first_at), type, tenant`,
    { tenant: asText, table_name: asTable, type: asText },
  );
  const added: string[][] = [];
  for (const { tenant, table_name: table, type } of unnamed) {
    const key = typeKey(table, type);
    // The engine's parser takes a NUL for the end of the statement.
    if (type.includes('\0') || (!names.has(key) && names.size >= MOST_VIEWS)) continue;
    const name = names.get(key) ?? viewName(NOUNS[table], type, (candidate) => used.has(candidate));
    names.set(key, name);
    used.add(name);
    added.push([tenant, table, type, name]);
  }
  await ledger.transaction(async () => {
    if (added.length > 0)
      await ledger.run(`insert into view_names select r[1], r[2], r[3], r[4] from ${BULK_SQL}`, [
        JSON.stringify(added),
      ]);
    await nameColumns(ledger);
  });
}

/** The columns of a view. */
interface NamedColumns {
  readonly byPath: Map<string, string>;
  readonly names: Set<string>;
}

async function nameColumns(ledger: Ledger): Promise<void> {
  const unnamed = await ledger.rows(
    `with columns as (select distinct view_name, json_column, pointer from view_columns),
     -- Their further paths never get a name, and a lake with many types has tens of thousands of those.
     full_views as (select view_name from columns group by all having count(*) >= ${MOST_COLUMNS}),
     unnamed as (
       select tenant, table_name, view_name, json_column, pointer, sum(rows) as rows
       from property_counts
       join view_names using (tenant, table_name, type)
       anti join view_columns using (tenant, table_name, view_name, json_column, pointer)
       where not contains(pointer || '/', '/[]/') and (pointer <> '' or json_column = 'value')
         and (view_name not in (from full_views) or (view_name, json_column, pointer) in (select (view_name, json_column, pointer) from columns))
       group by all
       -- A path that always holds an object gets no column: its members have theirs.
       having bool_or(kind not in ('null', 'object'))
     )
     select table_name, view_name, ${cellsSql(['tenant', 'json_column', 'pointer'], 'rows desc, pointer, tenant')} as paths
     from unnamed group by all order by view_name`,
    { table_name: asTable, view_name: asText, paths: asCells },
  );
  if (unnamed.length === 0) return;
  const keywords = await ledger.rows(
    `select keyword_name as word from duckdb_keywords() where keyword_category in ('reserved', 'type_function')`,
    { word: asText },
  );
  const words = new Set(keywords.map(({ word }) => word));
  const known = await ledger.rows(
    `select view_name, ${cellsSql(['json_column', 'pointer', 'column_name'])} as columns
     from (select distinct view_name, json_column, pointer, column_name from view_columns) group by view_name`,
    { view_name: asText, columns: asCells },
  );
  const fixedOf = new Map(
    TABLE_NAMES.map((name) => {
      const definition = ledger.settings.tables[name];
      return [name, new Set([...fixedColumns(definition), ...definition.promoted.map((promoted) => promoted.name)])];
    }),
  );
  const views = new Map<string, NamedColumns>();
  const viewOf = (name: string): NamedColumns => {
    const view = views.get(name) ?? { byPath: new Map<string, string>(), names: new Set<string>() };
    views.set(name, view);
    return view;
  };
  const add = ({ byPath, names }: NamedColumns, path: string, name: string): void => {
    byPath.set(path, name);
    names.add(name);
  };
  for (const { view_name: view, columns } of known)
    for (const [jsonColumn = '', pointer = '', name = ''] of columns) add(viewOf(view), jsonColumn + pointer, name);
  const added: string[][] = [];
  const nameColumn = (
    table: TableName,
    view: string,
    [tenant = '', jsonColumn = '', pointer = '']: readonly string[],
  ): void => {
    const ofView = viewOf(view);
    const path = jsonColumn + pointer;
    if (!ofView.byPath.has(path) && ofView.byPath.size >= MOST_COLUMNS) return;
    const isFixed = (candidate: string): boolean => fixedOf.get(table)?.has(candidate) === true;
    const name =
      ofView.byPath.get(path) ??
      columnName(
        jsonColumn,
        pointer,
        (candidate) => words.has(candidate) || isFixed(candidate),
        (candidate) => ofView.names.has(candidate) || (pointer !== '' && isFixed(candidate)),
      );
    add(ofView, path, name);
    added.push([tenant, table, view, jsonColumn, pointer, name]);
  };
  for (const { table_name: table, view_name: view, paths } of unnamed)
    for (const path of paths) nameColumn(table, view, path);
  if (added.length === 0) return;
  await ledger.run(`insert into view_columns select r[1], r[2], r[3], r[4], r[5], r[6] from ${BULK_SQL}`, [
    JSON.stringify(added),
  ]);
}

function typeKey(table: TableName, type: string): string {
  return `${table} ${commonType(type)}`;
}

/**
 * The views over all tenants; types with the most rows come first. Creates the temporary table `shown_columns`: the paths that a
 * view shows in a promoted column.
 */
export async function typedViews(ledger: Ledger): Promise<readonly TypedView[]> {
  const views = await ledger.rows(
    `select table_name, view_name, list_sort(list(distinct type)) as types, sum(rows)::bigint as rows
     from property_counts join view_names using (tenant, table_name, type)
     where pointer = '' and json_column = 'properties'
     group by table_name, view_name
     order by rows desc, view_name`,
    { table_name: asTable, view_name: asText, types: asList(asText) },
  );
  const columns = await ledger.rows(
    `with shown as (
       select view_name, json_column, pointer, column_name, string_agg(distinct kind, ',') as kinds, min(view_columns.rowid) as place
       from property_counts
       join view_names using (tenant, table_name, type)
       join view_columns using (tenant, table_name, view_name, json_column, pointer)
       group by view_name, json_column, pointer, column_name
     )
     -- In the order in which they were named, so that new columns only ever appear at the end of a \`select *\`.
     select view_name, ${cellsSql(['column_name', 'json_column', 'pointer', 'kinds'], 'place')} as columns
     from shown group by view_name`,
    { view_name: asText, columns: asCells },
  );
  const columnsByView = new Map(columns.map((row) => [row.view_name, row.columns.map(typedColumn)]));
  const shownColumns: string[][] = [];
  const typed = views.map(({ table_name: table, view_name: name, types }): TypedView => {
    const definition = ledger.settings.tables[table];
    const split = splitPromoted(definition, columnsByView.get(name) ?? []);
    const { promoted, parsed, replaced } = split;
    for (const [column, { jsonColumn, pointer }] of replaced) shownColumns.push([name, jsonColumn, pointer, column]);
    return {
      name,
      columns: [
        ...promoted.map((column) => ({ name: column.name, comment: () => column.comment })),
        ...parsed.map((column) => ({ name: column.name, comment: () => columnComment(column) })),
      ],
      sql: typedViewSql(definition, types, split),
      comment: `${TABLES[table].name} of type ${types.map((type) => `"${shown(type)}"`).join(', ')}`,
    };
  });
  await ledger.run(
    `create or replace temp table shown_columns as
     select r[1] as view_name, r[2] as json_column, r[3] as pointer, r[4] as column_name from ${BULK_SQL}`,
    [JSON.stringify(shownColumns)],
  );
  return typed;
}

function typedColumn([name = '', jsonColumn = '', pointer = '', kinds = '']: readonly string[]): TypedColumn {
  return { name, jsonColumn, pointer, type: columnType(kinds.split(',')) };
}

function columnComment({ jsonColumn, pointer, type }: TypedColumn): string {
  return pointer === '' ? `${jsonColumn}, as ${type}` : `${jsonColumn}: ${shownPath(pointer)}`;
}
