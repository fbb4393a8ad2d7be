/** The page in a real browser, over a lake that a run has loaded and published. */
import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { DuckDBInstance } from '@duckdb/node-api';
import axe from 'axe-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { HEADLINES, idOf, SECTIONS } from '../../dashboard/reports.ts';
import { siteOf } from '../../src/commands/site.ts';
import { parseManifest } from '../../src/model/manifest.ts';
import { openReader } from '../../src/query/reader.ts';
import { openWorld, type World } from '../pipeline/support/world.ts';
import { buildPage } from '../support/built.ts';
import { LONG } from '../support/campaign.ts';
import { chartRows, choose, csvRows, reportRows, saved, savedRows } from './support/figures.ts';
import { findBrowser, openDesk, type Desk } from './support/browser.ts';

const browser = findBrowser();
const CHARTS = SECTIONS.flatMap(({ charts }) => charts);
const REPORTS = new Set([...CHARTS, ...HEADLINES].map(({ report }) => report));
const SOURCE = { rows: 1500, days: 20, now: '2026-11-01T00:30:00Z', frozen: true, tenants: ['paris', 'rome'] };

if (browser === undefined)
  process.stderr.write(
    'No browser on this machine: the tests of the dashboard page did not run. `.ci/dashboard` installs one.\n',
  );

