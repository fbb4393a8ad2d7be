/** Quiet hours: spans of the week, in a time zone, in which no call may be sent. */
import { offsetMs } from '../kernel/zone.ts';

export interface QuietSpan {
  /** Days of the week on which the span begins; 0 = Sunday. */
  readonly days: readonly number[];
  /** Minutes of the day. If `to` is not after `from`, the span ends on the next day. */
  readonly from: number;
  readonly to: number;
}

export interface Quiet {
  readonly spans: readonly QuietSpan[];
  /** IANA name. */
  readonly timeZone: string;
}

const MINUTE_MS = 60_000;
const DAY_MINUTES = 24 * 60;
const DAYS = ['sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat'];

/** `08:00-18:30`, `22:00-06:00`, `Mon-Fri 08:00-18:30`, `Sat,Sun 00:00-24:00`; undefined for anything else. */
export function parseQuietSpan(text: string): QuietSpan | undefined {
  const match = /^(?:([A-Za-z,-]+)\s+)?(\d\d):(\d\d)\s*-\s*(\d\d):(\d\d)$/.exec(text.trim());
  if (!match) return undefined;
  const [, names, ...numbers] = match;
  const [fromHour = 0, fromMinute = 0, toHour = 0, toMinute = 0] = numbers.map(Number);
  const [from, to] = [fromHour * 60 + fromMinute, toHour * 60 + toMinute];
  const days = names === undefined ? DAYS.map((_, day) => day) : daysOf(names);
  const fits = fromMinute < 60 && toMinute < 60 && from < DAY_MINUTES && to <= DAY_MINUTES && from !== to;
  return fits && days ? { days, from, to } : undefined;
}

function daysOf(names: string): number[] | undefined {
  const days: number[] = [];
  for (const part of names.toLowerCase().split(',')) {
    const [first = -1, last = first, ...more] = part.split('-').map((name) => DAYS.indexOf(name));
    if (first < 0 || last < 0 || more.length > 0) return undefined;
    for (let day = first; ; day = (day + 1) % 7) {
      days.push(day);
      if (day === last) break;
    }
  }
  return days;
}

/** When the quiet hours around an instant end, both in milliseconds since 1970; undefined outside quiet hours. */
export function quietUntil(quiet: Quiet | undefined, nowMs: number): number | undefined {
  if (!quiet || !isQuiet(quiet, nowMs)) return undefined;
  // Minute by minute, which is correct for overlapping spans and across changes of the clocks.
  const first = Math.floor(nowMs / MINUTE_MS) + 1;
  for (let minute = first; minute <= first + 8 * DAY_MINUTES; minute++)
    if (!isQuiet(quiet, minute * MINUTE_MS)) return minute * MINUTE_MS;
  return Infinity;
}

function isQuiet({ spans, timeZone }: Quiet, ms: number): boolean {
  if (spans.length === 0) return false;
  const wall = new Date(ms + offsetMs(timeZone, ms));
  const day = wall.getUTCDay();
  const minute = wall.getUTCHours() * 60 + wall.getUTCMinutes();
  return spans.some(({ days, from, to }) => {
    const today = days.includes(day);
    if (from < to) return today && minute >= from && minute < to;
    return (today && minute >= from) || (days.includes((day + 6) % 7) && minute < to);
  });
}
