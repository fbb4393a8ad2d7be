/** Calendar days (yyyy-mm-dd) as people ask for them: `yesterday`, `last_month`, `-30d`. Pure: "today" is passed in. */
import { offsetMs } from '../kernel/zone.ts';

/** What words mean depends on these. */
export interface Calendar {
  /** The present day. */
  readonly today: string;
  /** The first day of a week: monday, tuesday and so on. */
  readonly weekStart: string;
}

/** A half-open range of days. */
export interface Days {
  readonly from: string;
  readonly to: string;
}

const UNITS = ['day', 'week', 'month', 'quarter', 'year'] as const;
export type Unit = (typeof UNITS)[number];

const DAY_MS = 86_400_000;
const WEEKDAYS = ['sunday', 'monday', 'tuesday', 'wednesday', 'thursday', 'friday', 'saturday'];

/** All words for a day, for messages. `-30d` is an example: any number is allowed, of days, weeks, months, quarters or years. */
export const DAY_WORDS = ['today', 'yesterday', ...['this', 'last'].flatMap((which) => UNITS.slice(1).map((unit) => `${which}_${unit}`))]; // oxfmt-ignore

/** The day that a clock shows in a zone. */
export function todayIn(zone: string, nowMs: number): string {
  return dayOf(nowMs + offsetMs(zone, nowMs));
}

/** The days that a word names, or those from `-30d` until today, exclusive. Undefined for any other text. */
export function daysOf(word: string, { today, weekStart }: Calendar): Days | undefined {
  const back = /^-(\d{1,5})([dwmqy])$/.exec(word);
  if (back) {
    const unit = UNITS.find((name) => name.startsWith(back[2] ?? '')) ?? 'day';
    return checked({ from: shiftDay(today, -Number(back[1]), unit), to: today });
  }
  if (!DAY_WORDS.includes(word)) return undefined;
  if (word === 'today') return { from: today, to: shiftDay(today, 1, 'day') };
  if (word === 'yesterday') return { from: shiftDay(today, -1, 'day'), to: today };
  const [which, name] = word.split('_');
  const unit = UNITS.find((known) => known === name) ?? 'day';
  const start = startOf(shiftDay(startOf(today, unit, weekStart), which === 'last' ? -1 : 0, unit), unit, weekStart);
  return { from: start, to: shiftDay(start, 1, unit) };
}

/** Years of more or fewer than four digits cannot be written as a day. */
function checked(days: Days): Days | undefined {
  return /^\d{4}-/.test(days.from) && days.from >= '0001' ? days : undefined;
}

/** The first day of the period in which a day lies. */
export function startOf(day: string, unit: Unit, weekStart: string): string {
  const [year = '', month = ''] = day.split('-');
  if (unit === 'day') return day;
  if (unit === 'week') {
    const sinceStart = (new Date(msOf(day)).getUTCDay() - WEEKDAYS.indexOf(weekStart) + 7) % 7;
    return shiftDay(day, -sinceStart, 'day');
  }
  if (unit === 'year') return `${year}-01-01`;
  const first = unit === 'month' ? Number(month) : Number(month) - ((Number(month) - 1) % 3);
  return `${year}-${String(first).padStart(2, '0')}-01`;
}

/** The number of periods from one that begins at `start` to another that begins at `end`. */
export function periodsBetween(start: string, end: string, unit: Unit): number {
  if (unit === 'day' || unit === 'week')
    return Math.round((msOf(end) - msOf(start)) / DAY_MS / (unit === 'week' ? 7 : 1));
  return Math.round((monthsOf(end) - monthsOf(start)) / MONTHS[unit]);
}

const MONTHS = { month: 1, quarter: 3, year: 12 } as const;

/** The same day some periods later. If that month is too short, its last day. */
export function shiftDay(day: string, count: number, unit: Unit): string {
  if (unit === 'day' || unit === 'week') return dayOf(msOf(day) + count * DAY_MS * (unit === 'week' ? 7 : 1));
  const months = monthsOf(day) + count * MONTHS[unit];
  const date = new Date(0);
  // Day 0 of the next month is the last day of this one.
  date.setUTCFullYear(Math.floor(months / 12), months - Math.floor(months / 12) * 12 + 1, 0);
  date.setUTCDate(Math.min(Number(day.slice(8, 10)), date.getUTCDate()));
  return dayOf(date.getTime());
}

function monthsOf(day: string): number {
  return Number(day.slice(0, 4)) * 12 + Number(day.slice(5, 7)) - 1;
}

function msOf(day: string): number {
  return Date.parse(`${day}T00:00:00Z`);
}

function dayOf(ms: number): string {
  return new Date(ms).toISOString().split('T')[0] ?? '';
}
