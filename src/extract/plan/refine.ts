/**
 * Decides whether a finer count is worth its calls. Pure. Hours that fill 0.7 of a cap pack one to a page, while their
 * minutes fill pages completely. Compares the calls of the current plan with the calls that a plan of finer cells would
 * take, including those for counting.
 */
import { MINUTE, SECOND } from '../../kernel/instant.ts';
import type { Window } from '../../kernel/instant.ts';
import { HASH_BUCKETS } from '../../model/page.ts';
import type { Cell } from '../../model/page.ts';
import { MAX_CELLS, MAX_WINDOWS } from './histogram.ts';
import { fewestPages, isOver, partsNeeded, planPages } from './plan.ts';
import type { Caps, PlanCell } from './plan.ts';
import { byStart, intersection, joinWindows, portions } from '../../kernel/windows.ts';

export type Refinement =
  | { readonly kind: 'histogram'; readonly unit: 'minute' | 'second'; readonly windows: readonly Window[] }
  | { readonly kind: 'buckets'; readonly cells: readonly PlanCell[] };

const UNITS = { minute: MINUTE, second: SECOND } as const;
/** Share of the caps. Cells below it waste so little of a page that finer ones would save nothing. */
const LIGHT = 0.02;

/** The next finer count that would save more calls than it costs; `undefined` if there is none. */
export function refinement(cells: readonly PlanCell[], caps: Caps): Refinement | undefined {
  const stale = cells.filter((cell) => !cell.filler);
  const pages = planPages(cells, caps).length;
  const fewest = fewestPages(stale, caps);
  if (pages - fewest <= 1) return undefined;
  let best: { readonly refinement: Refinement; readonly calls: number } | undefined;
  for (const unit of ['minute', 'second'] as const) {
    for (const windows of candidates(stale, caps, unit)) {
      const calls = portionCount(windows, UNITS[unit]) + expectedPages(stale, caps, UNITS[unit], fewest);
      if (calls < (best?.calls ?? pages)) best = { refinement: { kind: 'histogram', unit, windows }, calls };
    }
  }
  return best?.refinement ?? bucketsWorthwhile(stale, caps);
}

/** Replaces cells by the finer cells that were counted for them. */
export function refined(cells: readonly PlanCell[], finer: readonly Cell[]): PlanCell[] {
  const result: PlanCell[] = [];
  let next = 0;
  for (const cell of cells) {
    const first = finer[next];
    if (cell.filler || !first || first.from >= cell.to) {
      result.push(cell);
      continue;
    }
    const edge = cell.atRetentionEdge ? { atRetentionEdge: true } : {};
    for (; next < finer.length; next++) {
      const fine = finer[next];
      if (!fine || fine.from >= cell.to) break;
      // An empty stretch may continue into the next cell. It is cut at the border, so that each cell keeps its own flags.
      result.push({ ...fine, ...intersection(fine, cell), ...edge });
      if (fine.to > cell.to) break;
    }
  }
  return result;
}

function weight(cell: Cell, caps: Caps): number {
  return Math.max(cell.rows / caps.rows, cell.bytes / caps.bytes);
}

/** Two choices of windows to count: only the heavy cells, or the whole stretches of cells that contain one. */
function candidates(cells: readonly PlanCell[], caps: Caps, unit: 'minute' | 'second'): Window[][] {
  const coarse = cells.filter((cell) => cell.to - cell.from > UNITS[unit]);
  const heavy = joinWindows(coarse.filter((cell) => weight(cell, caps) > LIGHT));
  if (heavy.length === 0) return [];
  if (heavy.length === 1) return [heavy];
  const runs = joinWindows(coarse);
  let next = 0;
  const holding = runs.filter((run) => {
    while (next < heavy.length && (heavy[next]?.to ?? 0n) <= run.from) next++;
    return (heavy[next]?.from ?? run.to) < run.to;
  });
  return [heavy, holding];
}

function portionCount(windows: readonly Window[], unit: bigint): number {
  return portions(windows, { maxWindows: MAX_WINDOWS, maxTicks: BigInt(MAX_CELLS) * unit, unit }).length;
}

/** Assumes that rows are spread evenly inside the coarse cells; then a page wastes about half of a fine cell. */
function expectedPages(cells: readonly PlanCell[], caps: Caps, unit: bigint, fewest: number): number {
  let total = 0;
  let wasted = 0;
  for (const cell of cells) {
    const units = Math.max(1, Number((cell.to - cell.from) / unit));
    const whole = weight(cell, caps);
    total += whole;
    wasted += whole * Math.min(0.5, whole / units / 2);
  }
  return total === 0 ? fewest : Math.ceil(fewest / (1 - wasted / total));
}

/**
 * The cells over a cap for which counted buckets save most, compared with equal hash ranges and their margin: all such
 * seconds in one call, or one longer cell. `undefined` when no count pays.
 */
function bucketsWorthwhile(cells: readonly PlanCell[], caps: Caps): Refinement | undefined {
  const hot = cells
    .filter((cell) => !cell.buckets && isOver(cell, caps))
    .map((cell) => ({ cell, saving: partsNeeded(cell, caps) - fewestPages([cell], caps) }))
    .filter(({ saving }) => saving > 0)
    .toSorted((a, b) => b.saving - a.saving);
  const seconds = hot.filter(({ cell }) => cell.to - cell.from <= SECOND);
  const groups = [withinOneAnswer(seconds), hot.filter(({ cell }) => cell.to - cell.from > SECOND).slice(0, 1)];
  for (const group of groups) {
    const saving = group.reduce((sum, one) => sum + one.saving, 0);
    if (saving > 1) return { kind: 'buckets', cells: group.map(({ cell }) => cell).toSorted(byStart) };
  }
  return undefined;
}

/** As many seconds as the buckets of one answer may cover. */
function withinOneAnswer(hot: readonly { readonly cell: PlanCell; readonly saving: number }[]): typeof hot {
  let items = 0;
  return hot.slice(0, MAX_WINDOWS).filter(({ cell }) => (items += Math.min(cell.rows, HASH_BUCKETS)) <= MAX_CELLS);
}
