/**
 * `npm run bench`: how fast a first load is, next to what bounds it (DuckDB over the same landed lines, the download of the same pages)
 * and to other loaders over the same API. Everything runs once to warm up and then in turns, so that what the machine does
 * meanwhile hits all alike. Prints a table and writes it as JSON.
 *
 *   --quick           100,000 rows, 3 rounds (under 3 minutes without --peers)
 *   --rows, --days, --rounds, --seed
 *   --peers FOLDER    also other loaders, from a virtual environment that is made there
 *   --out FILE        the JSON (data/bench.json)
 *   --write           docs/performance.json and docs/performance.md from these figures
 */
import { mkdir, readFile, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { cpus, totalmem } from 'node:os';
import { dirname, join } from 'node:path';
import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { DuckDBInstance } from '@duckdb/node-api';
import { bareSeconds } from './bare.mjs';
import { CLI, cli, scratch, startSandbox, tenantEnv } from './harness.mjs';
import { kpiSeconds } from './kpi-speed.mjs';
import { measured } from './measured.mjs';
import { mistakesOf, parquetBelow } from './mistakes.mjs';
import { document, linesOfCode, mistakesTable, table } from './performance.mjs';
import { startReplay } from './replay.mjs';

const root = fileURLToPath(new URL('../..', import.meta.url));
const { values: given } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    rows: { type: 'string' },
    days: { type: 'string', default: '30' },
    rounds: { type: 'string' },
    seed: { type: 'string', default: '1' },
    peers: { type: 'string' },
    out: { type: 'string', default: join(root, 'data', 'bench.json') },
    write: { type: 'boolean', default: false },
  },
});
const wanted = {
  rows: Number(given.rows ?? (given.quick ? 100_000 : 1_000_000)),
  days: Number(given.days),
  rounds: Number(given.rounds ?? (given.quick ? 3 : 5)),
  seed: Number(given.seed),
};
/** The most rows, and the most bytes of rows, that an answer holds (the sandbox's defaults, and the engine's). */
const [ROW_CAP, BYTE_CAP] = [500_000, 64 * 1024 * 1024];
const NOW = '2026-11-01T00:00:00Z';
/** From landed pages to files that are recorded with their proof, as the report of a run calls the steps. */
const LOAD_STEPS = ['stage', 'compare', 'write', 'readBack', 'record', 'verify'];
const PEERS = [
  { name: 'dlt with rows', script: 'dlt_rows.py' },
  { name: 'dlt with Arrow tables', script: 'dlt_arrow.py' },
  { name: 'a Python script with DuckDB', script: 'script.py' },
];
const from = new Date(Date.parse(NOW) - wanted.days * 86_400_000).toISOString().slice(0, 10);

const place = await scratch('bench');
const sandbox = await startSandbox('--rows', wanted.rows, '--days', wanted.days, '--seed', wanted.seed, '--tenants', 'demo', '--now', NOW, '--frozen', '--rate', 0); // oxfmt-ignore
const answers = join(place.folder, 'answers');
await mkdir(answers);
const replay = await startReplay(sandbox.url, answers);
try {
  const kept = join(place.folder, 'kept');
  const subjects = await subjectsOf(kept);
  const figures = Object.fromEntries(subjects.map(({ name }) => [name, []]));
  for (let round = 0; round <= wanted.rounds; round++) {
    for (const { name, run } of subjects) {
      const folder = join(place.folder, 'work');
      await mkdir(folder);
      replay.reset();
      const figure = { ...(await run(folder)), calls: replay.seen.calls, forwarded: replay.seen.forwarded };
      process.stderr.write(`${round === 0 ? 'warm-up' : `round ${round}`}  ${name}: ${figure.seconds.toFixed(2)} s\n`);
      // The first time, answers come from the sandbox.
      if (round > 0) figures[name].push(figure);
      await rm(folder, { recursive: true });
    }
    const answers = Object.entries(await kpiSeconds(kept));
    if (round > 0) for (const [name, seconds] of answers) (figures[name] ??= []).push({ seconds });
  }
  const mistakes = given.peers === undefined ? undefined : await mistakesOf(loaders(), place.folder);
  const result = { machine: machine(), settings: wanted, figures, ...(mistakes === undefined ? {} : { lines: await lines(), mistakes }) }; // oxfmt-ignore
  console.log(table(result));
  if (mistakes !== undefined) console.log(`\n${mistakesTable(result)}`);
  await mkdir(dirname(given.out), { recursive: true });
  await writeFile(given.out, `${JSON.stringify(result, null, 2)}\n`);
  if (given.write) {
    await writeFile(join(root, 'docs', 'performance.json'), `${JSON.stringify(result, null, 2)}\n`);
    await writeFile(join(root, 'docs', 'performance.md'), document(result));
    execFileSync(join(root, 'node_modules', '.bin', 'oxfmt'), ['performance.json', 'performance.md'].map((name) => join(root, 'docs', name))); // oxfmt-ignore
  }
} finally {
  await replay.stop();
  await sandbox.stop();
  await place.remove();
}

