/**
 * Builds the queries for loading, from validated values only: instants, integers, column names of `tables.ts` and
 * escaped keys. Nothing that a user or the source wrote is pasted into a query.
 *
 * Histograms come back *packed*: many cells in one text, a few rows per answer. An endpoint with a small row cap, which
 * may cut answers without saying so, would otherwise cut a histogram that has one row per hour, and missing hours look
 * like deleted rows. The last row (the meta row) has the number of cells and the source's own clock, so that a cut is
 * noticed.
 */
import { globPattern } from '../../kernel/glob.ts';
import { CONTENT_KQL, DIGEST_CELL, FINGERPRINT_KQL, digestKql, fingerprintHashKql } from '../../model/fingerprint.ts';
import { HOUR, MINUTE, SECOND, formatInstant } from '../../kernel/instant.ts';
import type { Instant, Window } from '../../kernel/instant.ts';
import { FIRST_POSSIBLE } from '../../model/outside.ts';
import { HASH_BUCKETS } from '../../model/page.ts';
import type { Page, RowSlice } from '../../model/page.ts';
import type { SourceDrop } from '../../model/privacy.ts';
import type { Grade } from '../../model/coverage.ts';
import { TABLES } from '../../model/tables.ts';
import type { Table, TableName } from '../../model/tables.ts';
import { commonType, commonTypeKql } from '../../model/type-spelling.ts';

export type CellUnit = 'hour' | 'minute' | 'second';

/** Bounds that the source computes from its own clock, so that a wrong local clock has no effect. */
export interface ClockRange {
  readonly settleMs: number;
  /** Start of the range; a whole hour. */
  readonly lower?: Instant;
  /** End of the range, even where later rows have settled. */
  readonly upper?: Instant;
  readonly depthDays?: number;
  /** `depthDays` reaches back at least to this instant. */
  readonly depthFrom?: Instant;
  readonly retentionDays?: number;
  /** A time before the range that is counted too, in which few rows are expected. */
  readonly early?: Window;
  /** Windows before the range that are counted in the same query, as far as the source still has their rows. */
  readonly older?: readonly Window[];
}

export interface CellQuery {
  readonly table: TableName;
  readonly unit: CellUnit;
  readonly range: ClockRange | { readonly windows: readonly Window[] };
  /**
   * `content`: fingerprints of ids and content; `checksum`: of ids; `count` and `none`: rows, for comparing them
   * or only for planning.
   */
  readonly proof: Grade;
  readonly dropKeys?: readonly SourceDrop[];
  /** Also count the rows that lie in no hour, with a `ClockRange`. @default false */
  readonly countsOutside?: boolean;
}

export const UNIT_TICKS: Readonly<Record<CellUnit, bigint>> = { hour: HOUR, minute: MINUTE, second: SECOND };

/** Columns of the answers, in their order. */
export const BOUNDS_COLUMNS = ['at', 'lower', 'upper', 'first_row', 'recent_row', 'outside'] as const;
export const PACKED_COLUMNS = ['part', 'at', 'lower', 'upper', 'total', 'outside'] as const;

// A part is about 100 kB of text: 64 days of hours, a day of minutes or an hour of seconds.
const CHUNK: Readonly<Record<CellUnit, string>> = { hour: '64d', minute: '1d', second: '1h' };
const BUCKETS_A_PART = 4096;
const RECENT_DAYS = 3650;

const PROOFS: Readonly<Record<CellQuery['proof'], { aggregates: string; packed: string }>> = {
  content: {
    aggregates: `${FINGERPRINT_KQL}, ${CONTENT_KQL}`,
    packed: ", ' ', s0, ' ', s1, ' ', x, ' ', c0, ' ', c1",
  },
  checksum: { aggregates: FINGERPRINT_KQL, packed: ", ' ', s0, ' ', s1, ' ', x" },
  count: { aggregates: 'n = count()', packed: '' },
  none: { aggregates: 'n = count()', packed: '' },
};

