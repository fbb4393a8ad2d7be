/** The one sentence above a chart that states the change in words. */
import type { Summarised } from './figures.ts';
import { change, figure, isShare, period } from './locale.ts';
import type { Grain } from './periods.ts';
import type { Summary } from './reports.ts';
import type { Comparison } from './state.ts';

export function sentence(
  summary: Summary,
  found: Summarised,
  compare: Comparison,
  periods: number,
  grain: Grain,
): string {
  const { value, before } = found;
  if (value === null) return 'There are no figures in this range.';
  const asShare = summary.kind === 'share' || isShare(summary.column);
  const shown = (of: number): string => figure(of, asShare ? 'share' : '');
  const when =
    found.day === null ? (periods === 1 ? `In one ${grain}` : `In ${periods} ${grain}s`) : at('On', found.day, grain);
  const start = `${when}, ${shown(value)} ${summary.noun}`;
  if (compare === 'none' || before === null) return `${start}.`;
  const then =
    found.dayBefore === null
      ? compare === 'year'
        ? `in the same ${grain}s a year before`
        : `in the ${grain}s before`
      : at('on', found.dayBefore, grain);
  if (shown(value) === shown(before)) return `${start}, ${asShare ? 'as' : 'as many as'} ${then}.`;
  if (asShare) return `${start}, ${value > before ? 'up' : 'down'} from ${shown(before)} ${then}.`;
  const share = change(value, before);
  const difference = `${figure(Math.abs(value - before))} ${value > before ? 'more' : 'fewer'}`;
  return `${start}, ${difference}${share === undefined ? '' : ` (${share})`} than ${then}.`;
}

/** "On 31 Oct 2026", "In the week from 26 Oct 2026" or "In Oct 2026". */
function at(on: 'On' | 'on', first: string, grain: Grain): string {
  if (grain === 'day') return `${on} ${period(first, grain)}`;
  return `${on === 'On' ? 'In' : 'in'} ${grain === 'week' ? 'the ' : ''}${period(first, grain)}`;
}
