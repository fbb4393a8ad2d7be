import { DuckDBInstance } from '@duckdb/node-api';
import type { DuckDBConnection, Json } from '@duckdb/node-api';
import { loadKql } from '../../kql/compile.ts';
import type { CompiledQuery, CompileContext, KqlScalarType } from '../../kql/compile.ts';
import { KQL_MACROS } from '../../kql/macros.ts';

/** 2026-07-03T00:00:00.1234567Z */
export const NOW_TICKS = 17_830_368_001_234_567n;

export interface Engine extends AsyncDisposable {
  readonly connection: DuckDBConnection;
  compile(query: string, context?: Partial<CompileContext>): CompiledQuery;
  /** The rows of a query. Each value is in the engine's text form, null is null. */
  run(query: string, context?: Partial<CompileContext>): Promise<Answer>;
}

export interface Answer {
  readonly columns: CompiledQuery['columns'];
  readonly rows: (string | null)[][];
}

/** A DuckDB in memory with the macros and three small tables, which `setup` can fill. */
export async function openEngine(setup = ''): Promise<Engine> {
  const instance = await DuckDBInstance.create(':memory:', { threads: '1' });
  const connection = await instance.connect();
  await connection.run(KQL_MACROS);
  for (const [table, id, type] of [
    ['Events', 'eventId', 'eventType'],
    ['Logs', 'eventId', 'eventType'],
  ] as const) {
    await connection.run(
      `create table "${table}" ("${id}" varchar, "timestamp" bigint, "tenantId" varchar, "${type}" varchar, "operationId" varchar, "properties" varchar)`,
    );
  }
  await connection.run(
    'create table "Metrics" ("metricId" varchar, "tenantId" varchar, "metricType" varchar, "value" varchar, "properties" varchar, "timestamp" bigint)',
  );
  if (setup !== '') await connection.run(setup);
  const kql = loadKql();
  const relations = { Logs: '"Logs"', Events: '"Events"', Metrics: '"Metrics"' };
  const compile = (query: string, context: Partial<CompileContext> = {}): CompiledQuery =>
    kql(query, { nowTicks: NOW_TICKS, parameters: {}, relations, ...context });
  return {
    connection,
    compile,
    run: async (query, context) => {
      const { sql, columns } = compile(query, context);
      const names = columns.map((_, index) => `c${index}`);
      const shaped = columns.map((column, index) => `${asText(`c${index}`, column.type)} as t${index}`);
      const body = columns.length > 0 ? `select ${shaped.join(', ')} from (${sql}) answer(${names.join(', ')})` : sql;
      const reader = await connection.runAndReadAll(body);
      return { columns, rows: reader.getRowsJson().map((row) => row.map(cell)) };
    },
    [Symbol.asyncDispose]: () => {
      connection.closeSync();
      instance.closeSync();
      return Promise.resolve();
    },
  };
}

function asText(sql: string, type: KqlScalarType): string {
  if (type === 'datetime' || type === 'timespan') return `kql_${type}_text(${sql})`;
  return type === 'real' ? `kql_real_text(${sql})` : `(${sql})::varchar`;
}

function cell(value: Json): string | null {
  if (value === null || typeof value === 'string') return value;
  return JSON.stringify(value);
}
