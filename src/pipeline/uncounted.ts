/**
 * A source that refuses to count: nothing can be compared, so nothing is proven. Days are asked for as they come, the
 * last one again each time (late rows come within a day or not at all), and coverage says `unchecked`, grade `none`.
 */
import { ConfigError } from '../kernel/errors.ts';
import type { SourceView } from '../extract/compare/reconcile.ts';
import { DAY, HOUR, floorTo } from '../kernel/instant.ts';
import type { Instant } from '../kernel/instant.ts';
import { coveredTo } from '../load/ledger/reach.ts';
import type { Page } from '../model/page.ts';
import type { TableWork } from './table-work.ts';

/** How much of what is loaded is asked for again. */
const OVERLAP = DAY;

/** A page for each UTC day that is not loaded, and for the overlap. Throws ConfigError when there is no beginning. */
export async function uncountedPages(work: TableWork, view: SourceView): Promise<readonly Page[]> {
  const from = await beginning(work, view);
  const pages: Page[] = [];
  for (let day = from; day < view.upper; day = floorTo(day, DAY) + DAY) {
    const end = floorTo(day, DAY) + DAY;
    const window = { from: day, to: end < view.upper ? end : view.upper };
    // No estimate of its bytes either: a page is asked for as it is, and split when it comes back full.
    pages.push({
      id: `p${(pages.length + 1).toString().padStart(5, '0')}`,
      windows: [window],
      rows: undefined,
      bytes: 0,
    });
  }
  return pages;
}

async function beginning({ request, ledger, tenant, table }: TableWork, view: SourceView): Promise<Instant> {
  if (request.from !== undefined) return view.lower ?? floorTo(request.from, HOUR);
  const loaded = request.deep === true ? undefined : await coveredTo(ledger, tenant, table);
  const again = loaded === undefined ? undefined : floorTo(loaded - OVERLAP, HOUR);
  const from = again !== undefined && (view.lower === undefined || again > view.lower) ? again : view.lower;
  if (from !== undefined) return from;
  throw new ConfigError(`The source refuses to count ${table}, so where its rows begin is not known.`, {
    hint: `Set tables.${table}.start (or start) to the first day that is wanted.`,
    where: { tenant, table },
  });
}
