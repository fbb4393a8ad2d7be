/**
 * How fast DuckDB answers from a published lake: a report over the Parquet files and over native tables with the same rows, and a question
 * over promoted columns and over the JSON that they come from. Each pair must have the same answer.
 */
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { DuckDBInstance } from '@duckdb/node-api';
import { median } from './median.mjs';

const report = fileURLToPath(new URL('../../queries/kpi/installs.sql', import.meta.url));
const DEFAULTS = { tenant: null, zone: 'UTC', grain: 'day', week_start: 'monday', pass_type: null, platform: null, from: null, to: null }; // oxfmt-ignore
const RUNS = 5;

/** Events and passes of each type of pass. */
const perType = (passType, pass) => `
  select ${passType} as pass_type, count(*) as events, count(distinct ${pass}) as passes
  from events where ${pass} is not null group by all order by all`;
const QUESTIONS = {
  columns: perType('pass_type', 'pass_id'),
  json: perType(`properties ->> '$.passType'`, `properties ->> '$.passId'`),
};

/** Seconds of each way to ask, the median of five runs after one to warm up. */
export async function kpiSeconds(dataDir) {
  const folder = await mkdtemp(join(tmpdir(), 'insights-kpi-'));
  const db = await DuckDBInstance.create(':memory:', { memory_limit: '4GB' });
  const connection = await db.connect();
  try {
    const installs = await readFile(report, 'utf8');
    // As the program's own reader (src/query/reader.ts).
    await connection.run(
      `set TimeZone = 'UTC'; set asof_loop_join_threshold = 0; attach '${join(dataDir, 'insights.duckdb')}' as lake (read_only)`,
    );
    await connection.run(`attach '${join(folder, 'native.duckdb')}' as native; copy from database lake to native`);
    for (const table of ['events', 'logs', 'metrics'])
      await connection.run(`drop view native.${table}; create table native.${table} as from lake.${table}`);
    const time = async (place, sql, values) => {
      await connection.run(`use ${place}`);
      const seconds = [];
      let answer;
      for (let run = 0; run <= RUNS; run++) {
        const started = performance.now();
        answer = JSON.stringify((await connection.runAndReadAll(sql, values)).getRowsJson());
        if (run > 0) seconds.push((performance.now() - started) / 1000);
      }
      return { seconds: median(seconds), answer };
    };
    const lake = await time('lake', installs, DEFAULTS);
    const native = await time('native', installs, DEFAULTS);
    const columns = await time('lake', QUESTIONS.columns);
    const json = await time('lake', QUESTIONS.json);
    if (lake.answer !== native.answer || columns.answer !== json.answer || lake.answer.length < 100)
      throw new Error('Two ways to ask the same have different answers');
    return {
      'installs by day, from the lake': lake.seconds,
      'installs by day, from native tables': native.seconds,
      'passes by type, from promoted columns': columns.seconds,
      'passes by type, from JSON': json.seconds,
    };
  } finally {
    connection.closeSync();
    db.closeSync();
    await rm(folder, { recursive: true, force: true });
  }
}
