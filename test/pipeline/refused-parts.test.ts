/** A part of a table that can never be loaded does not block the other parts, in this run or in later ones. */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { EXIT } from '../../src/kernel/errors.ts';
import { parseInstant } from '../../src/kernel/instant.ts';
import type { Batch, LandedPage, Page } from '../../src/model/page.ts';
import { runPipeline } from '../../src/pipeline/run.ts';
import { withoutPage } from '../../src/pipeline/refused-parts.ts';
import type { FaultRule } from '../../sandbox/faults.ts';
import { startSandbox, type Sandbox } from '../../sandbox/sandbox.ts';
import { CAMPAIGN, LONG } from '../support/campaign.ts';
import { SOURCE, orderFaults } from './support/faulty.ts';
import { bytesBelow, openWorld, reportOf, type World } from './support/world.ts';

const EVENTS = { tables: ['Events'] } as const;
/** Pages of a few hours each. */
const SETTINGS = { page: { maxRows: 60 }, quarantine: { minRows: 1 } };
const run = (world: World, batchBytes: number, maxRows = SETTINGS.page.maxRows) => {
  const config = world.config({ ...SETTINGS, page: { maxRows } });
  const small = { ...config, reconcile: { ...config.reconcile, batchBytes } };
  return runPipeline(small, EVENTS, world.runtime, new AbortController().signal);
};
const BAD: FaultRule = {
  match: { table: 'Events', kind: 'page', query: 'datetime\\(2026-10-30T0' },
  times: null,
  reply: { kind: 'malformed-rows', rows: 1000 },
};

let sandbox: Sandbox;
beforeAll(async () => {
  sandbox = await startSandbox(SOURCE);
});
afterAll(() => sandbox.close());
beforeEach(() => orderFaults(sandbox, []));

describe('a page that is refused whole', () => {
  for (const [where, batchBytes] of [
    ['in a batch of its own', 1000],
    ['in a batch with others', 1_000_000],
  ] as const)
    it(
      `${where}: all others are loaded and the run exits with 4 and names it; once the source is repaired, it is loaded too`,
      LONG,
      async () => {
        await using world = await openWorld(sandbox);
        await orderFaults(sandbox, [BAD]);
        for (const time of ['first', 'second']) {
          const report = await run(world, batchBytes);
          expect(report.exitCode, `the ${time} run`).toBe(EXIT.source);
          expect(reportOf(report, 'Events')).toMatchObject({ outcome: 'failed', error: { failure: 'source' } });
          expect(reportOf(report, 'Events').error?.message).toContain('the page was refused');
        }
        const after = await world.sql(`select state, min(hour) < '2026-10-30T10:00:00Z' as early, max(hour) > '2026-10-31' as late
      from coverage where source_rows > 0 and state in ('verified', 'partial') group by all order by state`); // oxfmt-ignore
        expect(after).toEqual([
          { state: 'partial', early: true, late: false },
          { state: 'verified', early: false, late: true },
        ]);
        await orderFaults(sandbox, []);
        expect((await run(world, batchBytes)).exitCode).toBe(EXIT.ok);
      },
    );

  it('when every page is refused, the run stops after a few of them', CAMPAIGN, async () => {
    await using world = await openWorld(sandbox);
    await orderFaults(sandbox, [{ ...BAD, match: { table: 'Events', kind: 'page' } }]);
    const before = sandbox.calls.length;
    const report = await run(world, 1000);
    expect(report.exitCode).toBe(EXIT.source);
    expect(reportOf(report, 'Events').planned).toBeGreaterThan(8);
    expect(sandbox.calls.length - before).toBeLessThan(8);
  });
});

describe('a part that the source cannot deliver', () => {
  it('is skipped, and later parts are loaded', LONG, async () => {
    await using world = await openWorld(sandbox);
    await orderFaults(sandbox, [{ ...BAD, reply: { kind: 'status', status: 413 } }]);
    const report = await run(world, 1000, 150);
    expect(report.exitCode).toBe(EXIT.source);
    expect(reportOf(report, 'Events').hours.verified).toBeGreaterThan(20);
    await orderFaults(sandbox, []);
    expect((await run(world, 1000, 150)).exitCode).toBe(EXIT.ok);
  });
});

