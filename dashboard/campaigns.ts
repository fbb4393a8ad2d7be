/** What the chart of campaigns shows, computed from the rows of its mart. Knows nothing about the screen. */
import { numberOf } from './figures.ts';
import type { Row } from './types.ts';

export const REACTIONS = ['scanned', 'removed', 'reinstalled'] as const;

export const campaignColumns: readonly string[] = [
  'campaign',
  'notifications',
  'notified_passes',
  ...REACTIONS.flatMap((what) => [`${what}_d1`, `${what}_d7`]),
];

export interface Campaign {
  readonly name: string;
  /** Sent in the whole range: notifications add up over periods. */
  readonly notifications: number;
  /** First day of the period that the figures below are of: passes do not add up over periods. */
  readonly period: string;
  /** The 7 days after the period are not over. */
  readonly isOpen: boolean;
  readonly passes: number;
  /** Passes by what followed, in the order of REACTIONS. */
  readonly after: readonly { readonly day: number; readonly week: number }[];
}

/**
 * Of each campaign, the newest period that 7 whole days have followed. If there is none in the range, the oldest, which most days have
 * followed. The largest campaign first.
 */
export function campaignsOf(rows: readonly Row[]): Campaign[] {
  const byName = new Map<string, Row[]>();
  for (const row of rows) {
    const name = String(row['campaign']);
    byName.set(name, [...(byName.get(name) ?? []), row]);
  }
  return [...byName]
    .map(([name, own]) => {
      const sorted = own.toSorted((a, b) => (String(a['day']) < String(b['day']) ? -1 : 1));
      const shown = sorted.findLast((row) => row['coverage'] !== 'open') ?? sorted[0];
      const count = (column: string): number => numberOf(shown, column) ?? 0;
      return {
        name,
        notifications: own.reduce((sum, row) => sum + (numberOf(row, 'notifications') ?? 0), 0),
        period: String(shown?.['day']),
        isOpen: shown?.['coverage'] === 'open',
        passes: count('notified_passes'),
        after: REACTIONS.map((what) => ({ day: count(`${what}_d1`), week: count(`${what}_d7`) })),
      };
    })
    .sort((a, b) => b.notifications - a.notifications || (a.name < b.name ? -1 : 1));
}