/** What is measured, in the order of a round. */
async function subjectsOf(kept) {
  const queries = [];
  const ours = (more) => async (folder) => {
    const dataDir = join(folder, 'data');
    const env = { ...tenantEnv(replay.url, dataDir), INSIGHTS_START: from, ...more };
    const run = await measured(process.execPath, [CLI, 'run', '--json'], env);
    const report = JSON.parse(run.out);
    const rows = report.tables.reduce((sum, each) => sum + each.rowsFetched, 0);
    const total = (callsOf) => report.tables.reduce((sum, each) => sum + callsOf(each), 0);
    const byRows = ({ rowsFetched }) => Math.ceil(rowsFetched / ROW_CAP);
    const fewestByRows = total(byRows);
    // One call asks what there is to fetch, and an answer is full at whichever cap it meets first.
    const fewest = total((each) => 1 + Math.max(byRows(each), Math.ceil(each.bytes / BYTE_CAP)));
    const events = report.tables.find(({ table: name }) => name === 'Events').seconds;
    const loadSeconds = LOAD_STEPS.reduce((sum, step) => sum + (events[step] ?? 0), 0);
    return { ...seen(run), loadSeconds, rows, fewest, fewestByRows, bytes: await bytesBelow(join(dataDir, 'store')) };
  };
  // The pages that bare DuckDB reads, and the queries whose answers are downloaded, are those of a load of ours.
  const first = {
    ...tenantEnv(replay.url, kept),
    INSIGHTS_START: from,
    INSIGHTS_LANDING_KEEP: 'true',
    INSIGHTS_LAKE_MARTS: 'false',
  };
  replay.onCall = (url, body) => queries.push({ url, body });
  const { code, err } = await cli(['run', '--quiet'], { env: first });
  replay.onCall = undefined;
  if (code !== 0) throw new Error(`The load for the bounds ended with ${code}\n${err}`);
  const bareForm = (form) => async () => ({ seconds: await bareSeconds(join(kept, 'kept'), form) });
  const subjects = [
    { name: 'ours', run: ours({}) },
    {
      name: 'ours, without marts and checks',
      run: ours({ INSIGHTS_LAKE_MARTS: 'false', INSIGHTS_LAKE_CHECKS: 'false' }),
    },
    { name: 'download only', run: () => download(queries) },
    { name: 'bare DuckDB, Events to one sorted file', run: bareForm('oneFile') },
    { name: 'bare DuckDB, Events to the same files', run: bareForm('sameFiles') },
  ];
  if (given.peers === undefined) return subjects;
  execFileSync(join(root, 'test/bench/peers/environment'), [given.peers], { stdio: 'inherit' });
  const peer = ({ name, script }) => ({
    name,
    run: async (folder) => {
      const run = await runPeer(script, { url: replay.url, folder, from, to: NOW.slice(0, 10) });
      return {
        ...seen(run),
        rows: await rowsBelow(join(folder, 'lake')),
        bytes: await bytesBelow(join(folder, 'lake'), '.parquet'),
      };
    },
  });
  return [...subjects, ...PEERS.map(peer)];
}

