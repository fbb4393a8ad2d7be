/** `status`: what the published lake holds and how far it is proven. Reads the catalogue alone, so it never waits for a run. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import type { Config } from '../config/config.ts';
import { onDisk, systemFiles, writeDurably } from '../kernel/files.ts';
import type { Files } from '../kernel/files.ts';
import { DAY, formatInstant, parseInstant, toEpochMs } from '../kernel/instant.ts';
import { privacyKey } from '../model/privacy.ts';
import { promotionKey } from '../model/promoted.ts';
import { driftChange } from '../load/publish/drift.ts';
import { openReader, textRows } from '../query/reader.ts';
import type { Reader } from '../query/reader.ts';
import type { Runtime } from '../kernel/runtime.ts';
import { findLakeTable, TABLES } from '../model/tables.ts';
import type { TableName } from '../model/tables.ts';
import { DRIFT_DAYS } from '../model/report.ts';
import type { RunReport, StatusReport, TableStatus } from '../model/report.ts';

const LAST_RUN_FILE = 'last-run.json';

/** One row per tenant and table, from the small tables of the catalogue; instants as ISO text. */
const STATUS_SQL = `
with files as (
  select tenant_id, table_name, sum(rows)::varchar as rows, count(*)::varchar as files, $outdated::varchar as outdated, sum(bytes)::varchar as bytes,
    strftime(min(min_timestamp), '%Y-%m-%dT%H:%M:%S.%fZ') as first, strftime(max(max_timestamp), '%Y-%m-%dT%H:%M:%S.%fZ') as last
  from lake_files group by all
),
hours as (
  select tenant_id, table_name,
    count(*) filter (where state = 'verified')::varchar as verified,
    count(*) filter (where state in ('partial', 'unchecked'))::varchar as partial,
    count(*) filter (where state = 'open')::varchar as open,
    count(*) filter (where state = 'expired')::varchar as expired,
    count(*) filter (where state = 'verified' and grade = 'checksum')::varchar as checksum,
    count(*) filter (where state = 'verified' and grade = 'count')::varchar as counted,
    count(*) filter (where grade = 'none')::varchar as uncounted,
    coalesce(sum(duplicate_rows), 0)::varchar as duplicates,
    coalesce(sum(quarantined_rows), 0)::varchar as quarantined,
    strftime(min(hour) filter (where state in ('partial', 'unchecked')), '%Y-%m-%dT%H:%M:%SZ') as unproven
  from coverage group by all
)
select tenant_id, table_name, coalesce(rows, '0'), coalesce(files, '0'), coalesce(bytes, '0'), first, last,
  verified, partial, open, expired, checksum, counted, uncounted, duplicates, quarantined, unproven, coalesce(outdated, '0')
from hours left join files using (tenant_id, table_name)
order by all`;

const lastRunSchema = z.object({
  run: z.string(),
  startedAt: z.string(),
  finishedAt: z.string(),
  exitCode: z.int(),
});

/** Throws ConfigError when nothing has been published yet. */
export async function lakeStatus(config: Config, runtime: Runtime): Promise<StatusReport> {
  await using reader = await openReader(config.dataDir, config.engine);
  const result = await reader.query(STATUS_SQL.replace('$outdated', await outdatedSql(reader, config)));
  const tables: TableStatus[] = [];
  for await (const batch of result.batches()) {
    for (const row of batch)
      tables.push(
        tableStatus(
          row.map((cell) => (typeof cell === 'string' ? cell : undefined)),
          config,
          runtime,
        ),
      );
  }
  return {
    dataDir: config.dataDir,
    lastRun: await readLastRun(config.dataDir),
    tables,
    drift: await recentDrift(reader, runtime),
    checks: await checksOf(reader),
  };
}

const DRIFT_SQL = `
select tenant_id, table_name, type, if(json_column = 'properties', path, json_column || ' ' || path), change, kind,
  strftime(changed_at, '%Y-%m-%dT%H:%M:%SZ')
from property_drift where found_at > $since::timestamptz
order by found_at desc, changed_at desc, tenant_id, table_name, type, json_pointer, change, kind`;

async function recentDrift(reader: Reader, runtime: Runtime): Promise<StatusReport['drift']> {
  const [known] = await textRows(reader, `select count(*) from duckdb_tables() where table_name = 'property_drift'`);
  // A catalogue of an older version has none.
  if (known?.[0] !== '1') return [];
  const since = new Date(runtime.now() - DRIFT_DAYS * 86_400_000).toISOString();
  return (await textRows(reader, DRIFT_SQL, { since })).flatMap((cells) => {
    const [tenant = '', lakeTable = '', type = '', path = '', word = '', kind = '', at = ''] = cells;
    const change = driftChange(word);
    return change === undefined ? [] : [{ tenant, table: tableOf(lakeTable), type, path: change === 'new_type' ? '' : path, change, kind, at }]; // prettier-ignore
  });
}

