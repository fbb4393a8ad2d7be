import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { batches, costOf } from '../../../src/extract/plan/batch.ts';
import { planPages } from '../../../src/extract/plan/plan.ts';
import type { Caps, PlanCell } from '../../../src/extract/plan/plan.ts';
import { refined, refinement } from '../../../src/extract/plan/refine.ts';
import { joinWindows } from '../../../src/kernel/windows.ts';
import { DAY, HOUR, MINUTE, SECOND, floorTo, parseInstant } from '../../../src/kernel/instant.ts';
import { HASH_BUCKETS } from '../../../src/model/page.ts';
import type { Page } from '../../../src/model/page.ts';
import { LONG } from '../../support/campaign.ts';

const start = parseInstant('2025-01-01T00:00:00Z') ?? 0n;
const caps: Caps = { rows: 10_000, bytes: 5_000_000 };

function hours(rows: readonly number[], rowBytes = 400): PlanCell[] {
  return rows.map((count, k) => {
    const from = start + BigInt(k) * HOUR;
    return { from, to: from + HOUR, rows: count, bytes: count * rowBytes };
  });
}

/** The windows that the pages cover, hash ranges combined. Throws where pages overlap or leave out a bucket. */
function union(pages: readonly Page[]): { from: bigint; to: bigint }[] {
  const windows: { from: bigint; to: bigint }[] = [];
  let bucket = 0;
  for (const page of pages) {
    const { from, to } = page.hash ?? { from: 0, to: HASH_BUCKETS };
    if (from !== bucket || to <= from || (page.hash && page.windows.length !== 1))
      throw new Error(`hash of ${page.id}`);
    bucket = to === HASH_BUCKETS ? 0 : to;
    if (bucket === 0) windows.push(...page.windows);
  }
  windows.sort((a, b) => (a.from < b.from ? -1 : 1));
  if (bucket !== 0) throw new Error('hash parts are missing');
  for (const [k, { from, to }] of windows.entries())
    if (from >= to || to > (windows[k + 1]?.from ?? to)) throw new Error(`window ${k} is out of order`);
  return joinWindows(windows);
}

/** Rows of any span when `perHour` rows are spread evenly in time; sums are exact. */
function evenly(perHour: number): (from: bigint, unit: bigint) => number {
  const before = (at: bigint): bigint => (at * BigInt(perHour)) / HOUR;
  return (from, unit) => Number(before(from + unit) - before(from));
}

/** The loop of `packPages`, with a source that counts instantly: `count` gives the rows of each cell. */
function packWith(
  cells: readonly PlanCell[],
  count: (from: bigint, unit: bigint) => number,
  limits = caps,
): { pages: Page[]; calls: number } {
  let now = [...cells];
  let calls = 0;
  for (;;) {
    const step = refinement(now, limits);
    if (!step) return { pages: planPages(now, limits), calls };
    calls++;
    expect(calls).toBeLessThan(50);
    if (step.kind === 'buckets') {
      now = now.map((cell) => {
        if (!step.cells.includes(cell)) return cell;
        const rows = Math.floor(cell.rows / 1000);
        return {
          ...cell,
          buckets: Array.from({ length: 1000 }, (_, k) => ({ bucket: k * 65, rows, bytes: rows * 400 })),
        };
      });
      continue;
    }
    const unit = step.unit === 'minute' ? MINUTE : SECOND;
    const finer: PlanCell[] = [];
    for (const { from, to } of step.windows)
      for (let at = from; at < to; at += unit) {
        const rows = count(at, unit);
        finer.push({ from: at, to: at + unit, rows, bytes: rows * 400 });
      }
    now = refined(now, finer);
  }
}

