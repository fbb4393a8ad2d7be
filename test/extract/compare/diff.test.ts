import { describe, expect, test } from 'vitest';
import { diff, massLoss } from '../../../src/extract/compare/diff.ts';
import type { HeldCell } from '../../../src/extract/compare/diff.ts';
import type { SourceCell, SourceView } from '../../../src/extract/compare/reconcile.ts';
import { DAY, HOUR, MINUTE, parseInstant } from '../../../src/kernel/instant.ts';
import type { Instant } from '../../../src/kernel/instant.ts';

const start = parseInstant('2026-03-01T00:00:00Z') ?? 0n;
const hour = (k: number): Instant => start + BigInt(k) * HOUR;

/** A fingerprint of `rows` rows. Different marks give different fingerprints. */
function print(rows: number, mark = 1): SourceCell['fingerprint'] {
  return {
    rows: BigInt(rows),
    sum0: BigInt(rows * mark),
    sum1: BigInt(rows + mark),
    xor: BigInt(mark),
    content: undefined,
  };
}

function view(
  rows: Readonly<Record<number, [rows: number, mark?: number]>>,
  more: Partial<SourceView> = {},
): SourceView {
  const cells = new Map(
    Object.entries(rows).map(([k, [count, mark]]) => [
      hour(Number(k)),
      { fingerprint: print(count, mark), rows: count, bytes: count * 100 },
    ]),
  );
  return {
    at: hour(48),
    lower: undefined,
    upper: hour(48),
    covers: [{ from: more.lower ?? 0n, to: more.upper ?? hour(48) }],
    unit: 'hour',
    grade: 'checksum',
    cells,
    calls: 1,
    ...more,
  };
}

function held(
  rows: Readonly<Record<number, [rows: number, mark?: number]>>,
  coveredTo?: Instant,
): Map<Instant, HeldCell> {
  return new Map(
    Object.entries(rows).map(([k, [count, mark]]) => [
      hour(Number(k)),
      {
        account: count === 0 ? { rows: 0n, sum0: 0n, sum1: 0n, xor: 0n, content: 0n } : print(count, mark),
        coveredTo: coveredTo ?? hour(Number(k) + 1),
      },
    ]),
  );
}

describe('an hour is stale when source and account differ', () => {
  test('and balanced otherwise', () => {
    const found = diff(view({ 0: [5], 1: [5], 2: [7], 4: [3] }), held({ 0: [5], 1: [5, 2], 3: [9], 4: [3] }));
    expect(found.stale).toEqual([
      { from: hour(1), to: hour(2), rows: 5, bytes: 500, heldRows: 5, reason: 'changed', atRetentionEdge: false },
      { from: hour(2), to: hour(3), rows: 7, bytes: 700, heldRows: 0, reason: 'new', atRetentionEdge: false },
      { from: hour(3), to: hour(4), rows: 0, bytes: 0, heldRows: 9, reason: 'vanished', atRetentionEdge: false },
    ]);
    expect(found.balanced).toEqual([hour(0), hour(4)]);
  });

  test('up to the instant where rows have settled', () => {
    const upper = hour(1) + 20n * MINUTE;
    expect(diff(view({ 1: [5] }, { upper }), new Map()).stale).toMatchObject([{ from: hour(1), to: upper }]);
  });

  test('only inside the requested range', () => {
    const all = held({ 0: [1], 5: [1], 9: [1] });
    expect(diff(view({}, { lower: hour(2), upper: hour(9) }), all).stale.map(({ from }) => from)).toEqual([hour(5)]);
    const windows = [{ from: hour(9), to: hour(10) }];
    expect(diff(view({}, { covers: windows }), all).stale.map(({ from }) => from)).toEqual([hour(9)]);
  });

  test('by minutes in a view of minutes', () => {
    const cells = new Map([[start + 3n * MINUTE, { fingerprint: print(1), rows: 1, bytes: 9 }]]);
    const found = diff(view({}, { unit: 'minute', cells }), new Map());
    expect(found.stale).toMatchObject([{ from: start + 3n * MINUTE, to: start + 4n * MINUTE, reason: 'new' }]);
  });

  test('never when the source does not count: that does not mean that it is empty', () => {
    expect(diff(view({}, { grade: 'none' }), held({ 0: [5] }))).toEqual({
      stale: [],
      balanced: [],
      notComparable: [],
      emptyGaps: [],
    });
  });

  test('not when neither side has a row', () => {
    expect(diff(view({}), held({ 3: [0] }))).toMatchObject({ stale: [], balanced: [hour(3)] });
  });

  test('by count only, when the source gives no checksums', () => {
    const counted = view({ 0: [5, 2], 1: [6, 2] }, { grade: 'count' });
    expect(diff(counted, held({ 0: [5], 1: [5] })).stale).toMatchObject([{ from: hour(1), reason: 'changed' }]);
  });

  test('by content where both sides know it, and by ids otherwise', () => {
    const cellOf = (content: bigint | undefined): SourceCell => ({
      fingerprint: { ...print(5), content },
      rows: 5,
      bytes: 1,
    });
    const cells = new Map([9n, 9n, 9n, undefined].map((content, k) => [hour(k), cellOf(content)]));
    const accounts = [9n, 8n, undefined, 8n].map((content, k): [Instant, HeldCell] => [
      hour(k),
      { account: { ...print(5), content }, coveredTo: hour(k + 1) },
    ]);
    const byContent = view({}, { grade: 'content', cells });
    expect(diff(byContent, new Map(accounts)).stale).toMatchObject([{ from: hour(1), reason: 'content' }]);
    expect(diff(byContent, new Map(accounts), { proveContent: true }).stale).toMatchObject([
      { from: hour(1), reason: 'content' },
      { from: hour(2), reason: 'unproven' },
    ]);
    expect(diff(byContent, new Map(accounts), { refetch: true }).stale).toHaveLength(4);
  });
});

