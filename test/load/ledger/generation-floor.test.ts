/** Generations of a ledger that may have missed file names. */
import { expect, it } from 'vitest';
import { raiseGenerationFloor } from '../../../src/load/ledger/generation-floor.ts';
import { copyRows, startGenerationsAbove } from '../../../src/load/maintenance/move-tenants.ts';
import { lastGeneration } from '../../../src/load/maintenance/rearrange.ts';
import { nextGeneration, sweepMarts } from '../../../src/load/marts/mart-files.ts';
import { monthPeriod } from '../../../src/model/period.ts';
import type { Ledger } from '../../../src/load/ledger/ledger.ts';
import { at, event, load, scratchLake, span, TENANT } from '../support/lake.ts';

const MONTH = monthPeriod(at('2026-07-03T00:00:00Z'));
const DAY = 86_400;

/** The numbers of the next files of a month and of a mart. */
const next = async (ledger: Ledger): Promise<number[]> => [
  (await lastGeneration(ledger, { tenant: TENANT, table: 'Events' }, MONTH)) + 1,
  await nextGeneration(ledger, 3),
];

const addMart = (ledger: Ledger, mart: string, generation: number): Promise<unknown> =>
  ledger.run(
    `insert into mart_files values ('${mart}', ${generation}, 'store/marts/${mart}/${generation}.parquet', 0, 0, '', 0, null, null, '', '', null, null)`,
  );

it('files of tables and marts are numbered above the highest floor, and no clock makes a number too large', async () => {
  await using lake = await scratchLake();
  expect(await next(lake.ledger)).toEqual([1, 3]);
  for (const [time, floor] of [
    ['1999-01-01T00:00:00Z', 0],
    ['2026-01-11T00:00:00Z', 10 * DAY],
    ['2026-01-03T00:00:00Z', 10 * DAY],
    ['2999-01-01T00:00:00Z', 2 ** 30],
  ] as const) {
    lake.clock.now = Date.parse(time);
    await raiseGenerationFloor(lake.ledger);
    expect(await next(lake.ledger)).toEqual([floor + 1, Math.max(floor + 1, 3)]);
  }
});

it('a floor is never below the numbers of the ledger, which a clock that was ahead may have made', async () => {
  await using lake = await scratchLake();
  lake.clock.now = Date.parse('2027-01-01T00:00:00Z');
  await raiseGenerationFloor(lake.ledger);
  await load(lake, span('2026-07-03T10:00:00Z', '2026-07-03T11:00:00Z'), [event('a', '2026-07-03T10:10:00Z')]);
  lake.clock.now = Date.parse('2026-01-01T00:00:00Z');
  await raiseGenerationFloor(lake.ledger);
  await lake.ledger.run('delete from partitions');
  expect(await next(lake.ledger)).toEqual([365 * DAY + 2, 365 * DAY + 2]);
});

it('a new shard begins above the names of the shards that it replaces, also those of their marts', async () => {
  await using from = await scratchLake();
  await using to = await scratchLake();
  await raiseGenerationFloor(from.ledger);
  await addMart(from.ledger, 'installs', 365 * DAY);
  const expected = await next(from.ledger);
  await from.ledger.close();
  // Before the floor was set.
  to.clock.now = Date.parse('2026-01-03T00:00:00Z');
  await copyRows(to.ledger, from.dir, [TENANT]);
  await startGenerationsAbove(to.ledger, [from.dir]);
  expect(expected[1]).toBe(365 * DAY + 1);
  expect(await next(to.ledger)).toEqual([365 * DAY + 1, 365 * DAY + 1]);
});

it('the number of a mart that was turned off and deleted is not used again', async () => {
  await using lake = await scratchLake();
  await raiseGenerationFloor(lake.ledger);
  const [, first = 0] = await next(lake.ledger);
  await addMart(lake.ledger, 'installs', first);
  await addMart(lake.ledger, 'removals', first + 1);
  await lake.ledger.run(`update mart_files set superseded_at = '2026-01-01', unpublished_at = '2026-01-01'`);
  expect(await sweepMarts(lake.ledger, 0)).toBe(2);
  expect((await next(lake.ledger))[1]).toBe(first + 2);
});
