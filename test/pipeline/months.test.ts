/** Runs over a tenant with few rows: its months are files, and what is derived by day stays so. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { openWorld, reportOf, type World } from './support/world.ts';
import { CAMPAIGN } from '../support/campaign.ts';

const SOURCE = { rows: 300, days: 12, seed: 4, now: '2026-10-28T12:30:00Z', frozen: true, tenants: ['paris'] } as const;
const NEW = { eventId: '00000000-0000-4000-8000-000000000001', timestamp: '2026-10-24T12:34:56Z', tenantId: 'paris', eventType: 'Pass:Created', operationId: '', properties: { passId: 'new' } }; // oxfmt-ignore

const EVENTS = { tables: ['Events'] } as const;

let world: World;
beforeAll(async () => {
  world = await openWorld(SOURCE, { lake: { marts: true, checks: true } });
  await world.run(EVENTS);
});
afterAll(() => world[Symbol.asyncDispose]());

const FILES = `select table_name || ' ' || period as file from lake_files where table_name = 'events' order by all`;

async function martDays(): Promise<Map<unknown, string>> {
  const rows = await world.sql('select day, loaded_at, passes_created from mart_passes_created');
  return new Map(rows.map(({ day, ...rest }) => [day, JSON.stringify(rest)]));
}

/** Runs after a change of the source. Returns the days whose mart was computed, and how many days were checked. */
async function daysOfRun(): Promise<{ marts: unknown[]; checked: unknown }> {
  const before = await martDays();
  const report = await world.run(EVENTS);
  const marts = [...(await martDays())].flatMap(([day, row]) => (row === before.get(day) ? [] : [day]));
  const [last] = await world.sql('select days from check_results order by checked_at desc limit 1');
  expect(reportOf(report, 'Events')).toMatchObject({ outcome: 'verified' });
  return { marts, checked: Number(last?.['days']) };
}

it('a changed hour makes only its day due, for marts and checks', async () => {
  expect(await world.sql(FILES)).toEqual([{ file: 'events 2026-10' }]);
  await world.sandbox.apply({ action: 'rows', table: 'Events', tenant: 'paris', rows: [NEW] });
  // The first day with rows, too: a check sees the file of the month there.
  expect(await daysOfRun()).toEqual({ marts: ['2026-10-24'], checked: 2 });
  await world.sandbox.apply({ action: 'erase', table: 'Events', tenant: 'paris', ids: [NEW.eventId] });
  const other = { ...NEW, properties: { passId: 'other' } };
  await world.sandbox.apply({ action: 'rows', table: 'Events', tenant: 'paris', rows: [other] });
  expect(await daysOfRun()).toEqual({ marts: ['2026-10-24'], checked: 2 });
  expect(await world.sql(FILES)).toEqual([{ file: 'events 2026-10' }]);
});

it(
  'the next days go into the file of the month, and the first of the next month into a new one',
  CAMPAIGN,
  async () => {
    await world.sandbox.apply({ action: 'clock', advance: '120h' });
    const rows = ['2026-10-31T23:59:59.9Z', '2026-11-01T00:00:00Z'].map((timestamp, n) => ({ ...NEW, eventId: `00000000-0000-4000-8000-00000000001${n}`, timestamp })); // oxfmt-ignore
    await world.sandbox.apply({ action: 'rows', table: 'Events', tenant: 'paris', rows });
    await daysOfRun();
    expect(await world.sql(FILES)).toEqual([{ file: 'events 2026-10' }, { file: 'events 2026-11' }]);
  },
);

it('a month that grows beyond what was expected is split within the run that loads it', CAMPAIGN, async () => {
  await world.sandbox.apply({ action: 'generate', table: 'Events', tenant: 'paris', rows: 20_001, from: '2026-11-01T00:00:00Z', to: '2026-11-02T10:00:00Z', seed: 3 }); // oxfmt-ignore
  const report = await world.run(EVENTS, { lake: { marts: false, checks: false } });
  expect(reportOf(report, 'Events')).toMatchObject({ outcome: 'verified' });
  expect(await world.sql(FILES)).toEqual([
    { file: 'events 2026-10' },
    { file: 'events 2026-11-01' },
    { file: 'events 2026-11-02' },
  ]);
});
