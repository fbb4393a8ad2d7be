/** KQL's scalar types. */
export type KqlScalarType =
  'bool' | 'int' | 'long' | 'real' | 'decimal' | 'datetime' | 'timespan' | 'guid' | 'string' | 'dynamic';

/** How each type is held in DuckDB: datetime and timespan in ticks of 100 ns, guid and dynamic as text. */
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

/** The null of a type; the string type has none, its empty value stands in. */
export function nullOf(type: KqlScalarType): string {
  return type === 'string' ? "''" : `null::${SQL_TYPES[type]}`;
}
