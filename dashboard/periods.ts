/** Days, weeks and months as the first day of each, in UTC. Weeks begin on Monday, as those of the marts. */
import { addDays, dayNumbered, daysBetween } from './manifest.ts';
import type { Range } from './types.ts';

export const GRAINS = ['day', 'week', 'month'] as const;
export type Grain = (typeof GRAINS)[number];

const DAY = 86_400_000;

/** First day of the period that a day belongs to. */
function periodOf(day: string, grain: Grain): string {
  if (grain === 'month') return `${day.slice(0, 7)}-01`;
  return grain === 'week' ? addDays(day, -((new Date(day).getUTCDay() + 6) % 7)) : day;
}

/** The period that begins that many periods later. */
export function shifted(period: string, grain: Grain, by: number): string {
  if (grain !== 'month') return addDays(period, grain === 'week' ? by * 7 : by);
  const [year = 0, month = 1] = period.split('-').map(Number);
  return new Date(Date.UTC(year, month - 1 + by, 1)).toISOString().slice(0, 10);
}

/** Every chart of a page asks for the same few ranges. */
const known = new Map<string, readonly string[]>();

/** The periods that begin within a range of whole periods. */
export function periodsOf({ from, to }: Range, grain: Grain): readonly string[] {
  const key = `${from} ${to} ${grain}`;
  const before = known.get(key);
  if (before) return before;
  const periods: string[] = [];
  if (grain === 'day') {
    const first = Date.parse(from) / DAY;
    for (let nth = 0; nth < daysBetween(from, to); nth++) periods.push(dayNumbered(first + nth));
  } else for (let at = from; at < to; at = shifted(at, grain, 1)) periods.push(at);
  if (known.size > 8) known.clear();
  known.set(key, periods);
  return periods;
}

/** A range that a person has chosen, with the whole of the periods at its ends. */
export function outward({ from, to }: Range, grain: Grain): Range {
  const last = periodOf(addDays(to, -1), grain);
  return { from: periodOf(from, grain), to: shifted(last, grain, 1) };
}

/** A range that ends with the last period that is over: a part of a period would look like a fall. */
export function complete({ from, to }: Range, grain: Grain): Range {
  const end = periodOf(to, grain);
  const begin = periodOf(from, grain);
  return { from: begin < end ? begin : shifted(end, grain, -1), to: end };
}
