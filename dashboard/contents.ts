/** What charts and headline figures show, computed by the worker: rows are not sent to the window, which would be kept busy. */
import { agesOf } from './ages.ts';
import type { Age } from './ages.ts';
import { campaignColumns, campaignsOf } from './campaigns.ts';
import type { Campaign } from './campaigns.ts';
import { plotOf, sparkline, summarise, totalsBy, uncertainIn } from './figures.ts';
import type { Plot, Ranges, Share, Summarised } from './figures.ts';
import { periodsOf } from './periods.ts';
import type { ChartForm, ChartPlan, Headline, Summary } from './reports.ts';
import type { Row, Source } from './types.ts';

/** What is drawn. The periods of a plot follow from the range. */
type Shape =
  | ({ readonly kind: 'periods' } & Omit<Plot, 'days'>)
  | { readonly kind: 'ages'; readonly now: readonly Age[]; readonly before: readonly Age[] }
  | { readonly kind: 'totals'; readonly shares: readonly Share[] }
  | { readonly kind: 'campaigns'; readonly campaigns: readonly Campaign[] };

export interface ChartContent {
  readonly summary: Summarised;
  readonly shape: Shape;
  readonly isEmpty: boolean;
  /** Periods that are not fully proven. */
  readonly doubtful: number;
  readonly source: Source;
}

export interface FigureContent {
  readonly summary: Summarised;
  /** Values of a line without axes. */
  readonly line: readonly (number | null)[];
}

/** The rows of a range and of the range before. */
export interface RowsOfRanges {
  readonly columns: readonly string[];
  readonly rows: readonly Row[];
  readonly before: readonly Row[];
}

const kindOf = ({ drawing }: ChartPlan, form: ChartForm): Shape['kind'] =>
  drawing?.kind ?? (form.x === 'period' ? 'periods' : 'totals');

const COVERAGE = ['day', 'coverage', 'is_cut'];

const summaryColumns = (summary: Summary): string[] =>
  summary.kind === 'share' ? [summary.column, summary.of] : [summary.column];

/** Of the columns of a mart, those that a chart needs. */
export function chartColumns(plan: ChartPlan, form: ChartForm, columns: readonly string[]): string[] {
  const kind = kindOf(plan, form);
  const needed = new Set([...COVERAGE, ...summaryColumns(plan.summary)]);
  if (kind === 'periods' || kind === 'totals')
    for (const name of [form.x, ...form.y, ...(form.series === undefined ? [] : [form.series])]) needed.add(name);
  if (kind === 'campaigns') for (const name of campaignColumns) needed.add(name);
  return columns.filter((name) => needed.has(name) || (kind === 'ages' && /^cohort$|^alive_d\d+$/.test(name)));
}

export function figureColumns({ summary }: Headline, columns: readonly string[]): string[] {
  const needed = [...COVERAGE, ...summaryColumns(summary)];
  return columns.filter((name) => needed.includes(name));
}

export function chartContent(
  plan: ChartPlan,
  form: ChartForm,
  { columns, rows, before }: RowsOfRanges,
  ranges: Ranges,
): Omit<ChartContent, 'source'> {
  const draw = (): Shape => {
    const kind = kindOf(plan, form);
    if (kind === 'ages') return { kind, now: agesOf(rows, columns), before: agesOf(before, columns) };
    if (kind === 'campaigns') return { kind, campaigns: campaignsOf(rows) };
    if (kind === 'totals') return { kind, shares: totalsBy(form, rows, before, ranges.earlier !== null) };
    const { days: _, ...plot } = plotOf(form, rows, before, ranges);
    return { kind, ...plot };
  };
  const uncertain = uncertainIn(rows, periodsOf(ranges.range, ranges.grain));
  return {
    summary: summarise(plan.summary, rows, before),
    shape: draw(),
    isEmpty: rows.length === 0,
    doubtful: uncertain.filter((is) => is).length,
  };
}

export function figureContent(
  { summary }: Headline,
  { rows, before }: RowsOfRanges,
  { range, grain }: Ranges,
): FigureContent {
  return { summary: summarise(summary, rows, before), line: sparkline(summary.column, rows, range, grain) };
}
