/** Charts mark what must not be compared: periods that are not proven, and periods of which the range holds only a part. */
import type { Json } from '@duckdb/node-api';
import { describe, expect, it } from 'vitest';
import { drawChart, parseChart } from '../../src/output/chart.ts';
import { width } from '../../src/output/width.ts';
import type { ResultRows } from '../../src/query/reader.ts';
import { listReports } from '../../src/query/report.ts';

type Row = readonly [period: string, figure: number, isCut: boolean, share: number, coverage: string];

function result(rows: readonly Row[]): ResultRows {
  const names = ['tenant_id', 'period', 'installs', 'is_cut', 'verified_share', 'coverage'];
  const columns = names.map((name) => ({ name, numeric: false, raw: false, type: 'VARCHAR' }));
  async function* batches(): AsyncGenerator<readonly (readonly Json[])[]> {
    yield rows.map((row) => ['acme', ...row]);
  }
  return { columns, batches };
}

async function draw(kind: 'line' | 'bar', rows: readonly Row[]): Promise<string> {
  const spec = parseChart(`${kind} x=period y=installs`);
  if (spec === undefined) throw new Error('no chart');
  return drawChart(result(rows), spec, 60);
}

const ROWS: readonly Row[] = [
  ['2026-02-23', 5, true, 1, 'verified'],
  ['2026-03-02', 8, false, 1, 'verified'],
  // A rounded share does not count.
  ['2026-03-09', 8, false, 1, 'unverified'],
  ['2026-03-16', 2, true, 0.4, 'open'],
];

describe('a chart', () => {
  it('has a line of marks for each reason, below the columns', async () => {
    const lines = (await draw('line', ROWS)).split('\n');
    expect(lines.slice(7)).toEqual([
      '         ?  ?',
      '   ~        ~',
      '   2026-02-23 … 2026-03-16',
      '? marks periods that are not fully verified',
      '~ marks periods of which the range holds only a part',
      '',
    ]);
  });

  it('marks bars at their end', async () => {
    const lines = (await draw('bar', ROWS)).trimEnd().split('\n');
    expect(lines.slice(1, 5).map((line) => line.replace(/^.*█ /, ''))).toEqual(['5 ~', '8', '8 ?', '2 ? ~']);
  });

  it('has no mark where every period is whole and verified', async () => {
    expect(await draw('line', ROWS.slice(1, 2))).not.toMatch(/[?~]/);
  });
});

