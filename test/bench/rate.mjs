/**
 * `node test/bench/rate.mjs --runs 3`: runs started one after the other against a source that refuses more than the limit.
 * From the source's own log: the most calls in any sliding minute, and how many were refused. Takes some minutes.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { cli, options, scratch, startSandbox, tenantEnv } from './harness.mjs';

const wanted = options({ runs: 3, limit: 60, rows: 20_000 });
const place = await scratch('rate');
const log = join(place.folder, 'calls.ndjson');
const sandbox = await startSandbox(
  '--rows',
  wanted.rows,
  '--days',
  10,
  '--tenants',
  'demo',
  '--now',
  '2026-11-01T00:00:00Z',
  '--rate',
  wanted.limit,
  '--calls',
  log,
);
try {
  for (let k = 0; k < wanted.runs; k++) {
    // Each run starts over, so that it has many calls to make; the record of calls is shared, as in one data directory.
    const dataDir = join(place.folder, 'data');
    const days = `2026-10-${String(22 + k * 3).padStart(2, '0')}`;
    const env = tenantEnv(sandbox.url, dataDir, 'demo', {
      INSIGHTS_CALLS_PER_MINUTE: String(wanted.limit),
      INSIGHTS_PAGE_MAX_ROWS: '150',
    });
    const { json, code, seconds } = await cli(
      ['backfill', '--json', '--from', days, '--to', `2026-10-${String(25 + k * 3).padStart(2, '0')}`],
      { env },
    );
    const calls = json.tables.reduce((sum, table) => sum + table.calls, 0);
    const retries = json.tables.reduce((sum, table) => sum + table.retries, 0);
    console.log(`run ${k + 1}: exit ${code}, ${calls} calls, ${retries} repeated, ${seconds.toFixed(0)} s`);
  }
  const calls = (await readFile(log, 'utf8'))
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
  const times = calls.map(({ received }) => Date.parse(received)).sort((a, b) => a - b);
  let most = 0;
  for (let from = 0, to = 0; to < times.length; to++) {
    while (times[to] - times[from] >= 60_000) from++;
    most = Math.max(most, to - from + 1);
  }
  console.log(
    `${calls.length} calls at the source, at most ${most} in any sliding minute, ${calls.filter(({ status }) => status === 429).length} refused`,
  );
} finally {
  await sandbox.stop();
  await place.remove();
}
