/** What fetching some pages led to. */
import type { PartError } from '../../kernel/errors.ts';
import type { LandedPage, Page } from '../../model/page.ts';

export interface Outcome {
  readonly landed: readonly LandedPage[];
  /** One error for each page that the source cannot deliver. */
  readonly refused: readonly PartError[];
  /** Calls beyond the planned ones, caused by splits. */
  readonly splits: number;
}

export function landedPages(landed: readonly LandedPage[]): Outcome {
  return { landed, refused: [], splits: 0 };
}

/** The outcome without pages that are fetched again or given up. */
export function without(outcome: Outcome, pages: readonly Page[]): Outcome {
  const ids = new Set(pages.map(({ id }) => id));
  return { ...outcome, landed: outcome.landed.filter(({ page }) => !ids.has(page.id)) };
}

export function rowsIn(landed: readonly LandedPage[]): number {
  return landed.reduce((sum, { rows }) => sum + rows, 0);
}

export function withSplits(splits: number, outcome: Outcome): Outcome {
  return { ...outcome, splits: outcome.splits + splits };
}

export function combined(outcomes: readonly Outcome[]): Outcome {
  return {
    landed: outcomes.flatMap(({ landed }) => landed),
    refused: outcomes.flatMap(({ refused }) => refused),
    splits: outcomes.reduce((sum, { splits }) => sum + splits, 0),
  };
}
