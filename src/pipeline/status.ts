/** `status`: what the published lake holds and how far it is proven. Reads only the catalogue, so it never waits for a run. */
import type { Config } from '../config/config.ts';
import { ConfigError } from '../kernel/errors.ts';
import { DAY, formatInstant, fromEpochMs, parseInstant, toEpochMs } from '../kernel/instant.ts';
import type { Instant } from '../kernel/instant.ts';
import type { Runtime } from '../kernel/runtime.ts';
import { sqlName, sqlText, sqlTextOrNull } from '../kernel/sql.ts';
import { asCount, asInstant, asOneOf, asOptional, asText } from '../load/ledger/cells.ts';
import type { RowOf } from '../load/ledger/cells.ts';
import { privacyKey } from '../model/privacy.ts';
import { promotionKey } from '../model/promoted.ts';
import { DRIFT_CHANGES, DRIFT_DAYS } from '../model/report.ts';
import type { StatusReport, TableProof, TableStatus } from '../model/report.ts';
import { TABLES } from '../model/tables.ts';
import type { TableName } from '../model/tables.ts';
import { openReader } from '../query/reader.ts';
import type { Reader } from '../query/reader.ts';
import { asLakeTable, catalogueRows } from './catalogue-rows.ts';
import { publishedProofs } from './proofs.ts';
import { readRuns } from './shard-status.ts';

/** The lake and the run that is going on. Throws ConfigError when nothing has been published yet and no run is at it. */
export async function statusNow(config: Config, runtime: Runtime): Promise<StatusReport> {
  const { dataDir } = config;
  const { running } = await readRuns(dataDir, runtime.now());
  try {
    return { ...(await lakeStatus(config, runtime)), ...(running ? { running } : {}) };
  } catch (error) {
    if (!running || !(error instanceof ConfigError)) throw error;
    return { dataDir, running, lastRun: undefined, tables: [], drift: [], checks: [] };
  }
}

/** Throws ConfigError when nothing has been published yet. */
export async function lakeStatus(config: Config, runtime: Runtime): Promise<StatusReport> {
  await using reader = await openReader(config.dataDir, config.engine);
  const known = await tablesIn(reader);
  const tables = await catalogueRows(reader, tablesSql(await isOutdatedSql(reader, config)), TABLE_SHAPE);
  const gaps = await catalogueRows(reader, GAPS_SQL, GAP_SHAPE);
  const { lastRun, shards } = await readRuns(config.dataDir, runtime.now());
  const proofs = await publishedProofs(config, reader, lastRun?.proofs ?? [], runtime);
  return {
    dataDir: config.dataDir,
    ...(shards ? { shards } : {}),
    lastRun,
    tables: tables.map((row) => tableStatus(row, gaps, proofs, config, runtime)),
    drift: known.has('property_drift') ? await recentDrift(reader, runtime) : [],
    checks: known.has('check_failures') ? await checkStatus(reader) : [],
  };
}

const TABLE_SHAPE = {
  tenant_id: asText,
  table_name: asLakeTable,
  rows: asCount,
  files: asCount,
  bytes: asCount,
  first: asOptional(asText),
  last: asOptional(asText),
  verified: asCount,
  partial: asCount,
  open: asCount,
  expired: asCount,
  content: asCount,
  checksum: asCount,
  counted: asCount,
  uncounted: asCount,
  duplicates: asCount,
  quarantined: asCount,
  unproven: asInstant,
  outdated: asCount,
};

/** Hours between two known ones that were never compared. */
const GAPS_SQL = `
select tenant_id, table_name, epoch_us(hour + interval '1 hour')::varchar as from_hour, epoch_us(next_hour)::varchar as to_hour
from (
  select tenant_id, table_name, hour, lead(hour) over (partition by tenant_id, table_name order by hour) as next_hour
  from coverage
  join beginnings(null, null) as beginnings using (tenant_id, table_name)
  -- Before the beginning only days with rows are known: what is between them has no rows.
  where hour >= beginnings.first_hour
)
where next_hour > hour + interval '1 hour'`;

