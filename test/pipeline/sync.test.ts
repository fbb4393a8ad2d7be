/** A table is made equal to its source, whatever happens at the source between two runs. */
import { afterAll, afterEach, describe, expect, it } from 'vitest';
import { EXIT } from '../../src/kernel/errors.ts';
import { loadOnce, openWorld, reportOf, sourceRows, type LoadedWorlds, type World } from './support/world.ts';
import { CAMPAIGN, LONG } from '../support/campaign.ts';

const NOW = '2026-11-01T00:30:00Z';

const EVENTS = { tables: ['Events'] } as const;
const LOGS = { tables: ['Logs'] } as const;

/** Events of twenty days, loaded. */
let loaded: LoadedWorlds | undefined;
let world: World;
/** Loads them when the first test asks: those of `npm test` do not. */
async function loadedWorld(): Promise<World> {
  loaded ??= await loadOnce({ rows: 2000, days: 20, now: NOW, frozen: true }, EVENTS);
  return loaded.next();
}
afterAll(() => loaded?.[Symbol.asyncDispose]());
afterEach(() => world[Symbol.asyncDispose]());

const event = (id: string, timestamp: string, more: Record<string, unknown> = {}) => ({
  eventId: id,
  timestamp,
  tenantId: 'demo',
  eventType: 'Pass:Installed',
  operationId: 'op',
  properties: { passId: 'K1', device: 'apple' },
  ...more,
});
const guid = (n: number): string => `00000000-0000-4000-8000-${n.toString(16).padStart(12, '0')}`;
const addEvents = (...rows: Record<string, unknown>[]) =>
  world.sandbox.apply({ action: 'rows', table: 'Events', tenant: 'demo', rows });

describe('a first load', () => {
  it('accounts for every row of the source, hour by hour: lake + duplicates + quarantined', async () => {
    world = await openWorld({ rows: 5000, days: 5, seed: 5, now: NOW, frozen: true });
    const report = await world.run();
    expect(report.exitCode).toBe(EXIT.ok);
    expect(report.tables.map(({ table, outcome }) => [table, outcome])).toEqual([
      ['Logs', 'verified'],
      ['Events', 'verified'],
      ['Metrics', 'verified'],
    ]);
    const source = await sourceRows(world.sandbox);
    const accounts = await world.sql(`
      select table_name, sum(source_rows)::int as source, sum(lake_rows + duplicate_rows + quarantined_rows)::int as account,
        sum(duplicate_rows)::int as copies, sum(quarantined_rows)::int as quarantined, count(*) filter (state = 'partial')::int as partial
      from coverage group by 1 order by 1`);
    for (const row of accounts) {
      expect(row['account']).toBe(row['source']);
      expect(row['partial']).toBe(0);
    }
    const events = accounts.find((row) => row['table_name'] === 'events');
    // The synthetic source has duplicates and rows without an id: otherwise this test would prove little.
    expect(Number(events?.['copies'])).toBeGreaterThan(0);
    expect(Number(events?.['quarantined'])).toBeGreaterThan(0);
    const [counted] = await world.sql('select count(*)::int as n, count(distinct event_id)::int as ids from events');
    expect(counted?.['n']).toBe(
      Number(source.get('demo Events')) - Number(events?.['copies']) - Number(events?.['quarantined']),
    );
  });

  it('rows at the exact instant where two pages meet are fetched once', CAMPAIGN, async () => {
    world = await openWorld({ rows: 1, days: 1, now: NOW });
    await world.sandbox.apply({ action: 'erase', table: 'Events', tenant: 'demo' });
    const hours = [4, 5, 6, 7];
    for (const hour of hours)
      await addEvents(
        ...Array.from({ length: 10 }, (_, k) => event(guid(hour * 10 + k), `2026-10-31T0${hour}:00:00Z`)),
      );
    const report = reportOf(await world.run(EVENTS, { page: { maxRows: 10 } }), 'Events');
    expect(report).toMatchObject({ outcome: 'verified', pages: 4, rowsFetched: 40, inserted: 40, duplicates: 0 });
  });

  it('an empty source gives an empty, verified lake', async () => {
    world = await openWorld({ rows: 1, days: 1, now: NOW });
    await world.sandbox.apply({ action: 'erase', table: 'Events', tenant: 'demo' });
    const report = await world.run(EVENTS);
    expect(report.exitCode).toBe(EXIT.ok);
    expect(await world.sql('select count(*)::int as n from events')).toEqual([{ n: 0 }]);
  });
});

describe('a run with nothing new at the source', () => {
  it('sends one call a table, fetches no page, changes no file', async () => {
    world = await openWorld({ rows: 300, days: 2, now: NOW, frozen: true });
    await world.run();
    const before = await world.published();
    const calls = world.sandbox.calls.length;
    const report = await world.run();
    expect(report.tables.map((table) => [table.calls, table.pages, table.changed])).toEqual([
      [1, 0, false],
      [1, 0, false],
      [1, 0, false],
    ]);
    expect(world.sandbox.calls.length - calls).toBe(3);
    expect(report.published).toBe(false);
    expect(await world.published()).toEqual(before);
  });
});

