/** Groups pages into batches, the unit of merging, and estimates the cost of a plan. Pure functions. */
import { DAY, HOUR } from '../../kernel/instant.ts';
import type { Instant } from '../../kernel/instant.ts';
import type { Batch, Page } from '../../model/page.ts';
import type { TableName } from '../../model/tables.ts';
import { joinWindows } from '../../kernel/windows.ts';

export interface BatchOptions {
  readonly tenant: string;
  readonly table: TableName;
  /** Makes the ids unique to a run; ids of later runs sort after it. */
  readonly prefix: string;
  /** Target size of a batch in estimated bytes. Exceeded by half or more only where a single page or cell is larger. */
  readonly bytes: number;
}

/**
 * Groups consecutive pages in time order, oldest first, because the oldest expire first. Hash parts of a cell stay
 * together. A batch preferably ends at the end of a day, because each batch rewrites every day that it touches;
 * otherwise at the end of an hour.
 */
export function batches(pages: readonly Page[], options: BatchOptions): Batch[] {
  const { bytes: target, prefix, tenant, table } = options;
  const result: Batch[] = [];
  let group: Page[] = [];
  let bytes = 0;
  const close = (): void => {
    const id = `${prefix}-${(result.length + 1).toString().padStart(5, '0')}`;
    const windows = joinWindows(group.flatMap((page) => page.windows));
    if (group.length > 0) result.push({ id, tenant, table, windows, pages: group });
    group = [];
    bytes = 0;
  };
  for (const cell of cellsOf(pages)) {
    const size = bytesOf(cell);
    // A large page gets its own batch: the largest batch determines how much memory a backfill needs.
    if (bytes + size >= target * 1.5) close();
    group.push(...cell);
    bytes += size;
    const border = endOf(cell.at(-1));
    if ((bytes >= target && border % HOUR === 0n) || (bytes >= target / 2 && border % DAY === 0n)) close();
  }
  close();
  return result;
}

export interface Cost {
  readonly calls: number;
  readonly rows: number;
  readonly bytes: number;
  /** Minutes of calls at the rate limit; 0 without a limit. */
  readonly minutes: number;
}

export function costOf(pages: readonly Page[], callsPerMinute: number): Cost {
  let rows = 0;
  let bytes = 0;
  for (const page of pages) {
    rows += page.rows ?? 0;
    bytes += page.bytes;
  }
  const minutes = callsPerMinute === 0 ? 0 : pages.length / callsPerMinute;
  return { calls: pages.length, rows, bytes: Math.round(bytes), minutes };
}

/** Groups the hash parts of a cell; any other page is a group of its own. */
function cellsOf(pages: readonly Page[]): Page[][] {
  const cells: Page[][] = [];
  for (const page of pages) {
    const last = cells.at(-1);
    const isPart = page.hash !== undefined && last?.[0]?.hash !== undefined && endOf(last[0]) === endOf(page);
    if (isPart) last?.push(page);
    else cells.push([page]);
  }
  return cells;
}

function bytesOf(pages: readonly Page[]): number {
  return pages.reduce((sum, page) => sum + page.bytes, 0);
}

function endOf(page: Page | undefined): Instant {
  return page?.windows.at(-1)?.to ?? 0n;
}