const GAP_SHAPE = { tenant_id: asText, table_name: asLakeTable, from_hour: asInstant, to_hour: asInstant };

type Gap = RowOf<typeof GAP_SHAPE>;

/** One row for each tenant and table, from the small tables of the catalogue. `isOutdated`: a condition on `lake_files`. */
function tablesSql(isOutdated: string): string {
  return `
with files as (
  select
    tenant_id, table_name, sum(rows) as rows, count(*) as files, sum(bytes) as bytes,
    count(*) filter (where ${isOutdated}) as outdated,
    strftime(min(min_timestamp), '%Y-%m-%dT%H:%M:%S.%fZ') as first,
    strftime(max(max_timestamp), '%Y-%m-%dT%H:%M:%S.%fZ') as last
  from lake_files
  group by all
),
hours as (
  select
    tenant_id, table_name,
    count(*) filter (where state = 'verified') as verified,
    count(*) filter (where state in ('partial', 'unchecked')) as partial,
    count(*) filter (where state = 'open') as open,
    count(*) filter (where state = 'expired') as expired,
    count(*) filter (where state = 'verified' and grade = 'content') as content,
    count(*) filter (where state = 'verified' and grade = 'checksum') as checksum,
    count(*) filter (where state = 'verified' and grade = 'count') as counted,
    count(*) filter (where grade = 'none') as uncounted,
    coalesce(sum(duplicate_rows), 0) as duplicates,
    coalesce(sum(quarantined_rows), 0) as quarantined,
    -- The hours after the last known one were never compared either.
    epoch_us(least(min(hour) filter (where state in ('partial', 'unchecked', 'open')), max(hour) + interval '1 hour'))::varchar as unproven
  from coverage
  group by all
)
select
  tenant_id, table_name, coalesce(rows, 0) as rows, coalesce(files, 0) as files, coalesce(bytes, 0) as bytes,
  first, last, verified, partial, open, expired, content, checksum, counted, uncounted, duplicates, quarantined, unproven,
  coalesce(outdated, 0) as outdated
from hours
left join files using (tenant_id, table_name)
order by all`;
}

/**
 * True for files that were written under other rules than today's. Where the catalogue of an older version lacks a column
 * for a rule, its files were written without that rule.
 */
async function isOutdatedSql(reader: Reader, { lakeTables }: Config): Promise<string> {
  const columns = await catalogueRows(reader, `select name from pragma_table_info('lake_files')`, { name: asText });
  const column = (name: string): string => (columns.some((known) => known.name === name) ? sqlName(name) : 'null');
  const cases = Object.values(lakeTables).map(
    ({ lakeName, promoted, privacy }) =>
      `when ${sqlText(lakeName)} then ${column('promotion')} is distinct from ${sqlText(promotionKey(promoted))}
         or ${column('privacy')} is distinct from ${sqlTextOrNull(privacyKey(privacy))}`,
  );
  return `case table_name ${cases.join(' ')} end`;
}

function tableStatus(
  row: RowOf<typeof TABLE_SHAPE>,
  gaps: readonly Gap[],
  proofs: readonly TableProof[],
  config: Config,
  runtime: Runtime,
): TableStatus {
  const { tenant_id: tenant, table_name: table, rows, files, bytes, first, last, duplicates, quarantined } = row;
  const { verified, partial, open, expired } = row;
  const newest = last === undefined ? undefined : parseInstant(last);
  return {
    tenant,
    table,
    rows,
    files,
    bytes,
    first,
    last,
    freshnessSeconds: newest === undefined ? undefined : Math.round((runtime.now() - toEpochMs(newest)) / 1000),
    hours: { verified, partial, open, expired },
    grades: { content: row.content, checksum: row.checksum, count: row.counted, none: row.uncounted },
    duplicates,
    quarantined,
    outdatedFiles: row.outdated,
    nextExpiry: expiryOf(
      row.unproven,
      gaps.filter((gap) => gap.tenant_id === tenant && gap.table_name === table),
      retentionOf(config, tenant, table),
      fromEpochMs(runtime.now()),
    ),
    oldestProof: proofs.find((proof) => proof.tenant === tenant && proof.table === table)?.oldest,
  };
}

