import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { dueDays } from '../../../src/extract/plan/rotation.ts';
import type { ProvenDay } from '../../../src/extract/plan/rotation.ts';
import { DAY, HOUR, parseInstant } from '../../../src/kernel/instant.ts';
import type { Instant } from '../../../src/kernel/instant.ts';
import { contains, totalLength } from '../../../src/kernel/windows.ts';

const start = parseInstant('2026-01-01T00:00:00Z') ?? 0n;
const first = start - 1000n * DAY;
const day = (k: number): Instant => first + BigInt(k) * DAY;

/** A history of `count` days, all last compared at `checkedAt`. */
function history(count: number, checkedAt = start): ProvenDay[] {
  return Array.from({ length: count }, (_, k) => ({ from: day(k), to: day(k + 1), checkedAt }));
}

/** Runs after each of the pauses, in hours. History grows by a day a day. Returns what each run compared. */
function runs(
  days: ProvenDay[],
  rotationDays: number,
  pauses: readonly number[],
  each: (age: number) => void = () => {},
) {
  let now = start;
  return pauses.map((hours) => {
    const before = now;
    now += BigInt(hours) * HOUR;
    for (let grown = (now - start) / DAY - (before - start) / DAY; grown > 0n; grown--)
      days.push({ from: day(days.length), to: day(days.length + 1), checkedAt: before });
    each(Math.max(0, ...days.map(({ checkedAt }) => Number(now - checkedAt) / Number(DAY))));
    const windows = dueDays(days, now, rotationDays);
    for (const [k, known] of days.entries())
      if (windows.some((window) => contains(window, known.from))) days[k] = { ...known, checkedAt: now };
    return { windows, days: Number(totalLength(windows) / DAY) };
  });
}

const sumOf = (compared: readonly { days: number }[]): number => compared.reduce((sum, { days }) => sum + days, 0);

describe('the days that are due', () => {
  test('include those that were compared under a clock that was wrong, far in the future', () => {
    const days = history(3).map((known, k) => (k === 1 ? { ...known, checkedAt: start + 4000n * DAY } : known));
    expect(dueDays(days, start + HOUR, 30)).toEqual([{ from: day(1), to: day(2) }]);
    expect(dueDays(history(3, start + 5n * HOUR), start, 30)).toEqual([]);
    // Or this machine's clock is far behind.
    expect(dueDays(history(100), start - 90n * DAY, 30)).toEqual([{ from: day(0), to: day(100) }]);
  });

  test('are compared within the period, for any schedule with a run a day', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 2, max: 40 }),
        fc.array(fc.integer({ min: 0, max: 48 }), { minLength: 1, maxLength: 120 }),
        fc.array(fc.integer({ min: 1, max: 24 }), { minLength: 1, maxLength: 150 }),
        (rotationDays, ages, pauses) => {
          const oldest = (rotationDays - 1) * 24;
          const days = ages.map((age, k) => ({
            from: day(k),
            to: day(k + 1),
            checkedAt: start - BigInt(Math.min(age, oldest)) * HOUR,
          }));
          runs(days, rotationDays, pauses, (age) => expect(age).toBeLessThanOrEqual(rotationDays));
        },
      ),
      { seed: 13, numRuns: 200 },
    );
  });

  test('are a share of history in each run, oldest proof first, in a few windows', () => {
    const compared = runs(
      history(365),
      30,
      Array.from({ length: 90 }, () => 24),
    );
    expect(Math.max(...compared.map(({ days }) => days))).toBeLessThanOrEqual(17);
    expect(Math.max(...compared.map(({ windows }) => windows.length))).toBeLessThanOrEqual(4);
    // Everything three times, and no more than a tenth in addition.
    expect(sumOf(compared)).toBeGreaterThanOrEqual(2.9 * 365);
    expect(sumOf(compared)).toBeLessThanOrEqual(3.3 * 455);
  });

  test('of hourly runs are not more than those of daily ones', () => {
    for (const count of [5, 31, 365]) {
      const hourly = sumOf(
        runs(
          history(count),
          30,
          Array.from({ length: 60 * 24 }, () => 1),
        ),
      );
      const daily = sumOf(
        runs(
          history(count),
          30,
          Array.from({ length: 60 }, () => 24),
        ),
      );
      expect(hourly).toBeLessThanOrEqual(1.1 * daily);
    }
  });

  test('catch up in the first run after a week without one, and never exceed history', () => {
    const days = history(365);
    const daily = Array.from({ length: 40 }, () => 24);
    runs(days, 30, daily);
    const now = start + 47n * DAY;
    const missed = Number(totalLength(dueDays(days, now, 30)) / DAY);
    expect(missed).toBeGreaterThanOrEqual((7 * days.length) / 30);
    expect(missed).toBeLessThanOrEqual((9 * days.length) / 27);
    expect(dueDays(days, now + 400n * DAY, 30)).toEqual([{ from: day(0), to: day(days.length) }]);
  });

  test('are none when rotation is off, when there is no history, and after everything was compared', () => {
    expect(dueDays(history(100), start + 90n * DAY, 0)).toEqual([]);
    expect(dueDays([], start, 30)).toEqual([]);
    expect(dueDays(history(100), start, 30)).toEqual([]);
  });
});
