/**
 * A view per event, log and metric type, made of what the property catalogue knows. Names are given once and kept in the
 * ledger: a type or a path that comes later never takes the name of an earlier one.
 */
import { TABLES } from '../../model/tables.ts';
import type { TableName } from '../../model/tables.ts';
import { columnName, sameType, shown, shownPath, viewName } from '../../transform/names.ts';
import { columnType, fixedColumns, splitPromoted, typedViewSql } from '../../transform/typed-view.ts';
import type { TypedColumn } from '../../transform/typed-view.ts';
import { tableOf, text } from '../ledger/engine.ts';
import type { Row } from '../ledger/engine.ts';
import type { Ledger } from '../ledger/ledger.ts';
import { BULK_SQL } from '../ledger/sql.ts';

/** Columns of one view: the paths that were most frequent when they were first seen. The others stay in the JSON. */
const MOST_COLUMNS = 40;

/** One type in many rows would otherwise be a view each; what comes first has one. */
const MOST_VIEWS = 2_000;

const NOUNS: Readonly<Record<TableName, string>> = { Events: 'event', Logs: 'log', Metrics: 'metric' };

export interface TypedView {
  readonly table: TableName;
  readonly name: string;
  /** The source's spellings. */
  readonly types: readonly string[];
  readonly columns: readonly { readonly name: string; readonly comment: string }[];
  readonly sql: string;
  readonly comment: string;
}

/** Names for the types and paths that have none yet. `taken`: names of the catalogue's other views, macros and tables. */
export async function nameTypes(ledger: Ledger, taken: readonly string[]): Promise<void> {
  const known = await ledger.rawRows('select distinct table_name, type, view_name from view_names');
  const names = new Map(known.map((row) => [typeKey(row), text(row, 'view_name') ?? '']));
  const used = new Set([...taken, ...names.values()]);
  const fresh = await ledger.rawRows(
    `select tenant, table_name, type from property_counts
     anti join view_names using (tenant, table_name, type)
     where pointer = '' and json_column = 'properties'
     group by all order by min(first_at), type, tenant`,
  );
  const added: string[][] = [];
  for (const row of fresh) {
    const [table, type] = [tableOf(row), text(row, 'type') ?? ''];
    const key = typeKey(row);
    // The end of a text for the engine's parser.
    if (type.includes('\0') || (!names.has(key) && names.size >= MOST_VIEWS)) continue;
    const name = names.get(key) ?? viewName(NOUNS[table], type, (candidate) => used.has(candidate));
    names.set(key, name);
    used.add(name);
    added.push([text(row, 'tenant') ?? '', table, type, name]);
  }
  await ledger.transaction(async () => {
    await ledger.run(`insert into view_names select r[1], r[2], r[3], r[4] from ${BULK_SQL}`, [JSON.stringify(added)]);
    await nameColumns(ledger);
  });
}

async function nameColumns(ledger: Ledger): Promise<void> {
  const reserved = await ledger.rawRows(`select keyword_name as word from duckdb_keywords() where keyword_category in ('reserved', 'type_function')`); // prettier-ignore
  const words = new Set(reserved.map((row) => text(row, 'word')));
  const known = await ledger.rawRows('select distinct view_name, json_column, pointer, column_name from view_columns');
  const columns = new Map<string, Map<string, string>>();
  const of = (row: Row): Map<string, string> => {
    const view = text(row, 'view_name') ?? '';
    const mine = columns.get(view) ?? new Map<string, string>();
    columns.set(view, mine);
    return mine;
  };
  for (const row of known) of(row).set(pathKey(row), text(row, 'column_name') ?? '');
  const fresh = await ledger.rawRows(
    `select tenant, table_name, view_name, json_column, pointer
     from property_counts
     join view_names using (tenant, table_name, type)
     anti join view_columns using (tenant, table_name, view_name, json_column, pointer)
     where not contains(pointer || '/', '/[]/') and (pointer <> '' or json_column = 'value')
     group by all
     -- An object alone is its members.
     having bool_or(kind not in ('null', 'object'))
     order by sum(rows) desc, pointer, tenant`,
  );
  const added: string[][] = [];
  for (const row of fresh) {
    const [table, jsonColumn, pointer] = [tableOf(row), text(row, 'json_column') ?? '', text(row, 'pointer') ?? ''];
    const mine = of(row);
    const key = pathKey(row);
    if (!mine.has(key) && mine.size >= MOST_COLUMNS) continue;
    const definition = ledger.settings.tables[table];
    const fixed = new Set([...fixedColumns(definition), ...definition.promoted.map(({ name: promoted }) => promoted)]);
    const used = new Set(mine.values());
    const name =
      mine.get(key) ??
      columnName(
        jsonColumn,
        pointer,
        (candidate) => words.has(candidate) || fixed.has(candidate),
        (candidate) => used.has(candidate) || (pointer !== '' && fixed.has(candidate)),
      );
    mine.set(key, name);
    added.push([text(row, 'tenant') ?? '', table, text(row, 'view_name') ?? '', jsonColumn, pointer, name]);
  }
  await ledger.run(`insert into view_columns select r[1], r[2], r[3], r[4], r[5], r[6] from ${BULK_SQL}`, [
    JSON.stringify(added),
  ]);
}

