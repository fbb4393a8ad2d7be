/** SQL fragments that the load stage's statements share. Only validated typed values and quoted text become SQL. */
import { fingerprintSql } from '../../model/fingerprint.ts';
import type { Fingerprint } from '../../model/fingerprint.ts';
import type { Instant, Window } from '../../kernel/instant.ts';
import { givenColumns, lakeColumns } from '../../transform/lake.ts';
import { sqlText } from '../../kernel/sql.ts';
import type { Table, TableName } from '../../model/tables.ts';
import { big } from './engine.ts';
import type { Row } from './engine.ts';

const TICKS_PER_MICROSECOND = 10n;

export const ZERO_SQL = '{n: 0::hugeint, s0: 0::hugeint, s1: 0::hugeint, x: 0::bigint}';

/** Rows and ids by hour or minute group on whole numbers: `date_trunc` of a timestamptz asks ICU for every row. */
export const HOUR_NUMBER = `(epoch_us("timestamp") // 3600000000)`;

export const HOUR_MICROSECONDS = 3_600_000_000;

/** The end of an hour: an interval added to a timestamptz asks ICU for every row. */
export function hourEndSql(hour: string): string {
  return `make_timestamptz(epoch_us(${hour}) + ${HOUR_MICROSECONDS})`;
}

export function instantSql(instant: Instant): string {
  return `make_timestamptz(${instant / TICKS_PER_MICROSECOND})`;
}

export function instantOf(row: Row, microsecondsColumn: string): Instant {
  return big(row, microsecondsColumn) * TICKS_PER_MICROSECOND;
}

/** True for a timestamp in one of the windows. */
export function insideSql(windows: readonly Window[], expression = `"timestamp"`): string {
  if (windows.length === 0) return 'false';
  const spans = joinAdjacent(windows).map(
    ({ from, to }) => `(${expression} >= ${instantSql(from)} and ${expression} < ${instantSql(to)})`,
  );
  return `(${spans.join(' or ')})`;
}

/** A year of days is one comparison, not 365. */
function joinAdjacent(windows: readonly Window[]): Window[] {
  const joined: Window[] = [];
  for (const window of [...windows].sort((a, b) => (a.from < b.from ? -1 : 1))) {
    const last = joined.at(-1);
    if (last && last.to >= window.from)
      joined[joined.length - 1] = { from: last.from, to: last.to > window.to ? last.to : window.to };
    else joined.push(window);
  }
  return joined;
}

/** `<keys>, fp`: one fingerprint struct per group of `source`; `keys` are select expressions with names. */
export function fingerprintsSql(source: string, id: string, keys: readonly string[]): string {
  const names = keys.map((key) => key.split(' as ').at(-1));
  return `select ${[...names, '{n: n, s0: s0, s1: s1, x: x} as fp'].join(', ')}
from (select ${[...keys, fingerprintSql(id)].join(', ')} from ${source} group by all)`;
}

/** The account of an hour as one fingerprint: lake + duplicates + quarantined, in struct arithmetic. */
export function accountSql(side: string, lake = `${side}.lake`): string {
  const sum = (part: string): string => `(${lake}).${part} + ${side}.duplicates.${part} + ${side}.quarantined.${part}`;
  return `{n: ${sum('n')}, s0: ${sum('s0')}, s1: ${sum('s1')},
      x: xor(xor((${lake}).x, ${side}.duplicates.x), ${side}.quarantined.x)}`;
}

/** The rows of an account alone, where the source counts and no more. */
export function accountRowsSql(side: string): string {
  return `${side}.lake.n + ${side}.duplicates.n + ${side}.quarantined.n`;
}

/** Several fingerprints of disjoint sets of rows folded into one; null when there is none. */
export function foldSql(expression: string): string {
  return `struct_pack(n := coalesce(sum(${expression}.n), 0)::hugeint, s0 := coalesce(sum(${expression}.s0), 0)::hugeint, s1 := coalesce(sum(${expression}.s1), 0)::hugeint, x := coalesce(bit_xor(${expression}.x), 0)::bigint)`;
}

/** Reads back the four columns that `fingerprintColumnsSql` selects. */
export function fingerprintOf(row: Row, prefix = ''): Fingerprint {
  return {
    rows: big(row, `${prefix}n`),
    sum0: big(row, `${prefix}s0`),
    sum1: big(row, `${prefix}s1`),
    xor: big(row, `${prefix}x`),
  };
}

/** A fingerprint struct as four text columns. */
export function fingerprintColumnsSql(struct: string, prefix = ''): string {
  return ['n', 's0', 's1', 'x'].map((part) => `(${struct}).${part}::varchar as ${prefix}${part}`).join(', ');
}

/** Parquet files named one by one; the keys in their paths are no columns here. */
export function parquetSql(files: readonly string[], options = ''): string {
  return `read_parquet([${files.map(sqlText).join(', ')}], hive_partitioning = false${options})`;
}

/**
 * Text columns `r[1]`, `r[2]`, … of a parameter `$1` that holds a JSON array of arrays of text. From a column, because the
 * planner works a constant out, and then takes longer for the plan than for the rows.
 */
export const BULK_SQL = `(select unnest(from_json(given, '[["VARCHAR"]]')) as r from (values ($1::json)) as bulk(given))`;

export function columnListSql(table: Table, prefix = ''): string {
  return lakeColumns(table)
    .map((column) => `${prefix}"${column.name}"`)
    .join(', ');
}

/**
 * 64 bits over everything the source says of a row: two versions of one id differ, or they are the same row. What is
 * pulled out of the JSON takes no part: it follows from the rest, and files may hold other sets of it.
 */
export function contentHashSql(table: Table, prefix = ''): string {
  const parts = givenColumns(table).map((column) =>
    column.type === 'JSON' ? `${prefix}"${column.name}"::varchar` : `${prefix}"${column.name}"`,
  );
  return `hash(${parts.join(', ')})`;
}

/** `tenant = … and table_name = …`. */
export function ofTable(tenant: string, table: TableName, prefix = ''): string {
  return `${prefix}tenant = ${sqlText(tenant)} and ${prefix}table_name = ${sqlText(table)}`;
}
