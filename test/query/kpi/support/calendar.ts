/** Wall clocks, periods and their coverage in plain TypeScript, with the zone data of Node and none of the engine's. */
import { HOUR } from './random.ts';
import type { Coverage } from './lake.ts';

/** One value of a report. */
export type Cell = string | number | boolean | null;

export interface Options {
  readonly zone: string;
  readonly grain: 'hour' | 'day' | 'week' | 'month';
  readonly from: string | null;
  readonly to: string | null;
  readonly pass_type: string | null;
  readonly platform: string | null;
  readonly by: string;
}

/** Half-open, in epoch milliseconds; infinite without a bound. */
export interface Span {
  readonly from: number;
  readonly to: number;
}

const formats = new Map<string, Intl.DateTimeFormat>();
const offsets = new Map<string, number>();

/** Milliseconds that a zone's wall clock is ahead of UTC at an instant. */
function offsetAt(at: number, zone: string): number {
  const quarter = Math.floor(at / 900_000) * 900_000;
  const key = `${zone}${quarter}`;
  const known = offsets.get(key);
  if (known !== undefined) return known;
  const format =
    formats.get(zone) ??
    new Intl.DateTimeFormat('en-US', {
      timeZone: zone, hourCycle: 'h23', year: 'numeric', month: 'numeric', day: 'numeric', hour: 'numeric', minute: 'numeric',
    }); // oxfmt-ignore
  formats.set(zone, format);
  const part: Record<string, number> = {};
  for (const { type, value } of format.formatToParts(quarter)) part[type] = Number(value);
  const wall = Date.UTC(
    part['year'] ?? 0, (part['month'] ?? 1) - 1, part['day'], part['hour'], part['minute'],
  ); // oxfmt-ignore
  offsets.set(key, wall - quarter);
  return wall - quarter;
}

/** The instant at which a wall clock shows a midnight; no zone of the test changes its clock then. */
function instantOf(wall: number, zone: string): number {
  const guess = wall - offsetAt(wall, zone);
  return wall - offsetAt(guess, zone);
}

/** Start of the period on the wall clock, as if that were UTC. */
function wallPeriod(at: number, { zone, grain }: Options): number {
  const date = new Date(at + offsetAt(at, zone));
  if (grain === 'hour') return date.setUTCMinutes(0, 0, 0);
  date.setUTCHours(0, 0, 0, 0);
  if (grain === 'week') date.setUTCDate(date.getUTCDate() - ((date.getUTCDay() + 6) % 7));
  if (grain === 'month') date.setUTCDate(1);
  return date.getTime();
}

function nextWallPeriod(wall: number, { grain }: Options): number {
  const date = new Date(wall);
  if (grain === 'month') return date.setUTCMonth(date.getUTCMonth() + 1);
  return wall + (grain === 'hour' ? HOUR : grain === 'day' ? 24 * HOUR : 7 * 24 * HOUR);
}

const labels = new Map<string, Map<number, string>>();

/** A period as the reports write it. */
export function periodOf(at: number, options: Options): string {
  const key = `${options.zone}${options.grain}`;
  const known = labels.get(key) ?? new Map<number, string>();
  labels.set(key, known);
  const label = known.get(at) ?? new Date(wallPeriod(at, options)).toISOString().slice(0, 19).replace('T', ' ');
  known.set(at, label);
  return label;
}

const spans = new WeakMap<Options, Span>();

/** `from` and `to` as instants. */
export function spanOf(options: Options): Span {
  const { from, to, zone } = options;
  const span = spans.get(options) ?? {
    from: from === null ? -Infinity : instantOf(Date.parse(`${from}T00:00:00Z`), zone),
    to: to === null ? Infinity : instantOf(Date.parse(`${to}T00:00:00Z`), zone),
  };
  spans.set(options, span);
  return span;
}

type Shares = readonly [isCut: boolean, verified: number, partial: number, open: number, mark: string];

export interface Period {
  readonly period: string;
  readonly startsAt: number;
  readonly endsAt: number;
  /** Of the hours of the period. */
  readonly shares: Shares;
}

/** State of each hour of one table, by its instant. */
export function hoursOf(coverage: readonly Coverage[], tenant: string, table: string): Map<number, string> {
  const hours = new Map<number, string>();
  for (const range of coverage)
    if (range.tenant === tenant && range.table === table)
      for (let at = Date.parse(range.from); at < Date.parse(range.to); at += HOUR) hours.set(at, range.state);
  return hours;
}

/** The periods in the range that have a known hour, in order. */
export function periodsOf(hours: ReadonlyMap<number, string>, options: Options): Period[] {
  const known = [...hours.keys()];
  const [first, last] = [Math.min(...known), Math.max(...known)];
  if (known.length === 0) return [];
  const isHour = options.grain === 'hour';
  const lower = isHour ? first : instantOf(wallPeriod(first, options), options.zone);
  const upper = isHour ? last + HOUR : instantOf(nextWallPeriod(wallPeriod(last, options), options), options.zone);
  const span = spanOf(options);
  const found = new Map<string, { startsAt: number; endsAt: number; states: string[] }>();
  const start = Math.ceil(Math.max(lower, span.from) / HOUR) * HOUR;
  for (let hour = start; hour < Math.min(upper, span.to); hour += HOUR) {
    const period = periodOf(hour, options);
    const entry = found.get(period) ?? { startsAt: hour, endsAt: 0, states: [] };
    entry.endsAt = hour + HOUR;
    entry.states.push(hours.get(hour) ?? (hour > last ? 'open' : 'unseen'));
    found.set(period, entry);
  }
  return [...found].map(([period, { startsAt, endsAt, states }]) => {
    const count = (...names: string[]): number => states.filter((state) => names.includes(state)).length;
    const mark = count('verified') === states.length ? 'verified' : count('open') > 0 ? 'open' : 'unverified';
    const share = (part: number): number => Math.round((part / states.length) * 1000) / 1000;
    return { period, startsAt, endsAt, shares: [isCut(period, options), share(count('verified')), share(count('partial', 'unchecked')), share(count('open')), mark] }; // oxfmt-ignore
  });
}

/** Whether the range holds only a part of a period. A range consists of whole days, so it cuts no hour. */
function isCut(period: string, options: Options): boolean {
  if (options.grain === 'hour') return false;
  const start = Date.parse(`${period.replace(' ', 'T')}Z`);
  const [from, to] = [options.from, options.to].map((day) => (day === null ? undefined : Date.parse(`${day}T00:00:00Z`)));
  return (from !== undefined && from > start) || (to !== undefined && to < nextWallPeriod(start, options));
} // oxfmt-ignore

/** Coverage of all hours in `[from, until)`, where an hour that is over and not proven outweighs those that are not over. */
export function sharesOf(hours: ReadonlyMap<number, string>, from: number, until: number): readonly Cell[] {
  const last = Math.max(...hours.keys());
  const states: string[] = [];
  for (let hour = from; hour < until; hour += HOUR) states.push(hours.get(hour) ?? (hour > last ? 'open' : 'unseen'));
  const count = (...names: string[]): number => states.filter((state) => names.includes(state)).length;
  const [verified, open] = [count('verified'), count('open')];
  const isProven = states.length > 0 && verified === states.length;
  const mark = isProven ? 'verified' : states.length > 0 && verified + open === states.length ? 'open' : 'unverified';
  const share = (part: number): number => (states.length === 0 ? 0 : Math.round((part / states.length) * 1000) / 1000);
  return [isProven ? 1 : Math.min(share(verified), 0.999), share(count('partial', 'unchecked')), share(open), mark];
}
