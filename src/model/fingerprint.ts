/**
 * The proof that lake and source are equal: a fingerprint of the rows in a span of time, independent of their order.
 *
 * Ids: a row count, two sums and an xor of parts of `md5(lower(id))`, which the source computes in KQL and the lake in DuckDB. An
 * xor cannot see a pair of equal ids, hence the sums. Both md5 are RFC 1321 over UTF-8. KQL's `substring` counts from 0, DuckDB's
 * from 1. A null id counts as the empty text on both sides.
 *
 * Content: the sum of the rows' digests. Only the source computes a digest, from everything that it holds of a row and before any
 * key is dropped. Each row of a page carries its digest, and the lake stores it as a column. So the lake can add up the digests of
 * rows whose content it does not store as received.
 *
 * KQL's own `hash()` may change between versions, so it is never compared across calls.
 */
import type { Table } from './tables.ts';

export interface Fingerprint {
  readonly rows: bigint;
  readonly sum0: bigint;
  readonly sum1: bigint;
  readonly xor: bigint;
  /** Sum of the digests; undefined when some row has none. */
  readonly content: bigint | undefined;
}

export const EMPTY: Fingerprint = { rows: 0n, sum0: 0n, sum1: 0n, xor: 0n, content: 0n };

/** The fingerprint of two disjoint sets of rows together. */
export function combine(a: Fingerprint, b: Fingerprint): Fingerprint {
  const content = a.content === undefined || b.content === undefined ? undefined : a.content + b.content;
  return { rows: a.rows + b.rows, sum0: a.sum0 + b.sum0, sum1: a.sum1 + b.sum1, xor: a.xor ^ b.xor, content };
}

/** Both have the same ids. */
export function sameIds(a: Fingerprint, b: Fingerprint): boolean {
  return a.rows === b.rows && a.sum0 === b.sum0 && a.sum1 === b.sum1 && a.xor === b.xor;
}

/** Both have the same ids, and the same content as far as both know it. */
export function sameRows(a: Fingerprint, b: Fingerprint): boolean {
  return sameIds(a, b) && (a.content === undefined || b.content === undefined || a.content === b.content);
}

/** KQL aggregates `n, s0, s1, x` for a `summarize`, over a column `h` that is made with `fingerprintHashKql`. */
export const FINGERPRINT_KQL =
  "n = count(), s0 = sum(tolong(strcat('0x', substring(h, 0, 8)))), s1 = sum(tolong(strcat('0x', substring(h, 8, 8)))), " +
  "x = binary_all_xor(tolong(strcat('0x', substring(h, 16, 15))))";

/** KQL expression of a row's hash; `idColumn` is a column name from `tables.ts`. */
export function fingerprintHashKql(idColumn: string): string {
  return md5Kql(`tolower(tostring(${idColumn}))`);
}

/** Name of the digest in a page's answer, and in the files of the lake. */
export const DIGEST_CELL = 'digest';
export const DIGEST_COLUMN = 'row_digest';

/** A digest is this many hexadecimal digits: 60 bits, which a signed 64-bit integer holds. */
const DIGEST_DIGITS = 15;
/** A text of more bytes (UTF-8) than this is hashed before it becomes part of a digest. */
const LONG_BYTES = 1000;
/** Separates the cells of a digest. A text that contains it is hashed too: otherwise `a|b`, `c` and `a`, `b|c` would be equal. */
const SEPARATOR = '|';
/** The source adds up two parts of a digest, so that the sums of billions of rows fit its 64-bit integers. */
const LOW_DIGITS = 7;

/** The MD5 of the empty text. */
const MD5_OF_EMPTY = 'd41d8cd98f00b204e9800998ecf8427e';

/** KQL expression of the MD5 of a text that may be empty. For the empty text, some engines return an empty text instead of its MD5. */
function md5Kql(text: string): string {
  return `iff(isempty(${text}), '${MD5_OF_EMPTY}', hash_md5(${text}))`;
}

/**
 * KQL expression of a row's digest, as hexadecimal text. `textOf` gives the KQL text of a column as a page has it, before any key is
 * dropped. The text of the dynamic columns is hashed first and so is any other long text, because a KQL string ends at 1 MB. Each
 * part has a fixed form or lacks the separator, except the id, which comes first: different cells never give the same text.
 */
export function digestKql(table: Table, textOf: (column: Table['columns'][number]) => string): string {
  const parts = table.columns.map((column) => {
    const text = textOf(column);
    // The text of a value in brackets is never empty.
    if (column.type === 'dynamic') return column.anyJson ? `hash_md5(${text})` : md5Kql(text);
    if (column.type !== 'string') return text;
    const isHashed = `string_size(${text}) > ${LONG_BYTES} or ${text} contains_cs '${SEPARATOR}'`;
    return `iff(${isHashed}, hash_md5(${text}), ${text})`;
  });
  return `substring(hash_md5(strcat(${parts.join(`, '${SEPARATOR}', `)})), 0, ${DIGEST_DIGITS})`;
}

/**
 * DuckDB expression of the digest that `digestKql` gives for a row with these cells, as hexadecimal text: comparing the numbers takes
 * twice as long. `cellOf` gives the text of a column's cell.
 */
export function expectedDigestSql(table: Table, cellOf: (column: string) => string): string {
  const parts = table.columns.map((column) => {
    const text = `coalesce(${cellOf(column.name)}, '')`;
    if (column.type === 'dynamic') return `md5(${text})`;
    return column.type === 'string'
      ? `case when strlen(${text}) > ${LONG_BYTES} or contains(${text}, '${SEPARATOR}') then md5(${text}) else ${text} end`
      : text;
  });
  return `substr(md5(concat_ws('${SEPARATOR}', ${parts.join(', ')})), 1, ${DIGEST_DIGITS})`;
}

/** KQL aggregates `c0, c1` for a `summarize`, over a column `d` that is made with `digestKql`. */
export const CONTENT_KQL =
  `c0 = sum(tolong(strcat('0x', substring(d, 0, ${DIGEST_DIGITS - LOW_DIGITS})))), ` +
  `c1 = sum(tolong(strcat('0x', substring(d, ${DIGEST_DIGITS - LOW_DIGITS}, ${LOW_DIGITS}))))`;

/** The sum of digests from the source's two sums. */
export function contentOf(high: bigint, low: bigint): bigint {
  return (high << BigInt(4 * LOW_DIGITS)) + low;
}

/** DuckDB expression of a digest from the text of its cell; null when there is none. */
export function digestSql(cell: string): string {
  return `try_cast('0x' || nullif(${cell}, '') as bigint)`;
}

/** DuckDB aggregates `n, s0, s1, x, c` over a text column `id` (null counts as '') and the rows' digests; see `Fingerprint`. */
export function fingerprintSql(idExpression: string, digest: string): string {
  const h = `md5(lower(coalesce(${idExpression}, '')))`;
  return (
    `count(*)::hugeint as n, coalesce(sum(('0x' || substr(${h}, 1, 8))::bigint), 0)::hugeint as s0, ` +
    `coalesce(sum(('0x' || substr(${h}, 9, 8))::bigint), 0)::hugeint as s1, ` +
    `coalesce(bit_xor(('0x' || substr(${h}, 17, 15))::bigint), 0)::bigint as x, ` +
    `case when count(*) = count(${digest}) then coalesce(sum(${digest}), 0)::hugeint end as c`
  );
}
