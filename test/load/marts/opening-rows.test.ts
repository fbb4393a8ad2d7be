/** What a night reads of the past: the passes that have changed. All others count with their totals. */
import { expect, test } from 'vitest';
import { publish } from '../../../src/load/publish/publish.ts';
import type { Ledger } from '../../../src/load/ledger/ledger.ts';
import { openReader, textRows } from '../../../src/query/reader.ts';
import { text } from '../../support/cells.ts';
import { DAILY, event, load, scratchLake, span } from '../support/lake.ts';

const lines = (text: string): string[][] =>
  text
    .trim()
    .split('\n')
    .map((line) => line.split('|').map((cell) => cell.trim()));

interface Nights extends AsyncDisposable {
  readonly dir: string;
  /** Loads days, publishes, and returns the passes that were read. */
  run(from: string, to: string): Promise<string[]>;
}

const dated = (day: string): string => (day.length === 5 ? `2026-${day}` : day);

/** `happened`: day (of 2026, unless it has a year), type, pass, device, id. */
async function nights(happened: string, marts: readonly string[], rowsOfPart: number): Promise<Nights> {
  const together = { rows: rowsOfPart, passEvents: 100, beforeOpening: 1 };
  const lake = await scratchLake({ ...DAILY, marts, together });
  const read = new Set<string>();
  const run: Ledger['run'] = async (sql, values) => {
    await lake.ledger.run(sql, values);
    if (!sql.startsWith('create or replace temp table pass_events')) return;
    const rows = await lake.ledger.rawRows('select distinct pass_id from pass_events');
    for (const row of rows) read.add(text(row, 'pass_id') ?? '');
  };
  return {
    dir: lake.dir,
    [Symbol.asyncDispose]: () => lake[Symbol.asyncDispose](),
    run: async (from, to) => {
      read.clear();
      const cells = lines(happened)
        .filter(([day = '']) => dated(day) >= dated(from) && dated(day) < dated(to))
        .map(([day = '', type = '', passId, device = '', id], n) =>
          event(id ?? `${day} ${n}`, `${dated(day)}T08:00:${10 + n}Z`, {
            type: `pass.${type}`,
            properties: JSON.stringify({ passId, ...(device === '' ? {} : { device }) }),
          }),
        );
      await load(lake, span(`${dated(from)}T00:00:00Z`, `${dated(to)}T00:00:00Z`), cells);
      await lake.ledger.run(`update hours set state = 'verified'`);
      await publish({ ...lake.ledger, run }, { run: 'r', head: true });
      return [...read].toSorted();
    },
  };
}

/** Rows of a select over the catalogue. */
async function selected(dir: string, select: string): Promise<unknown[][]> {
  await using reader = await openReader(dir, { threads: 1, memoryLimit: '256MB' });
  return await textRows(reader, `${select} order by all`, {});
}

const HAPPENED = `
01-05 | created     | stays |
01-05 | installed   | stays | apple
01-06 | created     | left  |
01-07 | installed   | left  | google
01-09 | uninstalled | left  | google
01-07 | installed   | moves | apple
01-08 | uninstalled | moves | apple
01-08 | created     | never |
05-10 | installed   | moves | google
05-10 | created     | new   |
05-10 | installed   | new   | apple
05-10 | installed   | new   | google`;

