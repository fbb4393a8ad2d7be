/** How near each table of the published lake is to losing hours at the source. */
import type { Config } from '../config/config.ts';
import type { Runtime } from '../kernel/runtime.ts';
import { sqlText } from '../kernel/sql.ts';
import { asCount, asOptional, asText } from '../load/ledger/cells.ts';
import type { TableDeadline } from '../model/report.ts';
import { TABLES, TABLE_NAMES, type TableName } from '../model/tables.ts';
import { openReader } from '../query/reader.ts';
import { asLakeTable, catalogueRows } from './catalogue-rows.ts';

/** An hour is at risk this many days before the source deletes it: a weekend and a day. */
const RISK_DAYS = 3;
const DAY_SECONDS = 86_400;

/** Throws ConfigError when nothing has been published yet. */
export async function tableDeadlines(config: Config, runtime: Runtime): Promise<TableDeadline[]> {
  const retention = new Map(TABLE_NAMES.map((table) => [table, retentionDays(config, table)]));
  const cases = TABLE_NAMES.flatMap((table) => {
    const days = retention.get(table);
    if (days === undefined) return [];
    const edge = Math.floor(runtime.now() / 1000) - (days - RISK_DAYS) * DAY_SECONDS;
    return [`when ${sqlText(TABLES[table].lakeName)} then epoch(hour) < ${edge}`];
  });
  const isAtRisk = cases.length === 0 ? 'false' : `case table_name ${cases.join(' ')} else false end`;
  await using reader = await openReader(config.dataDir, config.engine);
  const rows = await catalogueRows(
    reader,
    `select
       tenant_id, table_name,
       count(*) filter (where state in ('partial', 'unchecked') and ${isAtRisk}) as hours_at_risk,
       max(epoch(hour)::bigint + 3600) filter (where state <> 'unchecked') as compared_until
     from coverage
     group by all
     order by all`,
    { tenant_id: asText, table_name: asLakeTable, hours_at_risk: asCount, compared_until: asOptional(asCount) },
  );
  return rows.map(({ tenant_id: tenant, table_name: table, hours_at_risk, compared_until }) => {
    const days = retention.get(table);
    return {
      tenant,
      table,
      hoursAtRisk: hours_at_risk,
      comparedUntil: compared_until,
      retentionSeconds: days === undefined ? undefined : days * DAY_SECONDS,
    };
  });
}

function retentionDays(config: Config, table: TableName): number | undefined {
  const settings = config.tenants.find(({ tables }) => tables.has(table))?.tables.get(table);
  return settings ? settings.retentionDays : TABLES[table].retentionDays;
}
