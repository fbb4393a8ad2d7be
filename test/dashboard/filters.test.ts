/** The filters of the page in a real browser, over a lake with marts by week, month, pass type and platform. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { GRAINS } from '../../dashboard/periods.ts';
import { idOf, SECTIONS } from '../../dashboard/reports.ts';
import { openReader } from '../../src/query/reader.ts';
import { findReport } from '../../src/query/report.ts';
import type { World } from '../pipeline/support/world.ts';
import { LONG } from '../support/campaign.ts';
import { drawn, findBrowser, type Desk } from './support/browser.ts';
import { allSaved, chartRows, KEEP_SAVED, keyOf, splitRows } from './support/figures.ts';
import { openParis } from './support/paris.ts';

const browser = findBrowser();
const CHARTS = SECTIONS.flatMap(({ charts }) => charts);

describe.runIf(browser !== undefined)('the filters', LONG, () => {
  let world: World;
  let desk: Desk;
  beforeAll(async () => {
    ({ world, desk } = await openParis({ marts: true, splitMarts: true }, browser ?? ''));
  });
  afterAll(async () => {
    await desk?.[Symbol.asyncDispose]();
    await world?.[Symbol.asyncDispose]();
  });

  // Ranges of whole weeks and months, as the page makes them of all days.
  const spans = {
    day: ['2026-10-12', '2026-11-01'],
    week: ['2026-10-12', '2026-10-26'],
    month: ['2026-10-01', '2026-11-01'],
  } as const;
  it('the figures of each chart are those of its report, by each grain, pass type and platform', async () => {
    const [{ type } = {}] = await world.sql(
      `select pass_type as type from passes where tenant_id = 'paris' group by type order by count(*) desc limit 1`,
    );
    await using reader = await openReader(world.dataDir, world.config().engine);
    await using screen = await desk.open(
      '?tenant=paris',
      {},
      async (page) => void (await page.addInitScript(KEEP_SAVED)),
    );
    const { page } = screen;
    expect(await page.getByLabel('Pass type').locator('option').allInnerTexts()).toEqual(
      expect.arrayContaining(['all', type]),
    );
    const choices = [
      {},
      { pass_type: String(type) },
      { platform: 'apple' },
      { pass_type: String(type), platform: 'apple' },
    ];
    const wrong: unknown[] = [];
    for (const grain of GRAINS)
      for (const choice of choices) {
        const values = { grain, ...choice };
        const search = new URLSearchParams({ tenant: 'paris', range: 'all', ...values });
        await page.goto(`${desk.server.url}?${search.toString()}`);
        await drawn(page);
        const shown = await allSaved(page);
        for (const plan of CHARTS) {
          const name = idOf(plan);
          const { dimensions } = await findReport(plan.report);
          const known = [...dimensions.allowed, ...dimensions.rowsBy];
          const missing = Object.keys(choice).filter((filter) => !known.includes(filter));
          if (missing.length > 0) {
            const reason = `This figure does not exist by ${missing.join(' and ').replace('_', ' ')}.`;
            if (shown[name] !== reason) wrong.push({ name, values, reason, found: shown[name] });
            continue;
          }
          const rows = await chartRows(reader, plan, 'paris', spans[grain][0], spans[grain][1], values);
          // Of one platform, the share among the platforms chosen is always 1: the page leaves it out.
          if (name === 'platform_split' && 'platform' in choice) for (const row of rows) delete row['share'];
          const [expected, found] = [rows.map(keyOf), splitRows(shown[name] ?? '', rows).map(keyOf)];
          const nth = expected.findIndex((key, at) => key !== found[at]);
          if (nth >= 0 || expected.length !== found.length)
            wrong.push({ name, values, rows: [expected.length, found.length], row: expected[nth], found: found[nth] });
        }
      }
    expect(wrong).toEqual([]);
    const weeks = await page.goto(
      `${desk.server.url}?tenant=paris&range=custom&from=2026-10-14&to=2026-10-21&grain=week`,
    );
    expect(weeks?.status()).toBe(200);
    await drawn(page);
    expect(await page.locator('[data-report="scans"] .sentence').innerText()).toMatch(
      /^In 2 weeks, \d+ scans were counted/,
    );
    await page.locator('[data-report="scans"] .keys').press('Home');
    expect(await page.locator('[data-report="scans"] .readout').innerText()).toMatch(/^week from 12 Oct 2026: /);
  });
});
