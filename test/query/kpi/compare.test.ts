/** Reports compared with an earlier time; all figures counted by hand. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Json } from '@duckdb/node-api';
import { listReports, takesCompare } from '../../../src/query/report.ts';
import { CAMPAIGN, caseOfMany } from '../../support/campaign.ts';
import { openLake, type Happening, type Lake } from './support/lake.ts';

const REPORTS = (await listReports()).filter(takesCompare);

let lake: Lake;

function installs(tenant: string, day: string, platform: string, number: number): Happening[] {
  return Array.from({ length: number }, (_, index) => ({
    table: 'events',
    tenant,
    time: `${day}T10:00:00Z`,
    type: 'Pass:Installed',
    properties: JSON.stringify({ passId: `${day}-${platform}-${index}`, device: platform }),
    id: `${day}-${platform}-${index}`,
  }));
}

beforeAll(async () => {
  lake = await openLake({
    happenings: [
      ...installs('y', '2024-02-28', 'apple', 1),
      ...installs('y', '2024-02-29', 'apple', 7),
      ...installs('y', '2025-02-28', 'apple', 3),
      ...installs('a', '2026-04-10', 'apple', 2),
      ...installs('a', '2026-04-10', 'google', 4),
      ...installs('a', '2026-05-31', 'apple', 5),
      ...installs('a', '2026-06-01', 'apple', 1),
    ],
    metrics: [],
    coverage: [
      { tenant: 'y', table: 'events', from: '2024-02-01', to: '2025-03-04', state: 'verified' },
      { tenant: 'a', table: 'events', from: '2026-04-01', to: '2026-04-20', state: 'verified' },
      { tenant: 'a', table: 'events', from: '2026-04-20', to: '2026-04-21', state: 'partial' },
      { tenant: 'a', table: 'events', from: '2026-04-21', to: '2026-06-02', state: 'verified' },
    ],
  });
});
afterAll(async () => lake[Symbol.asyncDispose]());

const FIGURES = ['installs', 'installs_before', 'installs_difference', 'installs_change'];

async function ask(report: string, words: readonly string[], columns: readonly string[] = FIGURES): Promise<Json[][]> {
  const tenant = words.some((word) => /^(from|to)=202[45]/.test(word)) ? 'y' : 'a';
  const rows = await lake.ask(report, [...words, `tenant=${tenant}`]);
  return rows.map((row) => [JSON.stringify(row['period']).slice(1, 11), ...columns.map((name) => row[name] ?? null)]);
}

describe('compare=previous', () => {
  it('compares a calendar month with the one before, and shows the worse coverage', async () => {
    expect(
      await ask('gross_installs', ['from=2026-05-01', 'to=2026-06-01', 'grain=month', 'compare=previous'], [...FIGURES, 'coverage', 'is_cut']),
    ).toEqual([['2026-05-01', '5', '6', '-1', -0.1667, 'unverified', false]]); // oxfmt-ignore
  });

  it('compares as many periods as the range has; part of a month with the same part', async () => {
    expect(await ask('gross_installs', ['from=2026-06-01', 'to=2026-06-02', 'compare=previous'])).toEqual([
      ['2026-06-01', '1', '5', '-4', -0.8],
    ]);
    const range = ['from=2026-05-01', 'to=2026-05-11', 'grain=month', 'compare=previous'];
    expect(await ask('gross_installs', range, [...FIGURES, 'is_cut', 'coverage'])).toEqual([
      ['2026-05-01', '0', '6', '-6', -1, true, 'verified'],
    ]);
  });

  it('without a first day, compares each period with the one before it', async () => {
    const rows = await ask('gross_installs', ['grain=month', 'to=2024-04-01', 'compare=previous']);
    expect(rows).toEqual([
      ['2024-02-01', '8', null, null, null],
      ['2024-03-01', '0', '8', '-8', -1],
    ]);
  });

  it('counts 0 in a covered period for which a report of what occurs has no row, on either side', async () => {
    const figures = [
      'source',
      ...['', '_before', '_difference', '_change'].map((end) => `first_installs${end}`),
      'coverage',
    ];
    expect(await ask('attribution', ['from=2026-04-10', 'to=2026-04-12', 'compare=previous'], figures)).toEqual([
      ['2026-04-10', '(none)', '6', '0', '6', null, 'verified'],
    ]);
    expect(await ask('attribution', ['from=2026-04-11', 'to=2026-04-12', 'compare=previous'], figures)).toEqual([
      ['2026-04-11', '(none)', '0', '6', '-6', -1, 'verified'],
    ]);
    // Nothing is known about the day before the first one.
    expect(await ask('attribution', ['from=2024-02-28', 'to=2024-02-29', 'compare=year'], figures)).toEqual([
      ['2024-02-28', '(none)', '1', null, null, null, 'verified'],
    ]);
  });

  it('compares rows with the same texts, and counts a missing one as 0', async () => {
    const range = ['from=2026-05-01', 'to=2026-06-01', 'grain=month', 'compare=previous'];
    expect(await ask('installs', range, ['platform', ...FIGURES])).toEqual([
      ['2026-05-01', 'apple', '5', '2', '3', 1.5],
      ['2026-05-01', 'google', '0', '4', '-4', -1],
    ]);
  });

  it('compares ratios as differences, too', async () => {
    const range = ['from=2026-05-01', 'to=2026-06-01', 'grain=month', 'compare=previous'];
    const names = ['share', 'share_before', 'share_difference', 'share_change'];
    expect(await ask('platform_split', range, ['platform', ...names])).toEqual([
      ['2026-05-01', 'apple', 0.6364, 0.3333, 0.3031, 0.9094],
      ['2026-05-01', 'google', 0.3636, 0.6667, -0.3031, -0.4546],
    ]);
  });
});

describe('compare=year', () => {
  it('compares the same periods a year earlier; the last day of a leap year has none', CAMPAIGN, async () => {
    expect(await ask('gross_installs', ['from=2025-02-28', 'to=2025-03-01', 'compare=year'])).toEqual([
      ['2025-02-28', '3', '1', '2', 2],
    ]);
    expect(await ask('gross_installs', ['from=2024-02-28', 'to=2024-03-01', 'compare=year'])).toEqual([
      ['2024-02-28', '1', null, null, null],
      ['2024-02-29', '7', null, null, null],
    ]);
    const months = ['from=2025-02-01', 'to=2025-03-01', 'grain=month', 'compare=year'];
    expect(await ask('gross_installs', months)).toEqual([['2025-02-01', '3', '8', '-5', -0.625]]);
  });

  it('compares weeks with those 52 weeks earlier', async () => {
    // Monday 2025-02-24 less 364 days is Monday 2024-02-26, the week of both days of 2024.
    expect(await ask('gross_installs', ['from=2025-02-24', 'to=2025-03-03', 'grain=week', 'compare=year'])).toEqual([
      ['2025-02-24', '3', '8', '-5', -0.625],
    ]);
  });
});

describe('a comparison', () => {
  const words = ['tenant=a', 'from=2026-05-01', 'to=2026-06-01', 'grain=month'];
  const own = ({ tenant_id, period, is_cut, loaded_at }: Record<string, Json>): string =>
    JSON.stringify([tenant_id, period, is_cut, loaded_at]);
  for (const [index, { name }] of REPORTS.entries())
    it(`keeps every row of ${name}`, caseOfMany(index, name === 'attribution'), async () => {
      const [plain, compared] = [await lake.ask(name, words), await lake.ask(name, [...words, 'compare=previous'])];
      expect(compared.map(own)).toEqual(expect.arrayContaining(plain.map(own)));
      expect(compared.length).toBeGreaterThanOrEqual(plain.length);
    });
});
