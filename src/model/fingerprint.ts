/**
 * The proof of completeness: a fingerprint of the ids in a span of time, independent of their order.
 *
 * Source and lake compute the same four numbers, the source in KQL and the lake in DuckDB: a row count, two sums and an xor of
 * parts of `md5(lower(id))`. An xor cannot see a pair of equal ids, hence the sums. Both md5 are RFC 1321 over UTF-8. KQL's
 * `substring` counts from 0, DuckDB's from 1. A null id counts as the empty text on both sides. KQL's own `hash()` may change
 * between versions, so it is never compared across calls.
 */
export interface Fingerprint {
  readonly rows: bigint;
  readonly sum0: bigint;
  readonly sum1: bigint;
  readonly xor: bigint;
}

export const EMPTY: Fingerprint = { rows: 0n, sum0: 0n, sum1: 0n, xor: 0n };

/** The fingerprint of two disjoint sets of rows together. */
export function combine(a: Fingerprint, b: Fingerprint): Fingerprint {
  return { rows: a.rows + b.rows, sum0: a.sum0 + b.sum0, sum1: a.sum1 + b.sum1, xor: a.xor ^ b.xor };
}

export function sameRows(a: Fingerprint, b: Fingerprint): boolean {
  return a.rows === b.rows && a.sum0 === b.sum0 && a.sum1 === b.sum1 && a.xor === b.xor;
}

/** KQL aggregates `n, s0, s1, x` for a `summarize`, over a column `h` that is made with `fingerprintHashKql`. */
export const FINGERPRINT_KQL =
  "n = count(), s0 = sum(tolong(strcat('0x', substring(h, 0, 8)))), s1 = sum(tolong(strcat('0x', substring(h, 8, 8)))), " +
  "x = binary_all_xor(tolong(strcat('0x', substring(h, 16, 15))))";

/** KQL expression of a row's hash; `idColumn` is a column name from `tables.ts`. */
export function fingerprintHashKql(idColumn: string): string {
  return `hash_md5(tolower(tostring(${idColumn})))`;
}

/** DuckDB aggregates `n, s0, s1, x` (hugeint, hugeint, hugeint, bigint) over a text column `id`; null counts as ''. */
export function fingerprintSql(idExpression: string): string {
  const h = `md5(lower(coalesce(${idExpression}, '')))`;
  return (
    `count(*)::hugeint as n, coalesce(sum(('0x' || substr(${h}, 1, 8))::bigint), 0)::hugeint as s0, ` +
    `coalesce(sum(('0x' || substr(${h}, 9, 8))::bigint), 0)::hugeint as s1, ` +
    `coalesce(bit_xor(('0x' || substr(${h}, 17, 15))::bigint), 0)::bigint as x`
  );
}
