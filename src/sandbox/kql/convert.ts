import { unsupported } from './error.ts';
import { parseDatetime, parseTimespan } from './literals.ts';
import type { Value } from './scope.ts';
import { SQL_TYPES } from './types.ts';
import type { KqlScalarType } from './types.ts';

/** `tostring(value)`. A null of any type becomes the empty text. */
export function toText(value: Value): string {
  const { sql } = value;
  switch (value.type) {
    case 'string':
      return sql;
    case 'guid':
      return known(value, sql, "''");
    case 'dynamic':
      return value.container ? sql : `kql_dynamic_text(${sql})`;
    case 'datetime':
      return known(value, `kql_datetime_text(${sql})`, "''");
    case 'timespan':
      return known(value, `kql_timespan_text(${sql})`, "''");
    case 'real':
      return known(value, `kql_real_text(${sql})`, "''");
    case 'decimal':
      return known(value, `kql_decimal_text(${sql})`, "''");
    case 'bool':
      return `case when ${sql} is null then '' when ${sql} then 'true' else 'false' end`.replace(/^.*$/s, '($&)');
    case 'int':
    case 'long':
      return known(value, `(${sql})::varchar`, "''");
  }
}

function known(value: Value, sql: string, otherwise: string): string {
  return value.known ? sql : `coalesce(${sql}, ${otherwise})`;
}

/** JSON text of a value as it stands inside an array or a property bag; never SQL null. */
export function toJson(value: Value): string {
  const { sql, type } = value;
  switch (type) {
    case 'string':
      return `to_json(${sql})::varchar`;
    case 'dynamic':
      return value.container ? sql : `coalesce(${sql}, 'null')`;
    case 'real':
      return `coalesce(kql_real_json(${sql}), 'null')`;
    case 'bool':
      return `coalesce((${sql})::varchar, 'null')`;
    case 'int':
    case 'long':
      return known(value, `(${sql})::varchar`, "'null'");
    case 'decimal':
    case 'datetime':
    case 'timespan':
    case 'guid':
      return `coalesce('"' || ${toText({ sql, type, known: true })} || '"', 'null')`;
  }
}

/** A value as dynamic; a bare null stays null. */
export function toDynamic(value: Value): string {
  if (value.type === 'dynamic') return value.sql;
  if (value.type === 'string') return toJson(value);
  return `nullif(${toJson(value)}, 'null')`;
}

/**
 * Explicit conversion (`tolong(x)` and its like): a value that has no counterpart becomes null.
 * Dynamic values are read through their text, as the engine does.
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
    // Numbers stand for ticks since 0001-01-01 in a datetime, for ticks in a timespan.
    case 'datetime>long':
      return `((${sql}) + 621355968000000000)`;
    case 'long>datetime':
    case 'int>datetime':
      return `((${sql})::bigint - 621355968000000000)`;
    case 'timespan>long':
      return sql;
    case 'long>timespan':
    case 'int>timespan':
      return `(${sql})::bigint`;
    default:
      return unsupported(`conversion of ${type} to ${to}`);
  }
}

const NUMERIC: ReadonlySet<KqlScalarType> = new Set(['int', 'long', 'real', 'decimal']);

/** Widens a number to the type that the analyser gave the operation; a narrowing truncates. */
export function numeric(sql: string, from: KqlScalarType, to: KqlScalarType): string {
  if (from === to) return sql;
  const whole = to === 'int' || to === 'long';
  const fractional = from === 'real' || from === 'decimal';
  return whole && fractional ? `try_cast(trunc(${sql}) as ${SQL_TYPES[to]})` : `try_cast(${sql} as ${SQL_TYPES[to]})`;
}

function fromText(value: Value, to: KqlScalarType): string {
  const text = value.type === 'dynamic' ? `kql_dynamic_text(${value.sql})` : value.sql;
  switch (to) {
    case 'int':
      return `try_cast(${wholeNumber(text)} as integer)`;
    case 'long':
      return wholeNumber(text);
    case 'real':
      return `kql_parse_real(${text})`;
    case 'decimal':
      return `try_cast(${text} as ${SQL_TYPES.decimal})`;
    case 'bool':
      return `kql_parse_bool(${text})`;
    case 'guid':
      return `kql_parse_guid(${text})`;
    case 'datetime':
      return value.literal === undefined ? `kql_parse_datetime(${text})` : ticks(parseDatetime(value.literal));
    case 'timespan':
      return value.literal === undefined ? `kql_parse_timespan(${text})` : ticks(parseTimespan(value.literal));
    case 'string':
    case 'dynamic':
      return text;
  }
}

/** Hexadecimal text that this translation itself has prefixed needs no look at its shape: the fingerprint's hot path. */
function wholeNumber(text: string): string {
  return text.startsWith("concat('0x', ") ? `try_cast(${text} as bigint)` : `kql_parse_long(${text})`;
}

function ticks(value: bigint | undefined): string {
  return value === undefined ? 'null::bigint' : `${value}::bigint`;
}

/** The argument as the type that a function works on, by the implicit conversions that the analyser admits. */
export function as(value: Value, type: KqlScalarType): string {
  return convert(value, type);
}
