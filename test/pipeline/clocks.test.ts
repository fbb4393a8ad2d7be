/**
 * Only the source's clock decides what is loaded: the clock and the time zone of this machine change no row. Whether an hour is over
 * takes both clocks, or a row of a later hour.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { verifyLake } from '../../src/pipeline/maintenance/inspect.ts';
import { startSandbox, type Sandbox } from '../../sandbox/sandbox.ts';
import { CAMPAIGN, LONG } from '../support/campaign.ts';
import { CONTENT, COVERAGE } from './support/content.ts';
import { openWorld, type World } from './support/world.ts';

const DAY_MS = 86_400_000;
const NOW = '2026-10-25T03:30:00Z';
let sandbox: Sandbox;
let expected: unknown[];

beforeAll(async () => {
  sandbox = await startSandbox({ rows: 700, days: 2, seed: 6, now: NOW, frozen: true, rate: 0, memory: true });
  expected = await load(() => Date.parse(NOW));
});
afterAll(() => sandbox.close());

async function load(now: () => number): Promise<unknown[]> {
  await using world = await openWorld(sandbox);
  const report = await world.run({}, {}, { now });
  expect(report.exitCode).toBe(0);
  return [await world.sql(CONTENT), await world.sql(COVERAGE)];
}

for (const [off, offMs] of [
  ['a day ahead', DAY_MS],
  ['a day behind', -DAY_MS],
] as const)
  it(`a local clock that is ${off} changes nothing`, offMs > 0 ? CAMPAIGN : LONG, async () => {
    expect(await load(() => Date.parse(NOW) + offMs)).toEqual(expected);
  });

it('a local clock that steps back during a run changes nothing', LONG, async () => {
  let reads = 0;
  expect(await load(() => Date.parse(NOW) - 600_000 * reads++)).toEqual(expected);
});

it('a date in Retry-After is compared with the clock of the source', LONG, async () => {
  const reply = { kind: 'status', status: 429, retryAfter: 'date' } as const;
  await sandbox.apply({ action: 'faults', rules: [{ reply }] });
  expect(await load(() => Date.now() - DAY_MS)).toEqual(expected);
});

for (const zone of ['Europe/Paris', 'America/New_York', 'Australia/Lord_Howe'])
  it(`the time zone ${zone} of this machine changes nothing, on a day when its clocks change`, LONG, async () => {
    const before = process.env['TZ'];
    process.env['TZ'] = zone;
    try {
      expect(await load(() => Date.parse(NOW))).toEqual(expected);
    } finally {
      if (before === undefined) delete process.env['TZ'];
      else process.env['TZ'] = before;
    }
  });

it('when the clock of the source steps back, no row is removed from the lake', LONG, async () => {
  await using world = await openWorld(sandbox);
  await world.run();
  await sandbox.apply({ action: 'clock', advance: '-6h' });
  expect((await world.run()).exitCode).toBe(0);
  expect(await world.sql(CONTENT)).toEqual(expected[0]);
  await sandbox.apply({ action: 'clock', advance: '6h' });
});

describe('the clock of the source is wrong for one run', () => {
  const at = (change: string) => sandbox.apply({ action: 'clock', advance: change });
  const newest = `select max(hour)::varchar as hour from coverage where table_name = 'events' and state = 'verified'`;
  const run = (world: World) => world.run({}, {}, { now: () => Date.parse(NOW) });

  it('three hours ahead: no hour is verified that has not passed here', LONG, async () => {
    await using world = await openWorld(sandbox);
    await run(world);
    const before = [await world.sql(newest), await world.sql(COVERAGE)];
    await at('3h');
    try {
      expect((await run(world)).exitCode).toBe(0);
      expect(await world.sql(newest)).toEqual(before[0]);
      const future = `select count(*)::int as n from coverage where hour > '${NOW}'`;
      expect(await world.sql(future)).toEqual([{ n: 0 }]);
    } finally {
      await at('-3h');
    }
    expect((await run(world)).exitCode).toBe(0);
    expect([await world.sql(newest), await world.sql(COVERAGE)]).toEqual(before);
  });

  it('rows of a later hour show that an hour is over, when the clock of this machine is slow', CAMPAIGN, async () => {
    await using world = await openWorld(sandbox);
    await world.run({}, {}, { now: () => Date.parse(NOW) - 30 * DAY_MS });
    const [row] = await world.sql(
      `select count(*) filter (state = 'verified')::int > 20 as many, count(*) filter (state = 'verified' and hour >= (
         select max(date_trunc('hour', timestamp)) from events))::int as late from coverage where table_name = 'events'`,
    );
    expect(row).toEqual({ many: true, late: 0 });
  });
});

describe('verify', () => {
  const verify = (world: World) => {
    const runtime = { ...world.runtime, now: () => Date.parse(NOW) + 600_000 };
    return verifyLake(world.config(), { tables: ['Events'] }, runtime, new AbortController().signal);
  };
  const addRow = async (timestamp: string): Promise<string> => {
    const eventId = `00000000-0000-4000-8000-${timestamp.replaceAll(/\D/g, '').slice(0, 12)}`;
    const rest = { tenantId: 'demo', eventType: 'Pass:Created', operationId: '', properties: {} };
    await sandbox.apply({ action: 'rows', table: 'Events', tenant: 'demo', rows: [{ eventId, timestamp, ...rest }] });
    return eventId;
  };

  it(
    'reports the running hour as open when rows have come since the run, and any other hour that differs as different',
    CAMPAIGN,
    async () => {
      await using world = await openWorld(sandbox);
      await world.run({}, {}, { now: () => Date.parse(NOW) });
      await sandbox.apply({ action: 'clock', advance: '10m' });
      const ids = [await addRow('2026-10-25T03:27:00Z')];
      try {
        const running = await verify(world);
        expect(running).toMatchObject({ exitCode: 0, tables: [{ differing: [], hours: { partial: 0, open: 1 } }] });
        expect(
          await world.sql(`select state from coverage where table_name = 'events' and hour = '2026-10-25T03:00:00Z'`),
        ).toEqual([{ state: 'open' }]);
        ids.push(await addRow('2026-10-25T02:27:00Z'));
        const late = await verify(world);
        expect(late.exitCode).toBe(5);
        expect(late.tables[0]).toMatchObject({ hours: { partial: 1, open: 1 } });
        expect(late.tables[0]?.differing.map(({ hour }) => hour)).toEqual(['2026-10-25T02:00:00.0000000Z']);
        const report = await world.run({ tables: ['Events'] }, {}, { now: () => Date.parse(NOW) + 600_000 });
        expect(report.tables[0]).toMatchObject({ outcome: 'verified', removed: 0 });
        const loaded = `select count(*)::int as n from events where event_id in ('${ids.join(`', '`)}')`;
        expect(await world.sql(loaded)).toEqual([{ n: 2 }]);
      } finally {
        await sandbox.apply({ action: 'erase', table: 'Events', tenant: 'demo', ids });
        await sandbox.apply({ action: 'clock', advance: '-10m' });
      }
    },
  );
});
