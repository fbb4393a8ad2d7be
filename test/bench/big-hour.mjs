/**
 * `node test/bench/big-hour.mjs --rows 1000000`: one hour of a million rows, then one late row in it, one erased row, and
 * a day that lost 60 % of its rows: what each costs in calls, and what becomes of it.
 */
import { join } from 'node:path';
import { cli, options, scratch, startSandbox, tenantEnv } from './harness.mjs';

const wanted = options({ rows: 1_000_000, 'row-cap': 50_000 });
const NOW = '2026-11-01T00:00:00Z';
const LATE = '00000000-0000-4000-8000-0000000000aa';

const place = await scratch('big-hour');
const sandbox = await startSandbox(
  '--rows',
  1000,
  '--days',
  3,
  '--tenants',
  'demo',
  '--now',
  NOW,
  '--rate',
  0,
  '--row-cap',
  wanted['row-cap'],
);
try {
  await sandbox.admin('/clock', { advance: '1h' });
  await sandbox.admin('/generate', {
    table: 'Events',
    tenant: 'demo',
    rows: wanted.rows,
    from: '2026-10-30T12:00:00Z',
    to: '2026-10-30T13:00:00Z',
    seed: 4,
  });
  const env = tenantEnv(sandbox.url, join(place.folder, 'data'));
  const run = async (name, ...flags) => {
    const { json, code, err } = await cli(['run', '--json', '--table', 'Events', ...flags], { env });
    const events = json?.tables[0];
    if (!events) throw new Error(err);
    const { outcome, calls, pages, rowsFetched, inserted, removed } = events;
    console.log(
      `${name}: exit ${code}, ${outcome}, ${calls} calls, ${pages} pages, ${rowsFetched} rows fetched, +${inserted} -${removed}, ${json.seconds.toFixed(1)} s`,
    );
  };
  await run(`first load, ${wanted.rows} rows in one hour`);
  const row = {
    eventId: LATE,
    timestamp: '2026-10-30T12:34:56.7890123Z',
    tenantId: 'demo',
    eventType: 'Pass:Created',
    operationId: '',
    properties: {},
  };
  await sandbox.admin('/rows', { table: 'Events', tenant: 'demo', rows: [row] });
  await run('one late row');
  await sandbox.admin('/erase', { table: 'Events', tenant: 'demo', ids: [LATE] });
  await run('that row erased');
  await sandbox.admin('/erase', {
    table: 'Events',
    tenant: 'demo',
    from: '2026-10-30T00:00:00Z',
    to: '2026-10-31T00:00:00Z',
    share: 0.6,
  });
  await run('60 % of a day lost');
  await run('mirrored on request', '--allow-deletes');
} finally {
  await sandbox.stop();
  await place.remove();
}