test.each([100, 2])(
  'a night reads the passes that have changed, and counts all: parts of %i rows',
  async (rowsOfPart) => {
    const marts = ['active_passes', 'installation_rate', 'platform_split', 'retention', 'survival', 'wallet_status'];
    await using lake = await nights(HAPPENED, marts, rowsOfPart);
    expect(await lake.run('01-05', '05-10')).toEqual(['left', 'moves', 'never', 'stays']);
    expect(await lake.run('05-10', '05-11')).toEqual(['moves', 'new']);

    const rows = (select: string): Promise<unknown[][]> => selected(lake.dir, select);
    const newest = `where day = '2026-05-10'`;
    expect(await rows(`select wallet_status, passes_in_status::varchar from mart_wallet_status ${newest}`)).toEqual([
      ['apple', '1'],
      ['both', '1'],
      ['google', '1'],
      ['none', '2'],
    ]);
    expect(await rows(`select platform, active_units::varchar from mart_platform_split ${newest}`)).toEqual([
      ['apple', '2'],
      ['google', '2'],
    ]);
    expect(
      await rows(`select active_passes::varchar, active_units::varchar from mart_active_passes ${newest}`),
    ).toEqual([['3', '4']]);
    expect(await rows(`select ever_installed::varchar from mart_retention ${newest}`)).toEqual([['4']]);
    const cohorts = `where day in ('2026-01-05', '2026-01-07', '2026-05-10')`;
    expect(
      await rows(
        `select day::varchar, cohort::varchar, concat_ws(' ', alive_d1, alive_d7, alive_d30) from mart_survival ${cohorts}`,
      ),
    ).toEqual([
      ['2026-01-05', '1', '1 1 1'],
      ['2026-01-07', '2', '2 0 0'],
      ['2026-05-10', '1', ''],
    ]);
    expect(
      await rows(
        `select day::varchar, created::varchar, installed_later::varchar from mart_installation_rate where created > 0`,
      ),
    ).toEqual([
      ['2026-01-05', '1', '1'],
      ['2026-01-06', '1', '1'],
      ['2026-01-08', '1', '0'],
      ['2026-05-10', '1', '1'],
    ]);
  },
);

test('an opening of a day that no row was loaded for is that of the day before', async () => {
  const happened = `
01-01 | installed   | a | apple
01-02 | installed   | b | apple
03-14 | installed   | c | apple
03-15 | installed   | d | apple
03-18 | installed   | e | apple
03-19 | uninstalled | a | apple`;
  await using lake = await nights(happened, ['wallet_status'], 100);
  // The first night keeps an opening of February. Later ones are of March, before the first day that was loaded then.
  await lake.run('01-01', '01-03');
  for (const day of [14, 15, 18, 19]) await lake.run(`03-${day}`, `03-${day + 1}`);
  const select = `select wallet_status, passes_in_status::varchar from mart_wallet_status where day = '2026-03-19'`;
  expect(await selected(lake.dir, select)).toEqual([
    ['apple', '4'],
    ['both', '0'],
    ['google', '0'],
    ['none', '1'],
  ]);
});

test('passes that share an id on different days do not stay active for ever', async () => {
  const happened = `
01-05 | installed   | a | apple | shared
04-10 | installed   | b | apple | shared
05-15 | scanned     | a |
05-15 | scanned     | b |
05-16 | uninstalled | b | apple
05-17 | uninstalled | a | apple`;
  await using lake = await nights(happened, ['active_passes', 'wallet_status'], 100);
  const ends = ['01-05', '04-10', '04-11', '05-14', '05-15', '05-16', '05-17', '05-18'];
  for (const [nth, end] of ends.slice(1).entries()) await lake.run(ends[nth] ?? '', end);
  const newest = `where day = '2026-05-17'`;
  expect(await selected(lake.dir, `select active_passes::varchar from mart_active_passes ${newest}`)).toEqual([['0']]);
  const select = `select wallet_status, passes_in_status::varchar from mart_wallet_status ${newest} and passes_in_status <> 0`;
  expect(await selected(lake.dir, select)).toEqual([['none', '2']]);
});

test('events before 1970 are before what is counted on the days after them', async () => {
  const happened = `
1969-12-01 | installed | a | apple
1969-12-20 | installed | b | apple
1970-01-01 | installed | c | apple`;
  await using lake = await nights(happened, ['active_passes'], 1);
  await lake.run('1969-12-01', '1970-01-02');
  const days = `where day in ('1969-12-01', '1969-12-20', '1970-01-01')`;
  expect(
    await selected(lake.dir, `select day::varchar, active_passes::varchar from mart_active_passes ${days}`),
  ).toEqual([
    ['1969-12-01', '1'],
    ['1969-12-20', '2'],
    ['1970-01-01', '3'],
  ]);
});