/** Counts rows by time cell, in one call whatever the row cap. Answer: `PACKED_COLUMNS`. */
export function cellQuery(query: CellQuery): string {
  const { table, unit, range, proof } = query;
  const bounds = 'windows' in range ? fixedBounds(range.windows) : clockBounds(range);
  const outside = outsideOf(query);
  const lines = [...bounds.lets, ...outside.lets, `let cells = materialize(${table}`, `| where ${bounds.where}`];
  const digest = proof === 'content' ? `, d = ${digestOf(table)}` : '';
  if (proof === 'content' || proof === 'checksum')
    lines.push(`| extend h = ${fingerprintHashKql(TABLES[table].id)}${digest}`);
  const { aggregates, packed } = PROOFS[proof];
  lines.push(
    `| summarize ${aggregates}, b = ${bytesKql(table, query.dropKeys)} by cell = bin(timestamp, 1${unit.slice(0, 1)}));`,
    `cells`,
    `| extend item = strcat(datetime_diff('${unit}', cell, datetime(1970-01-01)), ' ', n, ' ', b${packed})`,
    `| summarize part = strcat_array(make_list(item), ';') by chunk = bin(cell, ${CHUNK[unit]})`,
    PART_ROW,
    metaRow(bounds, outside.text),
  );
  return lines.join('\n');
}

/**
 * Counts rows by hash bucket, in one window of any length or in several that each lie within one second. Packed as
 * `cell bucket rows bytes`, where the cell is in seconds since 1970 (0 for a single window); empty buckets are absent.
 * `items`: how many buckets to expect, which determines the size of a part. Answer: `PACKED_COLUMNS`.
 */
export function bucketQuery(
  table: TableName,
  windows: readonly Window[],
  options: { readonly items: number; readonly dropKeys?: readonly SourceDrop[] },
): string {
  const bounds = fixedBounds(windows);
  const parts = Math.ceil(Math.max(1, options.items) / BUCKETS_A_PART);
  const width = Math.max(1, Math.ceil(HASH_BUCKETS / parts));
  const cell = windows.length === 1 ? '0' : `datetime_diff('second', bin(timestamp, 1s), datetime(1970-01-01))`;
  return [
    `let cells = materialize(${table}`,
    `| where ${bounds.where}`,
    `| summarize n = count(), b = ${bytesKql(table, options.dropKeys)} by cell = ${cell}, bucket = ${bucketKql(table)});`,
    `cells`,
    `| extend item = strcat(cell, ' ', bucket, ' ', n, ' ', b)`,
    `| summarize part = strcat_array(make_list(item), ';') by chunk = bin(bucket, ${width})`,
    PART_ROW,
    metaRow(bounds, "''"),
  ].join('\n');
}

/**
 * For ranges too large for one histogram: the bounds as the source computes them, the first row between them, and the first row of
 * the last RECENT_DAYS. With the latter, a row with an old default date does not make the caller search centuries without rows.
 */
export function boundsQuery(query: CellQuery & { readonly range: ClockRange }): string {
  const { table, range } = query;
  const bounds = clockBounds(range);
  const outside = outsideOf(query);
  const isRecent = `timestamp >= upper - ${RECENT_DAYS}d`;
  return [
    ...bounds.lets,
    ...outside.lets,
    table,
    `| where ${bounds.where}`,
    `| summarize lo = min(timestamp), recent = min(iff(${isRecent}, timestamp, datetime(null)))`,
    `| project at = tostring(now()), lower = ${bounds.lower}, upper = tostring(upper), first_row = tostring(lo), recent_row = tostring(recent), outside = ${outside.text}`,
  ].join('\n');
}

export interface PageOptions {
  readonly dropKeys?: readonly SourceDrop[] | undefined;
  /** Each row has its digest as an additional last cell. */
  readonly digests?: boolean | undefined;
}

