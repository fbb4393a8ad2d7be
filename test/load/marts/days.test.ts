/** A day is derived again when its own rows change, whichever file holds them. */
import { afterEach, beforeEach, expect, test } from 'vitest';
import { DAY_SOURCES, dropDays, noteDays } from '../../../src/load/marts/days.ts';
import { event, load, scratchLake, span } from '../support/lake.ts';
import type { Scratch } from '../support/lake.ts';

let lake: Scratch;
beforeEach(async () => {
  lake = await scratchLake();
  const rows = [1, 2, 3].map((day) => event(`r${day}`, `2026-07-0${day}T23:10:00Z`));
  await load(lake, span('2026-07-01T00:00:00Z', '2026-07-04T00:00:00Z'), rows);
});
afterEach(() => lake[Symbol.asyncDispose]());

/** Runs a change of the ledger. Returns the days whose source differs after it, and those whose content does. */
async function differing(change: string): Promise<{ source: string[]; content: string[] }> {
  const sources = async (): Promise<string[][]> => {
    await noteDays(lake.ledger);
    const rows = await lake.ledger.rawRows(
      `select day::varchar as day, source, content from ${DAY_SOURCES} order by day`,
    );
    await dropDays(lake.ledger);
    return rows.map(({ day, source, content }) => [day, source, content].map(String));
  };
  const before = await sources();
  await lake.ledger.run(change);
  const after = await sources();
  const daysOf = (cell: number): string[] =>
    after.flatMap((row, nth) => (row[cell] === before[nth]?.[cell] ? [] : [row[0] ?? '']));
  return { source: daysOf(1), content: daysOf(2) };
}

const ALL = ['2026-07-01', '2026-07-02', '2026-07-03'];

/** As for rows that the source sends with digests. */
async function giveDigests(): Promise<void> {
  await lake.ledger.run('update hours set lake = struct_update(lake, c := 7::hugeint)');
}

test('a new file of the month changes no day by itself', async () => {
  expect(await lake.ledger.rawRows('select period from partitions')).toEqual([{ period: '2026-07' }]);
  await giveDigests();
  expect(await differing(`update partitions set sha256 = 'other'`)).toEqual({ source: [], content: [] });
});

test('a row that changes in one hour changes its day', async () => {
  await giveDigests();
  const change = `update hours set lake = struct_update(lake, c := 8::hugeint) where hour = '2026-07-02T23:00:00Z'`;
  expect(await differing(change)).toEqual({ source: ['2026-07-02'], content: ['2026-07-02'] });
});

test('the state of an hour changes the source of its day, and not the content', async () => {
  await giveDigests();
  const change = `update hours set state = 'partial' where hour = '2026-07-03T05:00:00Z'`;
  expect(await differing(change)).toEqual({ source: ['2026-07-03'], content: [] });
});

test('other privacy rules or promoted columns of the file change each of its days', async () => {
  await giveDigests();
  expect(await differing(`update partitions set privacy = 'other'`)).toEqual({ source: ALL, content: ALL });
  expect(await differing(`update partitions set promotion = 'other'`)).toEqual({ source: ALL, content: ALL });
});

test('without digests only the file says whether rows changed', async () => {
  expect(await differing(`update partitions set sha256 = 'other'`)).toEqual({ source: ALL, content: ALL });
});