function typeKey(row: Row): string {
  return `${text(row, 'table_name') ?? ''} ${sameType(text(row, 'type') ?? '')}`;
}

function pathKey(row: Row): string {
  return `${text(row, 'json_column') ?? ''}${text(row, 'pointer') ?? ''}`;
}

/** The views of each tenant, and under '' those over all of them; the types with most rows first. */
export async function typedViews(ledger: Ledger): Promise<ReadonlyMap<string, readonly TypedView[]>> {
  const views = await ledger.rawRows(
    `select coalesce(tenant, '') as scope, table_name, view_name, list_sort(list(distinct type)) as types, sum(rows)::bigint as rows
     from property_counts join view_names using (tenant, table_name, type)
     where pointer = '' and json_column = 'properties'
     group by grouping sets ((table_name, view_name), (tenant, table_name, view_name))
     order by rows desc, view_name`,
  );
  const columns = await ledger.rawRows(
    `select coalesce(tenant, '') as scope, view_name, json_column, pointer, column_name, list_sort(list(distinct kind)) as kinds
     from property_counts
     join view_names using (tenant, table_name, type)
     join view_columns using (tenant, table_name, view_name, json_column, pointer)
     group by grouping sets
       ((view_name, json_column, pointer, column_name), (tenant, view_name, json_column, pointer, column_name))
     -- In the order in which they were named, so that a select of all columns only ever grows at its end.
     order by min(view_columns.rowid)`,
  );
  const byView = new Map<string, (TypedColumn & { kinds: readonly string[] })[]>();
  for (const row of columns) {
    const key = viewKey(row);
    const kinds = words(row, 'kinds');
    const column = {
      name: text(row, 'column_name') ?? '',
      jsonColumn: text(row, 'json_column') ?? '',
      pointer: text(row, 'pointer') ?? '',
      type: columnType(kinds),
      kinds,
    };
    const list = byView.get(key);
    if (list) list.push(column);
    else byView.set(key, [column]);
  }
  const scopes = new Map<string, TypedView[]>();
  for (const row of views) {
    const scope = text(row, 'scope') ?? '';
    const table = tableOf(row);
    const types = words(row, 'types');
    const mine = byView.get(viewKey(row)) ?? [];
    const definition = ledger.settings.tables[table];
    const { promoted, parsed } = splitPromoted(definition, mine);
    const view = {
      table,
      name: text(row, 'view_name') ?? '',
      types,
      columns: [
        ...promoted.map(({ name, comment }) => ({ name, comment })),
        ...parsed.map((column) => ({ name: column.name, comment: columnComment(column) })),
      ],
      sql: typedViewSql(definition, types, mine),
      comment: `${TABLES[table].name} of type ${types.map((type) => `"${shown(type)}"`).join(', ')}`,
    };
    const list = scopes.get(scope);
    if (list) list.push(view);
    else scopes.set(scope, [view]);
  }
  return scopes;
}

function columnComment({ jsonColumn, pointer, type }: TypedColumn): string {
  return pointer === '' ? `${jsonColumn}, as ${type}` : `${jsonColumn}: ${shownPath(pointer)}`;
}

function viewKey(row: Row): string {
  return `${text(row, 'scope') ?? ''}/${text(row, 'view_name') ?? ''}`;
}

function words(row: Row, name: string): string[] {
  const value = row[name];
  return Array.isArray(value) ? value.filter((word) => typeof word === 'string') : [];
}
