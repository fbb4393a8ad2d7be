/**
 * Where the rows of a Parquet file come from, as key-value metadata in the file itself: `insights.table`, `insights.snapshot`. It
 * holds names, ranges and versions. It never holds values of rows, because metadata is easily overlooked.
 */
import { sqlText } from '../kernel/sql.ts';
import { packageVersion } from '../kernel/version.ts';

/** The option of a `copy` statement that writes the metadata. Keys without a value are left out. */
export function provenanceOption(facts: Readonly<Record<string, string | undefined>>): string {
  return `kv_metadata {${provenancePairs({ ...facts, program: packageVersion() })}}`;
}

/** `key: 'text'` pairs. */
export function provenancePairs(facts: Readonly<Record<string, string | undefined>>): string {
  return Object.entries(facts)
    .flatMap(([key, value]) => (value === undefined ? [] : [`'insights.${key}': ${sqlText(value)}`]))
    .join(', ');
}
