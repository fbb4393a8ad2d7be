/**
 * UTC instants in ticks of 100 ns since 1970-01-01, as bigint: the source's own precision, which neither a JS Date (ms)
 * nor a DuckDB timestamp (µs) can hold. All spans are half-open: `[from, to)`.
 */
export type Instant = bigint;

/** A half-open span of time, `from` inclusive, `to` exclusive. */
export interface Window {
  readonly from: Instant;
  readonly to: Instant;
}

export const SECOND = 10_000_000n;
export const MINUTE = 60n * SECOND;
export const HOUR = 60n * MINUTE;
export const DAY = 24n * HOUR;

/** `0001-01-01`, the earliest instant that the source can hold. */
export const BEGINNING: Instant = -719_162n * DAY;

const TICKS_PER_MS = 10_000n;
const ISO = /^(\d{4})-(\d\d)-(\d\d)(?:[T ](\d\d):(\d\d)(?::(\d\d)(?:\.(\d{1,7}))?)?)?(Z|[+-]\d\d:\d\d)?$/;

/** Parses an ISO 8601 instant with 0 to 7 fractional digits; no zone means UTC. `undefined` for any other text. */
export function parseInstant(text: string): Instant | undefined {
  const match = ISO.exec(text.trim());
  if (!match) return undefined;
  const [, year, month, day, hour = '00', minute = '00', second = '00', fraction = '', zone = 'Z'] = match;
  const ms = Date.parse(`${year}-${month}-${day}T${hour}:${minute}:${second}Z`);
  if (Number.isNaN(ms)) return undefined;
  // Some engines accept 2026-02-30 and roll it over to March.
  if (!new Date(ms).toISOString().startsWith(`${year}-${month}-${day}`)) return undefined;
  const utc = BigInt(ms) * TICKS_PER_MS + BigInt(fraction.padEnd(7, '0'));
  if (zone === 'Z') return utc;
  const offset = BigInt(zone.slice(1, 3)) * HOUR + BigInt(zone.slice(4, 6)) * MINUTE;
  return zone.startsWith('-') ? utc + offset : utc - offset;
}

const LOOSE = /^(\d{4})(?:[-/.](\d{1,2})[-/.](\d{1,2})|(\d\d)(\d\d))(?:[T ]+(\d{1,2})(?::(\d\d))?(?::(\d\d))?)?Z?$/i;
const DAY_FIRST = /^(\d{1,2})\.(\d{1,2})\.(\d{4})$/;

/** `Did you mean "2026-01-05"? ` for a date in a form that only people read, such as 2026/1/5; empty for any other text. */
export function didYouMeanInstant(text: string): string {
  const [, firstDay, firstMonth, lastYear] = DAY_FIRST.exec(text.trim()) ?? [];
  const loose = lastYear === undefined ? text.trim() : `${lastYear}-${firstMonth}-${firstDay}`;
  const [, year, month, day, packedMonth, packedDay, hour, minute = '00', second = '00'] = LOOSE.exec(loose) ?? [];
  if (year === undefined) return '';
  const two = (part: string | undefined): string => (part ?? '').padStart(2, '0');
  const date = `${year}-${two(month ?? packedMonth)}-${two(day ?? packedDay)}`;
  const likely = hour === undefined ? date : `${date}T${two(hour)}:${minute}:${second}Z`;
  return likely === text || parseInstant(likely) === undefined ? '' : `Did you mean "${likely}"? `;
}

/** `2026-07-03T00:00:01.0000000Z`: always seven fractional digits, as the source writes instants. */
export function formatInstant(instant: Instant): string {
  const subMs = floorMod(instant, TICKS_PER_MS);
  const iso = new Date(Number((instant - subMs) / TICKS_PER_MS)).toISOString();
  return `${iso.slice(0, -1)}${subMs.toString().padStart(4, '0')}Z`;
}

/** `2026-07-03`, the UTC day of an instant. */
export function formatDay(instant: Instant): string {
  return formatInstant(instant).slice(0, 10);
}

export function fromEpochMs(ms: number): Instant {
  return BigInt(Math.trunc(ms)) * TICKS_PER_MS;
}

/** Milliseconds since 1970, truncated: for waiting and for display, never for a window. */
export function toEpochMs(instant: Instant): number {
  return Number((instant - floorMod(instant, TICKS_PER_MS)) / TICKS_PER_MS);
}

/** The last multiple of `unit` at or before `instant`. */
export function floorTo(instant: Instant, unit: bigint): Instant {
  return instant - floorMod(instant, unit);
}

/** The first multiple of `unit` at or after `instant`. */
export function ceilTo(instant: Instant, unit: bigint): Instant {
  const rest = floorMod(instant, unit);
  return rest === 0n ? instant : instant + unit - rest;
}

function floorMod(value: bigint, unit: bigint): bigint {
  const rest = value % unit;
  return rest < 0n ? rest + unit : rest;
}