describe('an hour is not comparable', () => {
  test('when it was loaded further than the source clock now reaches', () => {
    const found = diff(view({ 1: [2] }, { upper: hour(1) + MINUTE }), held({ 1: [5] }, hour(1) + 2n * MINUTE));
    expect(found).toMatchObject({ stale: [], notComparable: [hour(1)] });
  });

  test('at the retention edge when it lost rows, because they expired; new and additional rows are still fetched', () => {
    const options = { retentionEdge: hour(2) + 30n * MINUTE };
    const found = diff(view({ 1: [2], 2: [3], 3: [9], 4: [1] }), held({ 0: [5], 1: [5], 3: [5], 4: [5] }), options);
    expect(found.notComparable).toEqual([hour(0), hour(1)]);
    expect(found.stale).toMatchObject([
      { from: hour(2), reason: 'new', atRetentionEdge: true },
      { from: hour(3), reason: 'changed', atRetentionEdge: true },
      { from: hour(4), reason: 'changed', atRetentionEdge: false },
    ]);
  });
});

describe('gaps that a page may extend across', () => {
  test('are between stale hours, where neither side has rows', () => {
    const found = diff(view({ 0: [1], 3: [1], 4: [7], 6: [1], 7: [1] }), held({ 4: [7] }));
    expect(found.stale.map(({ from }) => from)).toEqual([hour(0), hour(3), hour(6), hour(7)]);
    expect(found.emptyGaps).toEqual([{ from: hour(1), to: hour(3) }]);
  });
});

describe('mass loss is detected', () => {
  const limits = { maxShare: 0.2, minRows: 100 };

  test('per day', () => {
    const before = held({ 0: [300], 1: [300], 24: [300], 25: [300] });
    expect(massLoss(view({ 0: [300], 1: [300], 24: [240], 25: [0] }), before, limits)).toEqual([
      { from: start + DAY, to: start + 2n * DAY, heldRows: 600, lostRows: 360 },
    ]);
  });

  test('over the whole range, when no single day lost enough rows', () => {
    const hours = Array.from({ length: 10 }, (_, k) => k * 24);
    const before = held(Object.fromEntries(hours.map((k) => [k, [60]])));
    const now = view(Object.fromEntries(hours.map((k) => [k, [30]])), { upper: hour(240) });
    expect(massLoss(now, before, limits)).toEqual([{ from: start, to: hour(217), heldRows: 600, lostRows: 300 }]);
  });

  test('even when other hours gained as much', () => {
    expect(massLoss(view({ 0: [0], 1: [900] }), held({ 0: [300], 1: [600] }), limits)).toHaveLength(1);
  });

  test('however few the rows are, when the source has none in any hour where the lake has some', () => {
    const lost = [{ from: start, to: hour(31), heldRows: 3, lostRows: 3 }];
    expect(massLoss(view({}), held({ 0: [1], 30: [2], 12: [0] }), limits)).toEqual(lost);
    expect(massLoss(view({ 5: [900] }), held({ 0: [1], 30: [2] }), limits)).toEqual(lost);
    expect(massLoss(view({ 30: [1] }), held({ 0: [1], 30: [2] }), limits)).toEqual([]);
    expect(massLoss(view({}), held({ 0: [0] }), limits)).toEqual([]);
    expect(massLoss(view({}), held({ 0: [3] }), { ...limits, retentionEdge: hour(1) })).toEqual([]);
  });

  test('but not for few rows, a small share, new hours, or expired rows', () => {
    expect(massLoss(view({ 1: [9] }), held({ 0: [99], 1: [9] }), limits)).toEqual([]);
    expect(massLoss(view({ 0: [900] }), held({ 0: [1000] }), limits)).toEqual([]);
    expect(massLoss(view({ 0: [900] }), held({ 0: [1000] }), { ...limits, maxShare: 0.05 })).toHaveLength(1);
    expect(massLoss(view({ 0: [900] }), new Map(), limits)).toEqual([]);
    expect(massLoss(view({}), held({ 0: [1000] }), { ...limits, retentionEdge: hour(1) })).toEqual([]);
  });
});
