/** What a run leaves for the next one when its budget ends, and when the source deletes it. */
import type { StaleCell } from '../extract/compare/diff.ts';
import { planPages } from '../extract/plan/plan.ts';
import type { Caps } from '../extract/plan/plan.ts';
import { DAY, formatInstant } from '../kernel/instant.ts';
import type { Instant } from '../kernel/instant.ts';
import { overlaps } from '../kernel/windows.ts';
import { unprovenFrom } from '../load/ledger/reach.ts';
import type { Page } from '../model/page.ts';
import type { Left } from '../model/report.ts';
import type { TableWork } from './table-work.ts';

/** For a table that was compared: the hours that do not balance, and the pages that they need. */
export function leftOf(stale: readonly StaleCell[], caps: Caps, retentionDays: number | undefined): Left | undefined {
  const [first] = stale;
  if (!first) return undefined;
  return {
    compared: true,
    hours: stale.length,
    rows: stale.reduce((sum, { rows }) => sum + rows, 0),
    calls: planPages(stale, caps).length,
    ...lostAt(first.from, retentionDays),
  };
}

/** For a plan: the pages beyond the available calls. Pages are in time order, so the first one is deleted first. */
export function leftOfPages(
  pages: readonly Page[],
  callsAvailable: number,
  stale: readonly StaleCell[],
  retentionDays: number | undefined,
): Left | undefined {
  const rest = pages.slice(Math.max(0, Math.floor(callsAvailable)));
  const from = rest[0]?.windows[0]?.from;
  if (from === undefined) return undefined;
  const touched = stale.filter((cell) => rest.some(({ windows }) => overlaps(cell, windows)));
  return {
    compared: true,
    hours: touched.length,
    rows: rest.reduce((sum, { rows }) => sum + (rows ?? 0), 0),
    calls: rest.length,
    ...lostAt(from, retentionDays),
  };
}

/** For a table that was not compared: its missing rows begin where the proven hours end, or earlier. */
export async function leftUncompared({ ledger, tenant, table, settings }: TableWork): Promise<Left> {
  const from = await unprovenFrom(ledger, tenant, table);
  return {
    compared: false,
    hours: 0,
    rows: 0,
    calls: 1,
    ...(from === undefined ? {} : lostAt(from, settings.retentionDays)),
  };
}

function lostAt(from: Instant, retentionDays: number | undefined): Pick<Left, 'lostAt'> {
  return retentionDays === undefined ? {} : { lostAt: formatInstant(from + BigInt(retentionDays) * DAY) };
}
