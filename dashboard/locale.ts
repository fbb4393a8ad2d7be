/** Numbers and dates as the reader writes them. Days are those of UTC, wherever the reader is. */

import type { Grain } from './periods.ts';

/** Made when it is first used: each takes milliseconds. */
function once<T>(make: () => T): () => T {
  let made: T | undefined;
  return () => (made ??= make());
}
const number = (options: Intl.NumberFormatOptions): (() => Intl.NumberFormat) =>
  once(() => new Intl.NumberFormat(undefined, options));
const date = (options: Intl.DateTimeFormatOptions): (() => Intl.DateTimeFormat) =>
  once(() => new Intl.DateTimeFormat(undefined, { timeZone: 'UTC', ...options }));

const NUMBER = number({ maximumFractionDigits: 2 });
const PERCENT = number({ style: 'percent', maximumFractionDigits: 1 });
const CHANGE = number({ style: 'percent', maximumFractionDigits: 1, signDisplay: 'exceptZero' });
const SHORT = number({ notation: 'compact', maximumFractionDigits: 1 });
const DAY = date({ day: 'numeric', month: 'short', year: 'numeric' });
const DAY_SHORT = date({ day: 'numeric', month: 'short' });
const MONTH = date({ month: 'short', year: 'numeric' });
const TIME = date({
  day: 'numeric',
  month: 'short',
  year: 'numeric',
  hour: '2-digit',
  minute: '2-digit',
  hour12: false,
});

/** Makes the formats of the first chart: the first one of all takes longer than a drawing. */
export function prepareFormats(): void {
  for (const format of [DAY, TIME, MONTH]) format().format(0);
  for (const format of [NUMBER, PERCENT, CHANGE, SHORT]) format().format(0);
}

/** Shares are shown in percent. */
export function isShare(column: string): boolean {
  return (
    /(_rate|_share|^share|^retention|^completeness|^survival_d\d+|_rate_d\d+)$/.test(column) && column !== 'scan_rate'
  );
}

export function figure(value: number | null, column = ''): string {
  if (value === null) return '–';
  return (isShare(column) ? PERCENT : NUMBER)().format(value);
}

export const tick = (value: number, column: string): string => (isShare(column) ? PERCENT : SHORT)().format(value);

/** A change as a share of what was before; undefined when there was nothing. */
export function change(now: number, before: number): string | undefined {
  return before === 0 ? undefined : CHANGE().format((now - before) / Math.abs(before));
}

export const day = (text: string): string => DAY().format(new Date(text));
export const dayShort = (ms: number): string => DAY_SHORT().format(new Date(ms));
export const month = (ms: number): string => MONTH().format(new Date(ms));
/** A period by its first day. */
export function period(first: string, grain: Grain): string {
  if (grain === 'month') return month(Date.parse(first));
  return grain === 'week' ? `week from ${day(first)}` : day(first);
}

/** The same next to a figure. */
export function periodShort(first: string, grain: Grain): string {
  if (grain === 'month') return `in ${month(Date.parse(first))}`;
  return `${grain === 'week' ? 'week from' : 'on'} ${dayShort(Date.parse(first))}`;
}

export const instant = (ms: number): string => `${TIME().format(new Date(ms))} UTC`;

export function seconds(value: number): string {
  if (value < 120) return `${NUMBER().format(Math.round(value * 10) / 10)} s`;
  return value < 7200
    ? `${NUMBER().format(Math.round(value / 60))} min`
    : `${NUMBER().format(Math.round(value / 3600))} h`;
}

/** 'log_type' is "log type" on the screen. */
export const words = (name: string): string => name.replaceAll('_', ' ');
