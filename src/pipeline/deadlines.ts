/** How near each table of the published lake is to losing hours at the source. */
import type { Config } from '../config/config.ts';
import { openReader } from '../query/reader.ts';
import type { Runtime } from '../kernel/runtime.ts';
import { findLakeTable, TABLES, TABLE_NAMES, type TableName } from '../model/tables.ts';

interface TableDeadline {
  readonly tenant: string;
  readonly table: TableName;
  readonly hoursAtRisk: number;
  readonly comparedUntil: number | undefined;
  readonly retentionSeconds: number | undefined;
}

/** Days before its loss at which an hour counts as at risk: a weekend and a day. */
const RISK_DAYS = 3;
const DAY_SECONDS = 86_400;

/** Throws ConfigError when nothing has been published yet. */
export async function tableDeadlines(config: Config, runtime: Runtime): Promise<TableDeadline[]> {
  const kept = new Map(TABLE_NAMES.map((table) => [table, retentionDays(config, table)]));
  const edges = TABLE_NAMES.flatMap((table) => {
    const days = kept.get(table);
    if (days === undefined) return [];
    const edge = Math.floor(runtime.now() / 1000) - (days - RISK_DAYS) * DAY_SECONDS;
    return [`when '${TABLES[table].lakeName}' then epoch(hour) < ${edge}`];
  });
  await using reader = await openReader(config.dataDir, config.engine);
  const atRisk = edges.length === 0 ? 'false' : `case table_name ${edges.join(' ')} else false end`;
  const result = await reader.query(`
    select tenant_id, table_name,
      (count(*) filter (where state in ('partial', 'unchecked') and ${atRisk}))::varchar,
      (max(epoch(hour) + 3600) filter (where state <> 'unchecked'))::varchar
    from coverage group by all order by all`);
  const found: TableDeadline[] = [];
  for await (const batch of result.batches())
    for (const [tenant, lakeName, risk, until] of batch) {
      const table = findLakeTable(lakeName);
      if (table === undefined || typeof tenant !== 'string') continue;
      const days = kept.get(table);
      found.push({
        tenant,
        table,
        hoursAtRisk: Number(risk),
        comparedUntil: typeof until === 'string' ? Number(until) : undefined,
        retentionSeconds: days === undefined ? undefined : days * DAY_SECONDS,
      });
    }
  return found;
}

function retentionDays(config: Config, table: TableName): number | undefined {
  const settings = config.tenants.find(({ tables }) => tables.has(table))?.tables.get(table);
  return settings ? settings.retentionDays : TABLES[table].retentionDays;
}
