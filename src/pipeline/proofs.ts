/** How old the proofs of the lake are: for each table, when the hour was compared that was not compared for the longest time. */
import type { Config } from '../config/config.ts';
import { BEGINNING, DAY, HOUR, ceilTo, formatInstant, fromEpochMs } from '../kernel/instant.ts';
import type { Instant } from '../kernel/instant.ts';
import type { Runtime } from '../kernel/runtime.ts';
import { sqlText } from '../kernel/sql.ts';
import { asInstant, asText } from '../load/ledger/cells.ts';
import type { Ledger } from '../load/ledger/ledger.ts';
import { oldestComparisons } from '../load/ledger/reach.ts';
import type { TableProof } from '../model/report.ts';
import { TABLE_NAMES, TABLES } from '../model/tables.ts';
import type { Reader } from '../query/reader.ts';
import { asLakeTable, catalogueRows } from './catalogue-rows.ts';

/** The verified hours that the source still has: the proof of an hour that it deleted cannot be repeated. */
export async function oldestProofs(config: Config, ledger: Ledger, runtime: Runtime): Promise<TableProof[]> {
  const now = fromEpochMs(runtime.now());
  const kept = config.tenants.flatMap(({ id: tenant, tables }) =>
    [...tables].map(([table, { retentionDays }]) => ({
      tenant,
      table,
      from: firstKept(now, retentionDays),
    })),
  );
  const oldest = await oldestComparisons(ledger, kept);
  return oldest.map(({ tenant, table, at }) => ({ tenant, table, oldest: formatInstant(at) }));
}

function firstKept(now: Instant, retentionDays: number | undefined): Instant {
  return retentionDays === undefined ? BEGINNING : ceilTo(now - BigInt(retentionDays) * DAY, HOUR);
}

/**
 * As `oldestProofs`, of the published hours and for every tenant that they have. A run that changes nothing publishes nothing, so `last`,
 * what the last run found, may be later. No proof ever becomes older: the later of the two holds.
 */
export async function publishedProofs(
  config: Config,
  reader: Reader,
  last: readonly TableProof[],
  runtime: Runtime,
): Promise<TableProof[]> {
  const rows = await catalogueRows(reader, oldestSql(config, fromEpochMs(runtime.now())), PROOF_SHAPE);
  return rows.map(({ tenant_id: tenant, table_name: table, oldest }) => {
    const published = formatInstant(oldest);
    const found = last.find((proof) => proof.tenant === tenant && proof.table === table)?.oldest ?? published;
    return { tenant, table, oldest: found > published ? found : published };
  });
}

const PROOF_SHAPE = { tenant_id: asText, table_name: asLakeTable, oldest: asInstant };

function oldestSql({ tenants }: Config, now: Instant): string {
  const edge = (days: number | undefined): string => `timestamptz ${sqlText(formatInstant(firstKept(now, days)))}`;
  const usual = TABLE_NAMES.map((name) => {
    return `when ${sqlText(TABLES[name].lakeName)} then ${edge(TABLES[name].retentionDays)}`;
  });
  // Most tenants have the usual ones.
  const own = tenants.flatMap(({ id, tables }) =>
    [...tables]
      .filter(([name, { retentionDays }]) => retentionDays !== TABLES[name].retentionDays)
      .map(([name, table]) => `(${sqlText(id)}, ${sqlText(TABLES[name].lakeName)}, ${edge(table.retentionDays)})`),
  );
  const values = own.length === 0 ? `select '', '', null::timestamptz where false` : `values ${own.join(', ')}`;
  return `
select tenant_id, table_name, epoch_us(min(checked_at))::varchar as oldest
from coverage
left join (${values}) as own(tenant_id, table_name, edge) using (tenant_id, table_name)
where state = 'verified' and checked_at is not null and hour >= coalesce(edge, case table_name ${usual.join(' ')} end)
group by all
order by all`;
}
