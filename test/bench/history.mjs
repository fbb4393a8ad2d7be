/**
 * `npm run history -- --rows 50000000 --days 1826 --tenants 1`: what a long history, or many tenants, cost a night and a reader. Loads the
 * lake, lets `--new` rows of the next day and `--late` rows of the month before it arrive, and measures what follows. The night runs twice
 * from the same state: the second time its answers come from files, so only the local part is left. `--rows` are those of all tenants.
 * `--write` adds the result to docs/history.json and the table in docs/scale.md.
 */
import { cp, mkdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { DuckDBInstance } from '@duckdb/node-api';
import { CLI, machine, scratch, startSandbox } from './harness.mjs';
import { historyTable } from './history-page.mjs';
import { measured } from './measured.mjs';
import { startReplay } from './replay.mjs';
import { fillPart } from './scale-page.mjs';

const { values: given } = parseArgs({
  options: {
    rows: { type: 'string', default: '1000000' },
    days: { type: 'string', default: '1826' },
    tenants: { type: 'string', default: '1' },
    new: { type: 'string', default: '100000' },
    late: { type: 'string', default: '500' },
    write: { type: 'boolean', default: false },
  },
});
const [rows, days, tenants] = [given.rows, given.days, given.tenants].map(Number);
const NOW = '2026-11-25T00:30:00Z';
const start = new Date(Date.parse(NOW) - days * 86_400_000).toISOString().slice(0, 10);
const ids = Array.from({ length: tenants }, (_, nth) => `t${String(nth).padStart(4, '0')}`);
const keys = Object.fromEntries(ids.map((id) => [`KEY_${id}`, `sandbox-${id}`]));

const place = await scratch('history');
const [data, answers, config] = ['data', 'answers', 'insights.json'].map((name) => join(place.folder, name));
await mkdir(answers);
await mkdir(data);
const sandbox = await startSandbox('--rows', Math.ceil(rows / tenants), '--days', days, '--tenants', ids.join(','), '--now', NOW, '--frozen', '--rate', 0, '--logs-days', days, '--memory-limit', '4GB'); // oxfmt-ignore
const replay = await startReplay(sandbox.url, answers);
try {
  const keyed = ids.map((id) => ({ id, apiKey: { env: `KEY_${id}` } }));
  await writeFile(config, JSON.stringify({ baseUrl: replay.url, dataDir: data, start, callsPerMinute: 0, tenants: keyed })); // oxfmt-ignore
  const result = { shape: { rows, days, tenants, new: Number(given.new), late: Number(given.late) } };
  result.first = step('first load', await run());
  await forget();
  result.idle = step('nothing new', await run());
  await arrive();
  await forget();
  const before = join(place.folder, 'before');
  await cp(data, before, { recursive: true, preserveTimestamps: true });
  result.night = step('night', await run());
  await rm(data, { recursive: true });
  await rename(before, data);
  result.local = step('night, its answers from files', await run());
  const [first] = ids;
  for (const [name, args] of Object.entries({
    kpi: ['query', 'installs', '--param', 'grain=month', '--json'],
    kpiOfTenant: ['query', 'installs', '--param', 'grain=month', '--param', `tenant=${first}`, '--json'],
    status: ['status', '--json'],
    verify: ['verify', '--json'],
  }))
    result[name] = step(name, await measured(process.execPath, [CLI, ...args, '--config', config], keys));
  result.opened = step('catalogue opened and counted', await inDuckDB('from events'));
  result.glob = step('plain glob counted', await inDuckDB(`from read_parquet('${join(data, 'lake', 'events', 'v*', 'tenant_id=*', 'month=*', '*.parquet')}', hive_partitioning = true, union_by_name = true)`)); // oxfmt-ignore
  Object.assign(result, await sizes());
  console.log(JSON.stringify(result));
  if (given.write) await write(result);
} finally {
  await replay.stop();
  await sandbox.stop();
  await place.remove();
}

/** Without what the program printed. */
function step(name, measurement) {
  const figures = { ...measurement };
  delete figures.out;
  process.stderr.write(`${name}: ${JSON.stringify(figures)}\n`);
  return figures;
}

/** The source has changed, or is about to: from now on it answers itself again. */
async function forget() {
  await rm(answers, { recursive: true });
  await mkdir(answers);
}

async function run() {
  const { out, ...figures } = await measured(process.execPath, [CLI, 'run', '--json', '--config', config], keys);
  const { tables } = JSON.parse(out);
  const sum = (name) => tables.reduce((total, table) => total + table[name], 0);
  return { ...figures, calls: sum('calls'), rows: sum('rowsFetched') };
}

/** Rows of the day that begins, and late rows of the month before it. */
async function arrive() {
  const at = (offset) => new Date(Date.parse(NOW.slice(0, 10)) + offset * 86_400_000).toISOString();
  for (const [nth, tenant] of ids.entries()) {
    const share = (count) => Math.floor((count * (nth + 1)) / tenants) - Math.floor((count * nth) / tenants);
    const generate = (count, from, to, seed) => count > 0 && sandbox.admin('/generate', { table: 'Events', tenant, rows: count, from, to, seed }); // oxfmt-ignore
    await generate(share(Number(given.new)), at(0), at(1), 2);
    await generate(share(Number(given.late)), at(-30), at(0), 3);
  }
  await sandbox.admin('/clock', { advance: '24h' });
}

/** Seconds from the start of an empty engine to the count. */
async function inDuckDB(from) {
  const started = performance.now();
  const db = await DuckDBInstance.create(':memory:');
  const connection = await db.connect();
  await connection.run(`attach '${join(data, 'insights.duckdb')}' as insights (read_only); use insights`);
  const opened = (performance.now() - started) / 1000;
  const [[count]] = (await connection.runAndReadAll(`select count(*) ${from}`)).getRowsJson();
  connection.closeSync();
  db.closeSync();
  return { seconds: (performance.now() - started) / 1000, opened, rows: Number(count) };
}

async function sizes() {
  const { tables } = JSON.parse(await readFile(join(data, 'manifest.json'), 'utf8'));
  const partitions = Object.values(tables).flatMap(({ tenants: each }) =>
    Object.values(each).flatMap((tenant) => tenant.partitions),
  );
  const bytesOf = async (file) => (await stat(join(data, file))).size;
  return {
    files: partitions.length,
    lakeBytes: partitions.reduce((sum, { bytes }) => sum + bytes, 0),
    ledgerBytes: await bytesOf('state.duckdb'),
    catalogueBytes: await bytesOf('insights.duckdb'),
    manifestBytes: await bytesOf('manifest.json'),
  };
}

async function write(result) {
  const file = 'docs/history.json';
  const known = JSON.parse(await readFile(file, 'utf8').catch(() => '[]'));
  const entry = { at: new Date().toISOString().slice(0, 10), machine: machine(), ...result };
  const isOther = ({ shape }) => ['rows', 'days', 'tenants'].some((name) => shape[name] !== result.shape[name]);
  const all = [...known.filter(isOther), entry].toSorted((a, b) => a.shape.tenants - b.shape.tenants || a.shape.rows - b.shape.rows); // oxfmt-ignore
  await writeFile(file, `${JSON.stringify(all, null, 1)}\n`);
  await fillPart('history', 'npm run history', historyTable(all));
}
