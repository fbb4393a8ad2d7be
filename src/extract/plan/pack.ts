/** Turns stale cells into pages: plans, requests finer counts where they save calls, and plans again. */
import { SourceError } from '../../kernel/errors.ts';
import type { Window } from '../../kernel/instant.ts';
import type { Page } from '../../model/page.ts';
import type { SourceDrop } from '../../model/privacy.ts';
import type { TableName } from '../../model/tables.ts';
import type { Client } from '../source/client.ts';
import { readBuckets, readHistogram } from './histogram.ts';
import { planPages } from './plan.ts';
import type { Caps, PlanCell } from './plan.ts';
import { refined, refinement } from './refine.ts';

export interface PackRequest {
  readonly table: TableName;
  /** Sorted, disjoint. */
  readonly cells: readonly PlanCell[];
  /** Sorted; neither the source nor the lake has rows there. */
  readonly emptyGaps?: readonly Window[];
  readonly caps: Caps;
  readonly dropKeys?: readonly SourceDrop[];
  /** The engine rejects the hash function. @default false */
  readonly isUnhashed?: boolean;
  /** No further finer count is started after this many calls. @default no limit */
  readonly maxCalls?: number;
}

export interface PagePlan {
  readonly pages: readonly Page[];
  /** Queries for finer counts. */
  readonly calls: number;
}

/** Throws what the client throws, except when a finer count fails: then the plan does without it. */
export async function packPages(client: Client, request: PackRequest, signal?: AbortSignal): Promise<PagePlan> {
  const { table, caps, dropKeys, isUnhashed = false, maxCalls = Infinity } = request;
  const base = { table, ...(dropKeys ? { dropKeys } : {}) };
  let cells = withFillers(request.cells, request.emptyGaps ?? []);
  let calls = 0;
  for (;;) {
    const step = calls < maxCalls ? refinement(cells, caps) : undefined;
    if (!step || (isUnhashed && step.kind === 'buckets')) break;
    try {
      if (step.kind === 'histogram') {
        const finer = await readHistogram(client, { ...base, unit: step.unit, windows: step.windows }, signal);
        calls += finer.calls;
        cells = refined(cells, finer.cells);
      } else {
        calls++;
        const buckets = await readBuckets(client, { ...base, cells: step.cells }, signal);
        const counted = new Map(step.cells.map((cell, k) => [cell, { ...cell, buckets: buckets[k] ?? [] }]));
        cells = cells.map((cell) => counted.get(cell) ?? cell);
      }
    } catch (error) {
      // A finer count only saves calls: without it the plan is still correct, only longer.
      if (error instanceof SourceError) break;
      throw error;
    }
  }
  return { pages: planPages(cells, caps, { isUnhashed }), calls };
}

/** The cells with the gaps between them, which a page may span. */
export function withFillers(cells: readonly PlanCell[], gaps: readonly Window[]): PlanCell[] {
  const result: PlanCell[] = [];
  let next = 0;
  for (const cell of cells) {
    for (let gap = gaps[next]; gap && gap.to <= cell.from; gap = gaps[++next])
      result.push({ ...gap, rows: 0, bytes: 0, filler: true });
    result.push(cell);
  }
  return result;
}
