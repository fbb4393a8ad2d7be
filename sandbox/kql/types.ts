/** KQL's scalar types. */
export type KqlScalarType =
  | 'bool'
  | 'int'
  | 'long'
  | 'real'
  | 'decimal'
  | 'datetime'
  | 'timespan'
  | 'guid'
  | 'string'
  | 'dynamic';

/** How DuckDB stores each type: datetime and timespan as ticks of 100 ns, guid and dynamic as text. */
export const SQL_TYPES: Readonly<Record<KqlScalarType, string>> = {
  bool: 'boolean',
  int: 'integer',
  long: 'bigint',
  real: 'double',
  decimal: 'decimal(38,10)',
  datetime: 'bigint',
  timespan: 'bigint',
  guid: 'varchar',
  string: 'varchar',
  dynamic: 'varchar',
};

/** The null of a type. The string type has no null and uses the empty string. */
export function nullOf(type: KqlScalarType): string {
  return type === 'string' ? "''" : `null::${SQL_TYPES[type]}`;
}
