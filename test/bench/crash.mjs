/**
 * `npm run crash -- --kills 20 --steps 0 --rows 1000000 --seed 1`: SIGKILL of the real process at random instants of a
 * backfill, and with `--steps 1` also after each of its file operations and ledger transactions (`--steps 5`: after every
 * fifth; best with few rows), then a rerun. The final lake is compared with one that was never disturbed. The sandbox's call log must show
 * that no landed page was fetched again, and the data directory must hold no leftover file. With `--signal SIGTERM` the process is
 * stopped instead: each stop must end with the exit code of a stop, and its duration is printed by stage. `npm run stops` stops it
 * once in each stage.
 */
import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { cli, options, random, scratch, startSandbox, tenantEnv } from './harness.mjs';
import { contentOf, landedQueries, leftBehind } from './lake-checks.mjs';

const wanted = options({
  kills: 20,
  signal: 'SIGKILL',
  steps: 0,
  rows: 1_000_000,
  days: 20,
  seed: 1,
  'row-cap': 50_000,
});
const NOW = '2026-11-01T00:00:00Z';
// An hour later than the last row, so that every run sees the same rows however long all of this takes.
const SCENARIO = [{ afterCalls: 0, do: { action: 'clock', advance: '1h' } }];

/** The stage that a stopped run had come to, by its own report: the last one that took any time. */
function stageOf(report) {
  const stopped = report?.tables.find(({ outcome }) => outcome === 'stopped');
  return Object.keys(stopped?.seconds ?? {}).at(-1);
}

const place = await scratch('crash');
const calls = join(place.folder, 'calls.ndjson');
const scenario = join(place.folder, 'scenario.json');
await writeFile(scenario, JSON.stringify(SCENARIO));
const flags = `--rows ${wanted.rows} --days ${wanted.days} --seed ${wanted.seed} --tenants demo --now ${NOW} --rate 0`;
const sandbox = await startSandbox(
  ...flags.split(' '),
  '--row-cap',
  wanted['row-cap'],
  '--calls',
  calls,
  '--scenario',
  scenario,
);
const callLog = async () =>
  (await readFile(calls, 'utf8'))
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line));
const run = (dataDir, more) =>
  cli(['run', '--json'], { env: tenantEnv(sandbox.url, dataDir, 'demo', { INSIGHTS_LAKE_KEEP_HOURS: '0' }), ...more });
const fail = (text) => {
  console.log(`FAIL: ${text}`);
  process.exitCode = 1;
};
try {
  const quiet = join(place.folder, 'quiet');
  const undisturbed = await run(quiet);
  if (undisturbed.code !== 0) throw new Error(`the undisturbed run ended with ${undisturbed.code}: ${undisturbed.err}`);
  const expected = await contentOf(quiet);
  console.log(`undisturbed: ${undisturbed.seconds.toFixed(1)} s, ${(await callLog()).length} calls, ${expected}`);

  const next = random(wanted.seed);
  const dataDir = join(place.folder, 'disturbed');
  let [killed, backfills, again, landed] = [0, 0, 0, []];
  const finish = async (done) => {
    backfills++;
    if (done.code !== 0) fail(`a run after kills ended with ${done.code}: ${done.err}`);
    const content = await contentOf(dataDir);
    if (content !== expected) fail(`the lake differs: ${content}`);
    const left = await leftBehind(dataDir);
    if (left.length > 0) fail(`left behind: ${left.join(', ')}`);
    await rm(dataDir, { recursive: true });
    landed = [];
  };
  const atRandom = () =>
    run(
      dataDir,
      killed < wanted.kills ? { killAfterMs: 300 + next() * undisturbed.seconds * 1000, signal: wanted.signal } : {},
    );
  const stops = new Map();
  const isCutOff = ({ code, killedBy, secondsToEnd, json }) => {
    if (wanted.signal === 'SIGKILL') return killedBy === 'SIGKILL';
    if (secondsToEnd === undefined) return false;
    // A stop before the program listens ends it as the system does; one in the last moments lets it end as it would.
    const stage = killedBy ? 'before it listens' : (stageOf(json) ?? 'between stages');
    const { n = 0, slowest = 0 } = stops.get(stage) ?? {};
    stops.set(stage, { n: n + 1, slowest: Math.max(slowest, secondsToEnd) });
    if (killedBy === null && code !== 11 && code !== 0) fail(`a stopped run ended with ${code}`);
    return killedBy !== null || code === 11;
  };
  /** Runs `act` and checks that it asked for no page that had landed before. */
  const watched = async (act) => {
    const before = (await callLog()).length;
    const done = await act();
    const asked = (await callLog()).slice(before).map(({ query }) => query);
    again += landed.filter((query) => asked.includes(query)).length;
    landed = await landedQueries(dataDir);
    return done;
  };
  while (wanted.kills > 0) {
    const done = await watched(atRandom);
    if (isCutOff(done)) {
      if (++killed % 50 === 0) console.log(`${killed} kills, ${backfills} backfills ended`);
    } else {
      await finish(done);
      if (killed >= wanted.kills) break;
    }
  }
  let stepKills = 0;
  for (let step = 1; wanted.steps > 0; step += wanted.steps) {
    const script = fileURLToPath(new URL('killed-run.mjs', import.meta.url));
    const env = tenantEnv(sandbox.url, dataDir, 'demo', { INSIGHTS_LAKE_KEEP_HOURS: '0' });
    const done = await watched(() => cli([step], { env, script }));
    if (done.killedBy !== 'SIGKILL') {
      console.log(`a run has ${done.json?.steps} steps; killed after ${stepKills} of them`);
      await finish(done);
      break;
    }
    stepKills++;
    if (stepKills % 25 === 0) console.log(`${stepKills} kills at steps`);
    await finish(await watched(() => run(dataDir)));
  }
  for (const [stage, { n, slowest }] of [...stops].sort(([a], [b]) => (a < b ? -1 : 1)))
    console.log(`${n} stops, ${stage}: the slowest took ${slowest.toFixed(1)} s to end`);
  if (again > 0) fail(`${again} landed pages were asked for again`);
  console.log(
    `${killed} random ${wanted.signal === 'SIGKILL' ? 'kills' : 'stops'}, ${stepKills} at steps, over ${backfills} backfills; landed pages asked for again: ${again}; ${process.exitCode ? 'FAILED' : 'every lake equal to the undisturbed one'}`,
  );
} finally {
  await sandbox.stop();
  await place.remove();
}
