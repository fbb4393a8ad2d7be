/** What is passed from plan to fetch to load: plain data, shared by extract and load, which never import each other. */
import type { Instant, Window } from '../kernel/instant.ts';
import { TIMELESS_REASONS } from './outside.ts';
import type { TableName } from './tables.ts';

/** Rows are spread over 65,536 hash buckets by the first four hex digits of `md5(lower(id))`. */
export const HASH_BUCKETS = 65_536;

/** Buckets `[from, to)` out of HASH_BUCKETS. */
export interface HashRange {
  readonly from: number;
  readonly to: number;
}

/** The rows at the places `[from, to)` of a sorted list, counted from 0. Without `to`: all that follow. */
export interface RowSlice {
  readonly from: number;
  readonly to?: number;
}

/** Rows that a source sorts with ease, so that they may be fetched in slices. */
export const MAX_SORTED = 100_000;

/** One query for the rows of some windows, or of one hash range of one window. */
export interface Page {
  /** Unique within its batch; children of a split page are `<parent>.0`, `<parent>.1`, … */
  readonly id: string;
  /** Sorted, disjoint, not adjacent, all on whole seconds; exactly one when `hash` is set. */
  readonly windows: readonly Window[];
  readonly hash?: HashRange;
  /**
   * Only the rows at these places, when the rows of windows and hash range are sorted by all of their cells. It divides rows that
   * share second and id, even copies of one row, because copies may take each other's place.
   */
  readonly slice?: RowSlice;
  /**
   * Rows that the source counted before the query; a lower bound for a hash range that was not counted. `undefined` when
   * nothing is known.
   */
  readonly rows: number | undefined;
  /** Estimated bytes of the answer. */
  readonly bytes: number;
  /** The counted page that this one is a part of, and the rows that the source counted in it. */
  readonly counted?: { readonly id: string; readonly rows: number };
  /** The engine rejects the hash function: the page is divided by time and into slices only. */
  readonly isUnhashed?: boolean;
  /** Contains an hour whose rows the source is deleting: fewer rows than counted do not mean that the answer was cut off. */
  readonly atRetentionEdge?: boolean;
}

/** The unit of landing and merging: all pages of some windows. It is merged completely or not at all. */
export interface Batch {
  readonly id: string;
  readonly tenant: string;
  readonly table: TableName;
  /**
   * Union of the pages' windows: sorted, disjoint, not adjacent. The batch replaces the rows in them; a batch without windows
   * adds rows.
   */
  readonly windows: readonly Window[];
  readonly pages: readonly Page[];
  /** The pages that the source could not deliver, of a batch whose other pages are loaded. They are fetched again unchanged. */
  readonly isRemainder?: boolean;
}

/**
 * One complete and immutable answer on disk: a first line `#{header}`, one line per row in the source's own bytes (a JSON array,
 * or an object where the source sends objects), and a last line `#{trailer}`.
 */
export interface LandedPage {
  readonly page: Page;
  readonly file: string;
  readonly rows: number;
  /** Bytes of the body after decompression. */
  readonly bytes: number;
  /** Bytes of the largest row, for the reader's buffer. */
  readonly largestRow: number;
  /** Names of the cells in their order, if the answer has them; otherwise the cells are in the order of the projection. */
  readonly columns?: readonly string[];
}

/**
 * No smaller row cap is learnt or remembered. No source has one, but a page of two rows of which one is missing would look like a
 * cap of one row, and then each row would cost a call.
 */
export const LEAST_ROW_CAP = 10;

/** Why a row is quarantined, in the order in which rows are checked; `src/transform/stage.ts` explains each. */
export const REASONS = [
  'malformed',
  'wrong_width',
  'bad_timestamp',
  'outside_window',
  'no_id',
  'foreign_tenant',
  ...TIMELESS_REASONS,
] as const;

/** Rows and bytes that the source counted in one hour, or in a part of an hour. */
export interface Cell {
  readonly from: Instant;
  readonly to: Instant;
  readonly rows: number;
  readonly bytes: number;
  readonly hash?: HashRange;
}
