/** `privacy audit`: paths whose values look like personal data and that no privacy rule covers. It reports counts, never values. */
import type { Config } from '../../config/config.ts';
import { spellJsonPath } from '../../kernel/json-path.ts';
import type { PathSegment } from '../../kernel/json-path.ts';
import { isCovered } from '../../model/privacy.ts';
import { openReader, textRows } from '../../query/reader.ts';
import type { Reader } from '../../query/reader.ts';
import { TABLES, TABLE_NAMES } from '../../model/tables.ts';
import type { Table, TableName } from '../../model/tables.ts';
import { shallowSql } from '../../transform/depth.ts';
import { lakeName } from '../../transform/lake.ts';
import { sqlText } from '../../kernel/sql.ts';
import { isNameable, looksSql, pointerSegments } from '../../transform/personal.ts';
import type { AuditReport } from '../../model/report.ts';

export interface AuditRequest {
  readonly tenant?: string;
  readonly tables?: readonly TableName[];
  /** About how many rows of each type to sample; of types with fewer rows, all. */
  readonly rows: number;
}

/** Paths that one statement examines. */
const PATHS_TOGETHER = 32;

/** Reads the published lake. Throws ConfigError when there is none, or when its catalogue does not list the JSON's properties. */
export async function auditPrivacy(config: Config, request: AuditRequest, signal: AbortSignal): Promise<AuditReport> {
  await using reader = await openReader(config.dataDir, config.engine, signal);
  const paths: AuditReport['paths'][number][] = [];
  for (const table of request.tables ?? TABLE_NAMES)
    paths.push(...(await auditTable(reader, config.lakeTables[table], request)));
  return {
    rowsOfAType: request.rows,
    paths: paths.toSorted((a, b) => b.share - a.share || (a.path < b.path ? -1 : 1)),
  };
}

async function auditTable(
  reader: Reader,
  table: Table,
  { tenant, rows: most }: AuditRequest,
): Promise<AuditReport['paths'][number][]> {
  const ofTenant = `($tenant is null or tenant_id = $tenant)`;
  const values = { tenant: tenant ?? null };
  const known = await textRows(
    reader,
    `select json_pointer, list(distinct type order by type)::json from properties
     where ${ofTenant} and table_name = ${sqlText(table.lakeName)} and json_column = 'properties'
       and list_has_any(kinds, ['text', 'timestamp', 'bigint', 'digits', 'mixed'])
     group by 1 order by 1`,
    values,
  );
  const paths = known
    .map(([pointer = '']) => pointerSegments(pointer))
    .filter((path) => path.length > 0 && isNameable(path));
  const found: AuditReport['paths'][number][] = [];
  for (let start = 0; start < paths.length; start += PATHS_TOGETHER) {
    const group = paths.slice(start, start + PATHS_TOGETHER);
    const rows = await textRows(reader, looksSql(sampledRows(table, ofTenant, most), group), values);
    for (const [type = '', index = '', looksLike = '', matching = '', all = ''] of rows) {
      const path = group[Number(index)];
      if (!path || isCovered(table.privacy, type, path)) continue;
      found.push(finding(table, type, path, looksLike, Number(matching), Number(all)));
    }
  }
  return found;
}

function finding(
  table: Table,
  type: string,
  path: readonly PathSegment[],
  looksLike: string,
  matching: number,
  values: number,
): AuditReport['paths'][number] {
  return { table: table.name, type, path: spellJsonPath(path), looksLike, values: matching, share: matching / values };
}

/** A sample of the rows of all tenants, because a privacy rule applies to all of them. */
function sampledRows(table: Table, ofTenant: string, most: number): string {
  const [view, id] = [TABLES[table.name].lakeName, lakeName(table, table.id)];
  const type = `coalesce("${lakeName(table, table.typeColumn)}", '')`;
  return `select type, properties as body from (
    select ${type} as type, properties, "${id}" as id from ${view} where ${ofTenant} and properties is not null
  ) join (select ${type} as type, ceil(count(*) / ${most})::ubigint as one_in from ${view} where ${ofTenant} group by 1) using (type)
  where hash(id) % one_in = 0 and ${shallowSql('properties')}`;
}