/** The cells of a page's rows, in their order. */
export function pageColumns(table: TableName, { digests = false }: PageOptions): readonly string[] {
  const names = TABLES[table].columns.map(({ name }) => name);
  return digests ? [...names, DIGEST_CELL] : names;
}

/** The rows of a page: unsorted, every cell as text, and one row more than the cap, which shows that the page is full. */
export function pageQuery(table: TableName, page: Page, rowCap: number, options: PageOptions = {}): string {
  const lines = [`| where ${page.windows.map(windowKql).join(' or ')}`];
  if (page.hash) {
    const { from, to } = page.hash;
    lines.push(`| extend bucket = ${bucketKql(table)}`, `| where bucket >= ${whole(from)} and bucket < ${whole(to)}`);
  }
  return partQuery(table, lines, rowCap + 1, options, page.slice);
}

/** At most `most` of the rows, or of a slice of them. */
function partQuery(
  table: TableName,
  filters: readonly string[],
  most: number,
  options: PageOptions,
  slice: RowSlice | undefined,
): string {
  if (!slice) return rowsQuery(table, [...filters, `| take ${whole(most)}`], options);
  const columns = pageColumns(table, options);
  const { from, to } = slice;
  return [
    rowsQuery(table, filters, options),
    `| sort by ${columns.map((name) => `${name} asc`).join(', ')}`,
    '| extend place = row_number(0)',
    `| where place >= ${whole(from)}${to === undefined ? '' : ` and place < ${whole(to)}`}`,
    `| take ${whole(most)}`,
    `| project ${columns.join(', ')}`,
  ].join('\n');
}

function rowsQuery(table: TableName, filters: readonly string[], options: PageOptions): string {
  const { dropKeys = [], digests = false } = options;
  const lines: string[] = [table, ...filters];
  // Before any key is dropped: the digest covers what the source holds.
  if (digests) lines.push(`| extend ${DIGEST_CELL} = ${digestOf(table)}`);
  const cells = projection(table, dropKeys);
  lines.push(...typedDrops(table, dropKeys), `| project ${digests ? `${cells}, ${DIGEST_CELL}` : cells}`);
  return lines.join('\n');
}

/** The rows without a possible time, in the form of `pageQuery`: at most `most` of them. */
export function timelessQuery(table: TableName, most: number, options: PageOptions, slice?: RowSlice): string {
  return partQuery(table, [`| where ${TIMELESS}`], most, options, slice);
}

/** Columns of `countQuery`'s one row, in order. */
export const COUNT_COLUMNS = ['n', 'at'] as const;

/**
 * Counts the rows of each page, without regard to slices: the text `n` has one number per page, separated by spaces.
 * Answer: `COUNT_COLUMNS`.
 */
export function countQuery(table: TableName, pages: readonly Page[]): string {
  const conditions = pages.map(({ windows, hash }) => {
    const inside = windows.map(windowKql).join(' or ');
    return hash ? `((${inside}) and bucket >= ${whole(hash.from)} and bucket < ${whole(hash.to)})` : inside;
  });
  const names = conditions.map((_, k) => `n${k}`);
  const isHashed = pages.some(({ hash }) => hash !== undefined);
  return [
    table,
    ...(isHashed ? [`| extend bucket = ${bucketKql(table)}`] : []),
    `| where ${conditions.join(' or ')}`,
    `| summarize ${conditions.map((condition, k) => `n${k} = countif(${condition})`).join(', ')}`,
    `| project n = strcat_array(pack_array(${names.join(', ')}), ' '), at = tostring(now())`,
  ].join('\n');
}

/** Only the source's clock. Answer: `at`. */
export function clockQuery(): string {
  return 'print at = tostring(now())';
}

function projection(table: TableName, dropKeys: readonly SourceDrop[]): string {
  return TABLES[table].columns.map((column) => `${column.name} = ${cellKql(column, dropKeys)}`).join(', ');
}

