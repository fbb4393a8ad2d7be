/** The one sentence above a chart that states the change in words. */
import type { Summarised } from './figures.ts';
import { change, day, figure, isShare } from './locale.ts';
import type { Summary } from './reports.ts';
import type { Comparison } from './state.ts';

export function sentence(summary: Summary, found: Summarised, compare: Comparison, days: number): string {
  const { value, before } = found;
  if (value === null) return 'There are no figures in this range.';
  const asShare = summary.kind === 'share' || isShare(summary.column);
  const shown = (of: number): string => figure(of, asShare ? 'share' : '');
  const when = found.day === null ? (days === 1 ? 'In one day' : `In ${days} days`) : `On ${day(found.day)}`;
  const start = `${when}, ${shown(value)} ${summary.noun}`;
  if (compare === 'none' || before === null) return `${start}.`;
  const then =
    found.dayBefore === null
      ? compare === 'year'
        ? 'in the same days a year before'
        : 'in the days before'
      : `on ${day(found.dayBefore)}`;
  if (shown(value) === shown(before)) return `${start}, ${asShare ? 'as' : 'as many as'} ${then}.`;
  if (asShare) return `${start}, ${value > before ? 'up' : 'down'} from ${shown(before)} ${then}.`;
  const share = change(value, before);
  const difference = `${figure(Math.abs(value - before))} ${value > before ? 'more' : 'fewer'}`;
  return `${start}, ${difference}${share === undefined ? '' : ` (${share})`} than ${then}.`;
}
