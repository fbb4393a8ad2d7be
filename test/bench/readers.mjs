/**
 * `npm run readers -- --reads 10000 --seed 1`: while runs publish as fast as they can (late rows, erasures and new hours
 * arrive between them, every tenth is the command in a process of its own), three processes read the catalogue, the files of
 * the manifest and the head by glob. Each read must be the content of one published snapshot.
 */
import { spawn } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { DuckDBInstance } from '@duckdb/node-api';
import { pino } from 'pino';
import { cli, options, random, scratch, startSandbox, tenantEnv } from './harness.mjs';
import { loadConfig, runPipeline, systemRuntime } from './modules.mjs';
import { contentSql, filesOf } from './reader.mjs';

const wanted = options({ reads: 10_000, rows: 3000, days: 6, seed: 1 });
const NOW = Date.parse('2026-11-01T00:00:00Z');
const TABLES = ['events', 'logs', 'metrics'];
const place = await scratch('readers');
const dataDir = join(place.folder, 'data');
const sandbox = await startSandbox(
  ...`--rows ${wanted.rows} --days ${wanted.days} --seed ${wanted.seed} --shape even --tenants demo --rate 0`.split(
    ' ',
  ),
  '--now',
  new Date(NOW).toISOString(),
);
const env = tenantEnv(sandbox.url, dataDir);
const config = loadConfig({ file: false, env, cwd: place.folder, flags: { values: {}, names: {} } });
const runtime = systemRuntime(pino({ level: 'silent' }));
const next = random(wanted.seed);

/** Late rows, now and then an erasure, and an hour that passes. */
async function change(n) {
  const ids = Array.from({ length: 20 }, (_, k) => `00000000-0000-4000-8000-${String(n * 100 + k).padStart(12, '0')}`);
  const rows = ids.map((eventId) => ({
    eventId,
    timestamp: new Date(NOW - 3_600_000 - Math.floor(next() * wanted.days * 86_400_000)).toISOString(),
    tenantId: 'demo',
    eventType: 'Pass:Created',
    operationId: '',
    properties: { n },
  }));
  await sandbox.admin('/rows', { table: 'Events', tenant: 'demo', rows });
  if (n % 2 === 0) await sandbox.admin('/rows', { table: 'Logs', tenant: 'demo', rows: rows.slice(0, 5) });
  if (n % 3 === 0 && n > 0) {
    const gone = ids
      .slice(0, 7)
      .map((id) => id.replace(/\d{12}$/, String((n - 1) * 100 + Number(id.slice(-2))).padStart(12, '0')));
    await sandbox.admin('/erase', { table: 'Events', tenant: 'demo', ids: gone });
  }
  if (n % 5 === 0) await sandbox.admin('/clock', { advance: '1h' });
}

/** What the manifest's files hold while nothing runs; its rows must be the source's. */
async function truth() {
  const manifest = JSON.parse(await readFile(join(dataDir, 'manifest.json'), 'utf8'));
  const instance = await DuckDBInstance.create(':memory:', { threads: '1' });
  const connection = await instance.connect();
  const contents = {};
  for (const table of TABLES) {
    const from = filesOf(manifest, dataDir, table);
    const reader = from && (await connection.runAndReadAll(contentSql(table, from)));
    contents[table] = reader ? String(reader.getRows()[0][0]) : '0 0 0';
  }
  connection.closeSync();
  instance.closeSync();
  return { snapshot: manifest.snapshot, contents };
}

async function sourceRows() {
  const counts = await sandbox.admin('/counts');
  return counts.reduce((sum, { rows }) => sum + rows, 0);
}

const truths = new Map();
const reads = { catalogue: [], manifest: [], head: [] };
let [runs, seen] = [0, 0];
async function publishOnce() {
  await change(runs);
  const done = runs % 10 === 9 ? (await cli(['run', '--json'], { env })).code : (await runPipeline(config, {}, runtime, new AbortController().signal)).exitCode; // oxfmt-ignore
  if (done !== 0) throw new Error(`run ${runs} ended with ${done}`);
  const { snapshot, contents } = await truth();
  truths.set(snapshot, contents);
  const lake = TABLES.reduce((sum, table) => sum + Number(contents[table].split(' ')[0]), 0);
  // Rows of the hours that have not settled are the next run's.
  const source = await sourceRows();
  if (lake > source || source - lake > 100) throw new Error(`snapshot ${snapshot} holds ${lake} rows of ${source}`);
  runs++;
}

function startReader(kind) {
  const script = fileURLToPath(new URL('reader.mjs', import.meta.url));
  const child = spawn(process.execPath, [script, kind, dataDir], { stdio: ['pipe', 'pipe', 'inherit'] });
  createInterface({ input: child.stdout }).on('line', (line) => {
    reads[kind].push(JSON.parse(line));
    seen++;
  });
  const ended = new Promise((resolve) => child.once('close', resolve));
  return {
    async stop() {
      child.stdin.end();
      await ended;
    },
  };
}

const stop = new AbortController();
// Asked to stop: what was read so far is judged.
process.once('SIGINT', () => stop.abort());
const started = performance.now();
try {
  await publishOnce();
  const readers = Object.keys(reads).map(startReader);
  try {
    while (seen < wanted.reads && !stop.signal.aborted) await publishOnce();
  } finally {
    await Promise.all(readers.map((reader) => reader.stop()));
  }
  const snapshots = [...truths.values()];
  let wrong = 0;
  for (const [kind, all] of Object.entries(reads)) {
    const errors = all.filter(({ error }) => error !== undefined);
    const good = all.filter(({ error }) => error === undefined);
    const isRight = ({ snapshot, counted, contents }) => {
      // The head's tables are swapped one after the other, so each is compared alone: refused now and then, never mixed.
      if (kind === 'head') return TABLES.every((table) => snapshots.some((known) => known[table] === contents[table]));
      const known = truths.get(snapshot);
      const rows = TABLES.reduce((sum, table) => sum + Number(contents[table].split(' ')[0]), 0);
      return (
        known !== undefined &&
        TABLES.every((table) => known[table] === contents[table]) &&
        (counted === undefined || Number(counted) === rows)
      );
    };
    const bad = good.filter((read) => !isRight(read));
    const distinct = new Set(good.map(({ snapshot, contents }) => snapshot ?? JSON.stringify(contents))).size;
    console.log(`${kind}: ${all.length} reads of ${distinct} snapshots, ${bad.length} wrong, ${errors.length} refused`);
    for (const read of bad.slice(0, 3)) console.log(`  wrong: ${JSON.stringify(read)}`);
    for (const text of new Set(errors.map(({ error }) => error.replaceAll(/[\d-]+/g, '#').slice(0, 120))))
      console.log(`  refused: ${text}`);
    wrong += bad.length + (kind === 'head' ? 0 : errors.length);
  }
  const seconds = ((performance.now() - started) / 1000).toFixed(0);
  console.log(`${seen} reads over ${truths.size} snapshots of ${runs} runs in ${seconds} s: ${wrong === 0 ? 'each one was one snapshot' : 'FAILED'}`); // oxfmt-ignore
  if (wrong > 0) process.exitCode = 1;
} finally {
  await sandbox.stop();
  await place.remove();
}
