/**
 * `npm run stops -- --rows 20000 --days 60 --seed 1`: sends SIGTERM to the real program as it enters each of its stages,
 * and prints the exit code and the seconds from the signal to the end. An undisturbed run follows. After it the lake must equal
 * one that was never disturbed, no page may have been fetched twice, and no file may be left behind. `--only <part of a stage's
 * name>` selects stages.
 */
import { cp, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pathToFileURL, fileURLToPath } from 'node:url';
import { cli, options, scratch, startSandbox, tenantEnv } from './harness.mjs';
import { contentOf, landedQueries, leftBehind } from './lake-checks.mjs';
import { STAGES } from './stop-at.mjs';

const wanted = options({ rows: 20_000, days: 60, seed: 1, 'row-cap': 5_000, only: '' });
const NOW = '2026-11-26T00:00:00Z';
/** Loaded before: what is stopped adds the rest, and so rewrites the day that this cuts in two, and makes a month of September. */
const LOADED = ['backfill', '--from', '2026-09-27', '--to', '2026-09-28T12:30:00Z'];
const STOPPED_WORK = ['backfill', '--from', '2026-09-27', '--to', '2026-10-03'];
const GRACE_SECONDS = 10;
/** Exit code of a stop. */
const STOPPED = 11;

const place = await scratch('stops');
const calls = join(place.folder, 'calls.ndjson');
const scenario = join(place.folder, 'scenario.json');
// An hour later than the last row, so that every run sees the same rows however long all of this takes.
await writeFile(scenario, JSON.stringify([{ afterCalls: 0, do: { action: 'clock', advance: '1h' } }]));
const flags = `--rows ${wanted.rows} --days ${wanted.days} --seed ${wanted.seed} --tenants demo --now ${NOW} --rate 0 --row-cap ${wanted['row-cap']}`;
const sandbox = await startSandbox(...flags.split(' '), '--calls', calls, '--scenario', scenario);
const callLog = async () =>
  (await readFile(calls, 'utf8'))
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line));
const preload = pathToFileURL(fileURLToPath(new URL('stop-at.mjs', import.meta.url))).href;

/** Runs to the end, or to the stop that comes as `stage` begins. */
async function run(dataDir, { args = STOPPED_WORK, stage } = {}) {
  const mark = join(place.folder, 'mark');
  await rm(mark, { force: true });
  const env = tenantEnv(sandbox.url, dataDir, 'demo', { INSIGHTS_LAKE_KEEP_HOURS: '0', INSIGHTS_LAKE_MARTS: 'true' });
  const watched = stage === undefined ? {} : { NODE_OPTIONS: `--import ${preload}`, STOP_AT: stage, STOP_MARK: mark };
  const done = await cli([...args, '--json'], { env: { ...env, ...watched } });
  const sentAt = stage === undefined ? undefined : await readFile(mark, 'utf8').catch(() => undefined);
  return { ...done, secondsToEnd: sentAt === undefined ? undefined : (Date.now() - Number(sentAt)) / 1000 };
}

try {
  const base = join(place.folder, 'base');
  const before = await run(base, { args: LOADED });
  if (before.code !== 0) throw new Error(`the backfill ended with ${before.code}: ${before.err}`);
  const quiet = join(place.folder, 'quiet');
  await cp(base, quiet, { recursive: true, preserveTimestamps: true });
  const undisturbed = await run(quiet);
  if (undisturbed.code !== 0) throw new Error(`the undisturbed run ended with ${undisturbed.code}: ${undisturbed.err}`);
  const expected = await contentOf(quiet);
  console.log(`undisturbed: ${undisturbed.seconds.toFixed(1)} s, ${expected}`);
  console.log(`${'stage'.padEnd(30)}  exit  seconds to end  afterwards`);
  const dataDir = join(place.folder, 'stopped');
  let [stops, slowest] = [0, 0];
  for (const stage of Object.keys(STAGES).filter((name) => name.includes(wanted.only))) {
    await rm(dataDir, { recursive: true, force: true });
    await cp(base, dataDir, { recursive: true, preserveTimestamps: true });
    const stopped = await run(dataDir, { stage });
    const landed = await landedQueries(dataDir);
    const sentBefore = (await callLog()).length;
    const next = await run(dataDir);
    const again = (await callLog()).slice(sentBefore).filter(({ query }) => landed.includes(query)).length;
    const left = await leftBehind(dataDir);
    const faults = [
      ...(stopped.secondsToEnd === undefined ? ['the stage was not reached'] : []),
      // Before the program listens the system ends it; once all work is done it ends as it would.
      ...([STOPPED, 0].includes(stopped.code) || stopped.killedBy === 'SIGTERM'
        ? []
        : [`exit code ${stopped.code}: ${stopped.err}`]),
      ...(stopped.secondsToEnd > GRACE_SECONDS ? [`longer than ${GRACE_SECONDS} s`] : []),
      ...(next.code === 0 ? [] : [`the next run ended with ${next.code}: ${next.err}`]),
      ...((await contentOf(dataDir)) === expected ? [] : ['the lake differs']),
      ...(again > 0 ? [`${again} landed pages were asked for again`] : []),
      ...(left.length > 0 ? [`left behind: ${left.join(', ')}`] : []),
    ];
    if (faults.length > 0) process.exitCode = 1;
    stops++;
    slowest = Math.max(slowest, stopped.secondsToEnd ?? 0);
    const ended = stopped.killedBy ?? String(stopped.code);
    const outcome =
      faults.length > 0
        ? `FAIL: ${faults.join('; ')}`
        : landed.length > 0
          ? `equal; ${landed.length} landed pages used`
          : 'equal';
    console.log(
      `${stage.padEnd(30)}  ${ended.padStart(4)}  ${(stopped.secondsToEnd ?? NaN).toFixed(1).padStart(14)}  ${outcome}`,
    );
  }
  console.log(
    `${stops} stages; the slowest took ${slowest.toFixed(1)} s to end; ${process.exitCode ? 'FAILED' : 'every lake equal to the undisturbed one'}`,
  );
} finally {
  await sandbox.stop();
  await place.remove();
}
