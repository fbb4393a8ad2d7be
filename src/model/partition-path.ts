/**
 * Paths of partitions, and the names of tenants in them: `tenant_id=<name>`. Readers of hive partitions guess the type of each value: pandas, polars,
 * pyarrow, Spark and DuckDB read `007` as the number 7, polars reads `true` as a boolean and `2026-10-01` as a date, Spark reads
 * `1d` as a number, and DuckDB and ClickHouse read `null` as no value. A query for one tenant could then return rows of another. So
 * such an id gets an underscore in front, which makes it text for all of them. No tenant's id begins with an underscore.
 */
import { join } from 'node:path';
import { sqlText } from '../kernel/sql.ts';
import { STORE_FOLDER } from './data-dir.ts';
import { TABLES } from './tables.ts';
import type { TableName } from './tables.ts';

const MARK = '_';

/** Words that begin with a letter and that some reader takes for something else than text. */
const WORDS: ReadonlySet<string> = new Set(
  'null none nil na nan true false t f y n yes no on off inf infinity epoch now today tomorrow yesterday'.split(' '),
);

/** The tenant's name in a folder name. */
export function hiveName(tenant: string): string {
  return /^[^a-z]/i.test(tenant) || WORDS.has(tenant.toLowerCase()) ? MARK + tenant : tenant;
}

/** The tenant of a folder name, also of one written by an earlier version, which used the id itself. */
export function tenantOfHiveName(name: string): string {
  return name.startsWith(MARK) ? name.slice(MARK.length) : name;
}

/**
 * DuckDB expression of the tenant from the value of the hive column `tenant_id`, read as text, for files of these tenants. A filter
 * on it still skips files. DuckDB reads the folder `tenant_id=null` of an earlier version as NULL.
 */
export function hiveTenantSql(tenants: Iterable<string>): string {
  const marked = [...tenants].filter((tenant) => hiveName(tenant) !== tenant);
  if (marked.length === 0) return 'tenant_id';
  const text = `ltrim(tenant_id, ${sqlText(MARK)})`;
  const nullLike = marked.find((tenant) => tenant.toLowerCase() === 'null');
  return `${nullLike === undefined ? text : `coalesce(${text}, ${sqlText(nullLike)})`} as tenant_id`;
}

/** `<table>/tenant_id=<t>/month=<yyyy-mm>`, below the store and below the head. */
export function partitionFolder(table: TableName, tenant: string, period: string): string {
  return join(TABLES[table].lakeName, `tenant_id=${hiveName(tenant)}`, `month=${period.slice(0, 7)}`);
}

/** Path of a generation, relative to the data directory. */
export function generationFile(table: TableName, tenant: string, period: string, generation: number): string {
  return join(STORE_FOLDER, partitionFolder(table, tenant, period), `${period}.${generation}.parquet`);
}
