/** The budget of a run: calls, minutes, quiet hours. A run reports what it leaves, and the next run continues from there. */
import { afterEach, describe, expect, it } from 'vitest';
import { agenda } from '../../src/schedule/agenda.ts';
import { EXIT } from '../../src/kernel/errors.ts';
import { planRun } from '../../src/pipeline/plan-run.ts';
import type { RunReport } from '../../src/model/report.ts';
import { parseQuietSpan, quietUntil, type Quiet } from '../../src/model/quiet.ts';
import { openStage } from '../support/shell.ts';
import { CONTENT } from './support/content.ts';
import { openWorld, reportOf, type World } from './support/world.ts';
import { CAMPAIGN, LONG } from '../support/campaign.ts';

const SOURCE = { rows: 1500, days: 3, seed: 6, now: '2026-11-01T00:30:00Z', frozen: true } as const;
const SMALL_PAGES = { page: { maxRows: 200 } };

let world: World;
afterEach(() => world[Symbol.asyncDispose]());

const isPage = (query: string): boolean => query.includes('| take ');
const callsOf = (report: RunReport): number => report.tables.reduce((sum, { calls }) => sum + calls, 0);

describe('a run with fewer calls than it needs', () => {
  it(
    'sends exactly the calls it may, reports what is left and when it is lost, and the next runs finish the work',
    CAMPAIGN,
    async () => {
      world = await openWorld(SOURCE);
      const settings = { ...SMALL_PAGES, budget: { maxCalls: 6 } };
      const queries: string[] = [];
      const reports: RunReport[] = [];
      const fetch: typeof globalThis.fetch = (url, init) => {
        queries.push(typeof init?.body === 'string' ? init.body : '');
        return globalThis.fetch(url, init);
      };
      for (let k = 0; k < 30 && reports.at(-1)?.exitCode !== EXIT.ok; k++)
        reports.push(await world.run({}, settings, { fetch }));
      const [first] = reports;
      expect(reports.at(-1)?.exitCode).toBe(EXIT.ok);
      expect(reports.length).toBeGreaterThan(2);
      expect(reports.slice(0, -1).map(({ exitCode }) => exitCode)).toEqual(reports.slice(1).map(() => EXIT.budget));
      expect(reports.filter((report) => callsOf(report) > 6)).toEqual([]);
      expect(first && callsOf(first)).toBe(6);
      // The table that the source deletes from first comes first. For a table that was not reached the report gives no numbers.
      expect(first?.tables.map(({ table, outcome }) => `${table} ${outcome}`)).toEqual([
        'Logs verified',
        'Events unfinished',
        'Metrics unfinished',
      ]);
      expect(first && reportOf(first, 'Metrics').left).toEqual({ compared: false, hours: 0, rows: 0, calls: 1 });
      // No page is fetched twice: landed pages are kept.
      const pages = queries.filter(isPage);
      expect(pages.length).toBe(new Set(pages).size);
      const content = await world.sql(CONTENT);
      await using other = await openWorld(world.sandbox);
      await other.run();
      expect(content).toEqual(await other.sql(CONTENT));
    },
  );

  it('reports the rows and calls that are left and when they are lost, as `plan` predicted', async () => {
    world = await openWorld(SOURCE);
    const settings = { ...SMALL_PAGES, tables: { Events: { retentionDays: 30 } } };
    const request = { tables: ['Events'] as const };
    const plan = async (maxCalls: number) =>
      (
        await planRun(
          world.config({ ...settings, budget: { maxCalls } }),
          request,
          world.runtime,
          new AbortController().signal,
        )
      ).tables[0];
    expect((await plan(1000))?.left).toBeUndefined();
    const planned = await plan(4);
    const report = await world.run(request, { ...settings, budget: { maxCalls: 4 } });
    const left = reportOf(report, 'Events').left;
    expect(left?.compared).toBe(true);
    expect(left?.rows).toBeGreaterThan(0);
    expect(planned?.left?.calls).toBe((planned?.pages ?? 0) - 3);
    expect(left?.calls).toBe(planned?.left?.calls);
    for (const { lostAt } of [left, planned?.left].flatMap((known) => (known ? [known] : [])))
      expect(lostAt).toMatch(/^2026-11-(2[789]|30)T\d\d:00:00/);
  });

  it('learns the caps of the source also when it is cut off, and says of every table what is left', LONG, async () => {
    world = await openWorld({ ...SOURCE, rowCap: 30 });
    const budget = { budget: { maxCalls: 14 } };
    const cut = [await world.run({}, budget), await world.run({}, budget), await world.run({}, budget)];
    const leftIn = (report: RunReport | undefined) =>
      new Map((report?.tables ?? []).flatMap(({ table, left }) => (left ? [[table, left] as const] : [])));
    // Each table was compared, also those that no call was left to load from.
    for (const report of cut) {
      expect(report.exitCode).toBe(EXIT.budget);
      expect(callsOf(report)).toBeLessThanOrEqual(14);
      expect([...leftIn(report).values()].map(({ compared }) => compared)).not.toContain(false);
    }
    const total = (report: RunReport | undefined): number =>
      [...leftIn(report).values()].reduce((sum, { calls }) => sum + calls, 0);
    const totals = cut.map(total);
    expect(totals).toEqual(totals.toSorted((a, b) => b - a));
    expect(new Set(totals).size).toBe(3);
    const planned = await planRun(world.config(budget), {}, world.runtime, new AbortController().signal);
    const last = await world.run();
    expect(last.exitCode).toBe(EXIT.ok);
    for (const [table, { calls, rows }] of leftIn(cut[2])) {
      const { pages, rowsFetched } = reportOf(last, table);
      expect([table, pages]).toEqual([table, calls]);
      // The rows of a page that was split without a count are estimated.
      expect(Math.abs(rowsFetched - rows)).toBeLessThan(10);
    }
    expect(planned.tables.map(({ left }) => left?.compared ?? true)).toEqual([true, true, true]);
    // The hours of the report are those of this range.
    expect(reportOf(last, 'Logs').compared).toMatchObject({ to: expect.stringMatching(/^2026-11-01T00:/) });
  });

  it('makes progress with the smallest budget, although the source refuses the first pages', LONG, async () => {
    for (const limitMode of ['one-api-errors', 'error-400'] as const) {
      world = await openWorld({ ...SOURCE, rowCap: 60, limitMode });
      const request = { tables: ['Logs'] } as const;
      const codes: number[] = [];
      for (let k = 0; k < 12 && codes.at(-1) !== EXIT.ok; k++)
        codes.push((await world.run(request, { budget: { maxCalls: 3 } })).exitCode);
      expect([limitMode, codes.at(-1)]).toEqual([limitMode, EXIT.ok]);
      if (limitMode === 'one-api-errors') await world[Symbol.asyncDispose]();
    }
  });

  it('a budget of the tenant overrides the general budget', LONG, async () => {
    world = await openWorld({ ...SOURCE, tenants: ['lyon', 'paris'] });
    const key = (id: string) => ({ id, apiKey: { env: `KEY_${id.toUpperCase()}` } });
    const report = await world.run(
      {},
      { ...SMALL_PAGES, budget: { maxCalls: 3 }, tenants: [{ ...key('lyon'), maxCalls: 1000 }, key('paris')] },
    );
    expect(report.exitCode).toBe(EXIT.budget);
    expect(report.tables.filter(({ tenant }) => tenant === 'lyon').map(({ outcome }) => outcome)).toEqual([
      'verified',
      'verified',
      'verified',
    ]);
    expect(world.sandbox.calls.filter(({ tenant }) => tenant === 'paris')).toHaveLength(3);
  });
});

