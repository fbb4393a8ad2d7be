/** `privacy audit`: paths whose values look like personal data and that no privacy rule covers. It reports counts, never values. */
import type { Config } from '../../config/config.ts';
import { spellJsonPath } from '../../kernel/json-path.ts';
import { isCovered } from '../../model/privacy.ts';
import { openReader } from '../../query/reader.ts';
import type { Reader } from '../../query/reader.ts';
import { TABLES, TABLE_NAMES } from '../../model/tables.ts';
import type { Table, TableName } from '../../model/tables.ts';
import { lakeName } from '../../transform/lake.ts';
import { Places } from '../../transform/personal.ts';
import type { AuditReport } from '../../model/report.ts';

export interface AuditRequest {
  readonly tenant?: string;
  readonly tables?: readonly TableName[];
  /** About how many rows of each type to sample; of types with fewer rows, all. */
  readonly rows: number;
}

/** Reads the published lake. Throws ConfigError when there is none. */
export async function auditPrivacy(config: Config, request: AuditRequest, signal: AbortSignal): Promise<AuditReport> {
  await using reader = await openReader(config.dataDir, config.engine, signal);
  const paths: AuditReport['paths'][number][] = [];
  const notChecked: AuditReport['notChecked'][number][] = [];
  for (const name of request.tables ?? TABLE_NAMES) {
    const table = config.lakeTables[name];
    const { types, unreadable } = await countValues(reader, table, request);
    for (const [type, places] of types) paths.push(...withoutRule(table, type, places));
    if (unreadable > 0) notChecked.push({ table: name, rows: unreadable });
  }
  return {
    rowsOfAType: request.rows,
    notChecked,
    paths: paths.toSorted((a, b) => b.share - a.share || (a.path < b.path ? -1 : 1)),
  };
}

/** Reads the sampled rows once, one after the other, so that memory grows only with the number of paths. */
async function countValues(
  reader: Reader,
  table: Table,
  { tenant, rows }: AuditRequest,
): Promise<{ readonly types: ReadonlyMap<string, Places>; readonly unreadable: number }> {
  const types = new Map<string, Places>();
  let unreadable = 0;
  const { batches } = await reader.query(sampledRows(table, rows), { tenant: tenant ?? null });
  for await (const batch of batches())
    for (const [type, body] of batch) {
      if (typeof type !== 'string' || typeof body !== 'string') continue;
      const places = types.get(type) ?? new Places();
      types.set(type, places);
      try {
        places.add(body);
      } catch (error) {
        if (!(error instanceof SyntaxError)) throw error;
        unreadable += 1;
      }
    }
  return { types, unreadable };
}

function withoutRule(table: Table, type: string, places: Places): AuditReport['paths'][number][] {
  return places
    .findings()
    .filter(({ path }) => !isCovered(table.privacy, type, path))
    .map(({ path, look, matching, values }) => ({
      table: table.name,
      type,
      path: spellJsonPath(path),
      looksLike: look,
      values: matching,
      share: matching / values,
    }));
}

/** A sample of the rows of all tenants, because a privacy rule applies to all of them. */
function sampledRows(table: Table, most: number): string {
  const [view, id] = [TABLES[table.name].lakeName, lakeName(table, table.id)];
  const type = `coalesce("${lakeName(table, table.typeColumn)}", '')`;
  const ofTenant = `($tenant is null or tenant_id = $tenant)`;
  return `select type, body from (
    select ${type} as type, properties::varchar as body, "${id}" as id from ${view} where ${ofTenant} and properties is not null
  ) join (select ${type} as type, ceil(count(*) / ${most})::ubigint as one_in from ${view} where ${ofTenant} group by 1) using (type)
  where hash(id) % one_in = 0`;
}
