/**
 * Typed views (`event_pass_installed` and so on) in Spark: the columns of the catalogue's views, taken from the JSON of the Delta tables.
 * A value that does not fit the type of its column is null, as in the catalogue.
 */
import { findLakeTable, TABLES } from '../../model/tables.ts';
import { sparkName, sparkText } from './spark-text.ts';

/** A column of a typed view in the catalogue. */
export interface CatalogueColumn {
  readonly view: string;
  /** The table that the view reads. */
  readonly table: string;
  readonly name: string;
  /** DuckDB's name. */
  readonly type: string;
  /** Where its values are; undefined for a column of the table. */
  readonly from: { readonly json: string; readonly pointer: string } | undefined;
}

/** The columns of all typed views in their order, and one row per view and type of its rows. */
export const TYPED_VIEWS_SQL = `with
typed as (select distinct view_name, table_name from properties where view_name is not null),
paths as (
  select view_name, column_name, any_value(json_column) as json_column, any_value(json_pointer) as json_pointer
  from properties where column_name is not null group by all
)
select typed.view_name, typed.table_name, columns.column_name, columns.data_type,
  coalesce(paths.json_column, '') as json_column, coalesce(paths.json_pointer, '') as json_pointer
from typed
join duckdb_columns() as columns
  on columns.table_name = typed.view_name and columns.schema_name = 'main' and columns.database_name = current_database()
left join paths on paths.view_name = typed.view_name and paths.column_name = columns.column_name
order by typed.view_name, columns.column_index`;

export const TYPES_SQL = `select distinct view_name, type from properties
where view_name is not null and json_pointer = '' and json_column = 'properties' order by all`;

const CASTS: ReadonlyMap<string, (text: string) => string> = new Map([
  ['VARCHAR', (text) => text],
  ['JSON', (text) => text],
  ['BIGINT', (text) => `try_cast(${text} as bigint)`],
  ['BOOLEAN', (text) => `try_cast(${text} as boolean)`],
  ['TIMESTAMP WITH TIME ZONE', (text) => `try_cast(${text} as timestamp)`],
  // Infinite or not a number is null. Spark sorts NaN behind all numbers.
  [
    'DOUBLE',
    (text) => `case when abs(try_cast(${text} as double)) < double('infinity') then try_cast(${text} as double) end`,
  ],
]);

/** The select of a typed view, and the columns that Spark has no path for. `types`: all spellings of its type. */
export function sparkTypedView(
  columns: readonly CatalogueColumn[],
  types: readonly string[],
): { readonly sql: string; readonly missing: readonly string[] } {
  const name = findLakeTable(columns[0]?.table);
  if (name === undefined) throw new Error(`A typed view of no table: ${columns[0]?.view}`);
  const missing: string[] = [];
  const cells = columns.flatMap(({ name: column, type, from }) => {
    const cast = CASTS.get(type);
    if (from === undefined || cast === undefined) return sparkName(column);
    const path = sparkPath(from.pointer);
    if (path !== undefined) return `${cast(cellSql(from.json, path))} as ${sparkName(column)}`;
    missing.push(column);
    return [];
  });
  const { columns: given, typeColumn: source } = TABLES[name];
  const typeColumn = sparkName(given.find((column) => column.name === source)?.lake ?? source);
  const named = types.filter((type) => type !== '');
  const isOfType = [
    ...(named.length === 0 ? [] : [`${typeColumn} in (${named.map(sparkText).join(', ')})`]),
    ...(types.includes('') ? [`${typeColumn} is null`] : []),
  ].join(' or ');
  return { sql: `select\n  ${cells.join(',\n  ')}\nfrom ${columns[0]?.table}\nwhere ${isOfType}`, missing };
}

function cellSql(json: string, path: string): string {
  const text = sparkName(json);
  const cell = `get_json_object(${text}, ${sparkText(path)})`;
  // Below the root a null of JSON is null, at the root it is the text "null".
  return path === '$' ? `case when trim(${text}) <> 'null' then ${cell} end` : cell;
}

/** A JSON pointer as a path of `get_json_object`; undefined for one with a key that such a path cannot name. */
export function sparkPath(pointer: string): string | undefined {
  const keys = pointer.split('/').slice(1).map((key) => key.replaceAll('~1', '/').replaceAll('~0', '~')); // oxfmt-ignore
  const steps = keys.map((key) => {
    // Blanks at the start of a step are passed over, and a star means every key.
    if (key === '' || key === '*' || /^\s/.test(key)) return undefined;
    if (!/[.[]/.test(key)) return `.${key}`;
    return /['?]/.test(key) ? undefined : `['${key}']`;
  });
  return steps.includes(undefined) ? undefined : `$${steps.join('')}`;
}
