import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Window } from '../../src/kernel/instant.ts';
import {
  contains,
  intersection,
  isInside,
  joinWindows,
  overlaps,
  subtract,
  totalLength,
} from '../../src/kernel/windows.ts';

const window = fc
  .tuple(fc.bigInt({ min: 0n, max: 40n }), fc.bigInt({ min: 1n, max: 10n }))
  .map(([from, length]): Window => ({ from, to: from + length }));
const windows = fc.array(window, { maxLength: 8 });
const TICKS = Array.from({ length: 52 }, (_, k) => BigInt(k));

function ticksOf(list: readonly Window[]): bigint[] {
  return TICKS.filter((tick) => list.some((one) => contains(one, tick)));
}

describe('windows behave as sets of ticks', () => {
  test('a joined list holds the same ticks, each once, in windows that do not touch', () => {
    fc.assert(
      fc.property(windows, (list) => {
        const joined = joinWindows(list);
        expect(ticksOf(joined)).toEqual(ticksOf(list));
        expect(totalLength(joined)).toBe(BigInt(ticksOf(list).length));
        expect(joined.slice(1).every(({ from }, k) => (joined[k]?.to ?? from) < from)).toBe(true);
      }),
      { seed: 31 },
    );
  });

  test('an instant is inside a sorted list if one of its windows contains it', () => {
    fc.assert(
      fc.property(windows, (list) => {
        const sorted = joinWindows(list);
        expect(TICKS.filter((tick) => isInside(sorted, tick))).toEqual(ticksOf(list));
      }),
      { seed: 31 },
    );
  });

  test('subtracting holes leaves the ticks that are in no hole', () => {
    fc.assert(
      fc.property(windows, windows, (list, holes) => {
        const inHoles = new Set(ticksOf(holes));
        expect(ticksOf(subtract(list, holes))).toEqual(ticksOf(list).filter((tick) => !inHoles.has(tick)));
      }),
      { seed: 32 },
    );
  });

  test('two windows overlap exactly when they have an intersection', () => {
    fc.assert(
      fc.property(window, window, (a, b) => {
        const common = intersection(a, b);
        expect(overlaps(a, [b])).toBe(common !== undefined);
        expect(ticksOf(common ? [common] : [])).toEqual(ticksOf([a]).filter((tick) => contains(b, tick)));
      }),
      { seed: 33 },
    );
  });

  test('windows that only touch do not overlap', () => {
    expect(overlaps({ from: 0n, to: 5n }, [{ from: 5n, to: 9n }])).toBe(false);
    expect(intersection({ from: 0n, to: 5n }, { from: 5n, to: 9n })).toBeUndefined();
  });
});
