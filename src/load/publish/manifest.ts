/** Builds the manifest of a snapshot from the ledger. */
import { PUBLISHED_MARTS_SQL } from '../../model/data-dir.ts';
import type { Manifest, ManifestTenant } from '../../model/manifest.ts';
import { promotionKey } from '../../model/promoted.ts';
import { TABLE_NAMES } from '../../model/tables.ts';
import type { TableName } from '../../model/tables.ts';
import { lakeColumns } from '../../transform/lake.ts';
import { asCount, asFingerprint, asOptional, asTable, asText } from '../ledger/cells.ts';
import type { Ledger } from '../ledger/ledger.ts';
import { writtenBy } from '../../kernel/version.ts';

const isoSql = (expression: string): string => `strftime(${expression}, '%Y-%m-%dT%H:%M:%S.%fZ')`;

type Tenants = Record<string, ManifestTenant>;

/** Describes everything current in the ledger. Call it inside the ledger's exclusive turn. */
export async function buildManifest(ledger: Ledger, snapshot: number, run: string): Promise<Manifest> {
  const tenants = await tenantsByTable(ledger);
  const tables = TABLE_NAMES.map((name) => {
    const table = ledger.settings.tables[name];
    const columns = lakeColumns(table).map((column) => ({ ...column }));
    return [table.lakeName, { columns, promotion: promotionKey(table.promoted), tenants: tenants[name] }] as const;
  });
  return {
    version: 1,
    ...writtenBy(),
    snapshot,
    publishedAt: new Date(ledger.runtime.now()).toISOString(),
    run,
    tables: Object.fromEntries(tables),
    marts: await publishedMarts(ledger),
  };
}

async function publishedMarts(ledger: Ledger): Promise<Manifest['marts']> {
  const marts = await ledger.rows(
    `select mart, comment, file, rows, bytes, sha256, days, first_day::varchar as first_day, last_day::varchar as last_day
     from mart_files where ${PUBLISHED_MARTS_SQL} order by mart`,
    {
      mart: asText,
      comment: asText,
      file: asText,
      rows: asCount,
      bytes: asCount,
      sha256: asText,
      days: asCount,
      first_day: asOptional(asText),
      last_day: asOptional(asText),
    },
  );
  return Object.fromEntries(
    marts.map(({ mart, first_day: firstDay = null, last_day: lastDay = null, ...rest }) => [
      mart,
      { ...rest, firstDay, lastDay },
    ]),
  );
}

async function tenantsByTable(ledger: Ledger): Promise<Record<TableName, Tenants>> {
  const tables: Record<TableName, Tenants> = { Logs: {}, Events: {}, Metrics: {} };
  const entryOf = (table: TableName, tenant: string): ManifestTenant =>
    (tables[table][tenant] ??= { partitions: [], coverage: [] });
  const partitions = await ledger.rows(
    `select table_name, tenant, period, file, rows, bytes, sha256, promotion, fingerprint,
       ${isoSql('min_ts')} as min_timestamp, ${isoSql('max_ts')} as max_timestamp
     from partitions where superseded_at is null order by table_name, tenant, period`,
    {
      table_name: asTable,
      tenant: asText,
      period: asText,
      file: asText,
      rows: asCount,
      bytes: asCount,
      sha256: asText,
      promotion: asOptional(asText),
      fingerprint: asFingerprint,
      min_timestamp: asText,
      max_timestamp: asText,
    },
  );
  for (const { table_name: table, tenant, fingerprint, ...row } of partitions) {
    const { rows, sum0, sum1, xor, content } = fingerprint;
    entryOf(table, tenant).partitions.push({
      period: row.period,
      file: row.file,
      rows: row.rows,
      bytes: row.bytes,
      sha256: row.sha256,
      promotion: row.promotion ?? null,
      fingerprint: {
        rows: String(rows),
        sum0: String(sum0),
        sum1: String(sum1),
        xor: String(xor),
        ...(content === undefined ? {} : { content: String(content) }),
      },
      minTimestamp: row.min_timestamp,
      maxTimestamp: row.max_timestamp,
    });
  }
  const coverage = await ledger.rows(
    `select table_name, tenant, state, grade, count(*) as hours,
       ${isoSql('min(hour)')} as first_hour, ${isoSql('max(hour) + interval 1 hour')} as end_of_last,
       coalesce(sum(source.n), 0)::bigint as source_rows, sum(lake.n)::bigint as lake_rows,
       sum(duplicates.n)::bigint as duplicate_rows, sum(quarantined.n)::bigint as quarantined_rows
     from hours group by table_name, tenant, state, grade order by table_name, tenant, state, grade`,
    {
      table_name: asTable,
      tenant: asText,
      state: asText,
      grade: asText,
      hours: asCount,
      first_hour: asText,
      end_of_last: asText,
      source_rows: asCount,
      lake_rows: asCount,
      duplicate_rows: asCount,
      quarantined_rows: asCount,
    },
  );
  for (const row of coverage)
    entryOf(row.table_name, row.tenant).coverage.push({
      state: row.state,
      grade: row.grade,
      hours: row.hours,
      from: row.first_hour,
      to: row.end_of_last,
      sourceRows: row.source_rows,
      lakeRows: row.lake_rows,
      duplicateRows: row.duplicate_rows,
      quarantinedRows: row.quarantined_rows,
    });
  return tables;
}
