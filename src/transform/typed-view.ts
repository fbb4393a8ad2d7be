/** The select of a typed view: the rows of one type of a table, with its JSON as columns. */
import type { Table } from '../model/tables.ts';
import { parseJsonPath } from '../kernel/json-path.ts';
import type { PromotedColumn } from '../model/promoted.ts';
import { givenColumns, lakeColumns, lakeName } from './lake.ts';
import { sqlName, sqlText, sqlTexts } from '../kernel/sql.ts';
import { finiteSql } from './promote.ts';
import { jsonColumns } from './shapes.ts';

export interface TypedColumn {
  readonly name: string;
  readonly jsonColumn: string;
  readonly pointer: string;
  readonly type: ColumnType;
}

/** DuckDB's names. Lists and objects are kept as JSON. */
type ColumnType = 'VARCHAR' | 'BIGINT' | 'DOUBLE' | 'BOOLEAN' | 'TIMESTAMP WITH TIME ZONE' | 'JSON';

const TYPES: ReadonlyMap<string, ColumnType> = new Map([
  ['timestamp', 'TIMESTAMP WITH TIME ZONE'],
  ['bigint', 'BIGINT'],
  ['bigint,double', 'DOUBLE'],
  ['double', 'DOUBLE'],
  ['boolean', 'BOOLEAN'],
  ['list', 'JSON'],
  ['object', 'JSON'],
  ['list,object', 'JSON'],
]);

/** The type that fits every kind of value at a path; text if they conflict. */
export function columnType(kinds: readonly string[]): ColumnType {
  const seen = kinds.filter((kind) => kind !== 'null').sort();
  return TYPES.get(seen.join(',')) ?? 'VARCHAR';
}

/** `columnType` in SQL, over a sorted list of kinds. */
export function columnTypeSql(kinds: string): string {
  const cases = [...TYPES].map(([words, type]) => `when ${sqlText(words)} then ${sqlText(type)}`);
  return `case array_to_string(list_filter(${kinds}, lambda kind: kind <> 'null'), ',') ${cases.join(' ')} else 'VARCHAR' end`;
}

/** Names that a typed view's columns cannot have. */
export function fixedColumns(table: Table): string[] {
  return ['tenant_id', 'month', ...givenColumns(table).map(({ name }) => name)];
}

/** What a typed view shows of a type's paths. */
interface Split {
  /** The promoted columns that the view shows. */
  readonly promoted: readonly PromotedColumn[];
  /** The paths that are extracted from the JSON. */
  readonly parsed: readonly TypedColumn[];
  /** The other paths, which a promoted column shows, by the name of that column. */
  readonly replaced: ReadonlyMap<string, TypedColumn>;
}

/**
 * Splits a type's paths. A promoted column replaces a path if it has the value of the path and none of its other paths occurs in
 * the type. The host of a URL is not the URL.
 */
export function splitPromoted(table: Table, columns: readonly TypedColumn[]): Split {
  const types = new Map(lakeColumns(table).map(({ name, type }) => [name, type]));
  const byPointer = new Map(
    columns.flatMap((column) => (column.jsonColumn === 'properties' ? [[column.pointer, column] as const] : [])),
  );
  const replaced = new Map<string, TypedColumn>();
  const promoted = table.promoted.filter(({ name, type, paths }) => {
    const found = new Set(paths.map((path) => byPointer.get(pointerOf(path))));
    const [first, ...others] = columns.filter((column) => found.has(column));
    if (!first || columns.some((column) => column !== first && column.name === name)) return false;
    const isSame = others.length === 0 && type !== 'host' && first.type === types.get(name);
    if (isSame && ![...replaced.values()].includes(first)) replaced.set(name, first);
    return isSame || first.name !== name;
  });
  const covered = new Set(replaced.values());
  return { promoted, parsed: columns.filter((column) => !covered.has(column)), replaced };
}

/** By path: each view looks for the paths of all promoted columns. */
const pointers = new Map<string, string>();

function pointerOf(path: string): string {
  const known = pointers.get(path);
  if (known !== undefined) return known;
  const steps = parseJsonPath(path) ?? [];
  const pointer = steps.map(({ text }) => `/${text.replaceAll('~', '~0').replaceAll('/', '~1')}`).join('');
  pointers.set(path, pointer);
  return pointer;
}

function typedSql(type: ColumnType, cell: string): string {
  if (type === 'VARCHAR') return cell;
  return type === 'DOUBLE' ? finiteSql(cell) : `try_cast(${cell} as ${type})`;
}

/** Keys with control characters have no column (shapes.ts), so a line feed can end a path. */
const PATH_END = { text: '\n', sql: 'chr(10)' } as const;

/**
 * What a typed view selects. `types`: all spellings of its type. The JSON of a row is parsed once for any number of columns.
 *
 * DuckDB keeps the syntax tree of a view in the catalogue, ten times the size of its text, and loads it whenever the catalogue
 * is opened. So the select is a text, which `query` parses when the view is used, and it is as short as it can be.
 */
export function typedViewSql(table: Table, types: readonly string[], { promoted, parsed: columns }: Split): string {
  const jsons = jsonColumns(table).map((name) => ({
    name,
    // A promoted column begins with a letter.
    found: `_${name[0]}`,
    paths: columns.filter(({ jsonColumn }) => jsonColumn === name),
  }));
  const lists = jsons.flatMap(({ name, found, paths }) =>
    paths.length === 0
      ? []
      : [
          `json_extract_string(${sqlName(name)},string_split(${sqlText(paths.map(({ pointer }) => (pointer === '' ? '$' : pointer)).join(PATH_END.text))},${PATH_END.sql})) ${found}`,
        ],
  );
  const cells = jsons.flatMap(({ found, paths }) =>
    paths.map((column, index) => `${typedSql(column.type, `${found}[${index + 1}]`)} ${sqlName(column.name)}`),
  );
  const isJson = (name: string): boolean => jsons.some((json) => json.name === name);
  const hidden = columns.map(({ name }) => name);
  const fixed = fixedColumns(table);
  const outer = [
    ...fixed.filter((name) => !isJson(name)).map(sqlName),
    ...promoted.map(({ name }) => sqlName(name)),
    ...cells,
    ...fixed.filter((name) => isJson(name) && !hidden.includes(name)).map(sqlName),
  ];
  const typeColumn = sqlName(lakeName(table, table.typeColumn));
  const named = types.filter((type) => type !== '');
  const isOfType = [
    ...(named.length === 0 ? [] : [`${typeColumn} in (${sqlTexts(named)})`]),
    ...(types.includes('') ? [`${typeColumn} is null`] : []),
  ].join(' or ');
  const select = `select ${outer.join(',')} from (select ${['*', ...lists].join(',')} from ${table.lakeName} where ${isOfType})`;
  return `from query(${sqlText(select)})`;
}
