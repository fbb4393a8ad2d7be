/** A month of few rows is one file from its first row on, and each day of a larger month has its own. */
import { describe, expect, test } from 'vitest';
import { CAMPAIGN } from '../../support/campaign.ts';
import { MassLossError } from '../../../src/kernel/errors.ts';
import type { Window } from '../../../src/kernel/instant.ts';
import { compactMonths } from '../../../src/load/maintenance/compact.ts';
import { verifyFiles } from '../../../src/load/maintenance/verify.ts';
import { publish } from '../../../src/load/publish/publish.ts';
import { readCatalogue } from '../support/catalogue.ts';
import { at, event, load, scratchLake, span, storedRows } from '../support/lake.ts';
import type { Scratch } from '../support/lake.ts';
import { text } from '../../support/cells.ts';

const DAY_MS = 86_400_000;

function days(first: string, count = 1): Window {
  return span(`${first}T00:00:00Z`, new Date(Date.parse(first) + count * DAY_MS).toISOString());
}

/** `count` rows of a day, one a minute from 10:00 on. */
function rowsOf(day: string, count: number): unknown[][] {
  return Array.from({ length: count }, (_, n) =>
    event(`${day}-${n}`, new Date(Date.parse(`${day}T10:00:00Z`) + n * 60_000).toISOString()),
  );
}

async function periods({ ledger }: Scratch): Promise<unknown[]> {
  const rows = await ledger.rawRows(
    `select period || ' ' || rows || ' ' || generation as shown from partitions where superseded_at is null order by period`,
  );
  return rows.map((row) => text(row, 'shown'));
}

