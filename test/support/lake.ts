/** A published lake written by hand: Parquet files and a catalogue with the views that readers rely on. */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { DuckDBInstance } from '@duckdb/node-api';
import { TABLES } from '../../src/model/tables.ts';
import { promotedSql } from '../../src/transform/promote.ts';

/** `time | type | properties` or `hour | state`, one a line; times are UTC. */
export interface HandMadeLake {
  readonly events?: string;
  readonly logs?: string;
  readonly coverage?: string;
}

const HAPPENING = `event_id varchar, timestamp timestamptz, source_tenant_id varchar, event_type varchar, operation_id varchar, properties json, tenant_id varchar, month varchar`;
const COVERAGE = `tenant_id varchar, table_name varchar, hour timestamptz, state varchar, grade varchar, source_rows bigint, lake_rows bigint, duplicate_rows bigint, quarantined_rows bigint, verified_at timestamptz`;

function cells(text: string | undefined): string[][] {
  const lines = (text ?? '').split('\n').map((line) => line.trim());
  return lines.filter((line) => line !== '').map((line) => line.split('|').map((cell) => cell.trim()));
}

/** Writes the lake into a data directory; all rows belong to tenant "demo" unless a fourth cell names another. */
export async function writeLake(dataDir: string, lake: HandMadeLake): Promise<void> {
  await mkdir(join(dataDir, 'store'), { recursive: true });
  const instance = await DuckDBInstance.create(join(dataDir, 'insights.duckdb'));
  const connection = await instance.connect();
  await connection.run("set TimeZone = 'UTC'");
  for (const [table, definition] of [
    ['events', TABLES.Events],
    ['logs', TABLES.Logs],
  ] as const) {
    // oxfmt-ignore
    const file = join(dataDir, 'store', `${table}.parquet`);
    await connection.run(`create temp table rows_of_${table} (${HAPPENING})`);
    for (const [index, [time = '', type = '', properties = '{}', tenant = 'demo']] of cells(lake[table]).entries())
      await connection.run(
        `insert into rows_of_${table} values ($1, $2::timestamptz, 'internal', $3, '', $4::json, $5, left($2, 7))`,
        [`id-${String(index).padStart(4, '0')}`, time, type, properties, tenant],
      );
    await connection.run(`copy rows_of_${table} to '${file}'`);
    await connection.run(
      `create view ${table} as ${promotedSql(definition, `from read_parquet(['${file}'])`, ['tenant_id', 'month'])}`,
    );
  }
  await connection.run(`create table coverage (${COVERAGE})`);
  for (const [hour = '', state = '', table = 'events', tenant = 'demo'] of cells(lake.coverage))
    await connection.run(`insert into coverage values ($1, $2, $3::timestamptz, $4, 'checksum', 1, 1, 0, 0, null)`, [
      tenant,
      table,
      hour,
      state,
    ]);
  connection.closeSync();
  instance.closeSync();
}
