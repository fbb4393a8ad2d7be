/** Turns the hours that differ into the fewest pages: large hours by minutes first, then finer counts where they save calls. */
import { batches } from '../extract/plan/batch.ts';
import { diff } from '../extract/compare/diff.ts';
import type { Diff, StaleCell } from '../extract/compare/diff.ts';
import { MAX_WINDOWS } from '../extract/plan/histogram.ts';
import { packPages } from '../extract/plan/pack.ts';
import type { Caps } from '../extract/plan/plan.ts';
import { readSource } from '../extract/compare/reconcile.ts';
import type { Instant } from '../kernel/instant.ts';
import { minuteFingerprints } from '../load/ledger/hours.ts';
import type { HeldHour } from '../load/ledger/hours.ts';
import type { Batch, Page } from '../model/page.ts';
import { isWeaker } from '../model/coverage.ts';
import type { Grade } from '../model/coverage.ts';
import { capsOf } from './table-work.ts';
import type { TableWork } from './table-work.ts';

/** The pages to fetch, in time order. Asks the source for finer counts where that saves calls. */
export async function pagesOf(
  work: TableWork,
  found: Diff,
  held: ReadonlyMap<Instant, HeldHour>,
  grade: Grade,
): Promise<readonly Page[]> {
  work.record({ kind: 'phase', phase: 'plan' });
  const caps = await capsOf(work);
  const cells = await byMinutes(work, found.stale, held, caps, grade);
  const { client, table, settings, signal } = work;
  // Half of the budget is kept for pages. Counting that used up a small budget would do so in every run, and nothing would be loaded.
  const maxCalls = client.callsLeft / 2;
  const base = { table, caps, dropKeys: settings.drop, maxCalls };
  // Rows are compared by their number only where the engine rejects the hash function, among others.
  const request = { ...base, cells, emptyGaps: found.emptyGaps, isUnhashed: isWeaker(grade, 'checksum') };
  return (await packPages(client, request, signal)).pages;
}

/** The batches to load. A window that is empty at the source needs no page: only the rows of the lake are removed. */
export function batchesOf(work: TableWork, pages: readonly Page[], prefix: string): Batch[] {
  const { config, tenant, table, record } = work;
  const fetched = pages.filter((page) => page.rows !== 0);
  record({
    kind: 'planned',
    pages: fetched.length,
    rows: fetched.reduce((sum, page) => sum + (page.rows ?? 0), 0),
    bytes: fetched.reduce((sum, page) => sum + page.bytes, 0),
  });
  return batches(pages, { tenant, table, prefix, bytes: config.reconcile.batchBytes }).map((batch) => ({
    ...batch,
    pages: batch.pages.filter((page) => page.rows !== 0),
  }));
}

/**
 * Compares hours that are loaded and larger than a page minute by minute: one late row in a million then costs one count
 * and one small page. An hour that lacks rows is fetched whole.
 */
async function byMinutes(
  work: TableWork,
  stale: readonly StaleCell[],
  held: ReadonlyMap<Instant, HeldHour>,
  caps: Caps,
  grade: Grade,
): Promise<readonly StaleCell[]> {
  const { client, ledger, tenant, table, settings, signal } = work;
  const large = stale.filter((cell) => {
    const hour = held.get(cell.from);
    const isLarge = cell.rows > caps.rows || cell.bytes > caps.bytes;
    return isLarge && cell.heldRows > 0 && !cell.atRetentionEdge && hour?.lacksRows === false;
  });
  const minutes = new Map<Instant, readonly StaleCell[]>();
  for (let start = 0; start < large.length; start += MAX_WINDOWS) {
    const part = large.slice(start, start + MAX_WINDOWS);
    const view = await readSource(
      client,
      {
        table,
        unit: 'minute',
        range: { windows: part.map(({ from, to }) => ({ from, to })) },
        grade,
        dropKeys: settings.drop,
      },
      signal,
    );
    // A weaker answer would show fewer differences than the hours have, or none: such hours are fetched whole.
    if (isWeaker(view.grade, grade)) continue;
    const local = await minuteFingerprints(
      ledger,
      tenant,
      table,
      part.map(({ from }) => from),
    );
    const accounts = new Map([...local].map(([minute, account]) => [minute, { account, coveredTo: minute }]));
    const found = diff(view, accounts);
    for (const { from, to } of part)
      minutes.set(
        from,
        found.stale.filter((cell) => cell.from >= from && cell.from < to),
      );
  }
  return stale.flatMap((cell) => {
    const finer = minutes.get(cell.from);
    return finer && finer.length > 0 ? finer : [cell];
  });
}
