/** The axis of time of a chart: the periods between the first and the last, whether or not a row has them. */

/** A longer axis is left as it is: no terminal could show it. */
const MOST = 20_000;

const MONTHS: Readonly<Record<string, number>> = { month: 1, quarter: 3, year: 12 };
const MILLISECONDS: Readonly<Record<string, number>> = { hour: 3_600_000, day: 86_400_000, week: 7 * 86_400_000 };

/** Adds the missing periods to a sorted list such as `2026-03-01`, or `2026-03-01 05:00:00` of grain hour. */
export function everyPeriod(periods: readonly string[], grain: string | undefined): readonly string[] {
  const [first, last] = [periods[0], periods.at(-1)];
  const months = MONTHS[grain ?? ''];
  const step = MILLISECONDS[grain ?? ''];
  if (first === undefined || last === undefined || (months === undefined && step === undefined)) return periods;
  const start = new Date(`${first.replace(' ', 'T').padEnd(19, 'T00:00:00').slice(0, 19)}Z`);
  if (Number.isNaN(start.getTime())) return periods;
  const all = new Set(periods);
  for (let index = 1; index < MOST; index++) {
    const at =
      step === undefined
        ? new Date(Date.UTC(start.getUTCFullYear(), start.getUTCMonth() + (months ?? 0) * index, start.getUTCDate()))
        : new Date(start.getTime() + step * index);
    // Written as the others are, so that it sorts between them.
    const text = at.toISOString().replace('T', ' ').slice(0, Math.min(first.length, 19));
    if (text >= last) return [...all].sort();
    all.add(text);
  }
  return periods;
}
