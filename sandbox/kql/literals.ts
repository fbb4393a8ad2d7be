import { DAY, HOUR, MINUTE, SECOND } from '../instant.ts';
import { KqlError } from './error.ts';
import { nullOf, SQL_TYPES } from './types.ts';
import type { KqlScalarType } from './types.ts';

/** Ticks between 0001-01-01, where the engine's `bin` of a datetime is aligned, and 1970-01-01. */
export const TICKS_TO_1970 = 621_355_968_000_000_000n;
/** 10000-01-01, the first instant that a datetime cannot hold. */
const END_OF_TIME = 253_402_300_800n * SECOND;

/** The only place where text becomes an SQL string. */
export function sqlString(text: string): string {
  // DuckDB's parser ends the statement at a NUL, so text that contains one cannot be sent.
  if (text.includes('\0')) throw new KqlError('literal', 'a string literal holds a NUL character', 'string literal');
  return `'${text.replaceAll("'", "''")}'`;
}

export function sqlName(name: string): string {
  if (name.includes('\0')) throw new KqlError('literal', 'a name holds a NUL character', 'name');
  return `"${name.replaceAll('"', '""')}"`;
}

/** SQL of a value that is given as text: the content of a literal or the value of a parameter. Throws if it is not valid. */
export function sqlValue(type: KqlScalarType, text: string): string {
  const value = text.trim();
  if (type !== 'string' && value === 'null') return nullOf(type);
  const sql = WRITERS[type](type === 'string' ? text : value);
  if (sql === undefined) {
    const construct = `${type}(${text})`;
    throw new KqlError('literal', `Semantic error: SEM0005: '${construct}' is not a valid ${type} literal`, construct);
  }
  return sql;
}

