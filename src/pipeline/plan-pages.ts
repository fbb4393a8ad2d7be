/** From what differs to the fewest pages: minutes of big hours first, then finer counts where they save calls. */
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
import { capsOf, phase } from './table-work.ts';
import type { TableWork } from './table-work.ts';

/** The pages to ask for, in time order; finer counts are asked at the source where they pay. */
export async function pagesOf(
  work: TableWork,
  found: Diff,
  held: ReadonlyMap<Instant, HeldHour>,
): Promise<readonly Page[]> {
  phase(work, 'plan');
  const caps = await capsOf(work);
  const cells = await byMinutes(work, found.stale, held, caps);
  const { client, table, settings, signal } = work;
  // Of a small budget most is for rows: counting that left no call for a page would do so in every run.
  const maxCalls = client.callsLeft / 2;
  const request = { table, cells, emptyGaps: found.emptyGaps, caps, dropKeys: settings.drop, maxCalls };
  return (await packPages(client, request, signal)).pages;
}

/** Batches to load; a window that the source says is empty needs no page, only the removal of what we hold. */
export function batchesOf(work: TableWork, pages: readonly Page[], prefix: string): Batch[] {
  const { config, tenant, table, report, onProgress } = work;
  const asked = pages.filter((page) => page.rows !== 0);
  report.planned += asked.length;
  onProgress({
    kind: 'planned',
    tenant,
    table,
    pages: asked.length,
    rows: asked.reduce((sum, page) => sum + (page.rows ?? 0), 0),
    bytes: asked.reduce((sum, page) => sum + page.bytes, 0),
  });
  return batches(pages, { tenant, table, prefix, bytes: config.reconcile.batchBytes }).map((batch) => ({
    ...batch,
    pages: batch.pages.filter((page) => page.rows !== 0),
  }));
}

/**
 * An hour of more than a page that we already hold is compared by the minute: one late row in a million then costs one
 * count and one small page. Not where a left-out copy's kept row lies in another minute: such hours are asked whole.
 */
async function byMinutes(
  work: TableWork,
  stale: readonly StaleCell[],
  held: ReadonlyMap<Instant, HeldHour>,
  caps: Caps,
): Promise<readonly StaleCell[]> {
  const { client, ledger, tenant, table, settings, report, signal } = work;
  const big = stale.filter((cell) => {
    const hour = held.get(cell.from);
    const pays = cell.rows > caps.rows || cell.bytes > caps.bytes;
    return pays && cell.heldRows > 0 && !cell.atRetentionEdge && hour?.crossMinuteDuplicates === false;
  });
  const minutes = new Map<Instant, readonly StaleCell[]>();
  for (let start = 0; start < big.length; start += MAX_WINDOWS) {
    const part = big.slice(start, start + MAX_WINDOWS);
    const view = await readSource(
      client,
      {
        table,
        unit: 'minute',
        range: { windows: part.map(({ from, to }) => ({ from, to })) },
        grade: report.grade,
        dropKeys: settings.drop,
      },
      signal,
    );
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
