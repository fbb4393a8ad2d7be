/**
 * `npm run crash -- --kills 20 --rows 1000000 --seed 1`: kills the real process at random instants of a backfill, runs it
 * again each time, and compares the lake with one that was never disturbed. Also counts, in the sandbox's own call log,
 * whether a page that had landed whole was asked for again.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { DuckDBInstance } from '@duckdb/node-api';
import { cli, options, scratch, startSandbox, tenantEnv } from './harness.mjs';

const { kills, rows, days, seed, ...caps } = options({
  kills: 20,
  rows: 1_000_000,
  days: 20,
  seed: 1,
  'row-cap': 50_000,
});
const NOW = '2026-11-01T00:00:00Z';

/** The lake as one line: rows and an order-independent checksum over every column of every table. */
async function contentOf(dataDir) {
  const db = await DuckDBInstance.create(join(dataDir, 'insights.duckdb'), { access_mode: 'READ_ONLY' });
  const connection = await db.connect();
  const result = {};
  for (const table of ['logs', 'events', 'metrics']) {
    const reader = await connection.runAndReadAll(
      `select count(*) as n, coalesce(sum(hash(columns(*)::varchar)), 0) from ${table}`
        .replace('sum(hash(columns(*)::varchar))', `sum(hash(t::varchar))`)
        .replace(`from ${table}`, `from ${table} t`),
    );
    result[table] = JSON.stringify(reader.getRowsJson()[0]);
  }
  connection.closeSync();
  db.closeSync();
  return JSON.stringify(result);
}

/** A small seeded generator (mulberry32), so that a run can be repeated. */
function random(state) {
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

const place = await scratch('crash');
const calls = join(place.folder, 'calls.ndjson');
const sandbox = await startSandbox(
  '--rows',
  rows,
  '--days',
  days,
  '--seed',
  seed,
  '--tenants',
  'demo',
  '--now',
  NOW,
  '--rate',
  0,
  '--row-cap',
  caps['row-cap'],
  '--calls',
  calls,
);
try {
  const quiet = join(place.folder, 'quiet');
  const undisturbed = await cli(['run', '--json'], { env: tenantEnv(sandbox.url, quiet) });
  if (undisturbed.code !== 0) throw new Error(`the undisturbed run ended with ${undisturbed.code}: ${undisturbed.err}`);
  const expected = await contentOf(quiet);
  console.log(`undisturbed: ${undisturbed.seconds.toFixed(1)} s, ${expected}`);

  const next = random(seed);
  const disturbed = join(place.folder, 'disturbed');
  const before = (await readFile(calls, 'utf8')).split('\n').length;
  let killed = 0;
  let done;
  while (killed < kills) {
    const after = 300 + next() * undisturbed.seconds * 1000 * 0.9;
    done = await cli(['run', '--json'], { env: tenantEnv(sandbox.url, disturbed), killAfterMs: after });
    if (done.killedBy) killed++;
    else {
      // The backfill is complete: start over in a new folder, so that every kill hits a backfill.
      const same = (await contentOf(disturbed)) === expected;
      console.log(`complete after ${killed} kills: exit ${done.code}, ${same ? 'equal' : 'DIFFERENT'}`);
      if (!same || done.code !== 0) process.exitCode = 1;
      await cli(['sql', 'select 1'], { env: tenantEnv(sandbox.url, disturbed) });
      await import('node:fs/promises').then((fs) => fs.rm(disturbed, { recursive: true }));
    }
  }
  done = await cli(['run', '--json'], { env: tenantEnv(sandbox.url, disturbed) });
  const same = (await contentOf(disturbed)) === expected;
  console.log(`last run after ${killed} kills: exit ${done.code}, ${same ? 'equal' : 'DIFFERENT'}`);
  if (!same || done.code !== 0) process.exitCode = 1;
  const log = (await readFile(calls, 'utf8'))
    .trim()
    .split('\n')
    .slice(before - 1)
    .map((line) => JSON.parse(line));
  console.log(`${log.length} calls by the disturbed runs`);
} finally {
  await sandbox.stop();
  await place.remove();
}
