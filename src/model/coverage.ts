/** What is known of each hour of a table, and how far it is proven. */
import { DAY } from '../kernel/instant.ts';
import type { Instant } from '../kernel/instant.ts';

/**
 * verified: the account equals the source · partial: it does not · open: the hour is not over · expired: the
 * source deleted the hour before it was proven · unchecked: loaded, not compared since.
 */
export const HOUR_STATES = ['verified', 'partial', 'open', 'expired', 'unchecked'] as const;
export type HourState = (typeof HOUR_STATES)[number];

/** Hours of one table by state, as reports show them: unchecked hours count as partial. */
export type HourCounts = Readonly<Record<Exclude<HourState, 'unchecked'>, number>>;

/**
 * What a comparison proves, best first. content: each row's content. checksum: the rows' ids. count: the number of rows. none:
 * nothing, because the source refuses to count.
 */
export const GRADES = ['content', 'checksum', 'count', 'none'] as const;
export type Grade = (typeof GRADES)[number];

/** The grade that every run asks for first. */
export const BEST_GRADE = GRADES[0];

/** True when `grade` proves less than `other`: the grades are listed from the best to the weakest. */
export function isWeaker(grade: Grade, other: Grade): boolean {
  return GRADES.indexOf(grade) > GRADES.indexOf(other);
}

/** The grades that prove more than this one. */
export function betterGrades(grade: Grade): readonly Grade[] {
  return GRADES.slice(0, GRADES.indexOf(grade));
}

/**
 * Why a cell is fetched. new: nothing is loaded. changed: other rows. content: the same ids, other content. unproven: nothing
 * differs, but the content was never compared, an older version did not load some rows, or a command asked to fetch everything again.
 * vanished: the source has no rows.
 */
export type StaleReason = 'new' | 'changed' | 'content' | 'unproven' | 'vanished';

/** Coverage begins after the newest gap that is longer than this (`queries/views/beginnings.sql`). */
export const LONGEST_GAP: Instant = 400n * DAY;