describe('changes at the source after a load', () => {
  it('a late row of last week is found and loaded with one page', CAMPAIGN, async () => {
    world = await loadedWorld();
    await addEvents(event(guid(1), '2026-10-25T10:20:30.1234567Z'));
    const report = reportOf(await world.run(EVENTS), 'Events');
    expect(report).toMatchObject({ outcome: 'verified', calls: 2, pages: 1, inserted: 1, removed: 0 });
    expect(await world.sql(`select count(*)::int as n from events where event_id = '${guid(1)}'`)).toEqual([{ n: 1 }]);
  });

  it('late rows scattered over weeks share one page', LONG, async () => {
    world = await loadedWorld();
    for (let k = 0; k < 12; k++) await addEvents(event(guid(k), `2026-10-${14 + k}T0${k % 10}:10:00Z`));
    expect(reportOf(await world.run(EVENTS), 'Events')).toMatchObject({
      outcome: 'verified',
      calls: 2,
      pages: 1,
      inserted: 12,
    });
  });

  it('an erased row leaves every published file', CAMPAIGN, async () => {
    world = await loadedWorld();
    await addEvents(event(guid(7), '2026-10-20T10:00:00Z', { properties: { secretWord: 'erase-me-7' } }));
    await world.run(EVENTS);
    await world.sandbox.apply({ action: 'erase', table: 'Events', tenant: 'demo', ids: [guid(7)] });
    const report = reportOf(await world.run(EVENTS, { lake: { keepHours: 0 } }), 'Events');
    expect(report).toMatchObject({ outcome: 'verified', removed: 1 });
    expect(await world.sql(`select count(*)::int as n from events where event_id = '${guid(7)}'`)).toEqual([{ n: 0 }]);
    const files = [...(await world.published()).keys()].filter(
      (file) => file.endsWith('.parquet') && /events/.test(file),
    );
    const list = files.map((file) => `'${world.dataDir}/${file}'`).join(', ');
    expect(
      await world.sql(
        `select count(*)::int as n from read_parquet([${list}], union_by_name = true) where event_id = '${guid(7)}'`,
      ),
    ).toEqual([{ n: 0 }]);
  });

  it('a duplicate that comes later is counted and not loaded', LONG, async () => {
    world = await loadedWorld();
    await addEvents(event(guid(1), '2026-10-25T10:00:00Z'));
    await world.run(EVENTS);
    await addEvents(event(guid(1), '2026-10-25T10:00:00Z'));
    expect(reportOf(await world.run(EVENTS), 'Events')).toMatchObject({ outcome: 'verified', inserted: 0, removed: 0 });
    expect(await world.sql(`select count(*)::int as n from events where event_id = '${guid(1)}'`)).toEqual([{ n: 1 }]);
    const again = reportOf(await world.run(EVENTS), 'Events');
    expect(again).toMatchObject({ calls: 1, pages: 0 });
  });

  it('the current hour is loaded again as it grows, and is verified when it is over', LONG, async () => {
    world = await loadedWorld();
    await addEvents(event(guid(1), '2026-11-01T00:28:00Z'), event(guid(2), '2026-11-01T00:40:00Z'));
    await world.sandbox.apply({ action: 'clock', advance: '20m' });
    const open = await world.run(EVENTS);
    expect(reportOf(open, 'Events')).toMatchObject({ outcome: 'verified', inserted: 2 });
    expect(reportOf(open, 'Events').hours.open).toBe(1);
    await world.sandbox.apply({ action: 'clock', advance: '2h' });
    const closed = await world.run(EVENTS);
    expect(
      await world.sql(`select state from coverage where table_name = 'events' and hour = '2026-11-01T00:00:00Z'`),
    ).toEqual([{ state: 'verified' }]);
    expect(reportOf(closed, 'Events').pages).toBe(0);
  });

  it('rows younger than the settle time wait for the next run', CAMPAIGN, async () => {
    world = await loadedWorld();
    await addEvents(event(guid(1), '2026-11-01T00:27:00Z'));
    await world.run(EVENTS);
    expect(await world.sql(`select count(*)::int as n from events where event_id = '${guid(1)}'`)).toEqual([{ n: 0 }]);
    await world.sandbox.apply({ action: 'clock', advance: '10m' });
    await world.run(EVENTS);
    expect(await world.sql(`select count(*)::int as n from events where event_id = '${guid(1)}'`)).toEqual([{ n: 1 }]);
  });

  it("when the source's clock steps back, no row is removed", CAMPAIGN, async () => {
    world = await loadedWorld();
    const [before] = await world.sql('select count(*)::int as n from events');
    await world.sandbox.apply({ action: 'clock', advance: '-3h' });
    const report = await world.run(EVENTS);
    expect(report.tables.every((table) => table.removed === 0 && table.pages === 0)).toBe(true);
    expect(await world.sql('select count(*)::int as n from events')).toEqual([before]);
  });

  it('a pause that is longer than the comparison depth leaves no gap', CAMPAIGN, async () => {
    world = await loadedWorld();
    await world.sandbox.apply({ action: 'clock', advance: '70d' });
    await addEvents(event(guid(1), '2026-11-03T10:00:00Z'), event(guid(2), '2027-01-05T10:00:00Z'));
    const report = reportOf(await world.run(EVENTS, { reconcile: { depthDays: 7 } }), 'Events');
    expect(report).toMatchObject({ outcome: 'verified', inserted: 2, calls: 2 });
  });
});

