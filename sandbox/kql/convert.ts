import { unsupported } from './error.ts';
import { parseDatetime, parseTimespan } from './literals.ts';
import type { Value } from './scope.ts';
import { SQL_TYPES } from './types.ts';
import type { KqlScalarType } from './types.ts';

/** `tostring(value)`. A null of any type becomes the empty text. */
export function toText(value: Value): string {
  if (value.type === 'string' || (value.type === 'dynamic' && value.container)) return value.sql;
  if (value.text !== undefined) return value.text;
  const text = TEXTS[value.type](value.sql);
  return value.type === 'dynamic' || value.type === 'bool' ? text : known(value, text, "''");
}

const TEXTS: Readonly<Record<KqlScalarType, (sql: string) => string>> = {
  string: (sql) => sql,
  guid: (sql) => sql,
  dynamic: (sql) => `kql_dynamic_text(${sql})`,
  datetime: (sql) => `kql_datetime_text(${sql})`,
  timespan: (sql) => `kql_timespan_text(${sql})`,
  real: (sql) => `kql_real_text(${sql})`,
  decimal: (sql) => `kql_decimal_text(${sql})`,
  bool: (sql) => `(case when ${sql} is null then '' when ${sql} then 'true' else 'false' end)`,
  int: (sql) => `(${sql})::varchar`,
  long: (sql) => `(${sql})::varchar`,
};

function known(value: Value, sql: string, otherwise: string): string {
  return value.known ? sql : `coalesce(${sql}, ${otherwise})`;
}

/** JSON text of a value inside an array or a property bag; never SQL null. */
export function toJson(value: Value): string {
  const { sql, type } = value;
  if (type === 'string') return `to_json(${sql})::varchar`;
  if (type === 'dynamic') return value.container ? sql : `coalesce(${sql}, 'null')`;
  if (type === 'real') return `coalesce(kql_real_json(${sql}), 'null')`;
  const bare = type === 'bool' || type === 'int' || type === 'long';
  const text = bare ? `(${sql})::varchar` : `'"' || ${TEXTS[type](sql)} || '"'`;
  return known(value, bare ? text : `(${text})`, "'null'");
}

/** Converts a value to dynamic; null stays null. */
export function toDynamic(value: Value): string {
  if (value.type === 'dynamic') return value.sql;
  if (value.type === 'string') return toJson(value);
  return `nullif(${toJson(value)}, 'null')`;
}

/**
 * Explicit conversion (`tolong(x)` and similar). A value that cannot be converted becomes null.
 * Dynamic values are converted through their text, as in the engine.
 */
export function convert(value: Value, to: KqlScalarType): string {
  if (value.type === to) return value.sql;
  if (to === 'string') return toText(value);
  if (to === 'dynamic') return toDynamic(value);
  if (value.type === 'dynamic' || value.type === 'string') return fromText(value, to);
  const { sql, type } = value;
  const between = `${type}>${to}`;
  if (NUMERIC.has(type) && NUMERIC.has(to)) return numeric(sql, type, to);
  switch (between) {
    case 'bool>int':
    case 'bool>long':
    case 'bool>real':
    case 'bool>decimal':
      return `(${sql})::${SQL_TYPES[to]}`;
    case 'int>bool':
    case 'long>bool':
    case 'real>bool':
    case 'decimal>bool':
      return `((${sql}) <> 0)`;
    // The number of a datetime is its ticks since 0001-01-01; that of a timespan is its ticks.
    case 'datetime>long':
      return `((${sql}) + 621355968000000000)`;
    case 'timespan>long':
      return sql;
    default:
      return unsupported(`conversion of ${type} to ${to}`);
  }
}

const NUMERIC: ReadonlySet<KqlScalarType> = new Set(['int', 'long', 'real', 'decimal']);

/** Converts a number to the type that the analyser gave the operation. Narrowing truncates. */
export function numeric(sql: string, from: KqlScalarType, to: KqlScalarType): string {
  if (from === to) return sql;
  const whole = to === 'int' || to === 'long';
  const fractional = from === 'real' || from === 'decimal';
  return whole && fractional ? `try_cast(trunc(${sql}) as ${SQL_TYPES[to]})` : `try_cast(${sql} as ${SQL_TYPES[to]})`;
}

function fromText(value: Value, to: KqlScalarType): string {
  const text = value.type === 'dynamic' ? toText(value) : value.sql;
  return READERS[to](text, value.literal);
}

const READERS: Readonly<Record<KqlScalarType, (text: string, literal: string | undefined) => string>> = {
  string: (text) => text,
  dynamic: (text) => text,
  int: (text) => `try_cast(${wholeNumber(text)} as integer)`,
  long: (text) => wholeNumber(text),
  real: (text) => `kql_parse_real(${text})`,
  decimal: (text) => `try_cast(${text} as ${SQL_TYPES.decimal})`,
  bool: (text) => `kql_parse_bool(${text})`,
  guid: (text) => `kql_parse_guid(${text})`,
  datetime: (text, literal) => (literal === undefined ? `kql_parse_datetime(${text})` : ticks(parseDatetime(literal))),
  timespan: (text, literal) => (literal === undefined ? `kql_parse_timespan(${text})` : ticks(parseTimespan(literal))),
};

/** Hexadecimal text that this translation itself prefixed needs no check. Fingerprints use this on every row. */
function wholeNumber(text: string): string {
  return text.startsWith("concat('0x', ") ? `try_cast(${text} as bigint)` : `kql_parse_long(${text})`;
}

function ticks(value: bigint | undefined): string {
  return value === undefined ? 'null::bigint' : `${value}::bigint`;
}

/** Converts an argument to the type that a function needs, by the implicit conversions that the analyser allows. */
export function as(value: Value, type: KqlScalarType): string {
  return convert(value, type);
}