const WRITERS: Readonly<Record<KqlScalarType, (text: string) => string | undefined>> = {
  string: sqlString,
  bool: (text) => (/^(true|1)$/i.test(text) ? 'true' : /^(false|0)$/i.test(text) ? 'false' : undefined),
  int: (text) => integer(text, 31n, 'integer'),
  long: (text) => integer(text, 63n, 'bigint'),
  real: (text) => {
    const special = /^([+-]?)(nan|inf|infinity)$/i.exec(text);
    if (special) return `'${special[1] ?? ''}${special[2] ?? ''}'::double`;
    return /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(text) ? `${text}::double` : undefined;
  },
  decimal: (text) =>
    /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(text) ? `'${text}'::${SQL_TYPES.decimal}` : undefined,
  datetime: (text) => bigint(parseDatetime(text)),
  timespan: (text) => bigint(parseTimespan(text)),
  guid: (text) => {
    const hex = text.replace(/^["'{(]|["'})]$/g, '').toLowerCase();
    const match = /^([0-9a-f]{8})-?([0-9a-f]{4})-?([0-9a-f]{4})-?([0-9a-f]{4})-?([0-9a-f]{12})$/.exec(hex);
    return match ? sqlString(match.slice(1).join('-')) : undefined;
  },
  dynamic: (text) => {
    try {
      JSON.parse(text);
      return sqlString(text);
    } catch {
      return undefined;
    }
  },
};

function bigint(value: bigint | undefined): string | undefined {
  return value === undefined ? undefined : `${value}::bigint`;
}

function integer(text: string, bits: bigint, type: string): string | undefined {
  const match = /^([+-]?)(0x[0-9a-f]+|\d+)$/i.exec(text);
  if (!match) return undefined;
  const magnitude = BigInt(match[2] ?? '');
  const value = match[1] === '-' ? -magnitude : magnitude;
  if (value >= 1n << bits || value < -(1n << bits)) return undefined;
  // The smallest bigint cannot be written as a negated literal.
  return value < 0n ? `'${value}'::${type}` : `${value}::${type}`;
}

const MONTHS = ['jan', 'feb', 'mar', 'apr', 'may', 'jun', 'jul', 'aug', 'sep', 'oct', 'nov', 'dec'];
const CLOCK = String.raw`(?:(\d{1,2}):(\d{1,2})(?::(\d{1,2})(?:\.(\d{1,7}))?)?)`;
const ZONE = String.raw`\s*(Z|GMT|UTC|[+-]\d\d:?\d\d)?`;
const ISO = new RegExp(String.raw`^(\d{4})(?:-(\d{1,2})(?:-(\d{1,2})(?:[T ]\s*${CLOCK})?)?)?${ZONE}$`, 'i');
const RFC = new RegExp(
  String.raw`^(?:[a-z]{3,9},?\s+)?(\d{1,2})[ -]([a-z]{3})[a-z]*[ -](\d{4}|\d\d)(?:\s+${CLOCK})?${ZONE}$`,
  'i',
);

/**
 * Reads a datetime as ticks since 1970. Accepts the formats that the engine documents: full or partial ISO 8601, RFC 822 and
 * RFC 850. `undefined` for any other text.
 */
export function parseDatetime(text: string): bigint | undefined {
  const value = text
    .trim()
    .replace(/^(["'])(.*)\1$/, '$2')
    .trim();
  const iso = ISO.exec(value);
  if (iso) {
    const [, year, month = '1', day = '1', ...clock] = iso;
    return instant(Number(year), Number(month), Number(day), clock);
  }
  const rfc = RFC.exec(value);
  if (!rfc) return undefined;
  const [, day, monthName = '', year = '', ...clock] = rfc;
  const month = MONTHS.indexOf(monthName.toLowerCase()) + 1;
  const century = year.length === 2 ? (Number(year) < 50 ? 2000 : 1900) : 0;
  return instant(century + Number(year), month, Number(day), clock);
}

function instant(year: number, month: number, day: number, clock: (string | undefined)[]): bigint | undefined {
  const [hour = '0', minute = '0', second = '0', fraction = '', zone = 'Z'] = clock;
  const date = new Date(0);
  date.setUTCFullYear(year, month - 1, day);
  const exists = date.getUTCFullYear() === year && date.getUTCMonth() === month - 1 && date.getUTCDate() === day;
  if (!exists || Number(hour) > 23 || Number(minute) > 59 || Number(second) > 59 || year < 1) return undefined;
  const local =
    BigInt(date.getTime()) * 10_000n +
    BigInt(hour) * HOUR +
    BigInt(minute) * MINUTE +
    BigInt(second) * SECOND +
    BigInt(fraction.padEnd(7, '0'));
  const offset = /^([+-])(\d\d):?(\d\d)$/.exec(zone);
  const shift = offset ? BigInt(offset[2] ?? 0) * HOUR + BigInt(offset[3] ?? 0) * MINUTE : 0n;
  const utc = offset?.[1] === '-' ? local + shift : local - shift;
  return utc >= -TICKS_TO_1970 && utc < END_OF_TIME ? utc : undefined;
}

const UNITS: readonly [RegExp, bigint][] = [
  [/^(d|day|days)$/i, DAY],
  [/^(h|hr|hrs|hour|hours)$/i, HOUR],
  [/^(m|min|minute|minutes)$/i, MINUTE],
  [/^(s|sec|second|seconds)$/i, SECOND],
  [/^(ms|milli|millis|millisecond|milliseconds)$/i, 10_000n],
  [/^(micro|micros|microsecond|microseconds)$/i, 10n],
  [/^(tick|ticks)$/i, 1n],
];

/** Reads a timespan as ticks: `1.5h`, `2d`, `0.12:34:56.7`, `12:30`, or a number of days. `undefined` for any other text. */
export function parseTimespan(text: string): bigint | undefined {
  const value = text
    .trim()
    .replace(/^(["'])(.*)\1$/, '$2')
    .trim();
  const amount = /^(-?)(\d+)(?:\.(\d+))?\s*([a-z]*)$/i.exec(value);
  if (amount) {
    const [, sign, whole = '0', fraction = '', unit = ''] = amount;
    const size = unit === '' ? DAY : UNITS.find(([pattern]) => pattern.test(unit))?.[1];
    if (size === undefined) return undefined;
    const ticks = BigInt(whole) * size + (BigInt(fraction || '0') * size) / 10n ** BigInt(fraction.length);
    return sign === '-' ? -ticks : ticks;
  }
  const clock = /^(-?)(?:(\d+)\.)?(\d{1,2}):(\d{1,2})(?::(\d{1,2})(?:\.(\d{1,7}))?)?$/.exec(value);
  if (!clock) return undefined;
  const [, sign, days = '0', hour = '0', minute = '0', second = '0', fraction = ''] = clock;
  if (Number(hour) > 23 || Number(minute) > 59 || Number(second) > 59) return undefined;
  const ticks =
    BigInt(days) * DAY +
    BigInt(hour) * HOUR +
    BigInt(minute) * MINUTE +
    BigInt(second) * SECOND +
    BigInt(fraction.padEnd(7, '0'));
  return sign === '-' ? -ticks : ticks;
}
