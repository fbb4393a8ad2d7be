/** Invariants 1 to 3: whatever happens to source and pipeline, one run without a fault makes the lake equal again. */
import * as fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Sandbox } from '../../src/sandbox/sandbox.ts';
import { live, openSource } from './support/history.ts';
import { histories } from './support/steps.ts';

let source: Sandbox;
beforeAll(async () => {
  source = await openSource();
});
afterAll(() => source.close());

describe('a random history of late rows, erasures, kills, full disks and damage', () => {
  // `npm run soak -- --histories 1000 --seed 1` goes on from here; a failure prints the seed and the shortest history.
  it('ends verified and equal to the model, with nothing left behind', { timeout: 120_000 }, async () => {
    await fc.assert(
      fc.asyncProperty(histories, async (steps) => {
        const happened = await live(source, steps);
        expect(happened.get('run')).toBeGreaterThanOrEqual(2);
      }),
      { seed: 20_261_101, numRuns: 12 },
    );
  });
});
