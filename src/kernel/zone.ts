/** Offsets of time zones. */

/** Formats are slow to create, so each zone's is kept. */
const formats = new Map<string, Intl.DateTimeFormat>();

/** The milliseconds by which a time zone is ahead of UTC at an instant (`ms` since 1970). */
export function offsetMs(timeZone: string, ms: number): number {
  let format = formats.get(timeZone);
  if (!format) {
    const two = '2-digit';
    const fields = { year: 'numeric', month: two, day: two, hour: two, minute: two, second: two } as const;
    format = new Intl.DateTimeFormat('en-US', { timeZone, hourCycle: 'h23', ...fields });
    formats.set(timeZone, format);
  }
  const parts = Object.fromEntries(format.formatToParts(ms).map(({ type, value }) => [type, Number(value)]));
  const { year = 0, month = 1, day = 1, hour = 0, minute = 0, second = 0 } = parts;
  return Date.UTC(year, month - 1, day, hour, minute, second) - Math.floor(ms / 1000) * 1000;
}
