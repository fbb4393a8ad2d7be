/**
 * Which days of older history a run compares again. Each day has its turn within `rotationDays`, oldest proof first, and the days are
 * spread over that time, so that a run reads about its share of history. Pure.
 */
import { DAY } from '../../kernel/instant.ts';
import type { Instant, Window } from '../../kernel/instant.ts';
import { byStart, joinWindows } from '../../kernel/windows.ts';
import { MAX_WINDOWS } from './histogram.ts';

/** The hours of a UTC day that are proven. */
export interface ProvenDay extends Window {
  /** The oldest comparison of its hours. */
  readonly checkedAt: Instant;
}

/** The longest time between two runs for which every day is still compared within the period. */
const LONGEST_PAUSE_DAYS = 1;

/** How far the clocks of the source and of this machine may differ. */
const CLOCKS_DIFFER = DAY;

/** The pace leaves a little of the period unused, so that a day that was just compared is not due at once. */
const PACE = 0.95;

/**
 * The days that are due, joined where they touch. It takes as many of the oldest proofs as are needed so that the rest, at an even
 * pace, has its turn in time: a lake that no run compared for a week catches up, and hourly runs share the work of a day.
 */
export function dueDays(days: readonly ProvenDay[], now: Instant, rotationDays: number): Window[] {
  if (rotationDays <= 0) return [];
  const due = rotationDays - Math.min(LONGEST_PAUSE_DAYS, rotationDays / 2);
  // A comparison in the future had a wrong clock: when it was is not known, so the day is due.
  const dueFrom = now - BigInt(Math.ceil(due)) * DAY;
  const dated = days.map((day) => (day.checkedAt > now + CLOCKS_DIFFER ? { ...day, checkedAt: dueFrom } : day));
  const byAge = dated.toSorted((a, b) =>
    a.checkedAt === b.checkedAt ? byStart(a, b) : a.checkedAt < b.checkedAt ? -1 : 1,
  );
  const daysPerDay = days.length / (due * PACE);
  // The day in place n can wait until it is due, less the time that the days before it take.
  const needed = byAge.map(({ checkedAt }, k) => k + 1 - (due - Number(now - checkedAt) / Number(DAY)) * daysPerDay);
  const count = Math.ceil(needed.reduce((most, n) => Math.max(most, n), 0));
  const taken = byAge.slice(0, Math.min(count, days.length));
  return joinWindows(taken).length <= MAX_WINDOWS ? joinWindows(taken) : joinWindows(taken.slice(0, MAX_WINDOWS));
}
