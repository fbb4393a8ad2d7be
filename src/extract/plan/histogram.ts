/** Finer counts for planning, without fingerprints: how the rows of hours that are too large to pack are distributed. */
import { SourceError } from '../../kernel/errors.ts';
import { SECOND, floorTo } from '../../kernel/instant.ts';
import type { Window } from '../../kernel/instant.ts';
import { HASH_BUCKETS } from '../../model/page.ts';
import type { Cell } from '../../model/page.ts';
import type { SourceDrop } from '../../model/privacy.ts';
import type { TableName } from '../../model/tables.ts';
import type { Client } from '../source/client.ts';
import { PACKED_COLUMNS, UNIT_TICKS, bucketQuery } from '../source/kql.ts';
import type { CellUnit } from '../source/kql.ts';
import { readPacked } from '../source/packed-answer.ts';
import { gather } from '../compare/reconcile.ts';
import { byStart, portions } from '../../kernel/windows.ts';

/** More windows joined by `or` would make a query text so long that a server may reject it. */
export const MAX_WINDOWS = 100;
/** About 11 MB of packed text in one answer, well below the source's own limit. */
export const MAX_CELLS = 400_000;

export interface HistogramRequest {
  readonly table: TableName;
  readonly unit: CellUnit;
  /** Sorted, disjoint; each starts at a multiple of the unit. */
  readonly windows: readonly Window[];
  readonly dropKeys?: readonly SourceDrop[];
}

export interface BucketCount {
  readonly bucket: number;
  readonly rows: number;
  readonly bytes: number;
}

/** Cells that cover the windows without a gap: one for each unit that has rows, one for each empty stretch between. */
export async function readHistogram(
  client: Client,
  request: HistogramRequest,
  signal?: AbortSignal,
): Promise<{ readonly cells: readonly Cell[]; readonly calls: number }> {
  const unit = UNIT_TICKS[request.unit];
  const cells: Cell[] = [];
  let calls = 0;
  const limits = { maxWindows: MAX_WINDOWS, maxTicks: BigInt(MAX_CELLS) * unit, unit };
  for (const windows of portions(request.windows, limits)) {
    const gathered = await gather(client, { ...request, range: { windows }, proof: 'none' }, signal);
    calls += gathered.calls;
    fill(cells, windows, gathered.items, unit);
  }
  return { cells, calls };
}

export interface BucketRequest {
  readonly table: TableName;
  /** One cell of any length, or up to `MAX_WINDOWS` cells that each lie within one second. */
  readonly cells: readonly Cell[];
  readonly dropKeys?: readonly SourceDrop[];
}

/**
 * Rows and bytes by hash bucket, for each cell in the order given; empty buckets are absent. Takes one call. Throws
 * SourceError when the source cannot count them.
 */
export async function readBuckets(
  client: Client,
  request: BucketRequest,
  signal?: AbortSignal,
): Promise<readonly (readonly BucketCount[])[]> {
  const { table, cells, dropKeys } = request;
  const items = cells.reduce((sum, { rows }) => sum + Math.min(rows, HASH_BUCKETS), 0);
  const query = bucketQuery(table, cells, { items, ...(dropKeys ? { dropKeys } : {}) });
  const outcome = await client.ask(query, PACKED_COLUMNS, signal);
  const packed = outcome.kind === 'rows' ? readPacked(outcome.rows) : undefined;
  if (!packed) {
    throw new SourceError(`The source cannot count the rows of ${table} by hash bucket.`, {
      where: { tenant: client.tenant, table },
      reason: 'refused',
    });
  }
  const byCell = new Map<string, BucketCount[]>();
  for (const [cell = '', bucket, rows, bytes] of packed.items) {
    const list = byCell.get(cell) ?? [];
    byCell.set(cell, list);
    list.push({ bucket: Number(bucket), rows: Number(rows), bytes: Number(bytes) });
  }
  return cells.map(({ from }) => {
    const key = cells.length === 1 ? '0' : (floorTo(from, SECOND) / SECOND).toString();
    return (byCell.get(key) ?? []).sort((a, b) => a.bucket - b.bucket);
  });
}

function fill(cells: Cell[], windows: readonly Window[], items: readonly (readonly string[])[], unit: bigint): void {
  const counted = items
    .map(([cell = '', rows, bytes]) => ({ from: BigInt(cell) * unit, rows: Number(rows), bytes: Number(bytes) }))
    .sort(byStart);
  let next = 0;
  for (const window of windows) {
    let at = window.from;
    for (; next < counted.length; next++) {
      const cell = counted[next];
      if (!cell || cell.from >= window.to) break;
      if (cell.from > at) cells.push({ from: at, to: cell.from, rows: 0, bytes: 0 });
      const end = cell.from + unit;
      const to = end < window.to ? end : window.to;
      cells.push({ ...cell, to });
      at = to;
    }
    if (at < window.to) cells.push({ from: at, to: window.to, rows: 0, bytes: 0 });
  }
}
