/** Calls, counted at the source and compared with the fewest that any extractor could send. */
import { afterEach, describe, expect, it } from 'vitest';
import type { RunReport } from '../../src/model/report.ts';
import { CAMPAIGN, LONG } from '../support/campaign.ts';
import { openWorld, reportOf, type World } from './support/world.ts';

const NOW = '2026-11-01T00:30:00Z';

let world: World;
afterEach(() => world[Symbol.asyncDispose]());

function calls(report: RunReport): number {
  return report.tables.reduce((sum, table) => sum + table.calls, 0);
}

describe('pages of an evenly filled source', () => {
  for (const [name, cap] of [
    ['where an hour is a small part of a page', 2000],
    ['where an hour is 0.7 of a page, so that pages end inside hours', 298],
    ['where an hour is several pages', 60],
  ] as const) {
    it(`are at most 1.05 times the fewest possible ${name}`, LONG, async () => {
      // 20,000 rows in 4 days: about 208 rows of Events an hour.
      world = await openWorld({ rows: 20_000, days: 4, shape: 'even', now: NOW, frozen: true });
      const report = await world.run({ tables: ['Events'] }, { page: { maxRows: cap } });
      const events = reportOf(report, 'Events');
      expect(events.outcome).toBe('verified');
      expect(events.splits).toBe(0);
      const fewest = Math.ceil(events.rowsFetched / cap);
      expect(events.pages / fewest).toBeLessThanOrEqual(1.05);
      // One call to compare, and at most two for finer counts.
      expect(events.calls).toBeLessThanOrEqual(events.pages + 3);
      expect(calls(report)).toBe(world.sandbox.calls.length);
    });
  }
});

describe('a late row in an hour of many pages', () => {
  it('costs at most four calls: a comparison by hours, one by minutes, and a small page', CAMPAIGN, async () => {
    world = await openWorld({ rows: 20_000, days: 1, shape: 'even', now: NOW, frozen: true });
    await world.run({ tables: ['Events'] });
    await world.sandbox.apply({
      action: 'rows',
      table: 'Events',
      tenant: 'demo',
      rows: [
        {
          eventId: '00000000-0000-4000-8000-000000000001',
          timestamp: '2026-10-31T12:34:56.7890123Z',
          tenantId: 'demo',
          eventType: 'Pass:Created',
          operationId: '',
          properties: {},
        },
      ],
    });
    const before = world.sandbox.calls.length;
    const events = reportOf(await world.run({ tables: ['Events'] }, { page: { maxRows: 100 } }), 'Events');
    expect(events).toMatchObject({ outcome: 'verified', inserted: 1, pages: 1 });
    expect(events.rowsFetched).toBeLessThanOrEqual(100);
    expect(world.sandbox.calls.length - before).toBeLessThanOrEqual(4);
    expect(events.calls).toBe(world.sandbox.calls.length - before);
  });
});

describe('a hot instant', () => {
  it('with more rows than a page is fetched by hash ranges, every row once', LONG, async () => {
    world = await openWorld({ rows: 2000, days: 2, seed: 3, now: NOW, frozen: true });
    await world.sandbox.apply({
      action: 'rows',
      table: 'Events',
      tenant: 'demo',
      rows: Array.from({ length: 700 }, (_, k) => ({
        eventId: `00000000-0000-4000-8000-${k.toString(16).padStart(12, '0')}`,
        timestamp: '2026-10-31T12:00:00.0000000Z',
        tenantId: 'demo',
        eventType: 'Pass:Updated',
        operationId: '',
        properties: {},
      })),
    });
    const report = reportOf(await world.run({ tables: ['Events'] }, { page: { maxRows: 50 } }), 'Events');
    expect(report.outcome).toBe('verified');
    const [row] = await world.sql(
      `select count(*)::int as n, count(distinct event_id)::int as ids from events where event_id like '00000000-0000-4000-8000-%'`,
    );
    expect(row).toEqual({ n: 700, ids: 700 });
  });
});

describe('a row cap that the source does not announce', () => {
  it(
    'is remembered for 30 days and then probed again, so that one bad day does not cost calls permanently',
    LONG,
    async () => {
      world = await openWorld({ rows: 2000, days: 2, seed: 4, now: NOW, frozen: true, rowCap: 300 });
      const events = { tables: ['Events'] } as const;
      expect(reportOf(await world.run(events), 'Events').splits).toBeGreaterThan(0);
      const load = async (seed: number, days: number): Promise<number> => {
        const where = {
          table: 'Events',
          tenant: 'demo',
          from: '2026-10-20T00:00:00Z',
          to: '2026-10-27T00:00:00Z',
        } as const;
        await world.sandbox.apply({ action: 'generate', rows: 800, seed, ...where });
        const now = (): number => Date.now() + days * 86_400_000;
        const report = reportOf(await world.run(events, {}, { now }), 'Events');
        expect(report.outcome).toBe('verified');
        return report.splits;
      };
      expect(await load(9, 29)).toBe(0);
      expect(await load(10, 31)).toBeGreaterThan(0);
      // The cap was learnt again, so it is remembered again.
      expect(await load(11, 60)).toBe(0);
    },
  );

  it(
    'is found by the run itself when it cuts a burst silently: 2,500 rows in ten minutes under a cap of 1,000',
    CAMPAIGN,
    async () => {
      world = await openWorld({
        rows: 50,
        days: 2,
        seed: 4,
        now: NOW,
        frozen: true,
        rowCap: 1000,
        limitMode: 'silent',
      });
      const start = Date.parse('2026-10-31T12:20:00Z');
      const burst = Array.from({ length: 2500 }, (_, n) => ({
        eventId: `00000000-0000-4000-8000-${n.toString(16).padStart(12, '0')}`,
        timestamp: new Date(start + (n * 600_000) / 2500).toISOString(),
        tenantId: 'demo',
        eventType: 'Pass:Updated',
        operationId: '',
        properties: {},
      }));
      await world.sandbox.apply({ action: 'rows', table: 'Events', tenant: 'demo', rows: burst });
      const events = reportOf(await world.run({ tables: ['Events'] }), 'Events');
      expect(events).toMatchObject({ outcome: 'verified', hours: { partial: 0 } });
      expect(events.calls).toBeLessThan(20);
      const ids = `event_id like '00000000-0000-4000-8000-%'`;
      expect(await world.sql(`select count(*)::int as n from events where ${ids}`)).toEqual([{ n: 2500 }]);
    },
  );

  for (const limitMode of ['one-api-errors', 'exceptions', 'top-level', 'error-400', 'silent'] as const) {
    it(
      `(${limitMode}) is learnt in the first run and remembered in the next`,
      limitMode === 'silent' ? CAMPAIGN : LONG,
      async () => {
        world = await openWorld({ rows: 2000, days: 2, seed: 4, now: NOW, frozen: true, rowCap: 300, limitMode });
        const first = reportOf(await world.run({ tables: ['Events'] }), 'Events');
        expect(first.outcome).toBe('verified');
        expect(first.splits).toBeGreaterThan(0);
        expect(first.pages + first.splits).toBeGreaterThan(first.planned);
        expect(first.calls).toBe(world.sandbox.calls.length);
        await world.sandbox.apply({
          action: 'generate',
          table: 'Events',
          tenant: 'demo',
          rows: 800,
          from: '2026-10-20T00:00:00Z',
          to: '2026-10-27T00:00:00Z',
          seed: 9,
        });
        const second = reportOf(await world.run({ tables: ['Events'] }), 'Events');
        expect(second).toMatchObject({ outcome: 'verified', splits: 0 });
      },
    );
  }
});
