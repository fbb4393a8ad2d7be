/** Round ticks, days on the axis, and paths. */
import { expect, it } from 'vitest';
import { areaPath, dayTicks, linear, linePath, roundTicks } from '../../dashboard/scale.ts';
import { periodsOf } from '../../dashboard/periods.ts';

it('ticks are round, about as many as asked for, and include the least and the largest value', () => {
  expect(roundTicks(0, 87, 4)).toEqual([0, 20, 40, 60, 80, 100]);
  expect(roundTicks(0, 0.3, 4)).toEqual([0, 0.1, 0.2, 0.3]);
  expect(roundTicks(-12, 30, 4)).toEqual([-20, -10, 0, 10, 20, 30]);
  expect(roundTicks(0, 1, 4)).toEqual([0, 0.2, 0.4, 0.6, 0.8, 1]);
  expect(roundTicks(0, 2_345_678, 4)).toEqual([0, 500_000, 1_000_000, 1_500_000, 2_000_000, 2_500_000]);
  expect(roundTicks(5, 5, 4)).toEqual([5]);
  for (let most = 0.001; most < 1e7; most *= 1.37) {
    const ticks = roundTicks(0, most, 4);
    expect(ticks.length).toBeGreaterThanOrEqual(3);
    expect(ticks.length).toBeLessThanOrEqual(8);
    expect(ticks.at(-1)).toBeGreaterThanOrEqual(most);
  }
});

it('days on the axis are every day, Mondays, or the first of months, and never more than fit', () => {
  const ticks = (from: string, to: string, most = 6) => dayTicks(periodsOf({ from, to }, 'day'), most);
  expect(ticks('2026-10-01', '2026-10-05')).toEqual(['2026-10-01', '2026-10-02', '2026-10-03', '2026-10-04']);
  expect(ticks('2026-10-01', '2026-11-01')).toEqual(['2026-10-05', '2026-10-12', '2026-10-19', '2026-10-26']);
  expect(ticks('2026-05-20', '2026-10-01')).toEqual(['2026-06-01', '2026-07-01', '2026-08-01', '2026-09-01']);
  expect(ticks('2021-11-02', '2026-11-01')).toEqual([
    '2022-01-01',
    '2023-01-01',
    '2024-01-01',
    '2025-01-01',
    '2026-01-01',
  ]);
  expect(ticks('2026-10-01', '2026-10-02')).toEqual(['2026-10-01']);
  expect(dayTicks([], 6)).toEqual([]);
  expect(ticks('2026-09-02', '2026-11-01', 5)).toEqual(['2026-09-07', '2026-09-21', '2026-10-05', '2026-10-19']);
  // Of any range there are some, and no more than fit.
  for (let length = 2; length < 2500; length += 1 + Math.floor(length / 9))
    for (let most = 3; most < 9; most++) {
      const from = new Date(Date.UTC(2026, 10, 1 - length)).toISOString().slice(0, 10);
      const { length: found } = ticks(from, '2026-11-01', most);
      expect({ length, most, isFew: found <= most + 1, isSome: found > 0 }).toEqual({ length, most, isFew: true, isSome: true }); // oxfmt-ignore
    }
});

it('a line and an area are interrupted where there is no value', () => {
  const values = [1, 2, null, 4, 5, null];
  const x = (nth: number): number => nth * 10;
  const at = (nth: number): number | null => values[nth] ?? null;
  expect(linePath(values.length, x, at)).toBe('M0,1L10,2M30,4L40,5');
  expect(areaPath(values.length, x, () => 0, at)).toBe('M0,1L10,2L10,0L0,0ZM30,4L40,5L40,0L30,0Z');
  expect(linear([0, 10], [100, 0])(2.5)).toBe(75);
});