function retentionOf(config: Config, tenant: string, table: TableName): number | undefined {
  const settings = config.tenants.find(({ id }) => id === tenant)?.tables.get(table);
  return settings ? settings.retentionDays : TABLES[table].retentionDays;
}

function expiryOf(
  unproven: Instant,
  gaps: readonly Gap[],
  retentionDays: number | undefined,
  now: Instant,
): string | undefined {
  if (retentionDays === undefined) return undefined;
  const retention = BigInt(retentionDays) * DAY;
  const edge = now - retention;
  // What the source still has of the gaps: no run can load the rest.
  const begins = gaps.filter((gap) => gap.to_hour > edge).map((gap) => (gap.from_hour > edge ? gap.from_hour : edge));
  const oldest = begins.reduce((first, at) => (at < first ? at : first), unproven);
  return formatInstant(oldest + retention);
}

const DRIFT_SQL = `
select
  tenant_id, table_name, type, change, kind,
  case when change = 'new_type' then '' when json_column = 'properties' then path else json_column || ' ' || path end as shown_path,
  strftime(changed_at, '%Y-%m-%dT%H:%M:%SZ') as changed
from property_drift
where found_at > $since::timestamptz
order by found_at desc, changed_at desc, tenant_id, table_name, type, json_pointer, change, kind`;

const DRIFT_SHAPE = {
  tenant_id: asText,
  table_name: asLakeTable,
  type: asText,
  change: asOneOf(DRIFT_CHANGES),
  kind: asText,
  shown_path: asText,
  changed: asText,
};

async function recentDrift(reader: Reader, runtime: Runtime): Promise<StatusReport['drift']> {
  const since = new Date(runtime.now() - DRIFT_DAYS * 86_400_000).toISOString();
  const rows = await catalogueRows(reader, DRIFT_SQL, DRIFT_SHAPE, { since });
  return rows.map((row) => ({
    tenant: row.tenant_id,
    table: row.table_name,
    type: row.type,
    path: row.shown_path,
    change: row.change,
    kind: row.kind,
    at: row.changed,
  }));
}

const CHECKS_SQL = `
select
  tenant_id, check_name, latest.severity, coalesce(sum(check_failures.failures), 0) as failures,
  min(day)::varchar as first_day, max(day)::varchar as last_day,
  strftime(checked_at, '%Y-%m-%dT%H:%M:%SZ') as checked, latest.run, error
from (
  select * from check_results
  qualify row_number() over (partition by tenant_id, check_name order by checked_at desc, run desc) = 1
) as latest
left join check_failures using (tenant_id, check_name)
group by tenant_id, check_name, latest.severity, checked_at, latest.run, error
order by latest.severity, check_name, tenant_id`;

const CHECKS_SHAPE = {
  tenant_id: asText,
  check_name: asText,
  severity: asOneOf(['error', 'warning']),
  failures: asCount,
  first_day: asOptional(asText),
  last_day: asOptional(asText),
  checked: asText,
  run: asText,
  error: asOptional(asText),
};

async function checkStatus(reader: Reader): Promise<StatusReport['checks']> {
  const rows = await catalogueRows(reader, CHECKS_SQL, CHECKS_SHAPE);
  return rows.map((row) => ({
    check: row.check_name,
    severity: row.severity,
    tenant: row.tenant_id,
    failures: row.failures,
    firstDay: row.first_day,
    lastDay: row.last_day,
    checkedAt: row.checked,
    run: row.run,
    error: row.error,
  }));
}

/** Catalogues of older versions lack the newer tables. */
async function tablesIn(reader: Reader): Promise<ReadonlySet<string>> {
  const rows = await catalogueRows(reader, 'select table_name from duckdb_tables()', { table_name: asText });
  return new Set(rows.map(({ table_name: name }) => name));
}
