/** Finer counts for the plan, without proof: what lies where inside windows whose hours are too coarse to pack. */
import { SourceError } from '../errors.ts';
import type { Window } from '../instant.ts';
import type { Cell } from '../page.ts';
import type { TableName } from '../tables.ts';
import type { Client } from './client.ts';
import { PACKED_COLUMNS, UNIT_TICKS, bucketQuery } from './kql.ts';
import type { CellUnit } from './kql.ts';
import { readPacked } from './packed-answer.ts';
import { gather } from './reconcile.ts';
import { portions } from './windows.ts';

/** An or'ed list of more windows makes a query text that a server may refuse. */
export const MAX_WINDOWS = 100;
/** About 11 MB of packed text in one answer; much more would come near the source's own limit. */
export const MAX_CELLS = 400_000;

export interface HistogramRequest {
  readonly table: TableName;
  readonly unit: CellUnit;
  /** Sorted, disjoint; each starts on a whole unit. */
  readonly windows: readonly Window[];
  readonly dropKeys?: readonly string[];
}

export interface BucketCount {
  readonly bucket: number;
  readonly rows: number;
  readonly bytes: number;
}

/** Cells that cover the windows without a gap: one a unit that holds rows, one for each empty stretch between. */
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

/** Rows and bytes by hash bucket of one window, empty ones left out. Throws SourceError when the source cannot. */
export async function readBuckets(
  client: Client,
  request: { readonly table: TableName; readonly window: Window; readonly dropKeys?: readonly string[] },
  signal?: AbortSignal,
): Promise<readonly BucketCount[]> {
  const { table, window, dropKeys } = request;
  const outcome = await client.ask(bucketQuery(table, window, dropKeys), PACKED_COLUMNS, signal);
  const packed = outcome.kind === 'rows' ? readPacked(outcome.rows) : undefined;
  if (!packed) {
    throw new SourceError(`The source cannot count the hash buckets of a part of ${table}.`, {
      where: { tenant: client.tenant, table, why: 'refused' },
    });
  }
  return packed.items
    .map(([bucket, rows, bytes]) => ({ bucket: Number(bucket), rows: Number(rows), bytes: Number(bytes) }))
    .sort((a, b) => a.bucket - b.bucket);
}

function fill(cells: Cell[], windows: readonly Window[], items: readonly (readonly string[])[], unit: bigint): void {
  const counted = items
    .map(([cell = '', rows, bytes]) => ({ from: BigInt(cell) * unit, rows: Number(rows), bytes: Number(bytes) }))
    .sort((a, b) => (a.from < b.from ? -1 : 1));
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
