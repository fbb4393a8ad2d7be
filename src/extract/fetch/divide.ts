/** Cuts a page that is too large into smaller ones: by a finer count where that pays, otherwise into equal parts. */
import type { LimitFunction } from 'p-limit';
import { isRefusedQuery } from '../../kernel/errors.ts';
import { DAY, MINUTE, SECOND } from '../../kernel/instant.ts';
import { totalLength } from '../../kernel/windows.ts';
import type { Cell, Page } from '../../model/page.ts';
import type { SourceDrop } from '../../model/privacy.ts';
import type { TableName } from '../../model/tables.ts';
import { readHistogram } from '../plan/histogram.ts';
import { planPages } from '../plan/plan.ts';
import type { Caps } from '../plan/plan.ts';
import { labelled, splitPage } from '../plan/split.ts';
import type { Client } from '../source/client.ts';

/** Whom to ask for finer counts, and of what. */
export interface Counting {
  readonly client: Client;
  readonly limit: LimitFunction;
  readonly dropKeys: readonly SourceDrop[];
  readonly table: TableName;
  readonly signal: AbortSignal;
}

/** From this many caps on, one count costs less than repeated halving. */
const COUNT_FROM = 3;
const MAX_UNCOUNTED_PARTS = 64;
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

/** The children that replace a page, and the calls this took. No children: there is nothing smaller to ask for. */
export async function divide(
  counting: Counting,
  page: Page,
  filled: number,
  /** Called after the count, during which a smaller cap may have been learnt. */
  currentCaps: () => Caps,
): Promise<{ readonly children: readonly Page[] | undefined; readonly calls: number }> {
  const { cells, calls } = filled > COUNT_FROM ? await countCells(counting, page) : NOT_COUNTED;
  const planned = cells ? planPages(cells, currentCaps()) : [];
  if (planned.length > 1) return { children: labelled(page, planned), calls };
  const parts = Math.max(2, Math.min(MAX_UNCOUNTED_PARTS, Math.ceil(filled * 1.1)));
  return { children: splitPage(page, parts), calls };
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
  if (page.hash || length <= SECOND) return NOT_COUNTED;
  const onMinutes = page.windows.every(({ from }) => from % MINUTE === 0n);
  const unit = onMinutes && length > 2n * DAY ? 'minute' : 'second';
  try {
    return await limit(() => readHistogram(client, { table, unit, windows: page.windows, dropKeys }, signal));
  } catch (error) {
    if (isRefusedQuery(error)) return NOT_COUNTED;
    throw error;
  }
}
