/** What is known of each hour of a table, and how far it is proven. */

/**
 * verified: the account equals the source · partial: it does not · open: the hour is not over · expired: the
 * source forgot the hour before it was proven · unchecked: loaded, not compared since.
 */
export const HOUR_STATES = ['verified', 'partial', 'open', 'expired', 'unchecked'] as const;
export type HourState = (typeof HOUR_STATES)[number];

/** Hours of one table by state, as reports show them: unchecked hours count as partial. */
export type HourCounts = Readonly<Record<Exclude<HourState, 'unchecked'>, number>>;

/** checksum: rows and ids are compared. count: rows only. none: the source refuses to count, so nothing is proven. */
export const GRADES = ['checksum', 'count', 'none'] as const;
export type Grade = (typeof GRADES)[number];

/** The proof that every run asks for first. */
export const BEST_GRADE = GRADES[0];

/** True when `grade` proves less than `other`: the grades are listed from the best to the weakest. */
export function isWeaker(grade: Grade, other: Grade): boolean {
  return GRADES.indexOf(grade) > GRADES.indexOf(other);
}

/** The grades that prove more than this one. */
export function betterGrades(grade: Grade): readonly Grade[] {
  return GRADES.slice(0, GRADES.indexOf(grade));
}