it('a test without a browser is left out, not passed over in silence', () => {
  expect(browser ?? 'none').toMatch(/^none$|^\//);
});

describe.runIf(browser !== undefined)('the page', () => {
  let world: World;
  let desk: Desk;
  let putBack: () => Promise<void>;
  beforeAll(async () => {
    world = await openWorld(SOURCE, { lake: { marts: true, checks: true } });
    await world.run();
    putBack = await world.keep();
    const { signal } = new AbortController();
    desk = await openDesk(await siteOf({ config: world.config(), signal }, await buildPage()), browser ?? '');
  });
  afterAll(async () => {
    await desk?.[Symbol.asyncDispose]();
    await world?.[Symbol.asyncDispose]();
  });

  // A browser takes too long for `npm test`. `.ci/dashboard` runs the whole file.
  const cases = [
    ['paris', 'range=7d', '2026-10-25', '2026-11-01'],
    ['rome', 'range=custom&from=2026-10-15&to=2026-10-20', '2026-10-15', '2026-10-20'],
    ['rome', 'range=all', '2026-10-12', '2026-11-01'],
  ] as const;
  for (const [tenant, range, from, to] of cases)
    it(`the figures of each chart are those of its report: ${tenant}, ${range}`, LONG, async () => {
      await using reader = await openReader(world.dataDir, world.config().engine);
      await using screen = await desk.open(`?tenant=${tenant}&${range}`);
      for (const plan of CHARTS)
        expect({ name: idOf(plan), rows: await savedRows(screen.page, idOf(plan)) }).toEqual({
          name: idOf(plan),
          rows: await chartRows(reader, plan, tenant, from, to),
        });
      const active = await reportRows(reader, 'active_passes', tenant, from, to);
      const last = active.at(-1) ?? {};
      const shown = await screen.page.locator('[data-figure="Passes in wallets"] .value').innerText();
      expect(Number(shown.replaceAll(',', ''))).toBe(last['active_passes']);
      // What is drawn, read out by the keys, is what is saved.
      const chart = screen.page.locator('[data-report="passes_created"]');
      await chart.locator('.keys').press('End');
      const created = await reportRows(reader, 'passes_created', tenant, from, to);
      expect(await chart.locator('.readout').innerText()).toContain(
        `: ${JSON.stringify(created.at(-1)?.['passes_created'])}`,
      );
    });

  it('every hour of the calendar has the account that the catalogue has', LONG, async () => {
    await using screen = await desk.open('?page=proof&tenant=paris&range=all');
    for (const table of ['logs', 'events', 'metrics']) {
      const text = await saved(screen.page, () => screen.page.locator(`[data-table="${table}"] button.small`).click());
      const hours = csvRows(text).map(({ hour, state, source_rows, lake_rows, duplicate_rows }) => ({
        hour,
        state,
        source_rows,
        lake_rows,
        duplicate_rows,
      }));
      const expected = await world.sql(
        `select strftime(hour at time zone 'UTC', '%Y-%m-%dT%H:00:00.000Z') as hour, if(state = 'verified', grade, state) as state,
           source_rows::int as source_rows, lake_rows::int as lake_rows, duplicate_rows::int as duplicate_rows
         from coverage where tenant_id = 'paris' and table_name = '${table}' and hour < '2026-11-01' order by hour`,
      );
      expect({ table, hours }).toEqual({ table, hours: expected });
    }
    const calendar = screen.page.locator('[data-table="events"]');
    await calendar.locator('.keys').press('End');
    expect(await calendar.locator('.readout').innerText()).toMatch(
      /^31 Oct 2026, 23:00 UTC: proven by content\. Source \d+ = lake \d+ .* by run \d{8}T/,
    );
    expect(await screen.page.locator('.sentences').innerText()).toContain(
      'Every hour of Events from 12 Oct 2026 to 31 Oct 2026 is proven by content.',
    );
  });

  it('chart, table, CSV, PNG and SVG of a chart', LONG, async () => {
    await using screen = await desk.open('?tenant=paris');
    const { page } = screen;
    const card = page.locator('[data-report="platform_split"]');
    const svg = await saved(page, () => choose(page, 'platform_split', 'Save as SVG'));
    expect(svg).toMatch(/^<svg[^]*<title>Platform split<\/title>[^]*stroke="rgb/);
    const png = await saved(page, () => choose(page, 'platform_split', 'Save as PNG'));
    expect(png.slice(1, 4)).toBe('PNG');
    await choose(page, 'platform_split', 'Show as table');
    expect(await card.locator('tbody tr').first().innerText()).toMatch(/31 Oct 2026\s+google/);
    await card.getByLabel('About Platform split').click();
    expect(await card.locator('.help').innerText()).toContain('insights-etl query platform_split --param tenant=paris');
  });

  it('is reached by the keyboard alone, and Escape closes what was opened', LONG, async () => {
    await using screen = await desk.open('?tenant=paris');
    const { page } = screen;
    const focused = (): Promise<string> =>
      page.evaluate(`document.activeElement.getAttribute('aria-label') ?? document.activeElement.textContent`);
    const seen: string[] = [];
    for (let nth = 0; nth < 20; nth++) {
      await page.keyboard.press('Tab');
      seen.push(await focused());
    }
    expect(seen.slice(0, 3)).toEqual(['Adoption', 'Proof', expect.stringContaining('Snapshot of')]);
    expect(seen).toEqual(
      expect.arrayContaining([
        '7 days',
        'All',
        'About Platform split',
        expect.stringContaining('Platform split by day'),
      ]),
    );
    const help = page.getByLabel('About Platform split');
    await help.focus();
    await page.keyboard.press('Enter');
    expect(await page.locator('details[open]').count()).toBe(1);
    await page.keyboard.press('Escape');
    expect([await page.locator('details[open]').count(), await focused()]).toEqual([0, 'About Platform split']);
    await page.getByRole('button', { name: '7 days' }).press('Enter');
    await page.waitForURL(/range=7d/);
    await page.goBack();
    await page.waitForURL((url) => !url.search.includes('range=7d'));
  });

  it.each([
    ['adoption', 'light', 1280],
    ['adoption', 'dark', 390],
    ['proof', 'dark', 1280],
    ['proof', 'light', 390],
  ] as const)('%s has no accessibility violation, in %s, %s px wide', LONG, async (name, colorScheme, width) => {
    const options = { colorScheme, viewport: { width, height: 844 } };
    await using screen = await desk.open(`?page=${name}`, options);
    const { page } = screen;
    await page.evaluate(axe.source);
    const violations: unknown = await page.evaluate(
      `axe.run({ runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'best-practice'] }).then(({ violations }) => violations.map(({ id, nodes }) => id + ': ' + nodes[0].html))`,
    );
    expect(violations).toEqual([]);
    const look = await page.evaluate(
      `({ width: document.documentElement.scrollWidth, colour: getComputedStyle(document.body).backgroundColor })`,
    );
    expect(look).toEqual({ width, colour: colorScheme === 'dark' ? 'rgb(18, 20, 23)' : 'rgb(251, 251, 250)' });
  });

  it('shows a new snapshot by itself, as a whole, and names a file that is damaged or missing', LONG, async () => {
    await using screen = await desk.open('?tenant=paris&range=all', {}, (page) => page.clock.install());
    const { page } = screen;
    const before = desk.requests.length;
    await world.sandbox.apply({ action: 'clock', advance: '6h' });
    await world.sandbox.apply({
      action: 'generate',
      table: 'Events',
      tenant: 'paris',
      rows: 400,
      from: '2026-11-01T00:30:00Z',
      to: '2026-11-01T06:00:00Z',
    });
    await world.run();
    await page.clock.fastForward(20_000);
    await page.waitForSelector('main[data-snapshot="2"]');
    expect(await page.locator('.notice').innerText()).toBe('Updated to snapshot 2.');
    await using reader = await openReader(world.dataDir, world.config().engine);
    for (const name of ['installs', 'survival', 'log_errors'])
      expect({ name, rows: await savedRows(page, name) }).toEqual({
        name,
        rows: await reportRows(reader, name, 'paris', '2026-10-12', '2026-11-01'),
      });
    const manifest = parseManifest(await readFile(join(world.dataDir, 'manifest.json'), 'utf8'));
    const current = Object.values(manifest.marts).map(({ file }) => file);
    const asked = desk.requests.slice(before).filter((url) => url.endsWith('.parquet'));
    expect(asked.map((url) => url.replace(desk.server.url, '')).filter((file) => !current.includes(file))).toEqual([]);

    await writeFile(join(world.dataDir, manifest.marts['scans']?.file ?? ''), 'damaged');
    await rm(join(world.dataDir, manifest.marts['churn']?.file ?? ''));
    await using other = await desk.open('?tenant=paris');
    expect(await other.page.locator('[data-report="scans"] .failure').innerText()).toMatch(
      /^store\/marts\/scans\/\d+\.parquet: The file is damaged\./,
    );
    expect(await other.page.locator('[data-report="churn"] .failure').innerText()).toMatch(
      /^store\/marts\/churn\/\d+\.parquet: The file is missing\./,
    );
    expect(await other.page.locator('.failure').count()).toBe(2);
    await putBack();
  });

  it('shows names from the data as text', LONG, async () => {
    const hostile = `<img src=x onerror="globalThis.hacked = 1"><script>globalThis.hacked = 1</script>`;
    const manifest = parseManifest(await readFile(join(world.dataDir, 'manifest.json'), 'utf8'));
    const file = join(world.dataDir, manifest.marts['attribution']?.file ?? '');
    const instance = await DuckDBInstance.create();
    const connection = await instance.connect();
    await connection.run(`create table rows as select * replace ('${hostile}' || source as source) from '${file}'`);
    await connection.run(`copy rows to '${file}' (format parquet, compression zstd)`);
    connection.closeSync();
    instance.closeSync();
    await using screen = await desk.open('?tenant=paris', {}, async (page) => {
      await page.route('**/proof/*.json', async (route) => {
        const response = await route.fetch();
        await route.fulfill({
          response,
          json: {
            ...(await response.json()),
            drift: [{ changed: 0, table_name: 'events', type: hostile, path: hostile, change: 'new_type', kind: '' }],
          },
        });
      });
    });
    const { page } = screen;
    expect(await page.locator('[data-report="attribution"] title').first().textContent()).toContain(hostile);
    await page.getByRole('link', { name: 'Proof' }).click();
    await page.waitForSelector('[data-facts]');
    expect(await page.locator('[data-facts="Changes in the shape of the data"]').innerText()).toContain(hostile);
    expect(await page.evaluate(() => 'hacked' in globalThis)).toBe(false);
  });

  it('says once that a lake keeps no figures by day, and how to get them', LONG, async () => {
    await using screen = await desk.open('?tenant=paris', {}, async (page) => {
      await page.route('**/manifest.json', async (route) => {
        const response = await route.fetch();
        await route.fulfill({ response, json: { ...(await response.json()), marts: {} } });
      });
    });
    expect(await screen.page.locator('main').innerText()).toMatch(/no figures by day.*lake\.marts: true.*Proof/s);
    expect(await screen.page.locator('.card, .failure, .figure').count()).toBe(0);
  });

  it('asks no other server, and breaks no rule of its content security policy', LONG, () => {
    expect(
      desk.requests.filter((url) => !url.startsWith(desk.server.url) && !url.startsWith(`blob:${desk.server.url}`)),
    ).toEqual([]);
    expect(desk.complaints).toEqual([]);
    expect(desk.requests.filter((url) => url.endsWith('.parquet')).length).toBeGreaterThanOrEqual(REPORTS.size);
  });
});