describe('a month of few rows', () => {
  test('is one file from its first row on, into which its later days go', async () => {
    await using lake = await scratchLake();
    expect(await load(lake, days('2026-07-01'), rowsOf('2026-07-01', 20))).toMatchObject({ inserted: 20, days: 1 });
    expect(await load(lake, days('2026-07-02'), rowsOf('2026-07-02', 20))).toMatchObject({ inserted: 20, days: 1 });
    expect(await periods(lake)).toEqual(['2026-07 40 2']);
    expect(await load(lake, days('2026-07-01', 2), [...rowsOf('2026-07-01', 20), ...rowsOf('2026-07-02', 20)])).toMatchObject({ unchanged: 40, days: 0 }); // oxfmt-ignore
    expect(await verifyFiles(lake.ledger)).toMatchObject({ files: 1, rows: 40, faults: [] });
  });

  test('is judged by what the rest of the month will bring', async () => {
    for (const [rows, isMonth] of [
      [3, true],
      [4, false],
    ] as const) {
      await using lake = await scratchLake({ monthRows: 100 });
      await load(lake, days('2026-07-01'), rowsOf('2026-07-01', rows));
      expect(await periods(lake)).toEqual([`${isMonth ? '2026-07' : '2026-07-01'} ${rows} 1`]);
    }
  });

  test('of which one hour is loaded is judged as if the other hours of the day had no rows', async () => {
    await using lake = await scratchLake({ monthRows: 100 });
    await load(lake, span('2026-07-01T10:00:00Z', '2026-07-01T11:00:00Z'), rowsOf('2026-07-01', 3));
    expect(await periods(lake)).toEqual(['2026-07 3 1']);
  });

  test('of which no more rows are to come may have twice as many', async () => {
    for (const [rows, isMonth] of [
      [200, true],
      [201, false],
    ] as const) {
      await using lake = await scratchLake({ monthRows: 100 });
      await load(lake, days('2026-07-01', 31), [...rowsOf('2026-07-01', 100), ...rowsOf('2026-07-02', rows - 100)]);
      expect(await periods(lake)).toEqual(isMonth ? ['2026-07 200 1'] : ['2026-07-01 100 1', '2026-07-02 101 1']);
    }
  });

  test('is written with the months and days next to it by one merge, and a late row goes into its file', async () => {
    await using lake = await scratchLake({ monthRows: 20 });
    const given = [['2026-06-12', 1], ['2026-06-13', 1], ['2026-07-03', 30], ['2026-07-30', 30], ['2026-08-02', 2], ['2026-08-03', 2]] as const; // oxfmt-ignore
    const rows = given.flatMap(([day, count]) => rowsOf(day, count));
    expect(await load(lake, days('2026-06-10', 92), rows)).toMatchObject({ inserted: 66, days: 4 });
    expect(await periods(lake)).toEqual(['2026-06 2 1', '2026-07-03 30 1', '2026-07-30 30 1', '2026-08 4 1']);
    const ids = (await storedRows(lake.ledger)).map(({ event_id: id }) => id);
    expect(ids).toEqual(rows.map(([id]) => id));
    expect(await verifyFiles(lake.ledger)).toMatchObject({ files: 4, rows: 66, faults: [] });
    const hour = span('2026-08-20T05:00:00Z', '2026-08-20T06:00:00Z');
    expect(await load(lake, hour, [event('late', '2026-08-20T05:30:00Z')])).toMatchObject({ inserted: 1, days: 1 });
    expect((await periods(lake)).at(-1)).toBe('2026-08 5 2');
    expect(await verifyFiles(lake.ledger)).toMatchObject({ files: 4, rows: 67, faults: [] });
  });

  test('has a file for each day if the month before had many rows', async () => {
    await using lake = await scratchLake({ monthRows: 100 });
    await load(lake, days('2026-06-30'), rowsOf('2026-06-30', 110));
    await load(lake, days('2026-07-01'), rowsOf('2026-07-01', 1));
    expect(await periods(lake)).toEqual(['2026-06-30 110 1', '2026-07-01 1 1']);
  });

  test('has a file for each day if a day has its file already', async () => {
    await using lake = await scratchLake({ monthRows: 0 });
    await load(lake, days('2026-07-03'), rowsOf('2026-07-03', 1));
    await lake.reopen({ monthRows: 100 });
    await load(lake, days('2026-07-04', 28), [...rowsOf('2026-07-04', 1), ...rowsOf('2026-07-30', 1)]);
    expect(await periods(lake)).toEqual(['2026-07-03 1 1', '2026-07-04 1 1', '2026-07-30 1 1']);
  });

  test('shares the numbers of its files with its days, so that the newest has the highest', CAMPAIGN, async () => {
    await using lake = await scratchLake({ monthRows: 0 });
    const [one, two] = [days('2026-07-03'), days('2026-07-04')];
    await load(lake, one, rowsOf('2026-07-03', 1));
    await load(lake, one, rowsOf('2026-07-03', 2));
    await load(lake, two, rowsOf('2026-07-04', 1));
    await lake.ledger.run(`update hours set state = 'verified'`);
    await compactMonths(lake.ledger, { run: 'r', at: at('2026-09-10T00:00:00Z') });
    expect(await periods(lake)).toEqual(['2026-07 3 3']);
    await load(lake, days('2026-07-03', 2), [], { guard: false });
    await load(lake, one, rowsOf('2026-07-03', 1));
    expect(await periods(lake)).toEqual(['2026-07-03 1 4']);
    await lake.reopen({ monthRows: 100 });
    await load(lake, one, []);
    await load(lake, one, rowsOf('2026-07-03', 1));
    expect(await periods(lake)).toEqual(['2026-07 1 5']);
  });
});

