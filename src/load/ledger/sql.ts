/** SQL fragments that the statements of the load stage share. */
import { DIGEST_COLUMN, fingerprintSql } from '../../model/fingerprint.ts';
import type { Instant, Window } from '../../kernel/instant.ts';
import { givenColumns, lakeColumns } from '../../transform/lake.ts';
import { sqlName, sqlText } from '../../kernel/sql.ts';
import { joinWindows } from '../../kernel/windows.ts';
import { LONGEST_GAP } from '../../model/coverage.ts';
import type { Table, TableName } from '../../model/tables.ts';

const TICKS_PER_MICROSECOND = 10n;

/** The column of every lake table that says when a row happened. */
const TIMESTAMP = sqlName('timestamp');

/** The columns of a fingerprint; see `Fingerprint` in model/fingerprint.ts. `c` is null when some row has no digest. */
export const FINGERPRINT_TYPE = 'struct(n hugeint, s0 hugeint, s1 hugeint, x bigint, c hugeint)';

export const ZERO_SQL = '{n: 0::hugeint, s0: 0::hugeint, s1: 0::hugeint, x: 0::bigint, c: 0::hugeint}';

export const HOUR_MICROSECONDS = 3_600_000_000;
export const DAY_MICROSECONDS = 24 * HOUR_MICROSECONDS;

/** The number of an instant's hour since 1970. Cheap to group by: `date_trunc` of a timestamptz calls ICU for every row. */
export function hourNumberSql(moment = TIMESTAMP): string {
  return unitNumberSql(moment, HOUR_MICROSECONDS);
}

/** The number of the day since 1970 that an hour number lies in. */
export function dayOfHourSql(hour: string): string {
  return `((${hour} + ${DAYS_BEFORE_1970 * 24}) // 24 - ${DAYS_BEFORE_1970})`;
}

/** Days from the first instant that a timestamp can hold to 1970. */
const DAYS_BEFORE_1970 = 719_162;

/**
 * The number of the unit of time since 1970 that an instant lies in; units divide a day. Counted from year 1, because `//` cuts towards
 * zero: the hour before 1970 would be hour 0, too.
 */
export function unitNumberSql(moment: string, unitMicroseconds: number): string {
  const first = DAYS_BEFORE_1970 * DAY_MICROSECONDS;
  return `((epoch_us(${moment}) + ${first}) // ${unitMicroseconds} - ${first / unitMicroseconds})`;
}

/** The end of an hour. Adding an interval to a timestamptz would call ICU for every row. */
export function hourEndSql(hour: string): string {
  return `make_timestamptz(epoch_us(${hour}) + ${HOUR_MICROSECONDS})`;
}

export function instantSql(instant: Instant): string {
  return `make_timestamptz(${instant / TICKS_PER_MICROSECOND})`;
}

/** True for an instant in one of the windows. */
export function insideSql(windows: readonly Window[], moment = TIMESTAMP): string {
  if (windows.length === 0) return 'false';
  // Joined first: a year of days is one comparison instead of 365.
  const spans = joinWindows(windows).map(
    ({ from, to }) => `(${moment} >= ${instantSql(from)} and ${moment} < ${instantSql(to)})`,
  );
  return `(${spans.join(' or ')})`;
}

/** `<keys>, fp`: one fingerprint struct per group of `source`. `keys`: what to group by, as the expression of each name. */
export function fingerprintsSql(
  source: string,
  id: string,
  digest: string,
  keys: Readonly<Record<string, string>>,
): string {
  const names = Object.keys(keys).map(sqlName);
  const groups = Object.entries(keys).map(([name, expression]) => `${expression} as ${sqlName(name)}`);
  return `select ${[...names, '{n: n, s0: s0, s1: s1, x: x, c: c} as fp'].join(', ')}
from (select ${[...groups, fingerprintSql(id, digest)].join(', ')} from ${source} group by all)`;
}

/** The account of an hour as one fingerprint: lake + duplicates + quarantined. `alias`: of the ledger's table. */
export function accountSql(alias: string, lake = `${alias}.lake`): string {
  const sum = (part: string): string =>
    `(${lake}).${part} + ${alias}.duplicates.${part} + ${alias}.quarantined.${part}`;
  return `{n: ${sum('n')}, s0: ${sum('s0')}, s1: ${sum('s1')},
      x: xor(xor((${lake}).x, ${alias}.duplicates.x), ${alias}.quarantined.x), c: ${sum('c')}}`;
}

/**
 * One row with `hour`: the first hour of the table's newest stretch of hours without a gap of more than `LONGEST_GAP`; null when no hour
 * is known. Such a gap never lies inside half its length, so the ends of such parts are enough to find it.
 */
export function beginningSql(tenant: string, table: TableName): string {
  const longest = LONGEST_GAP / TICKS_PER_MICROSECOND;
  return `(
    select max(first) filter (where begins) as hour from (
      select first, coalesce(epoch_us(first) - epoch_us(lag(last) over (order by first)) > ${longest}, true) as begins
      from (
        select min(hour) as first, max(hour) as last from hours where ${tableFilterSql(tenant, table)}
        group by epoch_us(hour) // ${longest / 2n}
      )
    )
  )`;
}

