/** Only the source's clock decides what is loaded: the clock and the time zone of this machine change no row. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { startSandbox, type Sandbox } from '../../sandbox/sandbox.ts';
import { CAMPAIGN } from '../support/campaign.ts';
import { CONTENT, COVERAGE } from './support/content.ts';
import { openWorld } from './support/world.ts';

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
  it(`a local clock that is ${off} changes nothing`, CAMPAIGN, async () => {
    expect(await load(() => Date.parse(NOW) + offMs)).toEqual(expected);
  });

it('a local clock that steps back during a run changes nothing', CAMPAIGN, async () => {
  let reads = 0;
  expect(await load(() => Date.parse(NOW) - 600_000 * reads++)).toEqual(expected);
});

it('a date in Retry-After is compared with the clock of the source', CAMPAIGN, async () => {
  const reply = { kind: 'status', status: 429, retryAfter: 'date' } as const;
  await sandbox.apply({ action: 'faults', rules: [{ reply }] });
  expect(await load(() => Date.now() - DAY_MS)).toEqual(expected);
});

for (const zone of ['Europe/Paris', 'America/New_York', 'Australia/Lord_Howe'])
  it(`the time zone ${zone} of this machine changes nothing, on a day when its clocks change`, CAMPAIGN, async () => {
    const before = process.env['TZ'];
    process.env['TZ'] = zone;
    try {
      expect(await load(() => Date.parse(NOW))).toEqual(expected);
    } finally {
      if (before === undefined) delete process.env['TZ'];
      else process.env['TZ'] = before;
    }
  });

it('when the clock of the source steps back, no row is removed from the lake', async () => {
  await using world = await openWorld(sandbox);
  await world.run();
  await sandbox.apply({ action: 'clock', advance: '-6h' });
  expect((await world.run()).exitCode).toBe(0);
  expect(await world.sql(CONTENT)).toEqual(expected[0]);
  await sandbox.apply({ action: 'clock', advance: '6h' });
});