describe('in the file of a month', () => {
  const DELETES = { deletes: { maxShare: 0.2, minRows: 5 } };
  const JULY = Array.from({ length: 20 }, (_, n) => `2026-07-${String(n + 1).padStart(2, '0')}`);

  test('the loss of a whole day is a mass loss, and of a few rows of each day is none', async () => {
    for (const closed of [false, true]) {
      await using lake = await scratchLake(DELETES);
      const rows = JULY.flatMap((day) => rowsOf(day, 30));
      // A closed month is one that compaction has made.
      if (closed) await lake.reopen({ monthRows: 0 });
      await load(lake, days('2026-07-01', 20), rows);
      await lake.ledger.run(`update hours set state = 'verified'`);
      await compactMonths(lake.ledger, { run: 'r', at: at(closed ? '2026-09-10T00:00:00Z' : '2026-07-21T00:00:00Z') });
      expect(await periods(lake)).toEqual([`2026-07 600 ${closed ? 2 : 1}`]);
      const refused = load(lake, days('2026-07-07'), []);
      await expect(refused).rejects.toThrow(MassLossError);
      await expect(refused).rejects.toThrow('30 of 30 rows of Events in 2026-07-07 vanished at the source');
      const among = rows.filter(([id]) => !String(id).startsWith('2026-07-07') || id === '2026-07-07-0');
      await expect(load(lake, days('2026-07-01', 20), among)).rejects.toThrow('29 of 30 rows of Events in 2026-07-07');
      expect(await storedRows(lake.ledger)).toHaveLength(600);
      const few = rows.filter(([id]) => !/-(?:[0-5])$/.test(String(id)));
      expect(await load(lake, days('2026-07-01', 20), few)).toMatchObject({ removed: 120 });
      expect(await load(lake, days('2026-07-07'), [], { guard: false })).toMatchObject({ removed: 24 });
    }
  });

  test(
    'a path of the JSON that appears or stops on a day is reported, as between files of days',
    CAMPAIGN,
    async () => {
      await using lake = await scratchLake();
      const load40 = async (day: string, properties: string): Promise<unknown> => {
        const rows = Array.from({ length: 40 }, (_, n) => event(`${day}-${n}`, `${day}T10:00:00Z`, { properties }));
        await load(lake, days(day), rows, { run: day });
        return (await publish(lake.ledger, { run: day, head: false })).drift.map(({ change, path, at: since }) => [change, path, since.slice(0, 10)]); // oxfmt-ignore
      };
      expect(await load40('2026-07-01', '{"a":1,"old":1}')).toEqual([]);
      expect(await load40('2026-07-02', '{"a":1,"new":1}')).toEqual([
        ['new_path', 'new', '2026-07-02'],
        ['stopped', 'old', '2026-07-01'],
      ]);
      expect(await periods(lake)).toEqual(['2026-07 80 2']);
      const counts = `select path, rows, share from properties where path in ('$', 'a', 'new') order by path`;
      expect(await readCatalogue(lake.dir, counts)).toMatchObject([
        { path: '$', share: 1 },
        { path: 'a', share: 1 },
        { path: 'new', share: 0.5 },
      ]);
    },
  );

  test('counts of a sample add up to the rows of the type, over all days', CAMPAIGN, async () => {
    await using lake = await scratchLake({ monthRows: 30_000 });
    const rows = ['2026-07-01', '2026-07-02', '2026-07-03'].flatMap((day, nth) =>
      Array.from({ length: 6_999 + nth }, (_, n) =>
        event(`${day}-${n}`, `${day}T10:00:00Z`, { properties: '{"a":1}' }),
      ),
    );
    await load(lake, days('2026-07-01', 31), rows);
    await publish(lake.ledger, { run: 'r', head: false });
    expect(await periods(lake)).toEqual(['2026-07 21000 1']);
    const counts = `select path, rows::integer as rows, share, is_estimate from properties order by path`;
    expect(await readCatalogue(lake.dir, counts)).toEqual([
      { path: '$', rows: 21_000, share: 1, is_estimate: true },
      { path: 'a', rows: 21_000, share: 1, is_estimate: true },
    ]);
    const byDay = await lake.ledger.rawRows(`select rows::integer as rows from property_counts where pointer = ''`);
    expect(byDay.map(({ rows: count }) => Math.round(Number(count) / 1_000))).toEqual([7, 7, 7]);
  });
});
