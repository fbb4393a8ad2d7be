/**
 * `npm run bench -- --rows 1000000`: a first load against the sandbox, as a whole process. Prints seconds, rows a second,
 * peak memory, calls against the fewest possible, and what DuckDB alone needs for the same landed bytes.
 */
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { DuckDBInstance } from '@duckdb/node-api';
import { cli, options, scratch, startSandbox, tenantEnv } from './harness.mjs';

const wanted = options({
  rows: 1_000_000,
  days: 30,
  seed: 1,
  shape: 'wallet',
  'row-cap': 0,
  'max-rows': 0,
  floor: 'yes',
});
const NOW = '2026-11-01T00:00:00Z';

/** The least that any loader could do: read the landed lines, cast, sort, write one Parquet file. */
async function floorSeconds(dataDir) {
  const files = [];
  for (const entry of await readdir(join(dataDir, 'kept'), { recursive: true })) {
    if (entry.endsWith('.ndjson') && entry.includes('Events')) files.push(join(dataDir, 'kept', entry));
  }
  const db = await DuckDBInstance.create(':memory:', { memory_limit: '4GB' });
  const connection = await db.connect();
  await connection.run("set TimeZone = 'UTC'; set preserve_insertion_order = false");
  const started = performance.now();
  await connection.run(`
    copy (
      select lower(r[1]) as event_id, try_cast(r[2] as timestamptz) as timestamp, r[4] as event_type, r[5] as operation_id, try_cast(r[6] as json) as properties
      from (
        select json_extract_string(line, ['$[0]', '$[1]', '$[2]', '$[3]', '$[4]', '$[5]']) as r
        from read_csv([${files.map((file) => `'${file}'`).join(', ')}], header = false, delim = '\\x01', quote = '', escape = '',
          auto_detect = false, columns = {line: 'VARCHAR'}, max_line_size = 4000000)
        where not starts_with(line, '#')
      )
      order by event_type, timestamp
    ) to '${join(dataDir, 'floor.parquet')}' (compression zstd)`);
  const seconds = (performance.now() - started) / 1000;
  connection.closeSync();
  db.closeSync();
  return seconds;
}

const place = await scratch('bench');
const sandbox = await startSandbox(
  '--rows',
  wanted.rows,
  '--days',
  wanted.days,
  '--seed',
  wanted.seed,
  '--shape',
  wanted.shape,
  '--tenants',
  'demo',
  '--now',
  NOW,
  '--rate',
  0,
  ...(wanted['row-cap'] ? ['--row-cap', wanted['row-cap']] : []),
);
try {
  const dataDir = join(place.folder, 'data');
  const env = tenantEnv(sandbox.url, dataDir, 'demo', {
    ...(wanted['max-rows'] ? { INSIGHTS_PAGE_MAX_ROWS: String(wanted['max-rows']) } : {}),
    ...(wanted.floor === 'yes' ? { INSIGHTS_LANDING_KEEP: 'true' } : {}),
  });
  const first = await cli(['run', '--json'], { env });
  if (first.code !== 0) throw new Error(`run ended with ${first.code}\n${first.err}\n${first.out}`);
  const report = first.json;
  let rows = 0;
  console.log('table    rows       calls  pages  fewest  hours verified/partial/open');
  for (const table of report.tables) {
    rows += table.rowsFetched;
    const cap = wanted['max-rows'] || wanted['row-cap'] || 500_000;
    const fewest = Math.max(Math.ceil(table.rowsFetched / cap), Math.ceil(table.bytes / 60_000_000));
    console.log(
      `${table.table.padEnd(8)} ${String(table.rowsFetched).padEnd(10)} ${String(table.calls).padEnd(6)} ${String(table.pages).padEnd(6)} ` +
        `${String(fewest).padEnd(7)} ${table.hours.verified}/${table.hours.partial}/${table.hours.open}  ${JSON.stringify(table.seconds)}`,
    );
  }
  console.log(
    `first load: ${rows} rows in ${report.seconds.toFixed(1)} s (whole process ${first.seconds.toFixed(1)} s), ` +
      `${Math.round(rows / report.seconds)} rows/s, peak RSS ${Math.round(report.peakRssBytes / 2 ** 20)} MB`,
  );
  const again = await cli(['run', '--json'], { env });
  const calls = again.json.tables.map((table) => `${table.table} ${table.calls}`).join(', ');
  console.log(
    `second run: ${again.seconds.toFixed(1)} s, calls ${calls}, changed ${again.json.tables.some((table) => table.changed)}`,
  );
  if (wanted.floor === 'yes')
    console.log(`DuckDB alone, landed Events to one sorted file: ${(await floorSeconds(dataDir)).toFixed(1)} s`);
} finally {
  await sandbox.stop();
  await place.remove();
}
