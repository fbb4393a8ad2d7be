import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { splitPage } from '../../../src/extract/plan/split.ts';
import { joinWindows } from '../../../src/kernel/windows.ts';
import { HOUR, MINUTE, SECOND, parseInstant } from '../../../src/kernel/instant.ts';
import { HASH_BUCKETS } from '../../../src/model/page.ts';
import type { Page } from '../../../src/model/page.ts';

const start = parseInstant('2026-03-01T00:00:00Z') ?? 0n;

describe('the parts of a page', () => {
  const stretch = fc.record({ gap: fc.integer({ min: 1, max: 5000 }), seconds: fc.integer({ min: 1, max: 5000 }) });

  test('are disjoint, cover exactly the page, and begin at whole seconds', () => {
    fc.assert(
      fc.property(
        fc.array(stretch, { minLength: 1, maxLength: 30 }),
        fc.integer({ min: 2, max: 12 }),
        (stretches, parts) => {
          let at = start;
          const windows = stretches.map(({ gap, seconds }) => {
            const from = at + BigInt(gap) * SECOND;
            at = from + BigInt(seconds) * SECOND;
            return { from, to: at };
          });
          const total = stretches.reduce((sum, { seconds }) => sum + seconds, 0);
          fc.pre(total > 1);
          const children = splitPage({ id: 'p', windows, rows: 9, bytes: 1000 }, parts) ?? [];
          const pieces = children.flatMap((child) => child.windows);
          expect(joinWindows(pieces)).toEqual(windows);
          expect(
            pieces.every(({ from, to }, k) => from < to && from % SECOND === 0n && from >= (pieces[k - 1]?.to ?? from)),
          ).toBe(true);
          expect(children.length).toBeGreaterThanOrEqual(2);
          expect(children.length).toBeLessThanOrEqual(parts);
          expect(children.reduce((sum, { bytes }) => sum + bytes, 0)).toBeCloseTo(1000);
        },
      ),
      { seed: 31, numRuns: 300 },
    );
  });

  test('are halves in time down to a second, then hash ranges down to a bucket, then none', () => {
    const page: Page = {
      id: 'p',
      windows: [{ from: start, to: start + HOUR }],
      rows: 5,
      bytes: 10,
      atRetentionEdge: true,
    };
    const counted = { id: 'p', rows: 5 };
    expect(splitPage(page)).toEqual([
      {
        id: 'p.0',
        windows: [{ from: start, to: start + 30n * MINUTE }],
        rows: undefined,
        bytes: 5,
        atRetentionEdge: true,
        counted,
      },
      {
        id: 'p.1',
        windows: [{ from: start + 30n * MINUTE, to: start + HOUR }],
        rows: undefined,
        bytes: 5,
        atRetentionEdge: true,
        counted,
      },
    ]);
    let small: Page = page;
    let steps = 0;
    for (let next = splitPage(small); next; next = splitPage(small)) {
      small = next[1] ?? small;
      steps++;
    }
    expect(steps).toBeLessThanOrEqual(12 + 16);
    expect(small).toMatchObject({
      windows: [{ from: start + HOUR - SECOND, to: start + HOUR }],
      hash: { from: HASH_BUCKETS - 1, to: HASH_BUCKETS },
    });
  });

  test('are cut by time if the page is one hash bucket, because rows without an id all share a bucket', () => {
    const hash = { from: 7, to: 8 };
    const page: Page = { id: 'p', windows: [{ from: start, to: start + 2n * SECOND }], rows: 9, bytes: 10, hash };
    const [first, second] = splitPage(page) ?? [];
    expect([first?.windows, first?.hash]).toEqual([[{ from: start, to: start + SECOND }], hash]);
    expect([second?.windows, second?.hash]).toEqual([[{ from: start + SECOND, to: start + 2n * SECOND }], hash]);
    expect(first && splitPage(first)).toBeUndefined();
  });
});
