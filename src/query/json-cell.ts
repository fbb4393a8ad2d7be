/** Cells as JSON. Intervals are text, as DuckDB writes them, also inside lists and structs; and an infinite date has no day. */
import type { DuckDBValueConverter, Json } from '@duckdb/node-api';
import { DuckDBTypeId, JsonDuckDBValueConverter } from '@duckdb/node-api';

const INFINITE: Readonly<Record<string, string>> = { '2147483647': 'infinity', '-2147483647': '-infinity' };

export const jsonCell: DuckDBValueConverter<Json> = (value, type, converter) => {
  if (value !== null && type.typeId === DuckDBTypeId.INTERVAL) return String(value);
  if (value !== null && typeof value === 'object' && type.typeId === DuckDBTypeId.DATE && 'days' in value)
    return INFINITE[String(value.days)] ?? String(value);
  return JsonDuckDBValueConverter(value, type, converter);
};
