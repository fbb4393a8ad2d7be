/**
 * UTC instants as ticks of 100 ns since 1970-01-01, the engine's own precision. The sandbox has its own arithmetic, so that a
 * mistake in the pipeline's is not repeated by the source that it is tested against.
 */
export type Instant = bigint;

export const SECOND = 10_000_000n;
export const MINUTE = 600_000_000n;
export const HOUR = 36_000_000_000n;
export const DAY = 864_000_000_000n;

const TICKS_PER_MS = 10_000n;
const DATE = /^(\d{4})-(\d{2})-(\d{2})/;
const TIME = /^[T ](\d{2}):(\d{2})(?::(\d{2})(?:\.(\d{1,7}))?)?/;
const OFFSET = /^(?:Z|([+-])(\d{2}):(\d{2}))?$/;

/** Reads an ISO 8601 instant with up to seven fractional digits. Without a zone it is UTC. `undefined` when it is not one. */
export function parseInstant(text: string): Instant | undefined {
  const trimmed = text.trim();
  const date = DATE.exec(trimmed);
  if (!date) return undefined;
  const afterDate = trimmed.slice(date[0].length);
  const time = TIME.exec(afterDate);
  const offset = OFFSET.exec(afterDate.slice(time?.[0].length ?? 0));
  if (!offset) return undefined;
  const [year, month, day] = [Number(date[1]), Number(date[2]), Number(date[3])];
  const [hour, minute, second] = [Number(time?.[1] ?? 0), Number(time?.[2] ?? 0), Number(time?.[3] ?? 0)];
  if (hour > 23 || minute > 59 || second > 59) return undefined;
  const calendar = new Date(0);
  calendar.setUTCFullYear(year, month - 1, day);
  // A day that does not exist (30 February) rolls over into the next month.
  if (calendar.getUTCMonth() !== month - 1 || calendar.getUTCDate() !== day) return undefined;
  const midnight = BigInt(calendar.getTime()) * TICKS_PER_MS;
  const fraction = BigInt((time?.[4] ?? '').padEnd(7, '0'));
  const shift = BigInt(offset[2] ?? 0) * HOUR + BigInt(offset[3] ?? 0) * MINUTE;
  const local = midnight + BigInt(hour) * HOUR + BigInt(minute) * MINUTE + BigInt(second) * SECOND + fraction;
  return offset[1] === '-' ? local + shift : local - shift;
}

/** `2026-07-03T00:00:01.0000000Z`: always seven fractional digits. */
export function formatInstant(instant: Instant): string {
  const wholeSeconds = floorDivide(instant, SECOND);
  const fraction = instant - wholeSeconds * SECOND;
  const text = new Date(Number(wholeSeconds) * 1000).toISOString();
  return `${text.slice(0, text.indexOf('.'))}.${fraction.toString().padStart(7, '0')}Z`;
}

export function fromEpochMs(ms: number): Instant {
  return BigInt(Math.trunc(ms)) * TICKS_PER_MS;
}

/** The first multiple of `unit` at or after `instant`. */
export function ceilTo(instant: Instant, unit: bigint): Instant {
  return -floorDivide(-instant, unit) * unit;
}

function floorDivide(value: bigint, divisor: bigint): bigint {
  const quotient = value / divisor;
  return value % divisor < 0n ? quotient - 1n : quotient;
}
