/** Parts of a table that cannot be delivered or loaded: the rest of the table is loaded without them. Pure. */
import type { Diff } from '../extract/compare/diff.ts';
import type { PartError } from '../kernel/errors.ts';
import type { Window } from '../kernel/instant.ts';
import { overlaps, subtract } from '../kernel/windows.ts';
import type { Batch, LandedPage } from '../model/page.ts';

export interface RefusedPart {
  readonly error: PartError;
  readonly windows: readonly Window[];
}

/** What of a batch is merged. */
export interface Loadable {
  readonly batch: Batch;
  readonly landed: readonly LandedPage[];
}

/** The batch without a page, the other hash parts of its windows, and these windows; `undefined` when nothing is left. */
export function withoutPage({ batch, landed }: Loadable, id: string): { rest?: Loadable; refused: readonly Window[] } {
  const isOut = (pageId: string): boolean => out.has(pageId);
  const out = new Set([id]);
  let refused: readonly Window[] = [];
  for (let size = 0; size < out.size;) {
    size = out.size;
    refused = batch.pages.filter((page) => isOut(page.id)).flatMap((page) => page.windows);
    for (const page of batch.pages) if (page.windows.some((window) => overlaps(window, refused))) out.add(page.id);
  }
  const windows = subtract(batch.windows, refused);
  if (windows.length === 0) return { refused };
  const pages = batch.pages.filter((page) => !isOut(page.id));
  // A name of its own: what is merged under the batch's would never be completed.
  const rest = { ...batch, id: `${batch.id}-without-${id}`, windows, pages };
  return { rest: { batch: rest, landed: landed.filter(({ page }) => !isOut(page.id)) }, refused };
}

/** The pages of a batch that `rest` is without, as a batch that the next run asks for again. */
export function remainderOf(batch: Batch, rest: Batch | undefined): Batch {
  const windows = subtract(batch.windows, rest?.windows ?? []);
  const pages = batch.pages.filter((page) => page.windows.some((window) => overlaps(window, windows)));
  return { ...batch, windows, pages, isRemainder: true };
}

/** What differs outside of the parts that were refused: they are asked for again by the next run, not by this one. */
export function withoutParts(found: Diff, parts: readonly RefusedPart[]): Diff {
  if (parts.length === 0) return found;
  const refused = parts.flatMap(({ windows }) => windows);
  return { ...found, stale: found.stale.filter((cell) => !overlaps(cell, refused)), emptyGaps: [] };
}
