/**
 * `npm run wide -- --data <folder>`: what rows with many types and columns cost. The folder has recorded rows in the format of
 * `insights-etl sandbox --data`. Measures the first load, a run with nothing new, a run after one hour has changed, and commands that read
 * all columns. Answers come from files in every measured run, so only the local part is measured.
 */
import { randomUUID } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { cp, mkdir, readdir, rename, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { parseArgs } from 'node:util';
import { createGunzip } from 'node:zlib';
import { CLI, machine, scratch, startSandbox } from './harness.mjs';
import { measured } from './measured.mjs';
import { median } from './median.mjs';
import { startReplay } from './replay.mjs';

const { values: given } = parseArgs({
  options: {
    data: { type: 'string' },
    now: { type: 'string', default: '2026-10-31T02:00:00Z' },
    start: { type: 'string', default: '2026-07-01' },
    changed: { type: 'string', default: '5' },
    rounds: { type: 'string', default: '3' },
    keep: { type: 'boolean', default: false },
  },
});
if (given.data === undefined) throw new Error('Give the folder with the recorded rows: npm run wide -- --data FOLDER');

const place = await scratch('wide');
const [data, answers, config] = ['data', 'answers', 'insights.json'].map((name) => join(place.folder, name));
await mkdir(answers);
const sandbox = await startSandbox('--data', given.data, '--now', given.now, '--frozen', '--rate', 0, '--logs-days', 3650, '--memory-limit', '2GB'); // oxfmt-ignore
const replay = await startReplay(sandbox.url, answers);
try {
  const events = await rowsOf('events');
  const ids = [...new Set(events.map(({ tenantId }) => tenantId))];
  const keys = Object.fromEntries(ids.map((id, nth) => [`KEY_${nth}`, `sandbox-${id}`]));
  const tenants = ids.map((id, nth) => ({ id, apiKey: { env: `KEY_${nth}` } }));
  await writeFile(config, JSON.stringify({ baseUrl: replay.url, dataDir: data, start: given.start, callsPerMinute: 0, tenants })); // oxfmt-ignore
  const command = async (...args) => {
    const { out, ...figures } = await measured(process.execPath, [CLI, ...args, '--config', config], keys);
    return { figures, out };
  };

  /** Runs twice from the same state. The first run fetches the answers, the second is measured. */
  const run = async () => {
    const before = join(place.folder, 'before');
    await cp(data, before, { recursive: true, preserveTimestamps: true });
    await command('run', '--json');
    await rm(data, { recursive: true });
    await rename(before, data);
    return command('run', '--json');
  };

  await mkdir(data);
  const rounds = Array.from({ length: Number(given.rounds) });
  await report('first load', rounds, async () => {
    await rm(data, { recursive: true });
    await mkdir(data);
    return run();
  });
  await report('nothing new', rounds, run);
  for (const hour of ['last', 'fullest'])
    await report(`the ${hour} hour changed`, rounds, async () => {
      await change(events, hour);
      await rm(answers, { recursive: true });
      await mkdir(answers);
      return run();
    });
  await report('dictionary', rounds, () => command('dictionary'));
  await report('properties', rounds, () => command('properties', '--json'));
  await report('privacy audit', rounds, () => command('privacy', 'audit', '--json'));
  const { size } = await stat(join(data, 'insights.duckdb'));
  console.log(JSON.stringify({ machine: machine(), tenants: ids.length, events: events.length, catalogueMB: Math.round(size / 1e4) / 100 })); // oxfmt-ignore
  if (given.keep) console.log(`kept: ${place.folder}`);
} finally {
  await replay.stop();
  await sandbox.stop();
  if (!given.keep) await place.remove();
}

/** Prints the median of some rounds. */
async function report(what, rounds, measure) {
  const found = [];
  for (const nth of rounds.keys()) found.push((await measure(nth)).figures);
  const middle = (name) => median(found.map((each) => each[name]));
  const figures = ['seconds', 'cpuSeconds', 'peakMB'].map((name) => `${name} ${Math.round(middle(name) * 100) / 100}`);
  console.log(`${what.padEnd(24)} ${figures.join('  ')}`);
}

/** Adds copies of recorded rows to the last or the fullest hour of the tenant with the most events, with other ids. */
async function change(events, which) {
  const busiest = mostFrequent(events.map(({ tenantId }) => tenantId));
  const own = events.filter(({ tenantId }) => tenantId === busiest);
  const hours = own.map(({ timestamp }) => timestamp.slice(0, 13));
  const hour = which === 'last' ? hours.toSorted().at(-1) : mostFrequent(hours);
  const rows = own
    .filter(({ timestamp }) => timestamp.startsWith(hour))
    .slice(0, Number(given.changed))
    .map(({ line, eventId }) => line.replace(eventId, randomUUID()));
  await sandbox.admin('/rows', { table: 'Events', tenant: busiest, rows });
}

function mostFrequent(values) {
  const counts = new Map();
  for (const value of values) counts.set(value, (counts.get(value) ?? 0) + 1);
  return [...counts].toSorted(([, a], [, b]) => b - a)[0][0];
}

/** The recorded rows of a table, each with its line. */
async function rowsOf(table) {
  const name = (await readdir(given.data)).find((file) => file.startsWith(`${table}.ndjson`));
  const file = createReadStream(join(given.data, name));
  const rows = [];
  for await (const line of createInterface({ input: name.endsWith('.gz') ? file.pipe(createGunzip()) : file }))
    rows.push({ ...JSON.parse(line), line });
  return rows;
}
