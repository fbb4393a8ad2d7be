/** What every drill works with: a source on loopback, a data directory, the built program, and a judge of what was lost. */
import { spawn, spawnSync } from 'node:child_process';
import { cp, mkdir, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { DuckDBInstance } from '@duckdb/node-api';
import { CLI, cli, scratch, startSandbox, tenantEnv } from '../harness.mjs';
import { contentOf } from '../lake-checks.mjs';

const TABLES = { Logs: 'logs', Events: 'events', Metrics: 'metrics' };
export const TENANT = 'demo';
/** A tenant of the source that the key of the first one does not open. */
export const OTHER_TENANT = 'other';
const HOUR_MS = 3_600_000;
/** Reports and checks are made from the rows, and most of the work of a run on so few of them. */
const LEAN = { INSIGHTS_ENGINE_THREADS: '2', INSIGHTS_LAKE_MARTS: 'false', INSIGHTS_LAKE_CHECKS: 'false' };

/** `mounts`: this process may mount file systems. */
export async function openStage({ rows, days, seed, mounts }) {
  const place = await scratch('drills');
  const dataDir = join(place.folder, 'data');
  const kept = join(place.folder, 'kept');
  // An hour later than the last row, so that every run sees the same rows, however long all of this takes.
  const scenario = join(place.folder, 'scenario.json');
  await writeFile(scenario, JSON.stringify([{ afterCalls: 0, do: { action: 'clock', advance: '1h' } }]));
  const now = new Date(Date.now() - HOUR_MS).toISOString();
  const flags = `--rows ${rows} --days ${days} --seed ${seed} --shape even --tenants ${TENANT},${OTHER_TENANT} --now ${now} --frozen --rate 0 --row-cap 400`;
  const sandbox = await startSandbox(...flags.split(' '), '--scenario', scenario);
  const stage = {
    folder: place.folder,
    dataDir,
    mounts,
    url: sandbox.url,
    env: (more = {}, dir = dataDir) => tenantEnv(sandbox.url, dir, TENANT, { ...LEAN, ...more }),
    /** Runs one command to its end. `env` is added to that of the tenant; `shell` goes before the program. */
    run: (args = ['run'], { env = {}, dir = dataDir, shell, ...more } = {}) =>
      shell === undefined
        ? cli(args, { env: stage.env(env, dir), ...more })
        : throughShell(shell, args, stage.env(env, dir)),
    faults: (rules) => sandbox.admin('/faults', rules),
    /** An empty data directory. */
    async empty() {
      await rm(dataDir, { recursive: true, force: true });
      await mkdir(dataDir);
    },
    /** A data directory as a run left it. It is always the same path, which catalogue and manifest contain. */
    async loaded() {
      await rm(dataDir, { recursive: true, force: true });
      await cp(kept, dataDir, { recursive: true, preserveTimestamps: true });
    },
    lakeBytes: () => bytesBelow(kept),
    /** Rows of the source that the lake lacks, and whether every cell of the others is as it should be. */
    async judge(dir = dataDir) {
      const lost = lostRows(await countsOf(sandbox, TENANT), await lakeCounts(dir, TENANT));
      return { lost, equal: (await contentOf(dir)) === stage.expected };
    },
    async close() {
      await sandbox.stop();
      await place.remove();
    },
  };
  await stage.empty();
  const first = await stage.run();
  if (first.code !== 0) {
    await stage.close();
    throw new Error(`the first load ended with ${first.code}: ${messageOf(first)}`);
  }
  await cp(dataDir, kept, { recursive: true, preserveTimestamps: true });
  stage.expected = await contentOf(dataDir);
  return stage;
}

/** Rows of a tenant at the source, by table and hour. */
export async function countsOf(sandbox, tenant) {
  const counts = new Map();
  for (const cell of await sandbox.admin('/counts'))
    if (cell.tenant === tenant) counts.set(`${cell.table} ${hourOf(cell.hour)}`, cell.rows);
  return counts;
}

/** Rows of a tenant in the published lake, by table and hour. */
export async function lakeCounts(dataDir, tenant) {
  const counts = new Map();
  const db = await DuckDBInstance.create(join(dataDir, 'insights.duckdb'), { access_mode: 'READ_ONLY' });
  const connection = await db.connect();
  for (const [table, view] of Object.entries(TABLES)) {
    const reader = await connection.runAndReadAll(
      `select strftime(timestamp at time zone 'UTC', '%Y-%m-%dT%H') as hour, count(*)::integer from ${view} where tenant_id = $1 group by all`,
      [tenant],
    );
    for (const [hour, n] of reader.getRows()) counts.set(`${table} ${String(hour)}`, Number(n));
  }
  connection.closeSync();
  db.closeSync();
  return counts;
}

export function lostRows(source, lake) {
  let lost = 0;
  for (const [cell, rows] of source) lost += Math.max(0, rows - (lake.get(cell) ?? 0));
  return lost;
}

function hourOf(hour) {
  return new Date(hour).toISOString().slice(0, 13);
}

/** Runs the program through a shell, for limits and redirections: `exec "$0" "$@"` in `shell` is the program. */
async function throughShell(shell, args, env) {
  const child = spawn('bash', ['-c', shell, process.execPath, CLI, ...args], {
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let [out, err] = ['', ''];
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8');
  child.stdout.on('data', (chunk) => (out += chunk));
  child.stderr.on('data', (chunk) => (err += chunk));
  const [code, killedBy] = await new Promise((resolve) => child.once('close', (...end) => resolve(end)));
  return { code, killedBy, out, err };
}

/** Mounts something at a folder. Throws what `mount` says. */
export function mount(...args) {
  const { status, stderr } = spawnSync('mount', args, { encoding: 'utf8' });
  if (status !== 0) throw new Error(`mount ${args.join(' ')}: ${stderr}`);
}

export function unmount(folder) {
  spawnSync('umount', [folder]);
}

async function bytesBelow(folder) {
  let bytes = 0;
  for (const name of await readdir(folder, { recursive: true })) {
    const { size, nlink } = await stat(join(folder, name));
    bytes += size / Math.max(1, nlink);
  }
  return bytes;
}

/** The first line that says what happened: of the error, or of a problem in the summary, or the last line of the summary. */
export function messageOf({ code, out, err }) {
  const errors = err.split('\n').filter(Boolean);
  const lines = out.split('\n').filter((line) => line.trim() !== '');
  if (code === 0) return (lines.at(-1) ?? '').trim();
  const plain = errors.find((line) => line.startsWith('error: '));
  if (plain) return plain.slice('error: '.length);
  const problem = lines.find((line) => /^(\S+ (Logs|Events|Metrics): |FAIL|damaged: |differs: )|^ {2}FAIL/.test(line));
  if (problem) return problem.trim();
  const events = errors.flatMap((line) => parsed(line));
  const failed = events.findLast(({ level }) => level === 50 || level === 'error');
  if (failed) return failed.message ?? failed.msg ?? failed.event;
  return lines.at(-1) ?? '';
}

function parsed(line) {
  try {
    return [JSON.parse(line)];
  } catch {
    return [];
  }
}
