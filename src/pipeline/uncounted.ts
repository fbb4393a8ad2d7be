/**
 * A source that refuses to count: nothing can be compared, so nothing is proven. Each run fetches the days that are not
 * loaded and the last day again, for late data. Coverage has state `unchecked` and grade `none`.
 */
import { TableConfigError } from '../kernel/errors.ts';
import type { SourceView } from '../extract/compare/reconcile.ts';
import { DAY, HOUR, floorTo } from '../kernel/instant.ts';
import type { Instant } from '../kernel/instant.ts';
import { coveredTo } from '../load/ledger/reach.ts';
import type { Page } from '../model/page.ts';
import type { TableWork } from './table-work.ts';

/** How much of the loaded range is fetched again. */
const OVERLAP = DAY;

/** A page for each UTC day that is not loaded, and for the overlap. Throws TableConfigError when no first day is known. */
export async function uncountedPages(work: TableWork, view: SourceView): Promise<readonly Page[]> {
  const from = await firstInstant(work, view);
  const pages: Page[] = [];
  for (let day = from; day < view.upper; day = floorTo(day, DAY) + DAY) {
    const end = floorTo(day, DAY) + DAY;
    const window = { from: day, to: end < view.upper ? end : view.upper };
    // Rows and bytes are not known: the page is fetched as it is and split when it comes back full.
    pages.push({
      id: `p${(pages.length + 1).toString().padStart(5, '0')}`,
      windows: [window],
      rows: undefined,
      bytes: 0,
    });
  }
  return pages;
}

async function firstInstant({ request, ledger, tenant, table }: TableWork, view: SourceView): Promise<Instant> {
  if (request.from !== undefined) return view.lower ?? floorTo(request.from, HOUR);
  const loaded = request.deep === true ? undefined : await coveredTo(ledger, tenant, table);
  const overlap = loaded === undefined ? undefined : floorTo(loaded - OVERLAP, HOUR);
  const from = overlap !== undefined && (view.lower === undefined || overlap > view.lower) ? overlap : view.lower;
  if (from !== undefined) return from;
  throw new TableConfigError(`The source refuses to count ${table}, so it is not known where its rows begin.`, {
    hint: `Set tables.${table}.start (or start) to the first day to load.`,
    where: { tenant, table },
  });
}
