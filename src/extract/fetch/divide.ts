/** Cuts a page that is too large into smaller ones: by a finer count where that pays, otherwise into equal parts. */
import { isRefusedQuery } from '../../kernel/errors.ts';
import { DAY, MINUTE, SECOND } from '../../kernel/instant.ts';
import { totalLength } from '../../kernel/windows.ts';
import { LEAST_ROW_CAP } from '../../model/page.ts';
import type { Cell, Page } from '../../model/page.ts';
import { readHistogram } from '../plan/histogram.ts';
import { planPages } from '../plan/plan.ts';
import type { Caps } from '../plan/plan.ts';
import { labelled, slicePage, splitPage } from '../plan/split.ts';
import { countRows } from './recount.ts';
import type { Counting } from './recount.ts';

/** From this many caps on, one count costs less than repeated halving. */
const COUNT_FROM = 3;
const MAX_UNCOUNTED_PARTS = 64;
/** Parts of a page whose answer was cut: enough to read it in few rounds, and few if the answer was short for another reason. */
const MAX_CUT_PARTS = 16;
/** Used where no page was counted. */
const TYPICAL_ROW_BYTES = 400;

/** Estimated bytes of a row, to guess the rows of pages that were not counted. */
export function bytesPerRow(pages: readonly Page[]): number {
  const counted = pages.filter((page) => page.rows !== undefined);
  const rows = counted.reduce((sum, page) => sum + (page.rows ?? 0), 0);
  const bytes = counted.reduce((sum, page) => sum + page.bytes, 0);
  return rows > 0 && bytes > 0 ? bytes / rows : TYPICAL_ROW_BYTES;
}

/** How many times the caps a page holds, as far as is known. More than 1 means that it does not fit into one answer. */
export function capsFilled(page: Page, caps: Caps, rowBytes: number): number {
  const rows = page.rows ?? page.bytes / rowBytes;
  return Math.max(rows / caps.rows, page.bytes / caps.bytes);
}

export interface Divided {
  /** None: there is nothing smaller to ask for. */
  readonly children: readonly Page[] | undefined;
  readonly calls: number;
}

/** The children that replace a page. */
export async function divide(
  counting: Counting,
  page: Page,
  filled: number,
  /** Called after the count, during which a smaller cap may have been learnt. */
  currentCaps: () => Caps,
): Promise<Divided> {
  const { cells, calls } = filled > COUNT_FROM ? await countCells(counting, page) : NOT_COUNTED;
  const planned = cells ? plannedParts(page, cells, currentCaps()) : [];
  if (planned.length > 1) return { children: labelled(page, planned), calls };
  const parts = Math.max(2, Math.min(MAX_UNCOUNTED_PARTS, Math.ceil(filled * 1.1)));
  const children = splitPage(page, parts);
  if (children || page.slice) return { children, calls };
  const sliced = await countAndSlice(counting, page, currentCaps);
  return { ...sliced, calls: calls + sliced.calls };
}

/** Pages that fit, for the cells of a page. */
export function plannedParts({ isUnhashed = false }: Page, cells: readonly Cell[], caps: Caps): readonly Page[] {
  return planPages(cells, caps, { slices: true, isUnhashed });
}

/** Pages that fit for the cells of a page, or halves of it. */
export function partsOf(page: Page, cells: readonly Cell[], caps: Caps): readonly Page[] | undefined {
  const planned = plannedParts(page, cells, caps);
  return planned.length > 1 ? labelled(page, planned) : splitPage(page);
}

/**
 * Rows to expect in each part of a page whose answer had only `rows` of the counted ones. It is one row fewer than the answer had:
 * once that number is learnt as a cap, an answer with exactly that many rows counts as full.
 */
export function rowsOfPart(rows: number, counted: number): number {
  if (rows > LEAST_ROW_CAP) return rows - 1;
  return Math.max(rows, Math.ceil(counted / (rows === 0 ? 2 : MAX_CUT_PARTS)));
}

/** Slices of a page whose rows time and ids do not separate. */
export async function countAndSlice(counting: Counting, page: Page, currentCaps: () => Caps): Promise<Divided> {
  const { counts, calls } = await countRows(counting, [page]);
  return { children: counts && slicesThatFit(page, counts[0] ?? 0, currentCaps()), calls };
}

/** At least two slices, because the page as a whole could not be delivered. */
export function slicesThatFit(page: Page, rows: number, caps: Caps): readonly Page[] | undefined {
  return slicePage(page, rows, Math.min(caps.rows, Math.ceil(rows / 2)));
}

interface Counted {
  readonly cells: readonly Cell[] | undefined;
  readonly calls: number;
}

export const NOT_COUNTED: Counted = { cells: undefined, calls: 0 };

/** Counts a page by minute or second. No cells: the page is too short for that, or the source rejects the query. */
export async function countCells(counting: Counting, page: Page): Promise<Counted> {
  const { client, limit, dropKeys, table, signal } = counting;
  const length = totalLength(page.windows);
  if (page.hash || page.slice || length <= SECOND) return NOT_COUNTED;
  const onMinutes = page.windows.every(({ from }) => from % MINUTE === 0n);
  const unit = onMinutes && length > 2n * DAY ? 'minute' : 'second';
  try {
    return await limit(() => readHistogram(client, { table, unit, windows: page.windows, dropKeys }, signal));
  } catch (error) {
    if (isRefusedQuery(error)) return NOT_COUNTED;
    throw error;
  }
}
