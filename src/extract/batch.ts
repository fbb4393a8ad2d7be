/** Pages grouped into batches, the unit of merging; and what a plan costs. Pure. */
import { DAY, HOUR } from '../instant.ts';
import type { Instant } from '../instant.ts';
import type { Batch, Page } from '../page.ts';
import type { TableName } from '../tables.ts';
import { coalesce } from './windows.ts';

export interface BatchOptions {
  readonly tenant: string;
  readonly table: TableName;
  /** Makes the ids unique to a run, and sorts them in time. */
  readonly prefix: string;
  /** About so many estimated bytes a batch. @default 128_000_000 */
  readonly bytes?: number;
}

/**
 * Consecutive pages, in time order: the oldest first, because they are the first to expire. Hash parts of a cell stay
 * together. A batch rather ends with a day (each touched day is written once a batch) or at least with an hour.
 */
export function batches(pages: readonly Page[], options: BatchOptions): Batch[] {
  const { bytes: target = 128_000_000, prefix, tenant, table } = options;
  const result: Batch[] = [];
  let group: Page[] = [];
  let bytes = 0;
  const close = (): void => {
    const id = `${prefix}-${(result.length + 1).toString().padStart(5, '0')}`;
    const windows = coalesce(group.flatMap((page) => page.windows));
    if (group.length > 0) result.push({ id, tenant, table, windows, pages: group });
    group = [];
    bytes = 0;
  };
  for (const [k, page] of pages.entries()) {
    group.push(page);
    bytes += page.bytes;
    const next = pages[k + 1];
    if (next?.hash && page.hash && endOf(next) === endOf(page)) continue;
    const border = endOf(page);
    const full = bytes >= target * 1.5 || (bytes >= target && border % HOUR === 0n);
    if (full || (bytes >= target / 2 && border % DAY === 0n)) close();
  }
  close();
  return result;
}

export interface Cost {
  readonly calls: number;
  readonly rows: number;
  readonly bytes: number;
  /** At the rate limit; 0 where there is none. */
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

function endOf(page: Page): Instant {
  return page.windows.at(-1)?.to ?? 0n;
}
