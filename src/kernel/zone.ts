/** Offsets and names of time zones. */
import { closest, didYouMean } from './closest.ts';

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

/** `Did you mean "Europe/Paris"? ` for a misspelt zone, or for a city by itself; empty if none is close. */
export function didYouMeanZone(text: string): string {
  const zones = ['UTC', ...Intl.supportedValuesOf('timeZone')];
  const cityOf = (zone: string): string => zone.slice(zone.lastIndexOf('/') + 1);
  const named = closest(text, zones);
  if (named !== undefined) return didYouMean(named, [named]);
  const city = closest(text.replaceAll(' ', '_'), zones.map(cityOf));
  const zone = zones.find((candidate) => cityOf(candidate) === city);
  return zone === undefined ? '' : didYouMean(zone, [zone]);
}