describe('a run with fewer minutes than it needs', () => {
  it('ends at once when the source demands a wait that would end after them', LONG, async () => {
    world = await openWorld({
      ...SOURCE,
      faults: [{ match: {}, after: 2, times: 1, reply: { kind: 'status', status: 429, retryAfter: 1200 } }],
    });
    const report = await world.run({}, { ...SMALL_PAGES, inFlight: 1, budget: { maxMinutes: 10 } });
    expect(report.exitCode).toBe(EXIT.budget);
    expect(world.sandbox.calls).toHaveLength(3);
    expect((await world.run({}, { budget: { maxMinutes: 10 } })).exitCode).toBe(EXIT.ok);
  });
});

const daytime: Quiet = { spans: [{ days: [1, 2, 3, 4, 5], from: 480, to: 1110 }], timeZone: 'Europe/Paris' };
const until = (quiet: Quiet, at: string): string | undefined => {
  const ms = quietUntil(quiet, Date.parse(at));
  return ms === undefined || ms === Infinity ? ms?.toString() : new Date(ms).toISOString().slice(0, 16);
};

describe('quiet hours', () => {
  it('are given as spans of days and hours', () => {
    expect(parseQuietSpan('Mon-Fri 08:00-18:30')).toEqual(daytime.spans[0]);
    expect(parseQuietSpan('Fri-Sun,Wed 22:00-06:00')).toEqual({ days: [5, 6, 0, 3], from: 1320, to: 360 });
    expect(parseQuietSpan('00:00-24:00')?.days).toHaveLength(7);
    for (const wrong of ['8-18', '08:00-08:00', '25:00-26:00', 'Fre 08:00-09:00', 'Mon-Tue-Wed 08:00-09:00', ''])
      expect(parseQuietSpan(wrong)).toBeUndefined();
  });

  it('follow the clock of their time zone, across midnight and through the night in which the clocks change', () => {
    expect(until(daytime, '2026-11-02T06:59:00Z')).toBeUndefined();
    expect(until(daytime, '2026-11-02T07:00:00Z')).toBe('2026-11-02T17:30');
    expect(until(daytime, '2026-11-01T10:00:00Z')).toBeUndefined();
    const night: Quiet = { spans: [{ days: [6], from: 1320, to: 360 }], timeZone: 'Europe/Paris' };
    // Saturday 22:00 summer time to Sunday 06:00 winter time: nine hours.
    expect(until(night, '2026-10-24T20:00:00Z')).toBe('2026-10-25T05:00');
    expect(until(night, '2026-10-25T05:00:00Z')).toBeUndefined();
  });

  it('that never end or cannot be parsed are refused', async () => {
    await using stage = await openStage();
    world = await openWorld({ ...SOURCE, rows: 300 });
    for (const [hours, message] of [
      ['00:00-24:00', 'leave at least one minute'],
      ['8 to 9', 'Mon-Fri 08:00-18:30'],
    ]) {
      await stage.write(
        'insights.yaml',
        `tenants: [{ id: demo, apiKey: { env: K } }]\nquiet: { hours: ['${hours}'] }\n`,
      );
      const { code, err } = await stage.run(['run'], { K: 'k' });
      expect(code).toBe(EXIT.config);
      expect(err).toContain(message);
    }
  });

  it(
    'no call is sent during them, and a run that is under way when they begin ends with what it has loaded',
    CAMPAIGN,
    async () => {
      world = await openWorld(SOURCE);
      let nowMs = Date.parse('2026-11-02T06:50:00Z');
      const settings = {
        ...SMALL_PAGES,
        inFlight: 1,
        quiet: { hours: ['Mon-Fri 08:00-18:30'], timeZone: 'Europe/Paris' },
      };
      // Each call takes two minutes: the sixth would be sent at 08:00.
      const fetch: typeof globalThis.fetch = (url, init) => {
        nowMs += 120_000;
        return globalThis.fetch(url, init);
      };
      const handles = { fetch, now: () => nowMs };
      const cut = await world.run({}, settings, handles);
      expect(cut.exitCode).toBe(EXIT.budget);
      expect(world.sandbox.calls).toHaveLength(5);
      expect(reportOf(cut, 'Events').error?.message).toContain('until 2026-11-02T17:30Z');
      expect((await world.run({}, settings, handles)).exitCode).toBe(EXIT.budget);
      expect(world.sandbox.calls).toHaveLength(5);
      nowMs = Date.parse('2026-11-02T17:30:00Z');
      expect((await world.run({}, settings, handles)).exitCode).toBe(EXIT.ok);
    },
  );

  it('postpone a slot to their end', async () => {
    world = await openWorld({ ...SOURCE, rows: 300 });
    const schedule = { cron: '0 9 * * *', timeZone: 'Europe/Paris' };
    const planned = [{ tenant: 'demo', table: 'Logs', schedule, quiet: daytime }] as const;
    const last = new Map([['demo Logs', Date.parse('2026-11-01T08:00:00Z')]]);
    const at = (text: string) => agenda(planned, last, Date.parse(text), 0);
    expect(at('2026-11-02T08:00:00Z')).toEqual({ due: [], nextMs: Date.parse('2026-11-02T17:30:00Z') });
    expect(at('2026-11-02T17:30:00Z').due.map(({ slot }) => slot)).toEqual([Date.parse('2026-11-02T08:00:00Z')]);
  });
});
