/**
 * A campaign is one requirement tried on many cases. `npm test` runs a representative of each, `npm run test:rest` the others that CI
 * runs, `npm run test:long` those that take too long for it, and `npm run test:all` everything. So does vitest when it is given a file.
 */
import type { TestOptions } from 'vitest';

/** Options of a test that `npm test` leaves to the campaigns. */
export const CAMPAIGN = { tags: ['campaign'] } as const satisfies TestOptions;

/** Options of a test that CI leaves out, because cases like it run there. */
export const LONG = { tags: ['campaign', 'long'] } as const satisfies TestOptions;

/** Options of one case of a campaign: without a tag for those that represent it. */
export function campaign(isRepresentative: boolean): TestOptions {
  return isRepresentative ? {} : CAMPAIGN;
}

/** Options of one case of a long list by its index: CI runs every sixth. */
export function caseOfMany(index: number, isRepresentative = false): TestOptions {
  if (isRepresentative) return {};
  return index % 6 === 0 ? CAMPAIGN : LONG;
}