describe('what the figures of a chart mean', () => {
  /** A result with the given columns, as a report gives it. */
  const rowsOf = (names: readonly string[], rows: readonly (readonly Json[])[]): ResultRows => ({
    columns: names.map((name) => ({ name, numeric: false, raw: false, type: 'VARCHAR' })),
    batches: async function* () {
      yield rows;
    },
  });
  const chartOf = async (
    chart: string,
    result: ResultRows,
    context: Parameters<typeof drawChart>[3] = {},
    columns = 60,
  ): Promise<string[]> => {
    const spec = parseChart(chart);
    if (spec === undefined) throw new Error('no chart');
    const lines = (await drawChart(result, spec, columns, context)).trimEnd().split('\n');
    expect(lines.filter((line) => width(line) > columns)).toEqual([]);
    return lines;
  };
  const ratio = { figure: 'per_redirect', isRest: false, numerator: 'installs', denominator: 'redirects' };
  const days = (values: readonly Json[]): ResultRows =>
    rowsOf(['period', 'n'], values.map((value, index) => [`2026-03-${String(index + 1).padStart(2, '0')}`, value])); // oxfmt-ignore

  it('a ratio of several rows is the ratio of the sums, also where a column is missing or the denominator is zero', async () => {
    const rows = rowsOf(
      ['place', 'redirects', 'installs', 'per_redirect'],
      [['a', 100, 170, 1.7], ['a', 10, 5, 0.5], ['b', 0, 3, null], ['b', 4, 1, 0.25], ['c', 0, 2, null], ['c', 0, 2, null]],
    ); // oxfmt-ignore
    const lines = await chartOf('bar x=place y=per_redirect', rows, { ratios: [ratio] });
    expect(lines.slice(1, 4).map((line) => line.replace(/.*[│█] /, ''))).toEqual(['1.59', '1', '·']);
    const cohorts = rowsOf(['period', 'cohort', 'alive'], [['2026-03-01', 90, 0.5], ['2026-03-01', 10, 1], ['2026-03-01', 5, null]]); // oxfmt-ignore
    const alive = { figure: 'alive', isRest: false, numerator: 'alive_passes', denominator: 'cohort' };
    expect((await chartOf('bar x=period y=alive', cohorts, { ratios: [alive] }))[1]).toMatch(/ 0\.55$/);
    const undeclared = await chartOf(
      'bar x=period y=rate',
      rowsOf(
        ['period', 'rate'],
        [
          ['d', 1],
          ['d', 0],
        ],
      ),
    );
    expect(undeclared.at(-1)).toBe('Averaged, because the report does not declare a ratio: rate.');
    const reports = new Map((await listReports()).map((report) => [report.name, report]));
    expect(reports.get('metric_completeness')?.ratios).toEqual([
      { figure: 'completeness', isRest: true, numerator: 'missing_hours', denominator: 'expected_hours' },
    ]);
    const declared = [...reports.values()].flatMap(({ chart, ratios }) =>
      (parseChart(chart)?.y ?? []).filter((name) => /rate|share|_per_|retention|survival|completeness/.test(name) && !ratios.some(({ figure }) => figure === name)),
    ); // oxfmt-ignore
    expect(declared).toEqual([]);
  });

  it('negative values point the other way from a common zero', async () => {
    expect((await chartOf('bar x=period y=n', days([4, -2, 0]))).slice(1)).toEqual([
      '2026-03-01             │█████████████████████████ 4',
      '2026-03-02 ████████████│ -2',
      '2026-03-03             │ 0',
    ]);
    expect((await chartOf('line x=period y=n', days([4, -2, 0, -0.01]))).slice(1)).toEqual([
      ' 4 │██',
      '   │██',
      '   │██',
      ' 0 │██',
      '   │   ██    ▔▔',
      '-2 │   ██',
      '    2026-03-01 … 2026-03-04',
    ]);
    expect((await chartOf('line x=period y=n', days([-1, -2])))[6]).toBe('-2 │   ██');
  });

  it('a period without a value or without a row is a gap, and not a zero', async () => {
    const rows = rowsOf(
      ['tenant_id', 'period', 'platform', 'n'],
      [['t', '2026-03-01', 'apple', 3], ['t', '2026-03-02', 'google', 3], ['t', '2026-03-04', 'apple', 3], ['t', '2026-03-05', 'apple', 0], ['t', '2026-03-06', 'google', null]],
    ); // oxfmt-ignore
    const lines = await chartOf('line x=period y=n series=platform', rows, { grain: 'day' });
    expect([lines[0], lines[6], lines[9], lines[15], lines.at(-1)]).toEqual([
      'n · apple',
      '0 │██ ·· ·· ██    ··',
      'n · google',
      '0 │·· ██ ·· ·· ·· ··',
      '· marks periods without a value',
    ]);
    const months = rowsOf(
      ['period', 'n'],
      [
        ['2025-11-01 00:00:00', 1],
        ['2026-02-01 00:00:00', 1],
      ],
    );
    expect((await chartOf('bar x=period y=n', months, { grain: 'month' }))[2]).toMatch(/^2025-12-01 00:00:00 +│ ·$/);
    expect(await chartOf('line x=period y=n', days([null, null]))).toEqual(['n', '  no values']);
  });

  it('one outlier is cut, with its value and a mark, and the others keep their height', async () => {
    const columns = await chartOf('line x=period y=n', days([4, 5, 1000, 3]));
    expect(columns.slice(1)).toEqual([
      '6.25 │      ██',
      '     │   ▆▆ ██',
      '     │▇▇ ██ ██',
      '     │██ ██ ██ ▇▇',
      '     │██ ██ ██ ██',
      '   0 │██ ██ ██ ██',
      '            ^',
      '      2026-03-01 … 2026-03-04',
      '      ^ 2026-03-03 is 1,000',
      '^ marks values that are drawn shorter than they are',
    ]);
    const bars = await chartOf('bar x=period y=n', days([4, 5, -1000, 3]));
    expect(bars[3]).toMatch(/^2026-03-03 █╱█+│ -1,000 \^$/);
    expect((await chartOf('bar x=period y=n', days([4, 5, 24]))).join('')).not.toContain('^');
  });

  it.each([40, 80, 100, 120])(
    'fits %i columns with long labels, huge and tiny values, and many points',
    async (columns) => {
      const label = 'パスの種類 with a name that is much longer than any label of a chart should be, and then longer';
      const rows = rowsOf(['period', 'kind', 'n'], [
      ...Array.from({ length: 500 }, (_, index) => [`day ${index}`, label, index % 7 === 0 ? null : 1e300 * index]),
      ...[0, 0.000001, -1e15].map((value, index) => [label + index, 'bars', value]),
    ]); // oxfmt-ignore
      const lines = await chartOf('line x=period y=n series=kind', rows, {}, columns);
      expect(lines.join(' ')).toMatch(/A column is \d+ periods: the mean of counts, the ratio of sums\.$/);
      await chartOf('bar x=period y=n series=kind', rows, {}, columns);
      expect((await chartOf('line x=period y=n', days([0, 0]), {}, columns))[6]).toBe('0 │');
      expect((await chartOf('line x=period y=n', days([7]), {}, columns))[1]).toBe('7 │██');
    },
  );
});
