/**
 * How fast the dashboard is: `npm run page -- --data-dir data/demo`. Repeats the marts of a lake until they span five years and twenty
 * tenants, opens the page in a real browser, and prints when the first chart was drawn, the longest task of the window, and the bytes
 * of its scripts. `--days` and `--tenants` change the size, `--path '?grain=month'` what is opened, `--times` how often.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, readdir, rm, writeFile, mkdir } from 'node:fs/promises';
import { loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { gzipSync } from 'node:zlib';
import { DuckDBInstance } from '@duckdb/node-api';
import { chromium } from 'playwright-core';
import { CLI } from './harness.mjs';

const root = fileURLToPath(new URL('../..', import.meta.url));
const { values } = parseArgs({
  options: {
    'data-dir': { type: 'string', default: join(root, 'data', 'demo') },
    days: { type: 'string', default: '1826' },
    tenants: { type: 'string', default: '20' },
    path: { type: 'string', default: '?range=all' },
    times: { type: 'string', default: '3' },
  },
});
const folder = await mkdtemp(join(tmpdir(), 'insights-page-'));
try {
  const manifest = JSON.parse(await readFile(join(values['data-dir'], 'manifest.json'), 'utf8'));
  const bytes = await writeMarts(manifest, Number(values.days), Number(values.tenants));
  const args = [CLI, 'dashboard', '--no-open', '--data-dir', folder];
  const server = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  const [address] = await once(createInterface({ input: server.stdout }), 'line');
  const assets = join(root, 'dist', 'dashboard', 'assets');
  const scripts = (await readdir(assets)).filter((name) => name.endsWith('.js'));
  let script = 0;
  for (const name of scripts) script += gzipSync(await readFile(join(assets, name))).length;
  console.log(`${values.days} days, ${values.tenants} tenants: ${(bytes / 1e6).toFixed(1)} MB of marts, ${(script / 1e3).toFixed(0)} kB of scripts`); // oxfmt-ignore
  const executablePath = process.env.CHROMIUM ?? '/usr/bin/chromium';
  const browser = await chromium.launch({ executablePath, args: ['--no-sandbox'] });
  try {
    // The first page of all is not measured: the browser still starts beside it.
    await measure(browser, address + values.path);
    for (let nth = 0; nth < Number(values.times); nth++) console.log(await measure(browser, address + values.path));
  } finally {
    await browser.close();
    server.kill();
  }
} finally {
  await rm(folder, { recursive: true, force: true });
}

async function measure(browser, url) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 } });
  const page = await context.newPage();
  await page.addInitScript(() => {
    new MutationObserver(() => {
      if (document.querySelector('.card svg.chart')) globalThis.firstChart ??= performance.now();
    }).observe(document, { childList: true, subtree: true });
  });
  await browser.startTracing(page, { categories: ['toplevel', 'disabled-by-default-devtools.timeline'] });
  await page.goto(url);
  await page.waitForSelector('.card svg.chart');
  await page.waitForSelector('.skeleton', { state: 'detached' });
  const [first, all] = await page.evaluate(() => [globalThis.firstChart, performance.now()]);
  // Every chart at once: the figures of a day do not change before those of another one.
  await page.getByRole('button', { name: '12 months' }).click();
  await page.waitForURL(/range=12m/);
  await page.waitForSelector('main[aria-busy="false"]');
  const { traceEvents } = JSON.parse((await browser.stopTracing()).toString());
  const threads = new Map(
    traceEvents.filter(({ name }) => name === 'thread_name').map(({ pid, tid, args }) => [`${pid} ${tid}`, args.name]),
  );
  // The browser's own pages have processes of their own.
  const origin = new URL(url).origin;
  const pids = new Set(traceEvents.filter(({ args }) => args?.data?.url?.startsWith?.(`${origin}/assets/`)).map(({ pid }) => pid)); // oxfmt-ignore
  // The processor's time of each task does not depend on what else the machine does.
  const tasks = traceEvents
    .filter(
      ({ name, pid, tid }) => name === 'RunTask' && pids.has(pid) && threads.get(`${pid} ${tid}`) === 'CrRendererMain',
    )
    .map(({ tdur = 0 }) => tdur / 1000);
  const ms = (value) => `${Math.round(value)} ms`;
  await context.close();
  return `first chart ${ms(first)}, all charts ${ms(all)}, load ${loadavg()[0].toFixed(1)}; longest task ${ms(Math.max(...tasks))} of CPU, ${tasks.filter((task) => task > 50).length} over 50 ms`; // oxfmt-ignore
}

/** The marts of the lake, repeated for each tenant and moved back in time, and a manifest that names them. */
async function writeMarts(manifest, days, tenants) {
  const instance = await DuckDBInstance.create();
  const connection = await instance.connect();
  await mkdir(join(folder, 'store', 'marts'), { recursive: true });
  let bytes = 0;
  const ids = Array.from({ length: tenants }, (_, nth) => `tenant-${String(nth + 1).padStart(2, '0')}`);
  const marts = {};
  for (const [name, mart] of Object.entries(manifest.marts)) {
    const [from, into] = [join(values['data-dir'], mart.file), join(folder, mart.file)];
    const day = name.endsWith('_by') ? 'period' : 'day';
    // A period keeps its weekday or its day of the month, so that weeks and months stay what they are.
    const moved = `case ${day === 'period' ? 'grain' : `'day'`} when 'month' then (${day} - to_months(moves.nth * 2))::date else ${day} - 63 * moves.nth end`;
    const order = day === 'period' ? 'tenant_id, grain, pass_type, platform, period' : 'tenant_id, day';
    const written = await sizeOf(
      connection,
      `copy (
         with source as (from '${from}' where tenant_id = (select min(tenant_id) from '${from}')),
         moves as (select unnest(range(${Math.ceil(days / 63)}))::int as nth),
         moved as (select source.* replace (${moved} as ${day}) from source cross join moves),
         kept as (select * from moved where ${day} > (select max(${day}) from '${from}') - ${days})
         select kept.* replace (tenants.id as tenant_id) from kept cross join (select unnest(${JSON.stringify(ids).replaceAll('"', "'")}) as id) as tenants
         order by ${order}
       ) to '${into}' (format parquet, compression zstd, row_group_size 4096, return_stats)`,
    );
    bytes += written;
    const first = new Date(Date.parse(mart.lastDay) - (days - 1) * 86_400_000).toISOString().slice(0, 10);
    marts[name] = { ...mart, bytes: written, firstDay: first };
  }
  connection.closeSync();
  instance.closeSync();
  const first = new Date(Date.parse(Object.values(marts)[0].lastDay) - (days - 1) * 86_400_000).toISOString();
  const tables = Object.fromEntries(
    Object.entries(manifest.tables).map(([name, table]) => {
      const [one] = Object.values(table.tenants);
      const coverage = one.coverage.map((span, nth) => (nth === 0 ? { ...span, from: first } : span));
      return [name, { ...table, tenants: Object.fromEntries(ids.map((id) => [id, { partitions: [], coverage }])) }];
    }),
  );
  await writeFile(join(folder, 'manifest.json'), JSON.stringify({ ...manifest, marts, tables }));
  return bytes;
}

/** Bytes of the file that a `copy` writes. */
async function sizeOf(connection, sql) {
  const reader = await connection.runAndReadAll(sql);
  const [row] = reader.getRowObjectsJson();
  return Number(row.file_size_bytes);
}
