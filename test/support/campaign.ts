/**
 * A campaign is one requirement tried on many cases. `npm test` runs a representative of each, `npm run test:rest` all the others,
 * `npm run test:all` everything, and so does vitest when it is given a file.
 */
import type { TestOptions } from 'vitest';

/** Options of a test that `npm test` leaves to the campaigns. */
export const CAMPAIGN = { tags: ['campaign'] } as const satisfies TestOptions;

/** Options of one case of a campaign: without the tag for those that represent it. */
export function campaign(isRepresentative: boolean): TestOptions {
  return isRepresentative ? {} : CAMPAIGN;
}
