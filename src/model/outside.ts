/**
 * Rows that lie in no hour that can be compared: rows without a timestamp, rows whose timestamp is the default of a type and no time
 * at all (year 1, the default of .NET), and rows in the future. Every comparison counts them.
 */
import { BEGINNING, DAY } from '../kernel/instant.ts';
import type { Instant } from '../kernel/instant.ts';

/** 0002-01-01: an earlier timestamp is impossible. Rows with later ones are loaded, however old they seem. */
export const FIRST_POSSIBLE: Instant = BEGINNING + 365n * DAY;

/**
 * 2002-01-01. No wallet is older, so an earlier time is the default of some program (1600, 1899, 1970, 2001). Such rows can come at
 * any time, so every comparison covers them, however far back it reaches otherwise.
 */
export const DEFAULTS_END: Instant = 11_688n * DAY;

export const NO_TIMESTAMP = 'no_timestamp';

/** Why such a row is quarantined. Rows in the future are not: they are loaded once their hour is over. */
export const TIMELESS_REASONS = [NO_TIMESTAMP, 'impossible_timestamp'] as const;

export interface OutsideCounts {
  readonly noTimestamp: number;
  readonly impossible: number;
  readonly future: number;
}

/** What the source has outside of all hours. */
export interface OutsideRows extends OutsideCounts {
  /** Changes when the rows without a possible time do: their number, their ids or, as far as the proof covers it, their content. */
  readonly key: string;
}

export function hasOutside({ noTimestamp, impossible, future }: OutsideCounts): boolean {
  return noTimestamp + impossible + future > 0;
}
