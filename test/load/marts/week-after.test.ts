/** Reports whose days depend on the week after them, and the parts in which years are computed. */
import { describe, expect, test } from 'vitest';
import { partsOf } from '../../../src/load/marts/openings.ts';
import { publish } from '../../../src/load/publish/publish.ts';
import { openReader, textRows } from '../../../src/query/reader.ts';
import { findReport, parameterValues } from '../../../src/query/report.ts';
import { DAILY, event, load, scratchLake, span } from '../support/lake.ts';

describe('a report that looks a week ahead', () => {
  /** Day of 2026, type, pass. */
  const HAPPENED = `
01-05 | installed | back
01-06 | uninstalled | back
03-10 | sent | back
03-16 | installed | back
03-10 | sent | scanned
03-17 | scanned | scanned
03-10 | sent | later
03-18 | scanned | later
03-12 | installed | gone
03-31 | sent | gone
04-01 | sent | gone
04-02 | uninstalled | gone
04-05 | created | other
04-08 | created | other`
    .trim()
    .split('\n')
    .map((line) => line.split('|').map((cell) => cell.trim()));

  test('counts what follows in later parts and nights, and is computed from a week before what has changed', async () => {
    await using small = await scratchLake({ ...DAILY, marts: ['campaigns', 'installs'], together: { rows: 2, passEvents: 2, beforeOpening: 1 } }); // oxfmt-ignore
    const cells = (isIn: (day: string) => boolean): unknown[][] =>
      HAPPENED.filter(([day = '']) => isIn(day)).map(([day, type = '', passId], n) =>
        event(`${day} ${n} ${type}`, `2026-${day}T08:00:00Z`, {
          type: type === 'sent' ? 'Notification:Sent' : `Pass:${type}`,
          properties: JSON.stringify({ passId, device: 'apple', campaign: 'spring' }),
        }),
      );
    const night = async (from: string, to: string, isLate = false): Promise<string[]> => {
      const isIn = (day: string): boolean => `2026-${day}` >= from && `2026-${day}` < to && (isLate || day !== '03-16');
      await load(small, span(`${from}T00:00:00Z`, `${to}T00:00:00Z`), cells(isIn));
      await small.ledger.run(`update hours set state = 'verified'`);
      await publish(small.ledger, { run: 'r', head: true });
      const columns = `day, notified_passes, scanned_d7, removed_d1, reinstalled_d7, coverage`;
      await using reader = await openReader(small.dir, { threads: 1, memoryLimit: '256MB' });
      const report = await findReport('campaigns');
      const values = parameterValues(report, [], { nowMs: Date.now() });
      const kept = await textRows(
        reader,
        `select ${columns.replace('day', 'day::varchar')} from mart_campaigns order by all`,
      );
      const said = await textRows(
        reader,
        `select ${columns.replace('day', 'period::date::varchar')} from (${report.sql.trim()}) order by all`,
        values,
      );
      expect(kept).toEqual(said);
      return kept.map((row) => row.slice(0, 5).join(' '));
    };
    expect(await night('2026-01-05', '2026-03-17')).toEqual(['2026-03-10 3 0 0 0']);
    expect(await night('2026-03-17', '2026-04-02')).toEqual([
      '2026-03-10 3 1 0 0',
      '2026-03-31 1 0 0 0',
      '2026-04-01 1 0 0 0',
    ]);
    expect(await night('2026-04-02', '2026-04-09')).toEqual([
      '2026-03-10 3 1 0 0',
      '2026-03-31 1 0 0 0',
      '2026-04-01 1 0 1 0',
    ]);
    expect(await night('2026-03-16', '2026-03-17', true)).toEqual([
      '2026-03-10 3 1 0 1',
      '2026-03-31 1 0 0 0',
      '2026-04-01 1 0 1 0',
    ]);
  });
});

describe('parts of the days', () => {
  const day = (name: string, rows = 1): { day: string; rows: number } => ({ day: name, rows });

  test('leave no gap and do not exceed the limit on rows, except for one day, and are read from a week before', () => {
    const days = [
      day('2026-01-01', 2),
      day('2026-01-02', 2),
      day('2026-01-05', 9),
      day('2026-03-01'),
      day('2026-03-02'),
    ];
    expect(partsOf(days, 5)).toEqual([
      { from: '2026-01-01', to: '2026-01-05', readFrom: '2026-01-01', rows: 4 },
      { from: '2026-01-05', to: '2026-03-01', readFrom: '2026-01-01', rows: 9 },
      { from: '2026-03-01', to: '2026-03-03', readFrom: '2026-02-22', rows: 2 },
    ]);
    expect(partsOf([], 5)).toEqual([]);
  });
});
