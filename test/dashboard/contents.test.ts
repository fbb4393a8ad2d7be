/** What the worker computes for the window, from the rows of marts. */
import { expect, it } from 'vitest';
import { chartColumns, chartContent, figureColumns, figureContent } from '../../dashboard/contents.ts';
import { chartForm, HEADLINES, idOf, SECTIONS } from '../../dashboard/reports.ts';
import type { Row } from '../../dashboard/types.ts';
import { listReports } from '../../src/query/report.ts';

const [range, earlier] = [
  { from: '2026-10-03', to: '2026-10-05' },
  { from: '2026-10-01', to: '2026-10-03' },
] as const;
const ranges = { range, earlier, grain: 'day' } as const;

/** Rows of a mart in which no two cells are equal, and some that no chart reads. */
function rowsOf(columns: readonly string[]): Row[] {
  return ['2026-10-01', '2026-10-02', '2026-10-03', '2026-10-04'].flatMap((day, nth) =>
    ['apple', 'google'].map((name, row) => {
      const cells = columns.map((column, at) => [column, /_type$|source|platform|status|campaign/.test(column) ? name : 1000 * nth + 100 * row + at]); // oxfmt-ignore
      return { ...Object.fromEntries(cells), day, coverage: nth === 3 ? 'partial' : 'verified', is_cut: false };
    }),
  );
}

it('each chart and each figure of the headline gets all columns that it needs, and few others', async () => {
  const texts = await listReports();
  for (const plan of SECTIONS.flatMap(({ charts }) => charts)) {
    const form = chartForm(texts.find(({ name }) => name === plan.report));
    const own = [
      form.x,
      ...form.y,
      form.series ?? '',
      plan.summary.column,
      'of' in plan.summary ? plan.summary.of : '',
    ];
    const drawn = ['cohort', 'alive_d1', 'alive_d7', 'campaign', 'notifications', 'notified_passes', 'scanned_d1', 'scanned_d7', 'removed_d1', 'removed_d7', 'reinstalled_d1', 'reinstalled_d7']; // oxfmt-ignore
    const columns = [...new Set(['tenant_id', 'day', 'coverage', 'is_cut', 'loaded_at', ...own, ...drawn])].filter((name) => !['', 'period'].includes(name)); // oxfmt-ignore
    const rows = rowsOf(columns);
    const needed = chartColumns(plan, form, columns);
    const some = rows.map((row) => Object.fromEntries(needed.map((name) => [name, row[name] ?? null])));
    const content = (of: readonly Row[], names: readonly string[]) =>
      chartContent(plan, form, { columns: names, rows: of.slice(4), before: of.slice(0, 4) }, ranges);
    expect({ chart: idOf(plan), ...content(some, needed) }).toEqual({ chart: idOf(plan), ...content(rows, columns) });
    expect(content(some, needed).doubtful).toBe(1);
    expect(needed).not.toContain('loaded_at');
  }
  for (const headline of HEADLINES) {
    const columns = ['tenant_id', 'day', 'coverage', 'is_cut', 'loaded_at', headline.summary.column];
    const rows = rowsOf(columns);
    const needed = figureColumns(headline, columns);
    const some = rows.map((row) => Object.fromEntries(needed.map((name) => [name, row[name] ?? null])));
    const content = (of: readonly Row[]) =>
      figureContent(headline, { columns, rows: of.slice(4), before: of.slice(0, 4) }, ranges);
    expect(content(some)).toEqual(content(rows));
    expect(content(some).summary.uncertainDays).toBe(1);
  }
});

it('the line of a headline figure has at most two points per pixel, and means where there are more days', () => {
  const [headline] = HEADLINES;
  if (!headline) throw new Error('no headline');
  const { column } = headline.summary;
  const long = { from: '2025-01-01', to: '2026-01-01' };
  const rows = Array.from({ length: 365 }, (_, nth) => ({
    day: new Date(Date.UTC(2025, 0, 1 + nth)).toISOString().slice(0, 10),
    [column]: nth < 4 ? null : nth,
  }));
  const { line } = figureContent(headline, { columns: [], rows, before: [] }, { ...ranges, range: long });
  expect(line.length).toBe(92);
  expect(line.slice(0, 3)).toEqual([null, 5.5, 9.5]);
  expect(line.at(-1)).toBe(364);
});
