/** How near each table of the published lake is to losing hours at the source. */
import type { Config } from '../config/config.ts';
import type { Runtime } from '../kernel/runtime.ts';
import { sqlText } from '../kernel/sql.ts';
import { asCount, asOptional, asText } from '../load/ledger/cells.ts';
import type { TableDeadline } from '../model/report.ts';
import { TABLES, type TableName } from '../model/tables.ts';
import { openReader } from '../query/reader.ts';
import { asLakeTable, catalogueRows } from './catalogue-rows.ts';

/** An hour is at risk this many days before the source deletes it: a weekend and a day. */
const RISK_DAYS = 3;
const DAY_SECONDS = 86_400;

/** Throws ConfigError when nothing has been published yet. */
export async function tableDeadlines(config: Config, runtime: Runtime): Promise<TableDeadline[]> {
  await using reader = await openReader(config.dataDir, config.engine);
  const tables = await catalogueRows(
    reader,
    `select tenant_id, table_name, max(epoch(hour)::bigint + 3600) filter (where state <> 'unchecked') as compared_until
     from coverage
     group by all
     order by all`,
    { tenant_id: asText, table_name: asLakeTable, compared_until: asOptional(asCount) },
  );
  const limits = tables.flatMap(({ tenant_id: tenant, table_name: table }) => {
    const days = retentionDays(config, tenant, table);
    return days === undefined ? [] : [{ tenant, table, days }];
  });
  const atRisk = limits.length === 0 ? [] : await catalogueRows(reader, atRiskSql(limits, runtime), RISK_SHAPE);
  return tables.map(({ tenant_id: tenant, table_name: table, compared_until }) => {
    const days = limits.find((limit) => limit.tenant === tenant && limit.table === table)?.days;
    const risk = atRisk.find((row) => row.tenant_id === tenant && row.table_name === table);
    return {
      tenant,
      table,
      hoursAtRisk: risk?.hours ?? 0,
      comparedUntil: compared_until,
      retentionSeconds: days === undefined ? undefined : days * DAY_SECONDS,
      rotationSeconds: rotationSeconds(config, tenant, table),
    };
  });
}

const RISK_SHAPE = { tenant_id: asText, table_name: asLakeTable, hours: asCount };

interface Limit {
  readonly tenant: string;
  readonly table: TableName;
  /** How long the source keeps a row. */
  readonly days: number;
}

/**
 * The hours of each table that are not verified, or were never compared, and that the source deletes within the next days. Hours
 * that it has deleted already count as long as they are known and not yet recorded as expired.
 */
function atRiskSql(limits: readonly Limit[], runtime: Runtime): string {
  const now = Math.floor(runtime.now() / 1000);
  const rows = limits.map(
    ({ tenant, table, days }) =>
      `(${sqlText(tenant)}, ${sqlText(TABLES[table].lakeName)}, ${now - days * DAY_SECONDS}::bigint, ${now - (days - RISK_DAYS) * DAY_SECONDS}::bigint)`,
  );
  return `
with limits(tenant_id, table_name, edge, risk_edge) as (values ${rows.join(', ')}),
known as (
  select
    tenant_id, table_name, edge, risk_edge, state, epoch(hour)::bigint as begins_at,
    -- The time after the last known hour was never compared either.
    case
      -- Before the beginning only days with rows are known, and there is nothing between them.
      when hour < beginnings.first_hour then epoch(hour)::bigint + 3600
      else coalesce(lead(epoch(hour)::bigint) over (partition by tenant_id, table_name order by hour), ${now})
    end as next_at
  from coverage
  join limits using (tenant_id, table_name)
  join beginnings(null, null) as beginnings using (tenant_id, table_name)
)
select
  tenant_id, table_name,
  (count(*) filter (where state in ('partial', 'unchecked', 'open') and begins_at < risk_edge)
    + sum(greatest(least(next_at, risk_edge) - greatest(begins_at + 3600, edge) + 3599, 0) // 3600))::bigint as hours
from known
group by all`;
}

function rotationSeconds(config: Config, tenant: string, table: TableName): number | undefined {
  const days = config.tenants.find(({ id }) => id === tenant)?.tables.get(table)?.rotationDays ?? 0;
  return days === 0 ? undefined : days * DAY_SECONDS;
}

function retentionDays(config: Config, tenant: string, table: TableName): number | undefined {
  const settings = config.tenants.find(({ id }) => id === tenant)?.tables.get(table);
  return settings ? settings.retentionDays : TABLES[table].retentionDays;
}
