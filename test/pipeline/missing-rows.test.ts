/** Answers with fewer rows than the source has remove no row from the lake. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { EXIT } from '../../src/kernel/errors.ts';
import type { FaultRule } from '../../sandbox/faults.ts';
import { CAMPAIGN, LONG } from '../support/campaign.ts';
import { CONTENT } from './support/content.ts';
import { SOURCE, addEvent, orderFaults } from './support/faulty.ts';
import { loadOnce, openWorld, reportOf, type LoadedWorlds, type World } from './support/world.ts';

const EVENTS = { tables: ['Events'] } as const;
const HOUR = { from: '2026-10-31T12:00:00Z', to: '2026-10-31T13:00:00Z' } as const;

let loaded: LoadedWorlds;
let world: World;
beforeAll(async () => {
  loaded = await loadOnce(SOURCE, EVENTS);
});
afterAll(() => loaded[Symbol.asyncDispose]());
beforeEach(async () => {
  world = await loaded.next();
});
afterEach(() => world[Symbol.asyncDispose]());

const order = (...rules: FaultRule[]) => orderFaults(world.sandbox, rules);
const addRow = (to: World = world, n = 1) => addEvent(to.sandbox, n, `2026-10-31T12:34:56.${n}Z`);

describe('a page with fewer rows than were counted', () => {
  for (const [name, reply] of [
    ['no rows', { kind: 'silent-truncation', rows: 0 }],
    ['some rows missing', { kind: 'stale-replica', share: 0.5 }],
  ] as const)
    it(`${name}, again and again: it is counted again and refused, and the lake keeps its rows`, LONG, async () => {
      await addRow();
      const before = await world.sql(CONTENT);
      await order({ match: { kind: 'page' }, times: null, reply });
      for (const time of ['first', 'second']) {
        const report = await world.run(EVENTS);
        expect(report.exitCode, `the ${time} run`).toBe(EXIT.source);
        const table = reportOf(report, 'Events');
        expect(table).toMatchObject({ outcome: 'failed', removed: 0, inserted: 0 });
        expect(table.error?.message).toMatch(
          /delivered \d+ rows of Events from 2026-10-31T12:.*fewer than it had counted/,
        );
        expect(await world.sql(CONTENT)).toEqual(before);
      }
      await order();
      expect(reportOf(await world.run(EVENTS), 'Events')).toMatchObject({
        outcome: 'verified',
        inserted: 1,
        removed: 0,
      });
    });

  it('once: its parts bring the rows', CAMPAIGN, async () => {
    await addRow();
    await order({ match: { kind: 'page' }, reply: { kind: 'silent-truncation', rows: 0 } });
    expect(reportOf(await world.run(EVENTS), 'Events')).toMatchObject({ outcome: 'verified', inserted: 1, removed: 0 });
  });

  it('is merged after it was counted again, where rows have vanished in the meantime', CAMPAIGN, async () => {
    await addRow();
    await addRow(world, 2);
    await world.run(EVENTS);
    await addRow(world, 3);
    // The row is erased after the comparison and before the page is fetched.
    let calls = 0;
    const fetch: typeof globalThis.fetch = async (url, init) => {
      if (++calls === 2)
        await world.sandbox.apply({
          action: 'erase',
          table: 'Events',
          tenant: 'demo',
          ids: ['00000000-0000-4000-8000-000000000001'],
        });
      return globalThis.fetch(url, init);
    };
    const report = await world.run(EVENTS, {}, { fetch });
    expect(reportOf(report, 'Events')).toMatchObject({ outcome: 'verified', inserted: 1, removed: 1 });
    const queries = world.sandbox.calls.map(({ query }) => query);
    expect(queries.filter((query) => /summarize n0 = countif/.test(query))).toHaveLength(1);
  });

  it('a recount without a number refuses the page', CAMPAIGN, async () => {
    await addRow();
    await order(
      { match: { kind: 'page' }, times: null, reply: { kind: 'silent-truncation', rows: 0 } },
      {
        match: { query: 'summarize n0 = countif' },
        times: null,
        reply: { kind: 'silent-truncation', rows: 0 },
      },
    );
    const report = await world.run(EVENTS);
    expect(reportOf(report, 'Events').error?.message).toContain('does not count them again');
    expect(reportOf(report, 'Events')).toMatchObject({ outcome: 'failed', removed: 0 });
  });

  it('that landed before a run was stopped is checked by the next run', LONG, async () => {
    await addRow();
    const before = await world.sql(CONTENT);
    await order(
      { match: { kind: 'page' }, times: null, reply: { kind: 'silent-truncation', rows: 0 } },
      {
        match: { query: 'summarize n0 = countif' },
        times: null,
        reply: { kind: 'status', status: 403 },
      },
    );
    expect((await world.run(EVENTS)).exitCode).toBe(EXIT.auth);
    await order({ match: { kind: 'page' }, times: null, reply: { kind: 'silent-truncation', rows: 0 } });
    const report = await world.run(EVENTS);
    expect(report.exitCode).toBe(EXIT.source);
    expect(reportOf(report, 'Events').error?.message).toContain('fewer than it had counted');
    expect(await world.sql(CONTENT)).toEqual(before);
  });

  it('that was split for another reason is checked as a whole', LONG, async () => {
    await addRow();
    const before = await world.sql(CONTENT);
    await order(
      { match: { kind: 'page' }, reply: { kind: 'status', status: 504 } },
      { match: { kind: 'page' }, times: null, reply: { kind: 'silent-truncation', rows: 0 } },
    );
    const report = await world.run(EVENTS);
    expect(report.exitCode).toBe(EXIT.source);
    expect(await world.sql(CONTENT)).toEqual(before);
    await order();
    expect(reportOf(await world.run(EVENTS), 'Events')).toMatchObject({ outcome: 'verified', inserted: 1 });
  });

  it('does not stop the other parts of the table', LONG, async () => {
    await using fresh = await openWorld(SOURCE);
    await fresh.sandbox.apply({
      action: 'faults',
      rules: [
        {
          match: { kind: 'page', query: 'datetime\\(2026-10-31T1' },
          times: null,
          reply: { kind: 'silent-truncation', rows: 0 },
        },
      ],
    });
    const report = await fresh.run(EVENTS, { page: { maxRows: 60 } });
    expect(report.exitCode).toBe(EXIT.source);
    expect(reportOf(report, 'Events').inserted).toBeGreaterThan(100);
    await fresh.sandbox.apply({ action: 'faults', rules: [] });
    expect((await fresh.run(EVENTS)).exitCode).toBe(EXIT.ok);
    expect(await fresh.sql(CONTENT)).toEqual(await world.sql(CONTENT));
  });
});

describe('a comparison that finds nothing at the source', () => {
  const nothing: FaultRule = { match: { kind: 'summary' }, reply: { kind: 'stale-replica', share: 1 } };

  it('is refused as a mass loss, and nothing is removed', CAMPAIGN, async () => {
    const before = await world.sql(CONTENT);
    await order(nothing);
    const report = await world.run(EVENTS);
    expect(report.exitCode).toBe(EXIT.massLoss);
    expect(reportOf(report, 'Events')).toMatchObject({ outcome: 'refused', removed: 0 });
    expect(await world.sql(CONTENT)).toEqual(before);
    expect((await world.run(EVENTS)).exitCode).toBe(EXIT.ok);
  });

  it('is refused for a lake of eight rows too', LONG, async () => {
    await using small = await openWorld({ rows: 1, days: 1, now: SOURCE.now, frozen: true });
    await small.sandbox.apply({ action: 'erase', table: 'Events', tenant: 'demo' });
    for (let n = 1; n <= 8; n++) await addRow(small, n);
    expect(reportOf(await small.run(EVENTS), 'Events')).toMatchObject({ outcome: 'verified', inserted: 8 });
    await small.sandbox.apply({ action: 'erase', table: 'Events', tenant: 'demo' });
    const report = await small.run(EVENTS);
    expect(report.exitCode).toBe(EXIT.massLoss);
    expect(reportOf(report, 'Events').error?.hint).toContain('--allow-deletes');
    expect(reportOf(await small.run({ ...EVENTS, allowDeletes: true }), 'Events')).toMatchObject({
      outcome: 'verified',
      removed: 8,
    });
  });

  it('in some of the hours is an erasure as before', CAMPAIGN, async () => {
    await world.sandbox.apply({ action: 'erase', table: 'Events', tenant: 'demo', ...HOUR });
    const table = reportOf(await world.run(EVENTS), 'Events');
    expect(table).toMatchObject({ outcome: 'verified' });
    expect(table.removed).toBeGreaterThan(0);
  });
});

describe('a fingerprint answer without its meta row', () => {
  it('is refused when it has no row at all, after one call, and the lake keeps its rows', CAMPAIGN, async () => {
    const before = await world.sql(CONTENT);
    const from = world.sandbox.calls.length;
    await order({ match: { kind: 'summary' }, times: null, reply: { kind: 'silent-truncation', rows: 0 } });
    const report = await world.run(EVENTS);
    expect(report.exitCode).toBe(EXIT.source);
    expect(reportOf(report, 'Events').error?.message).toContain('without its total');
    expect(world.sandbox.calls.length - from).toBe(1);
    expect(await world.sql(CONTENT)).toEqual(before);
  });
});