describe('the pages of any cells', () => {
  const cell = fc.record({
    gap: fc.nat(3),
    rows: fc.oneof(fc.nat(300), fc.nat(30_000), fc.constant(0)),
    rowBytes: fc.integer({ min: 1, max: 2000 }),
    filler: fc.boolean(),
    edge: fc.boolean(),
  });

  test('are disjoint, in time order, cover exactly the cells, and are within the caps or are hash parts', () => {
    fc.assert(
      fc.property(fc.array(cell, { maxLength: 120 }), (given) => {
        const cells: PlanCell[] = [];
        let at = start;
        for (const { gap, rows, rowBytes, filler, edge } of given) {
          if (gap > 0 && filler) cells.push({ from: at, to: at + BigInt(gap) * HOUR, rows: 0, bytes: 0, filler: true });
          at += BigInt(gap) * HOUR;
          cells.push({
            from: at,
            to: at + HOUR,
            rows,
            bytes: rows * rowBytes,
            ...(edge ? { atRetentionEdge: true } : {}),
          });
          at += HOUR;
        }
        const stale = cells.filter((one) => !one.filler);
        const pages = planPages(cells, caps);
        const covered = union(pages);
        // All stale cells are covered, and nothing else except fillers.
        for (const { from, to } of stale)
          expect(covered.some((window) => window.from <= from && to <= window.to)).toBe(true);
        const length = (list: readonly { from: bigint; to: bigint }[]): bigint =>
          list.reduce((sum, { from, to }) => sum + to - from, 0n);
        const outside = length(covered) - length(stale);
        expect(outside >= 0n && outside <= length(cells) - length(stale)).toBe(true);
        const whole = pages.filter((page) => !page.hash);
        expect(Math.max(0, ...whole.map((page) => page.rows ?? Infinity))).toBeLessThanOrEqual(caps.rows);
        expect(Math.max(0, ...whole.map((page) => page.bytes))).toBeLessThanOrEqual(caps.bytes);
        for (const page of pages) {
          expect(page.windows.length).toBeLessThanOrEqual(100);
          const edged = stale.some(
            (one) => one.atRetentionEdge && page.windows.some(({ from, to }) => one.from < to && from < one.to),
          );
          expect(page.atRetentionEdge ?? false).toBe(edged);
        }
        expect(new Set(pages.map(({ id }) => id)).size).toBe(pages.length);
        const grouped = batches(pages, { tenant: 't', table: 'Logs', prefix: 'r', bytes: 20_000_000 });
        expect(grouped.flatMap((batch) => batch.pages)).toEqual(pages);
        for (const batch of grouped) {
          union(batch.pages);
          const cells = new Set(batch.pages.map((page) => (page.hash ? page.windows.at(-1)?.to : page.id)));
          const bytes = batch.pages.reduce((sum, page) => sum + page.bytes, 0);
          expect(cells.size === 1 || bytes < 30_000_000).toBe(true);
        }
      }),
      { seed: 21, numRuns: 150 },
    );
  });

  test('are at most one more than twice the fewest possible, for any distribution of rows', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(10_000), { minLength: 1, maxLength: 200 }), (rows) => {
        const total = rows.reduce((sum, count) => sum + count, 0);
        expect(planPages(hours(rows), caps).length).toBeLessThanOrEqual(2 * Math.ceil(total / caps.rows) + 1);
      }),
      { seed: 22, numRuns: 200 },
    );
  });
});

describe('calls: on an evenly filled source, pages are at most 1.05 times the fewest possible', () => {
  for (const share of [0.01, 0.3, 0.51, 0.7, 0.99, 1.3, 2.5])
    test(`an hour of ${share} caps`, share < 1 ? {} : LONG, () => {
      const perHour = Math.round(share * caps.rows);
      const cells = hours(Array.from({ length: 720 }, () => perHour));
      const { pages, calls } = packWith(cells, evenly(perHour));
      const fewest = Math.ceil((perHour * 720) / caps.rows);
      expect(pages.length / fewest).toBeLessThanOrEqual(1.05);
      expect(calls).toBeLessThanOrEqual(2);
      expect(union(pages)).toEqual([{ from: start, to: start + 30n * DAY }]);
    });

  test('a count that saves no call is not made', () => {
    expect(refinement(hours([100, 200, 300]), caps)).toBeUndefined();
    expect(refinement(hours([6000, 6000, 6000]), caps)).toBeUndefined();
    expect(refinement(hours([]), caps)).toBeUndefined();
    expect(refinement(hours([0, 0]), caps)).toBeUndefined();
  });
});