const CHECKS_SQL = `
select tenant_id, check_name, last.severity, coalesce(sum(check_failures.failures), 0)::varchar, coalesce(min(day)::varchar, ''), coalesce(max(day)::varchar, ''),
  strftime(checked_at, '%Y-%m-%dT%H:%M:%SZ'), last.run, coalesce(error, '')
from (
  select * from check_results qualify row_number() over (partition by tenant_id, check_name order by checked_at desc, run desc) = 1
) as last
left join check_failures using (tenant_id, check_name)
group by tenant_id, check_name, last.severity, checked_at, last.run, error
order by last.severity, check_name, tenant_id`;

async function checksOf(reader: Reader): Promise<StatusReport['checks']> {
  const [known] = await textRows(reader, `select count(*) from duckdb_tables() where table_name = 'check_failures'`);
  // A catalogue of an older version has none.
  if (known?.[0] !== '1') return [];
  return (await textRows(reader, CHECKS_SQL)).map((cells) => {
    const [tenant = '', check = '', word, failures, firstDay, lastDay, checkedAt = '', run = '', error] = cells;
    const told = (cell: string | undefined): string | undefined => (cell === '' ? undefined : cell);
    return {
      check,
      severity: word === 'warning' ? 'warning' : 'error',
      tenant,
      failures: Number(failures),
      firstDay: told(firstDay),
      lastDay: told(lastDay),
      checkedAt,
      run,
      error: told(error),
    };
  });
}

/** Counts the files of other rules. What the catalogue of an older program has no column for, its files were written without. */
async function outdatedSql(reader: Reader, { lakeTables }: Config): Promise<string> {
  const columns = (await textRows(reader, `select name from pragma_table_info('lake_files')`)).flat();
  const mark = (column: string): string => (columns.includes(column) ? column : 'null');
  const current = Object.values(lakeTables).map(({ lakeName, promoted, privacy }) => {
    const rules = privacyKey(privacy);
    return `when '${lakeName}' then ${mark('promotion')} is distinct from '${promotionKey(promoted)}' or ${mark('privacy')} is distinct from ${rules === undefined ? 'null' : `'${rules}'`}`;
  });
  return `count(*) filter (where case table_name ${current.join(' ')} end)`;
}

/** Kept beside the lake: a run that changes nothing publishes nothing, and is still the last run. */
export async function writeLastRun(
  dataDir: string,
  report: RunReport,
  finishedMs: number,
  files: Files = systemFiles,
): Promise<void> {
  const { run, startedAt, exitCode } = report;
  const finishedAt = new Date(finishedMs).toISOString();
  const path = join(dataDir, LAST_RUN_FILE);
  const text = `${JSON.stringify({ run, startedAt, finishedAt, exitCode })}\n`;
  await onDisk(path, () => writeDurably(path, text, files));
}

async function readLastRun(dataDir: string): Promise<StatusReport['lastRun']> {
  try {
    return lastRunSchema.parse(JSON.parse(await readFile(join(dataDir, LAST_RUN_FILE), 'utf8')));
  } catch {
    // Never written, or by hand: the lake's own numbers do not depend on it.
    return undefined;
  }
}

function tableStatus(cells: readonly (string | undefined)[], config: Config, runtime: Runtime): TableStatus {
  const [tenant = '', lakeTable = '', rows, files, bytes, first, last, verified, partial, open, expired] = cells;
  const [checksum, counted, uncounted, duplicates, quarantined, unproven, outdated] = cells.slice(11);
  const table = tableOf(lakeTable);
  const newest = last === undefined ? undefined : parseInstant(last);
  return {
    tenant,
    table,
    rows: Number(rows),
    files: Number(files),
    bytes: Number(bytes),
    first,
    last,
    freshnessSeconds: newest === undefined ? undefined : Math.round((runtime.now() - toEpochMs(newest)) / 1000),
    hours: { verified: Number(verified), partial: Number(partial), open: Number(open), expired: Number(expired) },
    grades: { checksum: Number(checksum), count: Number(counted), none: Number(uncounted) },
    duplicates: Number(duplicates),
    quarantined: Number(quarantined),
    outdatedFiles: Number(outdated),
    nextExpiry: expiryOf(unproven, retentionOf(config, tenant, table)),
  };
}

function tableOf(lakeTable: string): TableName {
  return findLakeTable(lakeTable) ?? 'Events';
}

function retentionOf(config: Config, tenant: string, table: TableName): number | undefined {
  const settings = config.tenants.find(({ id }) => id === tenant)?.tables.get(table);
  return settings ? settings.retentionDays : TABLES[table].retentionDays;
}

function expiryOf(hour: string | undefined, retentionDays: number | undefined): string | undefined {
  const oldest = hour === undefined ? undefined : parseInstant(hour);
  if (oldest === undefined || retentionDays === undefined) return undefined;
  return formatInstant(oldest + BigInt(retentionDays) * DAY);
}