/** KQL expression of the text of a column, as a page contains it. */
function cellKql({ name, anyJson }: Table['columns'][number], dropKeys: readonly SourceDrop[]): string {
  if (anyJson) return `tostring(pack_array(${name}))`;
  return name === 'properties' ? propertiesTextKql(dropKeys) : `tostring(${name})`;
}

/** A row's digest covers what the source holds, also the keys that it is asked to drop. */
function digestOf(table: TableName): string {
  return digestKql(TABLES[table], (column) => cellKql(column, []));
}

/** Properties without the keys that are dropped from every type. `bag_remove_keys` gives null for anything but a bag. */
function propertiesKql(drops: readonly SourceDrop[] = []): string {
  const keys = drops.flatMap((drop) => (drop.types === undefined ? drop.keys : []));
  return keys.length === 0 ? 'properties' : `iff(gettype(properties) == 'dictionary', ${removedKql(keys)}, properties)`;
}

/** Properties as JSON text. `tostring` returns a dynamic text without quotes, which makes "5" and 5 the same. */
function propertiesTextKql(drops: readonly SourceDrop[]): string {
  const packed = 'tostring(pack_array(properties))';
  const quoted = `substring(${packed}, 1, strlen(${packed}) - 2)`;
  return `iff(gettype(properties) == 'string', ${quoted}, tostring(${propertiesKql(drops)}))`;
}

/** One line for each set of keys that is dropped only from some types. */
function typedDrops(table: TableName, drops: readonly SourceDrop[]): string[] {
  return drops.flatMap(({ types, keys }) => {
    if (types === undefined || keys.length === 0) return [];
    const anyOf = stringLiteral(`^(${types.map(typeRegex).join('|')})$`);
    const hasType = `${commonTypeKql(TABLES[table].typeColumn)} matches regex ${anyOf}`;
    return [
      `| extend properties = iff(gettype(properties) == 'dictionary' and ${hasType}, ${removedKql(keys)}, properties)`,
    ];
  });
}

function removedKql(keys: readonly string[]): string {
  return `bag_remove_keys(properties, dynamic([${keys.map(stringLiteral).join(', ')}]))`;
}

function typeRegex(glob: string): string {
  return globPattern(commonType(glob));
}

/** Estimated size of a row in an answer: about 150 bytes for ids, timestamps and punctuation, plus the long texts. */
function bytesKql(table: TableName, dropKeys?: readonly SourceDrop[]): string {
  const value = TABLES[table].columns.some((column) => column.anyJson) ? ' + string_size(tostring(value))' : '';
  return `sum(150 + string_size(tostring(${propertiesKql(dropKeys)}))${value})`;
}

function bucketKql(table: TableName): string {
  return `tolong(strcat('0x', substring(${fingerprintHashKql(TABLES[table].id)}, 0, 4)))`;
}

interface Bounds {
  readonly lets: readonly string[];
  readonly where: string;
  /** Text expressions for the meta row. */
  readonly lower: string;
  readonly upper: string;
}

