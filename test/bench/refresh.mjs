/**
 * `npm run refresh -- --rows 10000 --days 5,20,80`: the cost of updating the marts for one hour of new rows, in lakes of
 * different age with the same number of rows per day. It is compared with the same run on a copy of the lake without marts; medians of
 * `--times` pairs. Also prints the rows of the openings, which grow with the number of passes.
 */
import { cp, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { DuckDBInstance } from '@duckdb/node-api';
import { cli, options, scratch, startSandbox, tenantEnv } from './harness.mjs';
import { median } from './median.mjs';

const wanted = options({ rows: 10_000, days: '5,20,80', times: 3 });
const NOW = '2026-11-25T12:00:00Z';

const place = await scratch('refresh');

async function openingRows(dataDir) {
  const folder = join(dataDir, 'store', 'marts');
  const [file] = (await readdir(folder)).filter((name) => name.startsWith('openings.'));
  const db = await DuckDBInstance.create();
  const connection = await db.connect();
  const reader = await connection.runAndReadAll(
    `select count(*) from '${join(folder, file)}' where day = (select max(day) from '${join(folder, file)}')`,
  );
  connection.closeSync();
  db.closeSync();
  return Number(reader.getRows()[0][0]);
}

async function measure(days) {
  const flags = `--rows ${wanted.rows * days} --days ${days} --tenants demo --now ${NOW} --frozen --rate 0`;
  const sandbox = await startSandbox(...flags.split(' '));
  const run = async (dataDir, marts) => {
    const more = { INSIGHTS_LAKE_MARTS: marts, INSIGHTS_LAKE_KEEP_HOURS: '0', INSIGHTS_TABLES_LOGS_ENABLED: 'false' };
    const { code, err, seconds } = await cli(['run', '--json'], { env: tenantEnv(sandbox.url, dataDir, 'demo', more) });
    if (code !== 0) throw new Error(`the run ended with ${code}: ${err}`);
    return seconds;
  };
  try {
    await sandbox.admin('/clock', { advance: '1h' });
    const bases = { true: join(place.folder, 'with'), false: join(place.folder, 'without') };
    for (const [marts, base] of Object.entries(bases)) await run(base, marts);
    const [from, to] = [NOW, NOW.replace('12:', '13:')];
    await sandbox.admin('/generate', {
      table: 'Events',
      tenant: 'demo',
      rows: Math.ceil(wanted.rows / 24),
      from,
      to,
      seed: 2,
    });
    await sandbox.admin('/clock', { advance: '1h' });
    const seconds = { true: [], false: [] };
    const dataDir = join(place.folder, 'data');
    for (let time = 0; time < wanted.times; time++) {
      for (const [marts, base] of Object.entries(bases)) {
        await cp(base, dataDir, { recursive: true, preserveTimestamps: true });
        seconds[marts].push(await run(dataDir, marts));
        await rm(dataDir, { recursive: true });
      }
    }
    const [on, off] = [median(seconds.true), median(seconds.false)];
    const opening = await openingRows(bases.true);
    console.log(
      `${days} days, ${wanted.rows * days} rows, opening of ${opening} rows: ${on.toFixed(2)} s with marts, ${off.toFixed(2)} s without; refresh ${(on - off).toFixed(2)} s`,
    );
    for (const base of Object.values(bases)) await rm(base, { recursive: true });
  } finally {
    await sandbox.stop();
  }
}

try {
  for (const days of String(wanted.days).split(',').map(Number)) await measure(days);
} finally {
  await place.remove();
}