describe('a row that is larger than an answer may be', () => {
  const GIANT = '00000000-0000-4000-8000-00000000ffff';
  const rowOf = (blob: string) => ({
    eventId: GIANT,
    timestamp: '2026-10-30T05:30:00.5Z',
    tenantId: 'demo',
    eventType: 'Pass:Installed',
    operationId: 'o',
    properties: { blob },
  });
  const account = `select count(*) filter (where state = 'partial')::int as partial, sum(source_rows - lake_rows - duplicate_rows - quarantined_rows)::int as lacking
    from coverage where table_name = 'events' and state in ('verified', 'partial')`;

  it(
    'keeps no other row out of the lake; later runs fetch only its part, until the source can deliver it',
    LONG,
    async () => {
      await using world = await openWorld({ ...SOURCE, byteCap: 40_000 });
      const add = (row: Record<string, unknown>) =>
        world.sandbox.apply({ action: 'rows', table: 'Events', tenant: 'demo', rows: [row] });
      const erase = () => world.sandbox.apply({ action: 'erase', table: 'Events', tenant: 'demo', ids: [GIANT] });
      await add(rowOf('x'.repeat(50_000)));

      const first = await world.run(EVENTS);
      expect(first.exitCode).toBe(EXIT.source);
      expect(reportOf(first, 'Events').error?.message).toContain(
        'cannot deliver even a small part of Events from 2026-10-30T05:30:00',
      );
      expect(await world.sql(account)).toEqual([{ partial: 1, lacking: 1 }]);

      // One comparison, and the part again, which is counted once. A new row elsewhere is loaded.
      await add({
        ...rowOf('small'),
        eventId: '00000000-0000-4000-8000-00000000eeee',
        timestamp: '2026-10-31T05:30:00Z',
      });
      const second = reportOf(await world.run(EVENTS), 'Events');
      expect(second).toMatchObject({ outcome: 'failed', inserted: 1 });
      expect(second.calls).toBeLessThanOrEqual(6);
      const third = reportOf(await world.run(EVENTS), 'Events');
      expect(third.calls).toBeLessThanOrEqual(5);

      await erase();
      await add(rowOf('small'));
      expect((await world.run(EVENTS)).exitCode).toBe(EXIT.ok);
      expect(await world.sql(account)).toEqual([{ partial: 0, lacking: 0 }]);
      expect(await bytesBelow(`${world.dataDir}/landing`)).toBe('');
      expect(reportOf(await world.run(EVENTS), 'Events').calls).toBe(1);
    },
  );

  it(
    'is found with about two calls for each halving, and no cap is learnt from it that would cost calls for other rows',
    LONG,
    async () => {
      await using world = await openWorld({ ...SOURCE, byteCap: 400_000 });
      await world.sandbox.apply({
        action: 'rows',
        table: 'Events',
        tenant: 'demo',
        rows: [rowOf('x'.repeat(450_000))],
      });
      // Two days are halved down to one second, and its hash ranges are counted.
      expect(reportOf(await world.run(EVENTS), 'Events').calls).toBeLessThan(2 * 18 + 16);
      const [from, to] = ['2026-10-20T00:00:00Z', '2026-10-27T00:00:00Z'];
      await world.sandbox.apply({ action: 'generate', table: 'Events', tenant: 'demo', rows: 600, from, to, seed: 9 });
      const later = reportOf(await world.run(EVENTS), 'Events');
      expect(later).toMatchObject({ inserted: 600, pages: 1 });
      // Both are for the giant row: its part is requested a second time, and counted.
      expect(later.splits).toBe(2);
    },
  );
});

describe('a batch without a refused page', () => {
  const at = (hour: number): bigint => (parseInstant('2026-07-03') ?? 0n) + BigInt(hour) * 36_000_000_000n;
  const span = (from: number, to: number) => ({ from: at(from), to: at(to) });
  const page = (id: string, windows: Page['windows']): Page => ({ id, windows, rows: 1, bytes: 1 });
  const landedOf = (landed: Page): LandedPage => ({ page: landed, file: landed.id, rows: 1, bytes: 1, largestRow: 1 });
  const batchOf = (pages: Page[], windows: Page['windows']): Batch => ({ id: 'b', tenant: 't', table: 'Events', windows, pages }); // oxfmt-ignore

  it('has neither the windows of that page nor the other hash parts of these windows', () => {
    const pages = [page('a', [span(0, 2), span(5, 6)]), page('b', [span(2, 5)]), page('c', [span(2, 5)])];
    const batch = batchOf(pages, [span(0, 6)]);
    const landed = pages.map(landedOf);
    expect(withoutPage({ batch, landed }, 'b')).toEqual({
      refused: [span(2, 5), span(2, 5)],
      rest: {
        batch: { ...batch, id: 'b-without-b', windows: [span(0, 2), span(5, 6)], pages: [pages[0]] },
        landed: [landed[0]],
      },
    });
  });

  it('keeps windows without a page, and is undefined when no window is left', () => {
    const pages = [page('a', [span(1, 2)])];
    const only = { batch: batchOf(pages, [span(0, 3)]), landed: pages.map(landedOf) };
    expect(withoutPage(only, 'a').rest?.batch.windows).toEqual([span(0, 1), span(2, 3)]);
    expect(withoutPage({ ...only, batch: batchOf(pages, [span(1, 2)]) }, 'a')).toEqual({ refused: [span(1, 2)] });
  });
});
