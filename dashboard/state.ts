/** What is shown, as the address says it: a copied link shows the same, and the back button works. */
import { addDays, daysBetween } from './manifest.ts';
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
}

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
  return `?${values}`;
}

export function rangeOf(state: State, span: TenantSpan): Range {
  if (state.range === 'custom') return { from: state.from, to: state.to };
  const days = DAYS[state.range];
  return { from: days === undefined ? span.from : addDays(span.to, -days), to: span.to };
}

/** The period that a range is compared with. */
export function rangeBefore(compare: Comparison, { from, to }: Range): Range | null {
  if (compare === 'none') return null;
  const days = compare === 'year' ? 364 : daysBetween(from, to);
  return { from: addDays(from, -days), to: addDays(to, -days) };
}
