/** What DuckDB's messages say about files. Its errors have no code, so their text is all there is. */

const DAMAGED_DATABASE =
  /corrupt database file|failed to (?:read|load) (?:database|metadata) block|could not read (?:enough bytes )?from file ['"][^'"]*\.duckdb/i;

/** A block of a database file no longer holds what was written, or the file ends before it. */
export function isCorruptDatabase(message: string): boolean {
  return DAMAGED_DATABASE.test(message);
}

/**
 * The engine's words for a Parquet file that is missing or no longer holds what was written, collected by flipping bits in
 * files. Some of them do not say that they are about Parquet.
 */
const DAMAGED_PARQUET =
  /magic bytes|too small to be a parquet|no files found that match|cannot open file .*\.parquet|TProtocolException|invalid TType|don't know what type|footer length error|ZSTD decompression|read(?:ing)? parquet file|found in parquet file|parquet file is likely corrupted|prefetch registered for bytes outside|payload value bigger than allowed|out of buffer|could not read (?:enough bytes )?from file/i;

/** A Parquet file is missing or damaged. */
export function isDamagedParquet(message: string): boolean {
  return DAMAGED_PARQUET.test(message) && !isCorruptDatabase(message);
}

/** The Parquet file that a message names. */
export function parquetFileIn(message: string): string | undefined {
  return /['"]([^'"]+\.parquet)['"]/.exec(message)?.[1];
}
