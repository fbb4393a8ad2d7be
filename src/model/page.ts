/** What travels from plan to fetch to load: plain data, shared by extract and load, which never import each other. */
import type { Instant, Window } from '../kernel/instant.ts';
import type { TableName } from './tables.ts';

/** Rows are spread over 65,536 hash buckets by the first four hex digits of `md5(lower(id))`. */
export const HASH_BUCKETS = 65_536;

/** Buckets `[from, to)` out of HASH_BUCKETS. */
export interface HashRange {
  readonly from: number;
  readonly to: number;
}

/** One query for the rows of some windows, or of one hash range of one window. */
export interface Page {
  /** Unique within its batch; children of a split page are `<parent>.0`, `<parent>.1`, … */
  readonly id: string;
  /** Sorted, disjoint, not adjacent, all on whole seconds; exactly one when `hash` is set. */
  readonly windows: readonly Window[];
  readonly hash?: HashRange;
  /**
   * Rows counted at the source before asking; for a hash part that was not counted, what it holds at the very least.
   * `undefined` when nothing is known.
   */
  readonly rows: number | undefined;
  /** Estimated bytes of the answer. */
  readonly bytes: number;
  /** Holds an hour that the source is just forgetting: fewer rows than counted is no sign of a cut answer. */
  readonly atRetentionEdge?: boolean;
}

/** The unit of landing and merging: all pages of some windows. Complete or not merged at all. */
export interface Batch {
  readonly id: string;
  readonly tenant: string;
  readonly table: TableName;
  /**
   * Union of the pages' windows: sorted, disjoint, not adjacent. What is held in them is replaced by what comes; a batch
   * without windows adds to what is held.
   */
  readonly windows: readonly Window[];
  readonly pages: readonly Page[];
  /** What the source could not give of a batch whose other pages are loaded: asked again as it is. */
  readonly isRemainder?: boolean;
}

/**
 * One answer on disk, complete and immutable: a first line `#{header}`, one line a row in the source's own bytes
 * (a JSON array, or an object where the source sends objects), a last line `#{trailer}`.
 */
export interface LandedPage {
  readonly page: Page;
  readonly file: string;
  readonly rows: number;
  /** Bytes of the body as received after decompression. */
  readonly bytes: number;
  /** Bytes of the largest row, for the reader's buffer. */
  readonly largestRow: number;
  /** Names of the cells in their order where the answer told them; else the order of the projection. */
  readonly columns?: readonly string[];
}

/** Why a row of a page is not loaded, in the order in which rows are judged; what each means is told in `stage.ts`. */
export const REASONS = [
  'malformed',
  'wrong_width',
  'bad_timestamp',
  'outside_window',
  'no_id',
  'foreign_tenant',
] as const;

/** One hour or finer part of what the source holds; `rows`/`bytes` as counted there. */
export interface Cell {
  readonly from: Instant;
  readonly to: Instant;
  readonly rows: number;
  readonly bytes: number;
  readonly hash?: HashRange;
}
