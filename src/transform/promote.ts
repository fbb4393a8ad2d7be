/** Extracts promoted columns from the rows' JSON, in the same way when rows are written and when they are read. */
import { duckdbPath, parseJsonPath } from '../kernel/json-path.ts';
import type { PromotedColumn } from '../model/promoted.ts';
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
  const given = [...keys, ...givenColumns(table).map(({ name }) => name)].map(sqlName);
  if (table.promoted.length === 0) return `select ${given.join(', ')} ${from}`;
  const paths: string[] = [];
  const columns = table.promoted.map((column) => {
    const found = column.paths.map((path) => `found[${paths.push(path)}]`);
    const value = found.length === 1 ? `${found[0]}` : `coalesce(${found.join(', ')})`;
    return `${typedSql(column, value)} as ${sqlName(column.name)}`;
  });
  // One call for all paths parses the text once.
  return `select ${[...given, ...columns].join(', ')}
from (select ${given.join(', ')}, json_extract_string("properties", [${paths.map(pathSql).join(', ')}]) as found ${from})`;
}

function pathSql(path: string): string {
  const segments = parseJsonPath(path);
  if (!segments || segments.some(({ isPattern }) => isPattern))
    throw new RangeError(`not a path of exact keys: ${path}`);
  return sqlText(duckdbPath(segments));
}

/** A text as a number. A number that no double can hold, such as `1e400`, is null and not infinity. */
export function finiteSql(text: string): string {
  const number = `try_cast(${text} as double)`;
  return `case when isfinite(${number}) then ${number} end`;
}

/** Text that is not a value of the type becomes null; the JSON still holds what was sent. */
function typedSql({ type }: PromotedColumn, value: string): string {
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
