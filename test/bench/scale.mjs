/**
 * `npm run scale`: measures lakes of different shapes, and writes what it measured next to what `plan --simulate` says of them
 * to docs/scale.json and docs/scale.md. Each lake is loaded, gets one more day of rows, and is then run again with nothing new.
 * `--only 3` measures the third shape only, and writes nothing.
 */
import { mkdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { CLI, machine, options, scratch, startSandbox } from './harness.mjs';
import { measured } from './measured.mjs';
import { writePage } from './scale-page.mjs';

const wanted = options({ only: 0 });
const NOW = '2026-11-01T00:30:00Z';
const DAY_AFTER = { from: '2026-11-01T00:00:00Z', to: '2026-11-02T00:00:00Z' };
/** Of the rows of a tenant, as the sandbox makes them. */
const SHARES = { Events: 0.85, Logs: 0.1, Metrics: 0.05 };

/** Of the table of sizes. */
const YEARS = 5;

const SHAPES = [
  { tenants: 1, rowsPerDay: 1_000, days: 30 },
  { tenants: 1, rowsPerDay: 30_000, days: 30 },
  { tenants: 1, rowsPerDay: 1_000, days: 365 },
  { tenants: 10, rowsPerDay: 3_000, days: 30 },
  { tenants: 30, rowsPerDay: 100, days: 90 },
  { tenants: 60, rowsPerDay: 20, days: 30 },
];

/** The files of the snapshot; those that it replaced remain on disk for `lake.keepHours`. */
async function sizeOf(dataDir) {
  const { tables } = JSON.parse(await readFile(join(dataDir, 'manifest.json'), 'utf8'));
  const partitions = Object.values(tables).flatMap(({ tenants }) =>
    Object.values(tenants).flatMap((tenant) => tenant.partitions),
  );
  return { files: partitions.length, bytes: partitions.reduce((sum, { bytes }) => sum + bytes, 0) };
}

async function measureShape({ tenants, rowsPerDay, days }) {
  const place = await scratch('scale');
  const ids = Array.from({ length: tenants }, (_, nth) => `t${String(nth).padStart(4, '0')}`);
  const flags = `--tenants ${ids.join(',')} --rows ${rowsPerDay * days} --days ${days} --now ${NOW} --frozen --rate 0`;
  const sandbox = await startSandbox(...flags.split(' '));
  try {
    const dataDir = join(place.folder, 'data');
    await mkdir(dataDir);
    const config = join(place.folder, 'insights.json');
    const keyed = ids.map((id) => ({ id, apiKey: { env: `KEY_${id}` } }));
    await writeFile(config, JSON.stringify({ baseUrl: sandbox.url, dataDir, callsPerMinute: 0, tenants: keyed }));
    const env = Object.fromEntries(ids.map((id) => [`KEY_${id}`, `sandbox-${id}`]));
    const run = async () => {
      const { out, cpuSeconds, peakMB } = await measured(
        process.execPath,
        [CLI, 'run', '--json', '--config', config],
        env,
      );
      const { tables } = JSON.parse(out);
      const sum = (name) => tables.reduce((total, table) => total + table[name], 0);
      return { calls: sum('calls'), rows: sum('rowsFetched'), cpuSeconds, peakMB };
    };
    const first = await run();
    for (const tenant of ids)
      for (const [table, share] of Object.entries(SHARES))
        await sandbox.admin('/generate', { table, tenant, rows: Math.ceil(rowsPerDay * share), ...DAY_AFTER, seed: 2 });
    await sandbox.admin('/clock', { advance: '24h' });
    const night = await run();
    const idle = await run();
    const { files, bytes: lakeBytes } = await sizeOf(dataDir);
    const bytesOf = async (file) => (await stat(join(dataDir, file))).size;
    return {
      first,
      night,
      idle,
      files,
      lakeBytes,
      ledgerBytes: await bytesOf('state.duckdb'),
      catalogueBytes: await bytesOf('insights.duckdb'),
      manifestBytes: await bytesOf('manifest.json'),
    };
  } finally {
    await sandbox.stop();
    await place.remove();
  }
}

async function modelOf({ tenants, rowsPerDay, days }) {
  const workload = `tenants=${tenants},rowsPerDay=${rowsPerDay},years=${days / 365}`;
  const { out } = await measured(process.execPath, [CLI, 'plan', '--simulate', workload, '--json']);
  return JSON.parse(out);
}

const results = [];
for (const [nth, shape] of SHAPES.entries()) {
  if (wanted.only > 0 && wanted.only !== nth + 1) continue;
  const found = await measureShape(shape);
  const model = await modelOf(shape);
  results.push({ shape, measured: found, model });
  console.log(JSON.stringify({ shape, measured: found }));
}
if (wanted.only === 0) {
  const measuredOn = { at: new Date().toISOString(), ...machine() };
  await writeFile('docs/scale.json', `${JSON.stringify({ machine: measuredOn, results }, null, 1)}\n`);
  const sizes = [];
  for (const tenants of [1, 100, 10_000])
    for (const rows of [1e6, 1e7, 1e8, 1e9, 1e10, 1e11])
      if (rows / tenants >= 1e4)
        sizes.push(await modelOf({ tenants, rowsPerDay: rows / tenants / YEARS / 365, days: YEARS * 365 }));
  await writePage(results, sizes, measuredOn);
}
