/** The calendar periods of partitions: a UTC day, or a month of few rows. */
import { DAY, floorTo, formatDay, parseInstant } from '../kernel/instant.ts';
import type { Instant, Window } from '../kernel/instant.ts';

export interface Period extends Window {
  /** `2026-07-03` or `2026-07`. */
  readonly name: string;
}

/** Late rows come within days, so a month that ended longer ago than this is rarely rewritten: it is closed. */
export const CLOSED_AFTER = 35n * DAY;

export function dayPeriod(instant: Instant): Period {
  const from = floorTo(instant, DAY);
  return { name: formatDay(from), from, to: from + DAY };
}

/** The calendar month of an instant. */
export function monthPeriod(instant: Instant): Period {
  const month = periodOf(formatDay(floorTo(instant, DAY)).slice(0, -3));
  if (month === undefined) throw new RangeError(`no calendar month: ${instant}`);
  return month;
}

export function isMonth({ from, to }: Window): boolean {
  return to - from > DAY;
}

/** The period with a name, e.g. from a file name; undefined for any other text. */
export function periodOf(name: string): Period | undefined {
  if (/^\d{4}-\d\d-\d\d$/.test(name)) {
    const from = parseInstant(name);
    return from === undefined ? undefined : { name, from, to: from + DAY };
  }
  const month = /^(\d{4})-(\d\d)$/.exec(name);
  if (!month) return undefined;
  const [year, number] = [Number(month[1]), Number(month[2])];
  const from = parseInstant(`${name}-01`);
  const next = number === 12 ? `${year + 1}-01` : `${month[1]}-${String(number + 1).padStart(2, '0')}`;
  const to = parseInstant(`${next}-01`);
  return from === undefined || to === undefined ? undefined : { name, from, to };
}