async function runPeer(script, { url, folder, from, to }) {
  const env = {
    BENCH_URL: url,
    BENCH_FROM: from,
    BENCH_TO: to,
    PYTHONDONTWRITEBYTECODE: '1',
    RUNTIME__DLTHUB_TELEMETRY: 'false',
  };
  return measured(join(given.peers, 'bin', 'python'), [join(root, 'test/bench/peers', script), folder], env);
}

/** Lines that the user of each loader writes. The queries of a day and the names of the columns are the same for all peers. */
async function lines() {
  const of = async (script) => linesOfCode(await readFile(join(root, 'test/bench/peers', script), 'utf8'));
  const shared = await of('source.py');
  const each = PEERS.map(async ({ name, script }) => [name, shared + (await of(script))]);
  return { ours: 0, ...Object.fromEntries(await Promise.all(each)) };
}

/** Whose mistakes are counted. */
function loaders() {
  const ours = async ({ url, folder }) => {
    const { code, err } = await cli(['run', '--quiet'], {
      env: { ...tenantEnv(url, join(folder, 'lake')), INSIGHTS_START: '2026-10-01' },
    });
    if (code !== 0) throw new Error(err);
  };
  return [
    { name: 'ours', run: ours, files: (folder) => parquetBelow(folder, /lake.lake.events./) },
    ...PEERS.map(({ name, script }) => ({
      name,
      run: (night) => runPeer(script, night),
      files: (folder) => parquetBelow(join(folder, 'lake'), /(^|[\\/])events([\\/]|\.parquet$)/),
    })),
  ];
}

function seen({ seconds, cpuSeconds, peakMB }) {
  return { seconds, cpuSeconds, peakMB };
}

/** Four at a time, like the program, and thrown away. */
async function download(queries) {
  const started = performance.now();
  const left = [...queries];
  const worker = async () => {
    for (let next = left.shift(); next !== undefined; next = left.shift()) {
      const headers = { 'content-type': 'application/json', 'x-api-key': 'sandbox-demo' };
      const answer = await fetch(`${replay.url}${next.url}`, { method: 'POST', headers, body: next.body });
      for await (const part of answer.body) void part;
    }
  };
  await Promise.all(Array.from({ length: 4 }, worker));
  return { seconds: (performance.now() - started) / 1000 };
}

async function bytesBelow(folder, suffix = '') {
  let bytes = 0;
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true }))
    if (entry.isFile() && entry.name.endsWith(suffix)) bytes += (await stat(join(entry.parentPath, entry.name))).size;
  return bytes;
}

/** Rows of the three tables in a peer's Parquet files: a peer that lost some would look fast. */
async function rowsBelow(folder) {
  const db = await DuckDBInstance.create(':memory:');
  const connection = await db.connect();
  const files = (await readdir(folder, { recursive: true }))
    .filter((name) => name.endsWith('.parquet') && !name.includes('_dlt_'))
    .map((name) => `'${join(folder, name)}'`);
  const [row] = (await connection.runAndReadAll(`select count(*)::double as n from read_parquet([${files.join(', ')}], union_by_name = true)`)).getRowObjects(); // oxfmt-ignore
  connection.closeSync();
  db.closeSync();
  return row.n;
}

function machine() {
  const git = (...args) => execFileSync('git', args, { cwd: root, encoding: 'utf8' }).trim();
  return {
    at: new Date().toISOString(),
    commit: git('rev-parse', '--short', 'HEAD'),
    node: process.version,
    processor: cpus()[0]?.model.trim() ?? 'unknown',
    cores: cpus().length,
    memoryGB: Math.round(totalmem() / 1e9),
  };
}
