/** The current files of the lake, and the select that reads a table from them. */
import { join } from 'node:path';
import { FOLDER_VARIABLE, folderVariable } from '../../model/data-dir.ts';
import { hiveTenantSql } from '../../model/partition-path.ts';
import { promotionKey } from '../../model/promoted.ts';
import type { Table, TableName } from '../../model/tables.ts';
import { lakeColumns } from '../../transform/lake.ts';
import { sqlName, sqlText } from '../../kernel/sql.ts';
import { promotedSql } from '../../transform/promote.ts';
import { asCount, asOptional, asTable, asText } from '../ledger/cells.ts';
import type { Ledger } from '../ledger/ledger.ts';

const HIVE_KEYS = ['tenant_id', 'month'];

export interface CurrentFile {
  readonly tenant: string;
  readonly table: TableName;
  /** Absolute. */
  readonly file: string;
  readonly period: string;
  /** The key of the promoted columns in the file; undefined = none. */
  readonly promotion: string | undefined;
  /** Its UTC days, yyyy-mm-dd; `to` is exclusive. */
  readonly from: string;
  readonly to: string;
}

export async function currentFiles(ledger: Ledger): Promise<CurrentFile[]> {
  const rows = await ledger.rows(
    `select
       tenant, table_name as "table", period, file, promotion,
       from_ts::date::varchar as "from", to_ts::date::varchar as "to"
     from partitions where superseded_at is null order by table_name, tenant, period`,
    {
      tenant: asText,
      table: asTable,
      period: asText,
      file: asText,
      promotion: asOptional(asText),
      from: asText,
      to: asText,
    },
  );
  return rows.map((row) => ({ ...row, file: join(ledger.dataDir, row.file) }));
}

/** How many files the lake has now, and how many rows are in them. */
export async function lakeSize(ledger: Ledger): Promise<{ readonly files: number; readonly rows: number }> {
  return ledger.row(
    'select count(*) as files, coalesce(sum(rows), 0)::bigint as rows from partitions where superseded_at is null',
    { files: asCount, rows: asCount },
  );
}

type Home = Pick<Ledger, 'dataDir' | 'shard'>;

interface RowsOptions {
  /** Columns that the engine adds, e.g. `filename`. */
  readonly virtual?: readonly string[];
  /** The ledger of the files, if the select must also work after the data directory has moved (movedSql). */
  readonly home?: Home;
}

/**
 * Selects a table's rows. For files that were written with another set of promoted columns, today's columns are extracted from
 * the JSON at each read: correct, but slower until `rebuild` rewrites the files.
 */
export function rowsOf(table: Table, files: readonly CurrentFile[], { virtual = [], home }: RowsOptions = {}): string {
  const columns = lakeColumns(table);
  const given = columns.map(({ name, type }) =>
    // Text in the files (json-columns.ts).
    type === 'JSON' ? `${sqlName(name)}::json as ${sqlName(name)}` : sqlName(name),
  );
  const names = [...given, ...virtual.map(sqlName)].join(', ');
  const current = promotionKey(table.promoted);
  const [fresh, old] = [
    files.filter(({ promotion }) => promotion === current),
    files.filter(({ promotion }) => promotion !== current),
  ];
  const tenant = hiveTenantSql(new Set(files.map((file) => file.tenant)));
  const selects: string[] = [];
  if (fresh.length > 0) selects.push(`select ${tenant}, month, ${names} from ${parquetFiles(fresh, home)}`);
  if (old.length > 0)
    selects.push(
      `select ${tenant}, month, ${names} from (${promotedSql(table, `from ${parquetFiles(old, home)}`, [...HIVE_KEYS, ...virtual])})`,
    );
  if (selects.length > 0) return selects.join(' union all ');
  const typed = [...columns, ...virtual.map((name) => ({ name, type: 'varchar' }))]
    .map(({ name, type }) => `null::${type} as ${sqlName(name)}`)
    .join(', ');
  return `select null::varchar as tenant_id, null::varchar as month, ${typed} where false`;
}

/** Where a data directory that was published is now. */
export function movedSql({ dataDir, shard }: Home): string {
  const variables = [...(shard ? [folderVariable(shard)] : []), FOLDER_VARIABLE];
  return `coalesce(${variables.map((name) => `getvariable('${name}')`).join(', ')}, ${sqlText(dataDir)})`;
}

function parquetFiles(files: readonly CurrentFile[], home: Home | undefined): string {
  const list = `[${files.map(({ file }) => sqlText(home === undefined ? file : file.slice(home.dataDir.length))).join(', ')}]`;
  // The engine computes the list once per statement; an expression for each file would take ten times as long.
  const paths = home === undefined ? list : `list_transform(${list}, lambda file: ${movedSql(home)} || file)`;
  return `read_parquet(${paths}, hive_partitioning = true, hive_types = {'tenant_id': varchar, 'month': varchar})`;
}
