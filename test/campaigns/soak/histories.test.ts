/** Invariants 1 to 3: whatever happens to source and pipeline, one run without a fault makes the lake equal again. */
import * as fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Sandbox } from '../../../sandbox/sandbox.ts';
import { buildPackage, type BuiltPackage } from '../../support/built.ts';
import { CAMPAIGN, LONG } from '../../support/campaign.ts';
import { live } from './support/history.ts';
import { openSource } from './support/source.ts';
import { histories, type Life } from './support/steps.ts';

let source: Sandbox;
let built: BuiltPackage;
beforeAll(async () => {
  [source, built] = await Promise.all([openSource(), buildPackage()]);
});
afterAll(() => source.close());

/** What chance may leave out of a dozen histories: real processes, killed and refused, among late rows and a drift. */
const PROCESSES: Life['steps'] = [
  { do: 'insert', table: 'Events', days: 1, hour: 1, second: 0, kind: 0, rows: 30 },
  { do: 'process kill', after: 'start', ms: 0 },
  { do: 'second process', at: 1 },
  { do: 'drift', shape: 2 },
  { do: 'insert', table: 'Metrics', days: 0, hour: 2, second: 7, kind: 2, rows: 20 },
  { do: 'erase', table: 'Events', pick: 4 },
  { do: 'process kill', after: 'start', ms: 150 },
  { do: 'machine clock', hours: -9000 },
  { do: 'process kill', after: 'spawn', ms: 400 },
];

describe('a random history of late rows, drift, erasures, kills, other processes, full disks, stepping clocks and damage', () => {
  // `npm run soak -- --histories 1000 --seed 1` continues from here. A failure prints the seed and the shortest history.
  for (const [which, numRuns] of [
    ['with real processes', 1],
    ['and nine more', 10],
  ] as const)
    it(
      `${which}: ends verified and equal to the model, with nothing left behind`,
      numRuns === 1 ? CAMPAIGN : LONG,
      async () => {
        let refused = 0;
        await fc.assert(
          fc.asyncProperty(histories, async (life) => {
            const happened = await live(source, life, built.cli);
            expect(happened.get('run')).toBeGreaterThanOrEqual(2);
            refused += happened.get('second process refused') ?? 0;
          }),
          { seed: 20_261_101, numRuns, examples: [[{ steps: PROCESSES, ending: 'deep' }]] },
        );
        expect(refused).toBeGreaterThan(0);
      },
    );
});