describe('hard distributions', () => {
  test('an empty range needs no page, an empty stale cell needs one', () => {
    expect(planPages([], caps)).toEqual([]);
    expect(planPages(hours([0, 0, 0]), caps)).toMatchObject([
      { rows: 0, windows: [{ from: start, to: start + 3n * HOUR }] },
    ]);
  });

  test('rows of a single instant become hash parts, without counting every finer unit', () => {
    const cells = hours([500_000]);
    const { pages, calls } = packWith(cells, (from) => (floorTo(from, HOUR) === from ? 500_000 : 0));
    expect(pages.filter((page) => page.hash).length).toBeGreaterThanOrEqual(50);
    expect(pages.length).toBeLessThanOrEqual(53);
    expect(calls).toBeLessThanOrEqual(3);
    union(pages);
  });

  test('99 % of a year in one hour costs about what the rows cost', () => {
    const rows = Array.from({ length: 8760 }, () => 1);
    rows[5000] = 867_240;
    const { pages, calls } = packWith(hours(rows), (from, unit) =>
      from < start + 5000n * HOUR || from >= start + 5001n * HOUR
        ? 0
        : Math.round((867_240 * Number(unit)) / Number(HOUR)),
    );
    expect(pages.length + calls).toBeLessThanOrEqual(Math.ceil(87.6 * 1.05) + 2);
    expect(union(pages)).toEqual([{ from: start, to: start + 8760n * HOUR }]);
  });

  test('large rows are packed by bytes', () => {
    const pages = planPages(
      hours(
        Array.from({ length: 10 }, () => 100),
        30_000,
      ),
      caps,
    );
    expect(pages).toHaveLength(10);
  });

  test('a hundred scattered late hours are one page, and a filler joins only its neighbours', () => {
    const scattered = Array.from({ length: 100 }, (_, k) => {
      const from = start + BigInt(k) * DAY;
      return { from, to: from + HOUR, rows: 3, bytes: 1000 };
    });
    expect(planPages(scattered, caps)).toHaveLength(1);
    expect(planPages(scattered, caps)[0]?.windows).toHaveLength(100);
    const [first, second] = scattered;
    if (!first || !second) return;
    const filler: PlanCell = { from: first.to, to: second.from, rows: 0, bytes: 0, filler: true };
    expect(planPages([first, filler, second], caps)[0]?.windows).toEqual([{ from: start, to: second.to }]);
    expect(planPages([filler, second], caps)[0]?.windows).toEqual([{ from: second.from, to: second.to }]);
    expect(planPages([first, filler], caps)[0]?.windows).toEqual([{ from: first.from, to: first.to }]);
  });

  test('hash parts of an uncounted cell keep a margin for the spread of ids, and state their minimum of rows', () => {
    const pages = planPages(hours([136]), { rows: 50, bytes: 1e9 });
    expect(pages).toHaveLength(5);
    for (const page of pages) expect(page.rows).toBeUndefined();
    const large = planPages(hours([136_000]), { rows: 50_000, bytes: 1e9 });
    expect(large.map(({ rows }) => rows)).toEqual([44_055, 44_055, 44_055]);
    const buckets = Array.from({ length: 136 }, (_, k) => ({ bucket: k * 400, rows: 1, bytes: 300 }));
    const counted = planPages(
      hours([136]).map((cell) => ({ ...cell, buckets })),
      { rows: 50, bytes: 1e9 },
    );
    expect(counted.map((page) => page.rows)).toEqual([50, 50, 36]);
    union(counted);
  });

  test('many seconds over the caps are counted by bucket in one call', () => {
    const seconds = Array.from({ length: 40 }, (_, k) => {
      const from = start + BigInt(k) * MINUTE;
      return { from, to: from + SECOND, rows: 136, bytes: 40_000 };
    });
    expect(refinement(seconds, { rows: 50, bytes: 1e9 })).toEqual({ kind: 'buckets', cells: seconds });
  });

  test('a year of minutes is planned in a second or two', () => {
    const cells = Array.from({ length: 525_600 }, (_, k) => {
      const from = start + BigInt(k) * MINUTE;
      return { from, to: from + MINUTE, rows: 40, bytes: 16_000 };
    });
    const started = performance.now();
    expect(planPages(cells, { rows: 500_000, bytes: 60_000_000 }).length).toBeGreaterThan(40);
    expect(performance.now() - started).toBeLessThan(10_000);
  });
});

describe('batches', () => {
  const day = (k: number, bytes: number): Page => {
    const from = start + BigInt(k) * DAY;
    return { id: `p${k}`, windows: [{ from, to: from + DAY }], rows: 1, bytes };
  };
  const options = { tenant: 't', table: 'Events', prefix: 'run', bytes: 128_000_000 } as const;

  test('end with a day once they are half full, have ids that sort, and cover their pages', () => {
    const found = batches(
      Array.from({ length: 12 }, (_, k) => day(k, 16_000_000)),
      options,
    );
    expect(found.map(({ pages }) => pages.length)).toEqual([4, 4, 4]);
    expect(found.map(({ id }) => id)).toEqual(['run-00001', 'run-00002', 'run-00003']);
    expect(found[0]?.windows).toEqual([{ from: start, to: start + 4n * DAY }]);
  });

  test('do not combine a small page with a large one', () => {
    const found = batches([day(0, 60_000_000), day(1, 190_000_000), day(2, 10_000_000)], options);
    expect(found.map(({ pages }) => pages.map(({ id }) => id))).toEqual([['p0'], ['p1'], ['p2']]);
  });

  test('never separate the hash parts of one cell', () => {
    const parts = planPages(
      hours([200_000]).map((cell) => ({ ...cell, bytes: 800_000_000 })),
      caps,
    );
    expect(parts.length).toBeGreaterThan(100);
    expect(batches([...parts, day(3, 1)], options).map(({ pages }) => pages.length)).toEqual([parts.length, 1]);
  });

  test('cost what their pages cost', () => {
    expect(costOf([day(1, 5), day(2, 6)], 60)).toEqual({ calls: 2, rows: 2, bytes: 11, minutes: 2 / 60 });
    expect(costOf([day(1, 5)], 0).minutes).toBe(0);
  });
});
