/** Extracts promoted columns from the rows' JSON, in the same way when rows are written and when they are read. */
import { duckdbPath, parseJsonPath } from '../kernel/json-path.ts';
import type { PathSegment } from '../kernel/json-path.ts';
import type { PromotedType } from '../model/promoted.ts';
import type { Table } from '../model/tables.ts';
import { givenColumns } from './lake.ts';
import { sqlName, sqlText } from '../kernel/sql.ts';

const OFFSET = `'([zZ]|[+-][0-9]{2}(:?[0-9]{2})?)$'`;
// User, password and port are no part of the host, and neither is a dot at its end. An IPv6 address keeps its brackets.
const SCHEME = String.raw`^\s*(?:[A-Za-z][A-Za-z0-9+.-]*:)?//`;
const HOST = String.raw`(\[[0-9A-Fa-f:.%]+\]|[^/?#@:\[\]\s]+?)\.*`;
const HOST_OF_URL = `'${SCHEME}(?:[^/?#]*@)?${HOST}${String.raw`(?::\d*)?(?:[/?#]|\s*$)`}'`;
const BARE_HOST = `'^\\s*${HOST}${String.raw`(?::\d+)?(?:[/?#]|\s*$)`}'`;

/** Selects all columns of the lake from rows (`from … where …`) with the source's columns. `keys`: further columns to keep. */
export function promotedSql(table: Table, from: string, keys: readonly string[] = []): string {
  const given = [...keys, ...givenColumns(table).map(({ name }) => name)].map(sqlName).join(', ');
  if (table.promoted.length === 0) return `select ${given} ${from}`;
  const columns = table.promoted.map(({ name, type, paths }) => ({ name, type, paths: paths.map(segmentsOf) }));
  const root = treeOf(columns.flatMap(({ paths }) => paths));
  const values = columns.map(
    ({ paths }, n) => `coalesce(${paths.map((path) => valueSql(root, path)).join(', ')}) as v${n}`,
  );
  const typed = columns.map(({ name, type }, n) => `${typedSql(type, `v${n}`)} as ${sqlName(name)}`);
  // One call for all paths parses the text once. `json_extract_string` with a list of the paths gives the same texts in three times
  // the time: it looks up every path from the root, and each list item is copied.
  return `select ${given}, ${typed.join(', ')}
from (select ${given}, ${values.join(', ')}
from (select ${given}, json_transform("properties", ${sqlText(shapeOf(root))}) as found ${from}))`;
}

/** A key that some path names. */
interface Node {
  /** A path ends here. */
  isValue: boolean;
  readonly keys: Map<string, Node>;
}

function treeOf(paths: readonly (readonly PathSegment[])[]): Node {
  const root: Node = { isValue: false, keys: new Map() };
  for (const path of paths) {
    let node = root;
    for (const { text } of path) {
      const next = node.keys.get(text) ?? { isValue: false, keys: new Map<string, Node>() };
      node.keys.set(text, next);
      node = next;
    }
    node.isValue = true;
  }
  return root;
}

/** The structure for `json_transform`, as JSON text. What is a value to one path and an object to another stays JSON. */
function shapeOf({ isValue, keys }: Node): string {
  if (isValue) return keys.size === 0 ? '"VARCHAR"' : '"JSON"';
  return `{${[...keys].map(([key, node]) => `${JSON.stringify(key)}:${shapeOf(node)}`).join(',')}}`;
}

/** The text at a path. Fields are read by position, because the engine ignores the case of their names. */
function valueSql(root: Node, path: readonly PathSegment[]): string {
  let sql = 'found';
  let node = root;
  for (const [depth, { text }] of path.entries()) {
    if (node.isValue) return `json_extract_string(${sql}, ${sqlText(duckdbPath(path.slice(depth)))})`;
    sql = `struct_extract_at(${sql}, ${[...node.keys.keys()].indexOf(text) + 1})`;
    node = node.keys.get(text) ?? node;
  }
  return node.keys.size === 0 ? sql : `json_extract_string(${sql}, '$')`;
}

function segmentsOf(path: string): readonly PathSegment[] {
  const segments = parseJsonPath(path);
  if (!segments || segments.some(({ isPattern }) => isPattern))
    throw new RangeError(`not a path of exact keys: ${path}`);
  return segments;
}

/** A text as a number. A number that no double can hold, such as `1e400`, is null and not infinity. */
export function finiteSql(text: string): string {
  const number = `try_cast(${text} as double)`;
  return `case when isfinite(${number}) then ${number} end`;
}

/** Text that is not a value of the type becomes null; the JSON still holds what was sent. */
function typedSql(type: PromotedType, value: string): string {
  switch (type) {
    case 'text':
      return `nullif(${value}, '')`;
    case 'integer':
      return `try_cast(${value} as bigint)`;
    case 'number':
      return finiteSql(value);
    case 'boolean':
      return `try_cast(${value} as boolean)`;
    case 'timestamp':
      // Without an offset it is UTC, in any time zone of the session that reads a view.
      return `case when regexp_matches(${value}, ${OFFSET}) then try_cast(${value} as timestamptz) else try_cast(${value} as timestamp) at time zone 'UTC' end`;
    case 'list':
      return `case when left(${value}, 1) = '[' then try(from_json(${value}, '["VARCHAR"]')) when ${value} <> '' then [${value}] end`;
    case 'host':
      return `nullif(lower(case when regexp_matches(${value}, '${SCHEME}') then regexp_extract(${value}, ${HOST_OF_URL}, 1) else regexp_extract(${value}, ${BARE_HOST}, 1) end), '')`;
    default:
      return type satisfies never;
  }
}
