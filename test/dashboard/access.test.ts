/** What the page is without a mouse and a screen: its accessibility tree, reduced motion, paper, and two tabs at the same time. */
import type { Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { idOf, SECTIONS } from '../../dashboard/reports.ts';
import { openReader } from '../../src/query/reader.ts';
import type { World } from '../pipeline/support/world.ts';
import { LONG } from '../support/campaign.ts';
import { accessibleNodes, below } from './support/accessible.ts';
import { drawn, findBrowser, type Desk } from './support/browser.ts';
import { choose, reportRows, savedRows } from './support/figures.ts';
import { openParis } from './support/paris.ts';

const browser = findBrowser();
const CHARTS = SECTIONS.flatMap(({ charts }) => charts);

/** Records what is on the page after each change: its snapshot, and all figures and sentences. */
const RECORD = `
  globalThis.seen = [];
  const look = () => {
    const main = document.querySelector('main');
    const texts = [...main.querySelectorAll('.figure, .sentence')].map(({ textContent }) => textContent);
    seen.push(JSON.stringify([main.dataset.snapshot, document.querySelector('.status').textContent, texts]));
  };
  look();
  new MutationObserver(look).observe(document.body, { subtree: true, childList: true, attributes: true, characterData: true });
`;

describe.runIf(browser !== undefined)('the page for everybody', LONG, () => {
  let world: World;
  let desk: Desk;
  beforeAll(async () => {
    ({ world, desk } = await openParis({ marts: true, splitMarts: true, checks: true }, browser ?? ''));
  });
  afterAll(async () => {
    await desk?.[Symbol.asyncDispose]();
    await world?.[Symbol.asyncDispose]();
  });

  it('every chart has a name and a sentence, its table has headers, and filters expose what is chosen', async () => {
    await using screen = await desk.open('?tenant=paris&range=all&grain=week&compare=year');
    const { page } = screen;
    const nodes = await accessibleNodes(page);
    const named = (role: string): string[] => nodes.filter((node) => node.role === role).map(({ name }) => name);
    const figures = nodes.filter(({ role }) => role === 'figure');
    expect(figures.length).toBe(CHARTS.length);
    for (const figure of figures) {
      const inside = below(figure);
      const [image] = inside.filter(({ role }) => role === 'image');
      expect(figure.name).not.toBe('');
      // The title and what has changed, in words.
      expect(image?.name.startsWith(`${figure.name}. `)).toBe(true);
      expect(image?.name.length).toBeGreaterThan(figure.name.length + 20);
      expect(inside.filter(({ role }) => role === 'heading').map(({ name }) => name)).toEqual([figure.name]);
    }
    expect(named('heading').filter((name) => SECTIONS.some(({ question }) => question === name)).length).toBe(SECTIONS.length); // oxfmt-ignore
    // Nothing that can be operated is without a name.
    const operated = nodes.filter(({ role }) => ['button', 'link', 'combobox', 'DisclosureTriangle', 'textbox'].includes(role)); // oxfmt-ignore
    expect(operated.length).toBeGreaterThan(2 * CHARTS.length);
    expect(operated.filter(({ name }) => name === '')).toEqual([]);

    const pressed = nodes.filter(({ properties }) => properties['pressed'] === 'true').map(({ name }) => name);
    expect(pressed).toEqual(['All']);
    const chosen = nodes
      .filter(({ role }) => role === 'combobox')
      .map((box) => [box.name, below(box).filter(({ properties }) => properties['selected'] === true).map(({ name }) => name)]); // oxfmt-ignore
    expect(Object.fromEntries(chosen)).toEqual({
      Tenant: ['paris'],
      By: ['weeks'],
      'Pass type': ['all'],
      Platform: ['all'],
      'Compare with': ['a year before'],
    });

    for (const plan of [CHARTS[0], CHARTS.find(({ drawing }) => drawing?.kind === 'ages')]) {
      if (!plan) throw new Error('no chart');
      await choose(page, idOf(plan), 'Show as table');
      await page.waitForSelector(`[data-report="${idOf(plan)}"] table`);
    }
    const tables = (await accessibleNodes(page)).filter(({ role }) => role === 'table');
    expect(tables.length).toBe(2);
    for (const table of tables) {
      const heads = below(table).filter(({ role }) => role === 'columnheader');
      expect(heads.length).toBeGreaterThan(2);
      expect(heads.filter(({ name }) => name === '')).toEqual([]);
      const rows = below(table).filter(({ role }) => role === 'row');
      expect(rows.length).toBeGreaterThan(2);
    }
  });

  it('the calendars, runs and findings of Proof have names, and tables have headers', async () => {
    await using screen = await desk.open('?page=proof&tenant=paris&range=all');
    const { page } = screen;
    for (const summary of await page.locator('details.behind > summary').all()) await summary.click();
    const nodes = await accessibleNodes(page);
    const images = nodes.filter(({ role }) => role === 'image').map(({ name }) => name);
    for (const table of ['Logs', 'Events', 'Metrics'])
      expect(images.filter((name) => name.startsWith(`Hours of ${table}: `) && /\d/.test(name))).toHaveLength(1);
    const tables = nodes.filter(({ role }) => role === 'table');
    expect(tables.length).toBeGreaterThanOrEqual(4);
    for (const table of tables)
      expect(below(table).filter(({ role, name }) => role === 'columnheader' && name !== '').length).toBeGreaterThan(1);
  });

  it('with reduced motion nothing moves, and without it nothing moves for longer than 150 ms', async () => {
    const moving = `[...document.querySelectorAll('*')].flatMap((element) => {
      const { transitionDuration, animationName, animationDuration } = getComputedStyle(element);
      const seconds = [transitionDuration, animationName === 'none' ? '0s' : animationDuration].flatMap((text) => text.split(',').map(parseFloat));
      return seconds.filter((each) => each > 0);
    })`;
    await using still = await desk.open('?tenant=paris', { reducedMotion: 'reduce' });
    expect(await still.page.evaluate(moving)).toEqual([]);
    await using other = await desk.open('?tenant=paris');
    const durations: readonly number[] = await other.page.evaluate(moving);
    expect(durations.filter((seconds) => seconds > 0.15)).toEqual([]);
  });

  it.each(['adoption', 'proof'])(
    'on paper, %s says what it shows, in light colours, and nothing is cut off',
    async (name) => {
      await using screen = await desk.open(`?page=${name}&tenant=paris&range=all&grain=week&platform=apple`, {
        colorScheme: 'dark',
      });
      const { page } = screen;
      await page.emulateMedia({ media: 'print', colorScheme: 'dark' });
      // A4 without its margins.
      await page.setViewportSize({ width: 703, height: 1000 });
      expect(await page.locator('.printed').innerText()).toMatch(
        name === 'proof'
          ? /^paris, 12 Oct 2026 – 31 Oct 2026 \(UTC\)$/
          : /^paris, 12 Oct 2026 – 25 Oct 2026 \(UTC\), by week, platform apple$/,
      );
      expect(await page.locator('.filters, .tools, .notice').filter({ visible: true }).count()).toBe(0);
      const look: unknown = await page.evaluate(`({
      colours: [document.body, document.querySelector('.card')].map((element) => getComputedStyle(element).backgroundColor),
      text: getComputedStyle(document.body).color,
      wide: [...document.querySelectorAll('.chart, .card, table')].filter((element) => element.getBoundingClientRect().right > innerWidth).map((element) => element.outerHTML.slice(0, 80)),
    })`);
      expect(look).toEqual({
        colours: ['rgb(255, 255, 255)', 'rgb(255, 255, 255)'],
        text: 'rgb(27, 29, 32)',
        wide: [],
      });
      const pdf = await page.pdf({ format: 'A4' });
      expect(pdf.subarray(0, 5).toString()).toBe('%PDF-');
      const pages = pdf.toString('latin1').match(/\/Type\s*\/Page\b/g)?.length ?? 0;
      expect(pages).toBeGreaterThan(0);
      expect(pages).toBeLessThan(9);
    },
  );

  it('two tabs notice the same new snapshot, announce it, and never show figures of both', async () => {
    await using screen = await desk.open('?tenant=paris&range=all', {}, (page) => page.clock.install());
    const first = screen.page;
    const second = await first.context().newPage();
    await second.goto(`${desk.server.url}?tenant=paris&range=7d&compare=none`);
    await drawn(second);
    const tabs = [first, second];
    for (const tab of tabs) await tab.evaluate(RECORD);
    await world.sandbox.apply({ action: 'clock', advance: '6h' });
    const more = { from: '2026-10-31T00:30:00Z', to: '2026-11-01T06:00:00Z' };
    await world.sandbox.apply({ action: 'generate', table: 'Events', tenant: 'paris', rows: 400, ...more });
    await world.run();
    await first.clock.fastForward(20_000);
    await Promise.all(tabs.map((tab) => tab.waitForSelector('main[data-snapshot="2"][aria-busy="false"]')));
    for (const tab of tabs) {
      const [status] = (await accessibleNodes(tab)).filter(({ role }) => role === 'status');
      expect(status?.properties).toMatchObject({ live: 'polite', atomic: true });
      expect(await tab.locator('[role=status]').innerText()).toBe('Updated to snapshot 2.');
      const seen: readonly string[] = await tab.evaluate('[...new Set(seen)]');
      expect(seen.map((text) => JSON.parse(text)[0])).toEqual(['1', '2']);
    }
    await using reader = await openReader(world.dataDir, world.config().engine);
    const shown = async (tab: Page, from: string): Promise<void> => {
      for (const name of ['installs', 'scans'])
        expect(await savedRows(tab, name)).toEqual(await reportRows(reader, name, 'paris', from, '2026-11-01'));
    };
    await shown(first, '2026-10-12');
    await shown(second, '2026-10-25');
  });
});
