/** What a night reads of the past: the passes that have changed. All others count with their totals. */
import { expect, test } from 'vitest';
import { publish } from '../../../src/load/publish/publish.ts';
import type { Ledger } from '../../../src/load/ledger/ledger.ts';
import { openReader, textRows } from '../../../src/query/reader.ts';
import { text } from '../../support/cells.ts';
import { DAILY, event, load, scratchLake, span } from '../support/lake.ts';

/** Day of 2026, type, pass, device. */
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
05-10 | installed   | new   | google`
  .trim()
  .split('\n')
  .map((line) => line.split('|').map((cell) => cell.trim()));

test.each([100, 2])(
  'a night reads the passes that have changed, and counts all: parts of %i rows',
  async (rowsOfPart) => {
    const marts = ['active_passes', 'installation_rate', 'platform_split', 'retention', 'survival', 'wallet_status'];
    await using lake = await scratchLake({
      ...DAILY,
      marts,
      together: { rows: rowsOfPart, passEvents: 100, beforeOpening: 1 },
    });
    const read = new Set<string>();
    const run: Ledger['run'] = async (sql, values) => {
      await lake.ledger.run(sql, values);
      if (!sql.startsWith('create or replace temp table pass_events')) return;
      const rows = await lake.ledger.rawRows('select distinct pass_id from pass_events');
      for (const row of rows) read.add(text(row, 'pass_id') ?? '');
    };
    const night = async (from: string, to: string): Promise<string[]> => {
      read.clear();
      const cells = HAPPENED.filter(([day = '']) => `2026-${day}` >= from && `2026-${day}` < to).map(
        ([day, type = '', passId, device = ''], n) =>
          event(`${day} ${n}`, `2026-${day}T08:00:${10 + n}Z`, {
            type: `pass.${type}`,
            properties: JSON.stringify({ passId, ...(device === '' ? {} : { device }) }),
          }),
      );
      await load(lake, span(`${from}T00:00:00Z`, `${to}T00:00:00Z`), cells);
      await lake.ledger.run(`update hours set state = 'verified'`);
      await publish({ ...lake.ledger, run }, { run: 'r', head: true });
      return [...read].toSorted();
    };
    expect(await night('2026-01-05', '2026-05-10')).toEqual(['left', 'moves', 'never', 'stays']);
    expect(await night('2026-05-10', '2026-05-11')).toEqual(['moves', 'new']);

    await using reader = await openReader(lake.dir, { threads: 1, memoryLimit: '256MB' });
    const rows = (select: string): Promise<unknown[][]> => textRows(reader, `${select} order by all`, {});
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
