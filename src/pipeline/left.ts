/** What a run leaves for the next one when its budget ends, and when the source deletes it. */
import type { Diff, StaleCell } from '../extract/compare/diff.ts';
import { bytesPerRow, capsFilled } from '../extract/fetch/divide.ts';
import type { Landing } from '../extract/fetch/land.ts';
import { withFillers } from '../extract/plan/pack.ts';
import { planPages } from '../extract/plan/plan.ts';
import type { Caps } from '../extract/plan/plan.ts';
import { DAY, formatInstant } from '../kernel/instant.ts';
import type { Instant } from '../kernel/instant.ts';
import { overlaps } from '../kernel/windows.ts';
import { unprovenFrom } from '../load/ledger/reach.ts';
import type { Page } from '../model/page.ts';
import type { Left } from '../model/report.ts';
import type { TableWork } from './table-work.ts';

/**
 * For a table that was compared: the hours that do not balance, and the rows and pages that are still to be fetched for them. Pages
 * that have landed are not fetched again. `caps`: those that are known by now, also from the run that has just ended.
 */
export function leftOf(
  { stale, emptyGaps }: Pick<Diff, 'stale' | 'emptyGaps'>,
  landings: readonly Pick<Landing, 'batch' | 'landed'>[],
  caps: Caps,
  retentionDays: number | undefined,
): Left | undefined {
  const [first] = stale;
  if (!first) return undefined;
  const taken = landings.flatMap(({ batch }) => batch.windows);
  const cells = stale.filter((cell) => !overlaps(cell, taken));
  const planned = planPages(withFillers(cells, emptyGaps), caps).filter(({ rows }) => rows !== 0);
  const pages = landings.flatMap(({ batch, landed }) =>
    batch.pages.map((page) => ({ page, landedRows: landed.get(page.id)?.rows })),
  );
  const rowBytes = bytesPerRow([...planned, ...pages.map(({ page }) => page)]);
  let rows = sumOf(cells, (cell) => cell.rows);
  let calls = planned.length;
  for (const { page, landedRows } of pages) {
    const expected = page.rows ?? (landedRows === undefined ? page.bytes / rowBytes : 0);
    // An answer with fewer rows than were counted may have been cut.
    const missing = Math.max(0, Math.round(expected) - (landedRows ?? 0));
    rows += missing;
    // A page that was planned before a cap was known needs more than one call.
    if (landedRows === undefined) calls += Math.max(1, Math.ceil(capsFilled(page, caps, rowBytes)));
    else calls += Math.ceil(missing / caps.rows);
  }
  return {
    compared: true,
    hours: stale.length,
    rows,
    calls,
    ...lostAt(first.from, retentionDays),
  };
}

function sumOf<T>(items: readonly T[], valueOf: (item: T) => number): number {
  return items.reduce((sum, item) => sum + valueOf(item), 0);
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
    rows: sumOf(rest, ({ rows }) => rows ?? 0),
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