/** True when two fingerprints have the same ids, and the same content as far as both know it (`sameRows`). */
export function sameRowsSql(a: string, b: string): string {
  return `(${sameIdsSql(a, b)} and coalesce(${a}.c = ${b}.c, true))`;
}

/** True when two fingerprints have the same ids (`sameIds`). */
export function sameIdsSql(a: string, b: string): string {
  return ['n', 's0', 's1', 'x'].map((part) => `${a}.${part} = ${b}.${part}`).join(' and ');
}

/** The row count of an account, for a source that only counts. */
export function accountRowsSql(alias: string): string {
  return `${alias}.lake.n + ${alias}.duplicates.n + ${alias}.quarantined.n`;
}

/** Aggregate: the fingerprints of disjoint sets of rows as one; the empty fingerprint when there are none. */
export function foldSql(expression: string): string {
  return `struct_pack(n := coalesce(sum(${expression}.n), 0)::hugeint, s0 := coalesce(sum(${expression}.s0), 0)::hugeint, s1 := coalesce(sum(${expression}.s1), 0)::hugeint, x := coalesce(bit_xor(${expression}.x), 0)::bigint, c := case when count(${expression}.n) = count(${expression}.c) then coalesce(sum(${expression}.c), 0)::hugeint end)`;
}

/** Reads Parquet files; the keys in their paths do not become columns. */
export function parquetSql(files: readonly string[], options = ''): string {
  return `read_parquet([${files.map(sqlText).join(', ')}], hive_partitioning = false${options})`;
}

/** Whether rows of files have digests: `digests` is their version (store/form.ts), undefined where the files have no such column. */
interface Digested {
  readonly digests: string | undefined;
}

/** A file of the lake by its absolute path. */
export interface StoredRows extends Digested {
  readonly path: string;
}

/** The digest of a row of a file: null in files that have no digests. */
export function storedDigestSql({ digests }: Digested): string {
  return digests === undefined ? 'null::bigint' : sqlName(DIGEST_COLUMN);
}

/** Rows of files as a table with a digest column, whether the files have one or not.  */
export function digestedSql(files: readonly StoredRows[]): string {
  const groups = [
    files.filter(({ digests }) => digests !== undefined),
    files.filter(({ digests }) => digests === undefined),
  ];
  const selects = groups.flatMap((group) => {
    const [first] = group;
    if (!first) return [];
    const source = parquetSql(group.map(({ path }) => path));
    return [
      first.digests === undefined
        ? `select *, ${storedDigestSql(first)} as ${sqlName(DIGEST_COLUMN)} from ${source}`
        : `select * from ${source}`,
    ];
  });
  return `(${selects.join(' union all by name ')})`;
}

/**
 * Rows `r` (texts `r[1]`, `r[2]`, …) of a numbered parameter that holds a JSON array of arrays of text. The JSON is read from a
 * column: the planner would evaluate a constant, which takes longer than running the statement.
 */
export function bulkSql(parameter: number): string {
  return `(select unnest(from_json(given, '[["VARCHAR"]]')) as r from (values ($${parameter}::json)) as bulk(given))`;
}

export const BULK_SQL = bulkSql(1);

/**
 * An aggregate of text columns for `asCells` (cells.ts): one row of a group instead of many. The binding reads 20,000 rows of four texts in
 * 150 ms, and this in 20.
 */
export function cellsSql(columns: readonly string[], order?: string): string {
  return `to_json(list([${columns.join(', ')}]${order === undefined ? '' : ` order by ${order}`}))::varchar`;
}

/** The names of the columns of a lake table's files, in file order. */
export function columnListSql(table: Table, json: 'JSON' | 'VARCHAR'): string {
  const columns = lakeColumns(table).map(({ name, type }) =>
    type === 'JSON' ? `${sqlName(name)}::${json} as ${sqlName(name)}` : sqlName(name),
  );
  return [...columns, sqlName(DIGEST_COLUMN)].join(', ');
}

/**
 * A 64-bit hash of everything the source sent in a row: rows of one id with the same hash are the same row. Promoted columns
 * are left out: they follow from the JSON, and files may hold different sets of them. `more`: further expressions to hash.
 */
export function contentHashSql(table: Table, more: readonly string[] = []): string {
  const parts = givenColumns(table).map(({ name, type }) =>
    type === 'JSON' ? `${sqlName(name)}::varchar` : sqlName(name),
  );
  return `hash(${[...parts, ...more].join(', ')})`;
}

/** True for a ledger row of one table of a tenant. `alias`: of the ledger's table, where a statement reads several. */
export function tableFilterSql(tenant: string, table: TableName, alias?: string): string {
  const prefix = alias === undefined ? '' : `${alias}.`;
  return `${prefix}tenant = ${sqlText(tenant)} and ${prefix}table_name = ${sqlText(table)}`;
}
