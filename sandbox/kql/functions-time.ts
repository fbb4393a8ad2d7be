import { as } from './convert.ts';
import { KqlError } from './error.ts';
import type { FunctionFamily, FunctionRule } from './function-rule.ts';
import { parseTimespan, TICKS_TO_1970 } from './literals.ts';
import type { Value } from './scope.ts';
import { formatDatetime, formatTimespan } from './time-format.ts';

const bin: FunctionRule = ([value, size], { type }) => value && size && binOf(value, size, type);

/** `startof<part>` and `endof<part>`; the optional second argument shifts the result by whole parts. */
const edge =
  (part: string, end: boolean): FunctionRule =>
  ([value, offset]) => {
    if (!value) return undefined;
    const moves = `(${offset ? as(offset, 'long') : '0'})${end ? ' + 1' : ''}`;
    const start = `kql_add_${part}(kql_start_of_${part}(${as(value, 'datetime')}), ${moves})`;
    return end ? `(${start} - 1)` : start;
  };

const field =
  (name: string): FunctionRule =>
  ([value]) =>
    value && { sql: `kql_field(${sqlPart(name)}, ${as(value, 'datetime')})::integer`, type: 'int' };

const sqlPart = (name: string): string => `'${name}'`;

const unixtime =
  (ticksPerUnit: number): FunctionRule =>
  ([value]) =>
    value &&
    (value.type === 'real'
      ? `try_cast(round(${value.sql} * ${ticksPerUnit}) as bigint)`
      : `try_cast(${as(value, 'real')} * ${ticksPerUnit} as bigint)`);

const PARTS: Readonly<Record<string, string>> = {
  year: 'year',
  quarter: 'quarter',
  month: 'month',
  week: 'week',
  day: 'day',
  hour: 'hour',
  minute: 'minute',
  second: 'second',
  millisecond: 'millisecond',
  microsecond: 'microsecond',
  nanosecond: 'nanosecond',
};

function partName(value: Value | undefined): string | undefined {
  const text = value?.literal?.toLowerCase();
  if (text === undefined) return undefined;
  const name = PARTS[text];
  if (name) return name;
  throw new KqlError('literal', `Semantic error: SEM0006: '${text}' is not a part of a datetime`, text);
}

/** Datetime and timespan functions. All of them work on ticks. */
export const TIMES: FunctionFamily = {
  now: ([offset], { scope }) => ({
    sql: offset
      ? `(${scope.compilation.nowTicks}::bigint + ${as(offset, 'timespan')})`
      : `${scope.compilation.nowTicks}::bigint`,
    known: true,
  }),
  ago: ([offset], { scope }) => offset && `(${scope.compilation.nowTicks}::bigint - ${as(offset, 'timespan')})`,
  bin,
  floor: bin,
  bin_at: ([value, size, fixed], { type }) => {
    if (!value || !size || !fixed) return undefined;
    if (type === 'datetime' || type === 'timespan') return `kql_bin_at(${value.sql}, ${size.sql}, ${fixed.sql})`;
    const wide = type === 'real' ? 'real' : 'long';
    return { sql: `kql_bin_at(${as(value, wide)}, ${as(size, wide)}, ${as(fixed, wide)})`, type: wide };
  },
  startofday: edge('day', false),
  startofweek: edge('week', false),
  startofmonth: edge('month', false),
  startofyear: edge('year', false),
  endofday: edge('day', true),
  endofweek: edge('week', true),
  endofmonth: edge('month', true),
  endofyear: edge('year', true),
  getyear: field('year'),
  getmonth: field('month'),
  monthofyear: field('month'),
  dayofmonth: field('day'),
  dayofyear: field('doy'),
  hourofday: field('hour'),
  week_of_year: field('week'),
  weekofyear: field('week'),
  dayofweek: ([value]) => value && `(kql_day_of_week(${as(value, 'datetime')}) * 864000000000)`,
  datetime_add: ([part, amount, value]) => {
    const name = partName(part);
    return name && amount && value && `kql_add_${name}(${as(value, 'datetime')}, ${as(amount, 'long')})`;
  },
  datetime_diff: ([part, left, right]) => {
    const name = partName(part);
    return name && left && right && `kql_diff_${name}(${as(left, 'datetime')}, ${as(right, 'datetime')})`;
  },
  datetime_part: ([part, value]) => {
    const text = part?.literal?.toLowerCase().replace('week_of_year', 'week').replace('weekofyear', 'week');
    if (text === undefined || !value) return undefined;
    const x = as(value, 'datetime');
    if (text === 'dayofyear' || text === 'doy') return `kql_field('doy', ${x})::integer`;
    const name = partName({ ...value, literal: text });
    const fraction = { millisecond: 10_000, microsecond: 10, nanosecond: 0 }[name ?? ''];
    if (fraction === undefined) return `kql_field(${sqlPart(name ?? '')}, ${x})::integer`;
    const ticks = `kql_modulo(${x}, 10000000)`;
    return fraction === 0 ? `(${ticks} * 100)::integer` : `(${ticks} // ${fraction})::integer`;
  },
  make_datetime: (args) => {
    const parts = args.map((arg) => (arg.type === 'real' ? arg.sql : as(arg, 'long')));
    const [year, month, day, hour = '0', minute = '0', second = '0'] = parts;
    return year && month && day && `kql_make_datetime(${[year, month, day, hour, minute, second].join(', ')})`;
  },
  make_timespan: (args) => {
    const parts = args.map((arg) => (arg.type === 'real' ? arg.sql : as(arg, 'long')));
    if (parts.length === 2) parts.unshift('0');
    if (parts.length === 3) parts.unshift('0');
    if (args.length === 2) parts.splice(0, parts.length, '0', parts[2] ?? '0', parts[3] ?? '0', '0');
    return parts.length === 4 ? `kql_make_timespan(${parts.join(', ')})` : undefined;
  },
  unixtime_seconds_todatetime: unixtime(10_000_000),
  unixtime_milliseconds_todatetime: unixtime(10_000),
  unixtime_microseconds_todatetime: unixtime(10),
  unixtime_nanoseconds_todatetime: ([value]) => value && `(${as(value, 'long')} // 100)`,
  format_datetime: ([value, format]) =>
    value && format?.literal !== undefined ? formatDatetime(as(value, 'datetime'), format.literal) : undefined,
  format_timespan: ([value, format]) =>
    value && format?.literal !== undefined ? formatTimespan(as(value, 'timespan'), format.literal) : undefined,
};

/** Rounds down to a multiple of `size`. Datetimes count from the year 1, so that 7-day bins start on a Monday. */
function binOf(value: Value, size: Value, type: string): Partial<Value> {
  if (type === 'datetime') {
    const ticks = as(value, 'datetime');
    const step = size.literal === undefined || size.type !== 'timespan' ? undefined : parseTimespan(size.literal);
    if (step !== undefined && step > 0n) {
      // One modulo is enough, because a datetime is never before the year 1. This is the group key of every histogram.
      return { sql: `(${ticks} - (${ticks} + ${TICKS_TO_1970}) % ${step})` };
    }
    return { sql: `kql_bin_at(${ticks}, ${size.sql}, ${-TICKS_TO_1970})` };
  }
  if (type === 'timespan') return { sql: `kql_bin(${as(value, 'timespan')}, ${as(size, 'timespan')})` };
  if (type === 'real' || type === 'decimal')
    return { sql: `kql_bin_real(${as(value, 'real')}, ${as(size, 'real')})`, type: 'real' };
  return { sql: `kql_bin(${as(value, 'long')}, ${as(size, 'long')})`, type: 'long' };
}