function clockBounds(range: ClockRange): Bounds {
  const settled = `bin(now() - ${whole(Math.ceil(range.settleMs / 1000))}s, 1m)`;
  const upper = range.upper === undefined ? settled : `min_of(${settled}, ${datetimeLiteral(range.upper)})`;
  const lowers: string[] = [];
  if (range.lower !== undefined)
    lowers.push(datetimeLiteral(range.lower < FIRST_POSSIBLE ? FIRST_POSSIBLE : range.lower));
  if (range.depthDays !== undefined) {
    const depth = `bin(now() - ${whole(range.depthDays)}d, 1d)`;
    lowers.push(range.depthFrom === undefined ? depth : `min_of(${depth}, ${datetimeLiteral(range.depthFrom)})`);
  }
  // Includes the hour that is expiring right now, whose remaining rows can still be saved.
  if (range.retentionDays !== undefined) lowers.push(`bin(now() - ${whole(range.retentionDays)}d, 1h)`);
  const lets = [`let upper = ${upper};`];
  if (lowers.length === 0) {
    const where = `timestamp >= ${datetimeLiteral(FIRST_POSSIBLE)} and timestamp < upper`;
    return { lets, where, lower: `''`, upper: 'tostring(upper)' };
  }
  lets.push(`let lower = ${lowers.length === 1 ? lowers[0] : `max_of(${lowers.join(', ')})`};`);
  const { older = [], early } = range;
  const others = [...(early ? [early] : []), ...older];
  const kept =
    range.retentionDays === undefined ? '' : `timestamp >= bin(now() - ${whole(range.retentionDays)}d, 1h) and `;
  return {
    lets,
    where:
      others.length === 0
        ? 'timestamp >= lower and timestamp < upper'
        : `${kept}timestamp < upper and (timestamp >= lower or ${others.map(windowKql).join(' or ')})`,
    lower: 'tostring(lower)',
    upper: 'tostring(upper)',
  };
}

function fixedBounds(windows: readonly Window[]): Bounds {
  const [first, last] = [windows[0], windows.at(-1)];
  if (!first || !last) throw new RangeError('A query needs at least one window.');
  return {
    lets: [],
    where: windows.map(windowKql).join(' or '),
    lower: `'${formatInstant(first.from)}'`,
    upper: `'${formatInstant(last.to)}'`,
  };
}

const PART_ROW = `| project part, at = '', lower = '', upper = '', total = '', outside = ''`;

function metaRow({ lower, upper }: Bounds, outside: string): string {
  const total = 'tostring(toscalar(cells | count))';
  return `| union (print part = '', at = tostring(now()), lower = ${lower}, upper = ${upper}, total = ${total}, outside = ${outside})`;
}

const TIMELESS = `isnull(timestamp) or timestamp < ${datetimeLiteral(FIRST_POSSIBLE)}`;

/**
 * Counts the rows outside of all hours, as `future no_timestamp timeless` and the fingerprint of the timeless ones, those without a
 * possible time. `text` is an expression of the source's own text type.
 */
function outsideOf({ table, range, proof, countsOutside = false }: CellQuery): {
  lets: readonly string[];
  text: string;
} {
  if (!countsOutside || 'windows' in range) return { lets: [], text: "''" };
  const { aggregates, packed } = PROOFS[proof];
  const digest = proof === 'content' ? `, d = ${digestOf(table)}` : '';
  const isHashed = proof === 'content' || proof === 'checksum';
  return {
    lets: [
      `let future = toscalar(${table} | where timestamp > now() | count);`,
      `let timeless = toscalar(${table}`,
      `| where ${TIMELESS}`,
      ...(isHashed ? [`| extend h = ${fingerprintHashKql(TABLES[table].id)}${digest}`] : []),
      `| summarize ${aggregates}, unknown = countif(isnull(timestamp))`,
      `| project strcat(unknown, ' ', n${packed}));`,
    ],
    text: `strcat(future, ' ', timeless)`,
  };
}

function windowKql({ from, to }: Window): string {
  if (from >= to) throw new RangeError('A window must end after it starts.');
  return `(timestamp >= ${datetimeLiteral(from)} and timestamp < ${datetimeLiteral(to)})`;
}

function datetimeLiteral(instant: Instant): string {
  return `datetime(${formatInstant(instant)})`;
}

function whole(value: number): string {
  if (!Number.isSafeInteger(value) || value < 0)
    throw new RangeError('A number in a query must be a whole number of 0 or more.');
  return value.toString();
}

/** A single-quoted KQL string. Everything but printable ASCII is written as \\uXXXX, so that nothing ends it. */
function stringLiteral(text: string): string {
  const escaped = text.replace(/[^ !#-&(-[\]-~]/g, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`);
  return `'${escaped}'`;
}
