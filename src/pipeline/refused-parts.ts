/** Parts of a table that cannot be delivered or loaded. The rest of the table is loaded without them. Pure. */
import type { Diff } from '../extract/compare/diff.ts';
import type { PartError } from '../kernel/errors.ts';
import type { Window } from '../kernel/instant.ts';
import { overlaps, subtract } from '../kernel/windows.ts';
import type { Batch, LandedPage } from '../model/page.ts';

export interface RefusedPart {
  readonly error: PartError;
  readonly windows: readonly Window[];
}

/** A batch, or a part of one, that can be merged. */
export interface Loadable {
  readonly batch: Batch;
  readonly landed: readonly LandedPage[];
}

/**
 * A batch without a refused page, without its windows, and without the other hash parts of these windows. `rest` is absent
 * when no window is left.
 */
export function withoutPage({ batch, landed }: Loadable, id: string): { rest?: Loadable; refused: readonly Window[] } {
  const removed = new Set([id]);
  let refused: readonly Window[] = [];
  // A removed hash part removes the pages that share its windows, and so on until no page is added.
  for (let size = 0; size < removed.size;) {
    size = removed.size;
    refused = batch.pages.filter((page) => removed.has(page.id)).flatMap((page) => page.windows);
    for (const page of batch.pages) if (page.windows.some((window) => overlaps(window, refused))) removed.add(page.id);
  }
  const windows = subtract(batch.windows, refused);
  if (windows.length === 0) return { refused };
  const pages = batch.pages.filter((page) => !removed.has(page.id));
  // Its own id: a batch that is recorded as merged is never merged again, and the refused page is still to come.
  const rest = { ...batch, id: `${batch.id}-without-${id}`, windows, pages };
  return { rest: { batch: rest, landed: landed.filter(({ page }) => !removed.has(page.id)) }, refused };
}

/** The pages of a batch that are missing in `rest`, as a batch that the next run fetches. */
export function remainderOf(batch: Batch, rest: Batch | undefined): Batch {
  const windows = subtract(batch.windows, rest?.windows ?? []);
  const pages = batch.pages.filter((page) => page.windows.some((window) => overlaps(window, windows)));
  return { ...batch, windows, pages, isRemainder: true };
}

/** What differs outside the refused parts. The next run fetches these parts again, this run does not. */
export function withoutParts(found: Diff, parts: readonly RefusedPart[]): Diff {
  if (parts.length === 0) return found;
  const refused = parts.flatMap(({ windows }) => windows);
  return { ...found, stale: found.stale.filter((cell) => !overlaps(cell, refused)), emptyGaps: [] };
}
