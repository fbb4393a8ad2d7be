/** `manifest.json`: the snapshot for readers without DuckDB, and the receipt that it is published. Schema in docs/lake.md. */
import { promotionKey } from '../../model/promoted.ts';
import { TABLE_NAMES } from '../../model/tables.ts';
import type { TableName } from '../../model/tables.ts';
import { lakeColumns } from '../../transform/lake.ts';
import { count, text } from '../ledger/engine.ts';
import type { Row } from '../ledger/engine.ts';
import { PUBLISHED_MARTS_SQL } from '../../model/data-dir.ts';
import type { Ledger } from '../ledger/ledger.ts';
import { fingerprintColumnsSql } from '../ledger/sql.ts';

interface ManifestPartition {
  readonly period: string;
  /** Relative to the manifest. */
  readonly file: string;
  readonly rows: number;
  readonly bytes: number;
  readonly sha256: string;
  /** The set of promoted columns in the file; null when it holds none. Another than the table's: `rebuild` is due. */
  readonly promotion: string | null;
  /** Whole numbers as text: they pass 2^53. */
  readonly fingerprint: { readonly rows: string; readonly sum0: string; readonly sum1: string; readonly xor: string };
  readonly minTimestamp: string;
  readonly maxTimestamp: string;
}

interface ManifestCoverage {
  readonly state: string;
  readonly grade: string;
  readonly hours: number;
  readonly from: string;
  /** End of the last hour. */
  readonly to: string;
  readonly sourceRows: number;
  readonly lakeRows: number;
  readonly duplicateRows: number;
  readonly quarantinedRows: number;
}

interface ManifestTable {
  readonly columns: readonly { readonly name: string; readonly type: string; readonly comment: string }[];
  /** The set of promoted columns among them. */
  readonly promotion: string;
  readonly tenants: Readonly<
    Record<
      string,
      { readonly partitions: readonly ManifestPartition[]; readonly coverage: readonly ManifestCoverage[] }
    >
  >;
}

interface ManifestMart {
  readonly comment: string;
  /** Relative to the manifest. */
  readonly file: string;
  readonly rows: number;
  readonly bytes: number;
  readonly sha256: string;
  /** Days of tenants that it speaks of, and the first and the last of them; null when it has none. */
  readonly days: number;
  readonly firstDay: string | null;
  readonly lastDay: string | null;
}

export interface Manifest {
  readonly version: 1;
  readonly snapshot: number;
  readonly publishedAt: string;
  readonly run: string;
  readonly tables: Readonly<Record<string, ManifestTable>>;
  /** Results of reports by day, by the report's name. */
  readonly marts: Readonly<Record<string, ManifestMart>>;
}

const ISO = (expression: string): string => `strftime(${expression}, '%Y-%m-%dT%H:%M:%S.%fZ')`;

/** Everything current in the ledger. Inside its exclusive turn. */
export async function buildManifest(ledger: Ledger, snapshot: number, run: string): Promise<Manifest> {
  const tables: Record<string, ManifestTable> = {};
  for (const name of TABLE_NAMES) {
    const table = ledger.settings.tables[name];
    tables[table.lakeName] = {
      columns: lakeColumns(table),
      promotion: promotionKey(table.promoted),
      tenants: await tenantsOf(ledger, name),
    };
  }
  return {
    version: 1,
    snapshot,
    publishedAt: new Date(ledger.runtime.now()).toISOString(),
    run,
    tables,
    marts: await martsOf(ledger),
  };
}

async function martsOf(ledger: Ledger): Promise<Manifest['marts']> {
  const rows = await ledger.rawRows(
    `select mart, comment, file, rows, bytes, sha256, days, first_day::varchar as lo, last_day::varchar as hi
     from mart_files where ${PUBLISHED_MARTS_SQL} order by mart`,
  );
  return Object.fromEntries(
    rows.map((row) => [
      text(row, 'mart') ?? '',
      {
        comment: text(row, 'comment') ?? '',
        file: text(row, 'file') ?? '',
        rows: count(row, 'rows'),
        bytes: count(row, 'bytes'),
        sha256: text(row, 'sha256') ?? '',
        days: count(row, 'days'),
        firstDay: text(row, 'lo') ?? null,
        lastDay: text(row, 'hi') ?? null,
      },
    ]),
  );
}

async function tenantsOf(ledger: Ledger, table: TableName): Promise<ManifestTable['tenants']> {
  const tenants: Record<string, { partitions: ManifestPartition[]; coverage: ManifestCoverage[] }> = {};
  const of = (row: Row): { partitions: ManifestPartition[]; coverage: ManifestCoverage[] } =>
    (tenants[text(row, 'tenant') ?? ''] ??= { partitions: [], coverage: [] });
  const partitions = await ledger.rawRows(
    `select
       tenant, period, file, rows, bytes, sha256, promotion, ${fingerprintColumnsSql('fingerprint')},
       ${ISO('min_ts')} as min_ts, ${ISO('max_ts')} as max_ts
     from partitions where superseded_at is null and table_name = $1 order by tenant, period`,
    [table],
  );
  for (const row of partitions) {
    of(row).partitions.push({
      period: text(row, 'period') ?? '',
      file: text(row, 'file') ?? '',
      rows: count(row, 'rows'),
      bytes: count(row, 'bytes'),
      sha256: text(row, 'sha256') ?? '',
      promotion: text(row, 'promotion') ?? null,
      fingerprint: {
        rows: text(row, 'n') ?? '0',
        sum0: text(row, 's0') ?? '0',
        sum1: text(row, 's1') ?? '0',
        xor: text(row, 'x') ?? '0',
      },
      minTimestamp: text(row, 'min_ts') ?? '',
      maxTimestamp: text(row, 'max_ts') ?? '',
    });
  }
  const coverage = await ledger.rawRows(
    `select
       tenant, state, grade, count(*) as hours, ${ISO('min(hour)')} as lo, ${ISO('max(hour) + interval 1 hour')} as hi,
       coalesce(sum(source.n), 0)::bigint as source_rows, sum(lake.n)::bigint as lake_rows,
       sum(duplicates.n)::bigint as duplicate_rows, sum(quarantined.n)::bigint as quarantined_rows
     from hours where table_name = $1 group by tenant, state, grade order by tenant, state, grade`,
    [table],
  );
  for (const row of coverage) {
    of(row).coverage.push({
      state: text(row, 'state') ?? '',
      grade: text(row, 'grade') ?? '',
      hours: count(row, 'hours'),
      from: text(row, 'lo') ?? '',
      to: text(row, 'hi') ?? '',
      sourceRows: count(row, 'source_rows'),
      lakeRows: count(row, 'lake_rows'),
      duplicateRows: count(row, 'duplicate_rows'),
      quarantinedRows: count(row, 'quarantined_rows'),
    });
  }
  return tenants;
}