describe('a mass disappearance at the source', () => {
  it('is refused with its own exit code, and nothing changes', LONG, async () => {
    world = await openWorld({ rows: 7000, days: 10, seed: 2, now: NOW, frozen: true });
    await world.run();
    const before = await world.published();
    const erased = await world.sandbox.apply({
      action: 'erase',
      table: 'Events',
      tenant: 'demo',
      from: '2026-10-28T00:00:00Z',
      to: '2026-10-29T00:00:00Z',
      share: 0.6,
    });
    expect('rows' in erased && erased.rows).toBeGreaterThan(200);
    const report = await world.run();
    expect(report.exitCode).toBe(EXIT.massLoss);
    expect(reportOf(report, 'Events')).toMatchObject({
      outcome: 'refused',
      pages: 0,
      removed: 0,
      error: { failure: 'massLoss' },
    });
    expect(reportOf(report, 'Events').error?.hint).toContain('--allow-deletes');
    // The other tables of the run are loaded.
    expect(reportOf(report, 'Metrics').outcome).toBe('verified');
    expect(await world.published()).toEqual(before);
  });

  it('is mirrored with --allow-deletes', LONG, async () => {
    world = await openWorld({ rows: 7000, days: 10, seed: 2, now: NOW, frozen: true });
    await world.run(EVENTS);
    await world.sandbox.apply({
      action: 'erase',
      table: 'Events',
      tenant: 'demo',
      from: '2026-10-28T00:00:00Z',
      to: '2026-10-29T00:00:00Z',
    });
    expect((await world.run(EVENTS)).exitCode).toBe(EXIT.massLoss);
    const report = await world.run({ ...EVENTS, allowDeletes: true });
    expect(report.exitCode).toBe(EXIT.ok);
    expect(
      await world.sql(
        `select count(*)::int as n from events where timestamp >= '2026-10-28T00:00:00Z' and timestamp < '2026-10-29T00:00:00Z'`,
      ),
    ).toEqual([{ n: 0 }]);
  });
});

describe('the retention edge of Logs', () => {
  it('rows that the source deletes after their retention stay in the lake and stay verified', CAMPAIGN, async () => {
    world = await openWorld({ rows: 20_000, days: 44, now: NOW, frozen: true });
    await world.run(LOGS);
    const [before] = await world.sql('select count(*)::int as n from logs');
    await world.sandbox.apply({ action: 'clock', advance: '20d' });
    const report = await world.run(LOGS);
    expect(report.exitCode).toBe(EXIT.ok);
    expect(reportOf(report, 'Logs').removed).toBe(0);
    expect(await world.sql('select count(*)::int as n from logs')).toEqual([before]);
    expect(
      await world.sql(
        `select count(*)::int as n from coverage where table_name = 'logs' and state in ('partial', 'expired')`,
      ),
    ).toEqual([{ n: 0 }]);
  });

  it('hours that were not loaded in time are expired, not verified', CAMPAIGN, async () => {
    world = await openWorld({ rows: 5000, days: 2, now: NOW, frozen: true });
    await world.run(LOGS);
    await world.sandbox.apply({ action: 'clock', advance: '60d' });
    const later = { now: () => Date.parse(NOW) + 60 * 86_400_000 };
    expect((await world.run(LOGS, {}, later)).exitCode).toBe(EXIT.expired);
    const [gap] = await world.sql(`
      select count(*)::int as hours, min(hour)::varchar as first from coverage where table_name = 'logs' and state = 'expired'`);
    expect(Number(gap?.['hours'])).toBeGreaterThan(14 * 24);
    expect(String(gap?.['first'])).toContain('2026-11-01 00:00:00');
  });
});

describe('months that are over', () => {
  it('are compacted into one file each, and a late row is still merged', LONG, async () => {
    world = await loadedWorld();
    await world.sandbox.apply({ action: 'clock', advance: '50d' });
    const report = await world.run(EVENTS);
    expect(reportOf(report, 'Events')).toMatchObject({ outcome: 'verified', pages: 0, changed: false });
    const periods = await world.sql(`select period from lake_files where table_name = 'events' order by 1`);
    expect(periods[0]).toEqual({ period: '2026-10' });
    const before = await world.published();
    expect((await world.run(EVENTS)).published).toBe(false);
    expect(await world.published()).toEqual(before);
    await addEvents(event(guid(1), '2026-10-25T10:20:30Z'));
    const late = await world.run(EVENTS, { reconcile: { depthDays: 100 } });
    expect(reportOf(late, 'Events')).toMatchObject({ outcome: 'verified', inserted: 1, removed: 0 });
  });
});
