/** A published lake of plain rows, and reports on it through the reader that commands use. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DuckDBInstance, type Json } from '@duckdb/node-api';
import { openReader } from '../../../../src/query/reader.ts';
import { reportStatement } from '../../../../src/query/compare.ts';
import { findReport, parameterValues } from '../../../../src/query/report.ts';
import { prepareReport } from '../../../../src/query/split.ts';
import { TABLES, type TableName } from '../../../../src/model/tables.ts';
import { promotedSql } from '../../../../src/transform/promote.ts';

export interface Happening {
  readonly table: 'events' | 'logs';
  readonly tenant: string;
  readonly time: string;
  readonly type: string;
  /** JSON text. */
  readonly properties: string;
  readonly id: string;
  /** The tenant in the row itself, if it is not the usual one. */
  readonly source?: string;
  /** The month of the folder with the row, if it is not the row's own month. */
  readonly month?: string;
}

export interface Metric {
  readonly tenant: string;
  readonly time: string;
  readonly type: string;
  /** JSON text. */
  readonly value: string;
  readonly properties: string;
}

/** Every hour of `[from, to)` in one state. */
export interface Coverage {
  readonly tenant: string;
  readonly table: string;
  readonly from: string;
  readonly to: string;
  readonly state: string;
  /** Rows that each hour was verified with; by default those that it has. */
  readonly proven?: number;
}

/** Relative days of reports count from here. */
const NOW = Date.UTC(2026, 5, 15, 12);

export interface LakeRows {
  readonly happenings: readonly Happening[];
  readonly metrics: readonly Metric[];
  readonly coverage: readonly Coverage[];
}

export interface Lake extends AsyncDisposable {
  /** Runs a report of `queries/kpi/`; parameters as words `name=value`. */
  ask(report: string, words: readonly string[]): Promise<Record<string, Json>[]>;
  /** Runs any select. */
  select(sql: string, parameters?: Readonly<Record<string, string | null>>): Promise<Record<string, Json>[]>;
  readonly folder: string;
}

const HAPPENING = `
  select id as event_id, time::timestamptz as timestamp, coalesce(source, 'internal') as source_tenant_id, type as event_type, '' as operation_id,
    properties::json as properties, tenant as tenant_id, coalesce(month, left(time, 7)) as month`;
const ROWS = `read_json($1, format = 'newline_delimited', columns =
  {"table": varchar, tenant: varchar, time: varchar, type: varchar, properties: varchar, id: varchar, value: varchar, "from": varchar, "to": varchar, state: varchar, source: varchar, month: varchar, proven: bigint})`;

/** Rows as the source gives them, with the lake's promoted columns. */
function promoted(table: TableName, rows: string): string {
  return promotedSql(TABLES[table], `from (${rows})`, ['tenant_id', 'month']);
}

/** Statements that make the catalogue's views and tables as tables; `$1` is a file of the rows, one JSON object a line. */
const STATEMENTS = [
  `create table given as from ${ROWS}`,
  `create table events as ${promoted('Events', `${HAPPENING} from given where "table" = 'events' and id is not null`)}`,
  `create table logs as ${promoted('Logs', `${HAPPENING} from given where "table" = 'logs' and id is not null`)}`,
  `create table metrics as ${promoted(
    'Metrics',
    `
     select md5(concat(tenant, time, type, properties)) as metric_id, time::timestamptz as timestamp, 'internal' as source_tenant_id,
       type as metric_type, value::json as value, lower(json_type(value)) as value_type, try_cast(value as double) as value_number,
       properties::json as properties, tenant as tenant_id, left(time, 7) as month
     from given where value is not null`,
  )}`,
  `create table held as
     select tenant_id, 'events' as table_name, timestamp from events
     union all select tenant_id, 'logs', timestamp from logs
     union all select tenant_id, 'metrics', timestamp from metrics`,
  `create table coverage as
     with hours as (
       select tenant as tenant_id, "table" as table_name, state, proven,
         unnest(generate_series("from"::timestamptz, "to"::timestamptz - interval '1 second', interval '1 hour')) as hour
       from given where state is not null
     ),
     counted as (select tenant_id, table_name, date_trunc('hour', timestamp) as hour, count(*) as n from held group by all)
     select tenant_id, table_name, hour, state, 'checksum' as grade, coalesce(n, 0) as source_rows, coalesce(proven, n, 0) as lake_rows,
       0::bigint as duplicate_rows, 0::bigint as quarantined_rows, null::timestamptz as verified_at
     from hours left join counted using (tenant_id, table_name, hour)`,
  `create table history_limits (tenant_id varchar, table_name varchar, compared_from timestamptz)`,
  `create table lake_files as
     select tenant_id, table_name, strftime(timestamp, '%Y-%m-%d') as period, min(timestamp) as min_timestamp, max(timestamp) as max_timestamp
     from held group by all`,
  `create table snapshot as select 1::bigint as snapshot, '2026-05-01T00:00:00Z'::timestamptz as published_at`,
  'drop table given',
  'drop table held',
];

/** Writes a catalogue in a scratch folder and opens it; disposing removes both. */
export async function openLake({ happenings, metrics, coverage }: LakeRows, threads = 1): Promise<Lake> {
  const folder = await mkdtemp(join(tmpdir(), 'insights-kpi-'));
  const file = join(folder, 'rows.ndjson');
  const rows = [...happenings, ...metrics, ...coverage];
  // An empty line, so that a lake without rows works too.
  await writeFile(file, ['{}', ...rows.map((row) => JSON.stringify(row))].join('\n'));
  const instance = await DuckDBInstance.create(join(folder, 'insights.duckdb'), { threads: '1' });
  const connection = await instance.connect();
  await connection.run("set TimeZone = 'UTC'");
  for (const statement of STATEMENTS) await connection.run(statement.replace('$1', `'${file}'`));
  connection.closeSync();
  instance.closeSync();
  const reader = await openReader(folder, { threads, memoryLimit: '512MB' });
  const objects = async (sql: string, parameters = {}): Promise<Record<string, Json>[]> => {
    const { columns, batches } = await reader.query(sql, parameters);
    const found: Record<string, Json>[] = [];
    for await (const batch of batches())
      for (const row of batch)
        found.push(Object.fromEntries(columns.map(({ name }, index) => [name, row[index] ?? null])));
    return found;
  };
  return {
    ask: async (name, words) => {
      const report = await findReport(name);
      const values = parameterValues(report, words, { nowMs: NOW });
      const prepared = await prepareReport(reader, report, values, '--param');
      const { sql, parameters } = await reportStatement(reader, report, prepared, words, NOW);
      return objects(sql, parameters);
    },
    select: objects,
    folder,
    [Symbol.asyncDispose]: async () => {
      await reader[Symbol.asyncDispose]();
      await rm(folder, { recursive: true, force: true });
    },
  };
}
