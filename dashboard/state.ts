/** What is shown, as the address says it: a copied link shows the same, and the back button works. */
import { addDays } from './manifest.ts';
import { complete, GRAINS, outward, periodsOf, shifted } from './periods.ts';
import type { Grain } from './periods.ts';
import type { Range, TenantSpan } from './types.ts';

export const PAGES = ['adoption', 'proof'] as const;
export type Page = (typeof PAGES)[number];

export const RANGES = ['7d', '30d', '90d', '12m', 'all', 'custom'] as const;
export type RangeName = (typeof RANGES)[number];
const DAYS: Readonly<Partial<Record<RangeName, number>>> = { '7d': 7, '30d': 30, '90d': 90, '12m': 365 };

export const COMPARISONS = ['previous', 'year', 'none'] as const;
export type Comparison = (typeof COMPARISONS)[number];

export interface State {
  readonly page: Page;
  /** Empty: the first one. */
  readonly tenant: string;
  readonly range: RangeName;
  /** Of a custom range. `to` is exclusive here, and the last day in the form. */
  readonly from: string;
  readonly to: string;
  readonly compare: Comparison;
  readonly grain: Grain;
  /** Empty: all of them. */
  readonly passType: string;
  readonly platform: string;
}

/** Periods of a year, as whole weeks where weekdays matter. */
const YEAR: Readonly<Record<Grain, number>> = { day: 364, week: 52, month: 12 };

const isDay = (text: string): boolean => /^\d{4}-\d{2}-\d{2}$/.test(text) && !Number.isNaN(Date.parse(text));

export function parseState(search: string): State {
  const values = new URLSearchParams(search);
  const oneOf = <T extends string>(words: readonly T[], name: string, fallback: T): T =>
    words.find((word) => word === values.get(name)) ?? fallback;
  const [from, to] = [values.get('from') ?? '', values.get('to') ?? ''];
  const range = oneOf(RANGES, 'range', '30d');
  const isCustom = range === 'custom' && isDay(from) && isDay(to) && from < to;
  return {
    page: oneOf(PAGES, 'page', 'adoption'),
    tenant: values.get('tenant') ?? '',
    range: range === 'custom' && !isCustom ? '30d' : range,
    from: isCustom ? from : '',
    to: isCustom ? to : '',
    compare: oneOf(COMPARISONS, 'compare', 'previous'),
    grain: oneOf(GRAINS, 'grain', 'day'),
    passType: values.get('pass_type') ?? '',
    platform: values.get('platform') ?? '',
  };
}

export function stateText(state: State): string {
  const values = new URLSearchParams({ page: state.page });
  if (state.tenant !== '') values.set('tenant', state.tenant);
  values.set('range', state.range);
  if (state.range === 'custom') {
    values.set('from', state.from);
    values.set('to', state.to);
  }
  values.set('compare', state.compare);
  if (state.grain !== 'day') values.set('grain', state.grain);
  if (state.passType !== '') values.set('pass_type', state.passType);
  if (state.platform !== '') values.set('platform', state.platform);
  return `?${values}`;
}

/** Whole periods of the grain. */
export function rangeOf(state: State, span: TenantSpan): Range {
  // Proof knows hours and days only.
  const grain = state.page === 'proof' ? 'day' : state.grain;
  if (state.range === 'custom') return outward(state, grain);
  const days = DAYS[state.range];
  return complete({ from: days === undefined ? span.from : addDays(span.to, -days), to: span.to }, grain);
}

/** The period that a range is compared with. */
export function rangeBefore({ compare, grain }: State, range: Range): Range | null {
  if (compare === 'none') return null;
  const by = compare === 'year' ? -YEAR[grain] : -periodsOf(range, grain).length;
  return { from: shifted(range.from, grain, by), to: shifted(range.to, grain, by) };
}
