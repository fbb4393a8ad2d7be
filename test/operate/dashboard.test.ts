/** The server and the static files of the dashboard: what they give out, what they refuse, and what they leave behind. */
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { z } from 'zod';
import { observed } from '../../src/commands/observe.ts';
import { forgetInSite, siteOf, withDashboard, writeSite } from '../../src/commands/site.ts';
import { parseManifest } from '../../src/model/manifest.ts';
import { serveDashboard, type DashboardServer } from '../../src/operate/dashboard/serve.ts';
import type { Site } from '../../src/operate/dashboard/site.ts';
import { writeDashboard } from '../../src/operate/dashboard/write.ts';
import { watchTraffic } from '../../src/operate/traffic.ts';
import { purgeTenant } from '../../src/pipeline/maintenance/purge.ts';
import { pushMirror } from '../../src/pipeline/mirror/push.ts';
import { bytesBelow, openWorld, type World } from '../pipeline/support/world.ts';
import { CAMPAIGN } from '../support/campaign.ts';

let world: World;
let site: Site;
let server: DashboardServer;
let folder: string;
beforeAll(async () => {
  const source = { rows: 400, days: 3, now: '2026-11-01T00:30:00Z', frozen: true, tenants: ['paris', 'rome'] };
  world = await openWorld(source, { lake: { marts: true } });
  await world.run({ tables: ['Events'] });
  folder = await mkdtemp(join(tmpdir(), 'insights-dashboard-'));
  // The page itself is another test's: two files stand for it here.
  const page = join(folder, 'page');
  await mkdir(join(page, 'assets'), { recursive: true });
  await writeFile(join(page, 'index.html'), '<p>page</p>');
  await writeFile(join(page, 'assets', 'index-1.js'), 'script');
  site = await siteOf({ config: world.config(), signal: new AbortController().signal }, page);
  server = await serveDashboard(site, { port: 0, setting: { flag: '--port' } });
});
afterAll(async () => {
  await server?.[Symbol.asyncDispose]();
  await world?.[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
});

const get = (path: string, init?: RequestInit): Promise<Response> => fetch(server.url + path, init);

/** The status of a request whose path and host are sent as they are. */
function statusOf(path: string, host: string, of: DashboardServer = server): Promise<number | undefined> {
  const { port } = new URL(of.url);
  return new Promise((resolve, reject) => {
    request({ host: '127.0.0.1', port, path, headers: { host } }, (response) => resolve(response.resume().statusCode))
      .on('error', reject)
      .end();
  });
}

async function martFile(): Promise<string> {
  return parseManifest(await readFile(join(world.dataDir, 'manifest.json'), 'utf8')).marts['installs']?.file ?? '';
}

it('the server answers with an ETag, ranges of bytes and a strict policy', async () => {
  const path = await martFile();
  const bytes = await readFile(join(world.dataDir, path));
  const whole = await get(path);
  expect(Buffer.from(await whole.arrayBuffer()).equals(bytes)).toBe(true);
  const etag = whole.headers.get('etag') ?? '';
  expect((await get(path, { headers: { 'if-none-match': etag } })).status).toBe(304);
  const part = await get(path, { headers: { range: 'bytes=4-7' } });
  expect([part.status, part.headers.get('content-range')]).toEqual([206, `bytes 4-7/${bytes.length}`]);
  expect(Buffer.from(await part.arrayBuffer()).equals(bytes.subarray(4, 8))).toBe(true);
  const end = await get(path, { headers: { range: 'bytes=-4' } });
  expect(await end.text()).toBe('PAR1');
  expect((await get(path, { headers: { range: `bytes=${bytes.length}-` } })).status).toBe(416);
  const head = await get('', { method: 'HEAD' });
  expect([head.status, head.headers.get('content-length')]).toEqual([200, '11']);
  const policy = head.headers.get('content-security-policy') ?? '';
  expect(policy).toContain(`default-src 'none'; script-src 'self'`);
  expect(policy).not.toMatch(/unsafe|http|\*/);
});

it('the manifest names each tenant and mart and no other file, and each tenant has its proof', async () => {
  const manifest = await get('manifest.json');
  const text = await manifest.text();
  expect(JSON.parse(text)).toMatchObject({ snapshot: 1, tenants: ['paris', 'rome'] });
  expect(text).not.toContain('store/events');
  const proof: unknown = await (await get('proof/1.1.json')).json();
  const [{ rows } = {}] = await world.sql(
    `select sum(source_rows)::int as rows from coverage where tenant_id = 'rome' and table_name = 'events'`,
  );
  expect(proof).toMatchObject({ snapshot: 1, tenant: 'rome', logsRetentionDays: 45, runs: [{ outcome: 'verified' }] });
  const { tables } = z.object({ tables: z.object({ events: z.object({ source: z.array(z.number()) }) }) }).parse(proof);
  expect(tables.events.source.reduce((sum, n) => sum + n, 0)).toBe(rows);
});

it('nothing else is given out, to nobody else', async () => {
  const { host } = new URL(server.url);
  const [row] = (await readdir(join(world.dataDir, 'store', 'events'), { recursive: true })).filter((name) =>
    name.endsWith('.parquet'),
  );
  const refused = [
    'state.duckdb',
    'insights.duckdb',
    `store/events/${row}`,
    'store/marts/',
    'store/marts/openings.1.parquet',
    'store/marts/scans/_delta_log/00000000000000000000.json',
    'lake/coverage.parquet',
    'assets/',
    'assets/../index.html',
    '../page/index.html',
    'proof/2.0.json',
    'proof/1.2.json',
    'store/marts/..%2f..%2fstate.duckdb',
    '.sql_history',
  ];
  for (const path of refused) expect([path, await statusOf(`/${path}`, host)]).toEqual([path, 404]);
  expect(await statusOf('/', 'attacker.example')).toBe(403);
  expect((await get('manifest.json', { method: 'POST' })).status).toBe(405);
});

it(
  'static files name one snapshot, keep those of the one before, and go nowhere that holds something else',
  CAMPAIGN,
  async () => {
    const out = join(folder, 'public');
    const first = await martFile();
    expect(await writeDashboard(site, out)).toMatchObject({ snapshot: 1, folder: out });
    const names = await readdir(out, { recursive: true });
    expect(names).toEqual(
      expect.arrayContaining([
        'index.html',
        'manifest.json',
        'reports.json',
        'assets/index-1.js',
        'proof/1.0.json',
        'proof/1.1.json',
        first,
      ]),
    );
    await world.sandbox.apply({ action: 'clock', advance: '3h' });
    await world.sandbox.apply({
      action: 'generate',
      table: 'Events',
      tenant: 'paris',
      rows: 300,
      from: '2026-11-01T00:30:00Z',
      to: '2026-11-01T03:00:00Z',
    });
    await world.run({ tables: ['Events'] });
    expect(await writeDashboard(site, out)).toMatchObject({ snapshot: 2 });
    const second = await martFile();
    expect([first, second, 'proof/1.0.json', 'proof/2.0.json'].map((name) => existsSync(join(out, name)))).toEqual([
      true,
      true,
      true,
      true,
    ]);
    expect(second).not.toBe(first);
    await writeDashboard(site, out);
    await expect(writeDashboard(site, join(world.dataDir, 'public'))).rejects.toThrow(
      'cannot be written into the data directory',
    );
    await writeFile(join(out, 'notes.txt'), 'mine');
    await expect(writeDashboard(site, out)).rejects.toThrow('holds other files, such as "notes.txt"');
  },
);

it('a run writes the files of `dashboard.out`, once per snapshot, and a folder that cannot be written stops no run', async () => {
  const events: Record<string, unknown>[] = [];
  const runtime = {
    ...world.runtime,
    log: pino({ level: 'info' }, { write: (line) => events.push(JSON.parse(line)) }),
  };
  const { signal } = new AbortController();
  const out = join(folder, 'each-run');
  const config = world.config({ dashboard: { out } });
  const page = site.page;
  await writeSite(config, runtime, signal, page);
  await writeSite(config, runtime, signal, page);
  const { snapshot } = parseManifest(await readFile(join(world.dataDir, 'manifest.json'), 'utf8'));
  expect(events).toMatchObject([{ event: 'dashboard.written', folder: out, snapshot }]);
  await rm(join(out, 'reports.json'));
  await writeSite(config, runtime, signal, page);
  expect(existsSync(join(out, 'reports.json'))).toBe(true);

  events.length = 0;
  await writeFile(join(out, 'notes.txt'), 'mine');
  await writeFile(join(out, 'manifest.json'), 'of an earlier snapshot');
  const report = await observed(config, runtime, { traffic: watchTraffic(runtime), isRegular: true }, signal, () =>
    world.run({ tables: ['Events'] }),
  );
  expect(report.exitCode).toBe(0);
  expect(events).toMatchObject([
    {
      event: 'dashboard.unwritten',
      folder: out,
      message: expect.stringMatching(/notes\.txt|missing from this installation/),
      hint: expect.anything(),
    },
  ]);
});

it('`schedule` serves the page on `dashboard.port` while it works, on other addresses than loopback under any name', async () => {
  const lines: { url: string }[] = [];
  const runtime = { ...world.runtime, log: pino({ level: 'info' }, { write: (line) => lines.push(JSON.parse(line)) }) };
  const session = { config: world.config({ dashboard: { port: 0 } }), runtime, signal: new AbortController().signal };
  const code = await withDashboard(
    session,
    async () => {
      expect(lines).toMatchObject([{ event: 'dashboard.listen' }]);
      expect(await (await fetch(lines[0]?.url ?? '')).text()).toBe('<p>page</p>');
      const taken = { ...session, config: world.config({ dashboard: { port: Number(new URL(server.url).port) } }) };
      await expect(withDashboard(taken, async () => 0, site.page)).rejects.toMatchObject({
        where: { key: 'dashboard.port' },
      });
      return 11;
    },
    site.page,
  );
  expect(code).toBe(11);
  await expect(fetch(lines[0]?.url ?? '')).rejects.toThrow('fetch failed');
  await using open = await serveDashboard(site, { host: '0.0.0.0', port: 0, setting: { key: 'dashboard.port' } });
  expect(await statusOf('/', 'insights.example:8080', open)).toBe(200);
});

it('without a page or a lake the error says what to do', async () => {
  const { signal } = new AbortController();
  const unbuilt = await siteOf({ config: world.config(), signal }, join(folder, 'nowhere'));
  await expect(writeDashboard(unbuilt, join(folder, 'other'))).rejects.toMatchObject({
    hint: expect.stringContaining('npm run build'),
  });
  const empty: Site = { ...site, dataDir: join(folder, 'empty') };
  await expect(writeDashboard(empty, join(folder, 'other'))).rejects.toMatchObject({
    hint: expect.stringContaining('insights-etl run'),
  });
});

it('a mirror has the static files, and a purge leaves nothing of its tenant in either', CAMPAIGN, async () => {
  const { signal } = new AbortController();
  const [out, to] = [join(folder, 'purged'), join(folder, 'mirror')];
  const config = world.config({ dashboard: { out }, mirror: { to } });
  const names = async (place: string): Promise<string[]> => (await readdir(place, { recursive: true })).toSorted();
  await writeSite(config, world.runtime, signal, site.page);
  await pushMirror(config, world.runtime, signal);
  expect(await names(join(to, 'dashboard'))).toEqual(await names(out));
  for (const place of [out, to]) expect(await bytesBelow(place)).toMatch(/\brome\b/);
  await writeFile(join(to, 'dashboard', 'robots.txt'), 'of the web host');
  await purgeTenant(config, 'rome', world.runtime);
  await forgetInSite(config, signal, site.page);
  await pushMirror(config, world.runtime, signal);
  for (const place of [out, to]) expect(await bytesBelow(place)).not.toMatch(/\brome\b/);
  expect(await names(join(to, 'dashboard'))).toEqual([...(await names(out)), 'robots.txt'].toSorted());
  expect(await names(out)).toContain('proof');
  // A dashboard that is no longer wanted goes, and nothing else.
  await pushMirror(world.config({ mirror: { to }, lake: { keepHours: 0 } }), world.runtime, signal);
  expect(await names(join(to, 'dashboard'))).toEqual(['robots.txt']);
});
