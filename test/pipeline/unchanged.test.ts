/**
 * Most hours of a run have not changed, and only their date is written. That must give exactly what recording each hour gives, for any
 * hours that a ledger can hold and any answer of the source.
 */
import { describe, expect, test } from 'vitest';
import { HOUR } from '../../src/kernel/instant.ts';
import type { Instant, Window } from '../../src/kernel/instant.ts';
import { heldHours, recordComparison } from '../../src/load/ledger/hours.ts';
import type { SourceComparison } from '../../src/load/ledger/hours.ts';
import { instantSql } from '../../src/load/ledger/sql.ts';
import type { Fingerprint } from '../../src/model/fingerprint.ts';
import { unchangedHours } from '../../src/pipeline/table-work.ts';
import { at, scratchLake, TENANT } from '../load/support/lake.ts';
import type { Scratch } from '../load/support/lake.ts';
import { CAMPAIGN, LONG } from '../support/campaign.ts';

const FIRST = at('2026-07-03T00:00:00Z');
const HOURS = 30;
const TICKS_PER_MINUTE = HOUR / 60n;

/** A small seeded generator (mulberry32). */
function generator(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return Math.floor((((t ^ (t >>> 14)) >>> 0) / 4294967296) * below);
  };
}

type Pick = <T>(...choices: readonly T[]) => T;

interface Given {
  readonly rows: readonly string[];
  readonly comparison: SourceComparison;
}

const fingerprintOf = (n: bigint): Fingerprint => ({
  rows: n,
  sum0: n * 7n,
  sum1: n * 11n,
  xor: n,
  content: n * 2n ** 60n,
});

function structOf({ rows, sum0, sum1, xor, content }: Fingerprint): string {
  return `{n: ${rows}::hugeint, s0: ${sum0}::hugeint, s1: ${sum1}::hugeint, x: ${xor}::bigint, c: ${content ?? 'null'}::hugeint}`;
}

function given(seed: number): Given {
  const below = generator(seed);
  const pick: Pick = (...choices) => {
    const choice = choices[below(choices.length)];
    if (choice === undefined) throw new RangeError('nothing to pick from');
    return choice;
  };
  const rows: string[] = [];
  const hours = new Map<Instant, Fingerprint>();
  const spans: Window[] = [
    { from: FIRST, to: FIRST + BigInt(HOURS) * HOUR - BigInt(below(2) * 25) * TICKS_PER_MINUTE },
  ];
  if (below(3) === 0) spans.unshift({ from: FIRST - 9n * HOUR, to: FIRST - 4n * HOUR });
  for (let k = -10; k < HOURS + 2; k++) {
    const hour = FIRST + BigInt(k) * HOUR;
    const rowsOfHour = BigInt(pick(0, 0, 1, 5));
    const lake = { ...fingerprintOf(rowsOfHour), ...(below(12) === 0 ? { content: undefined } : {}) };
    const copies = fingerprintOf(BigInt(pick(0, 0, 0, 2)));
    const account: Fingerprint = {
      rows: lake.rows + copies.rows,
      sum0: lake.sum0 + copies.sum0,
      sum1: lake.sum1 + copies.sum1,
      xor: lake.xor ^ copies.xor,
      content: lake.content === undefined ? undefined : lake.content + (copies.content ?? 0n),
    };
    const other = { ...account, sum1: account.sum1 + 1n };
    if (account.rows > 0n || below(2) === 0)
      hours.set(hour, below(10) === 0 ? other : { ...account, content: account.content ?? 9n });
    if (below(10) === 0) continue;
    const isLast = k >= HOURS - 2;
    const state = isLast
      ? pick('open', 'open', 'verified')
      : pick('verified', 'verified', 'verified', 'verified', 'verified', 'partial', 'expired', 'open');
    const source = below(12) === 0 ? other : account;
    const grade = pick('content', 'content', 'content', 'content', 'content', 'checksum');
    const covered = state === 'open' || below(12) === 0 ? hour + BigInt(below(60)) * TICKS_PER_MINUTE : hour + HOUR;
    rows.push(
      `('${TENANT}', 'Events', ${instantSql(hour)}, ${structOf(source)}, ${structOf(lake)}, ${structOf(copies)}, ${structOf(fingerprintOf(0n))},
        ${instantSql(covered)}, '${state}', '${grade}', ${instantSql(FIRST)}, ${state === 'verified' ? instantSql(FIRST) : 'null'}, 'run-0')`,
    );
  }
  const end = FIRST + BigInt(HOURS) * HOUR;
  const comparison: SourceComparison = {
    at: end,
    spans,
    grade: pick('content', 'content', 'content', 'checksum'),
    hours,
    overTo: end - BigInt(below(3)) * HOUR,
    ...(below(3) === 0 ? { retentionEdge: FIRST - BigInt(below(12)) * HOUR } : {}),
    onlyCompares: below(3) === 0,
  };
  return { rows, comparison };
}

async function recorded({ ledger }: Scratch, { rows, comparison }: Given, unchanged: readonly Window[] | undefined) {
  await ledger.run('delete from hours');
  await ledger.run(`insert into hours values ${rows.join(',\n')}`);
  const parts = unchanged ?? unchangedHours(comparison, await heldHours(ledger, TENANT, 'Events', comparison.spans));
  const counts = await recordComparison(ledger, TENANT, 'Events', { ...comparison, unchanged: parts }, 'run-1');
  return { parts, counts, hours: await ledger.rawRows('select * from hours order by hour') };
}

describe('hours that have not changed', () => {
  /** Returns how many parts were dated only. */
  const tryCases = async (seeds: readonly number[]): Promise<number> => {
    await using lake = await scratchLake();
    let renewed = 0;
    for (const seed of seeds) {
      const { parts, ...quick } = await recorded(lake, given(seed), undefined);
      const { parts: none, ...full } = await recorded(lake, given(seed), []);
      expect(none).toEqual([]);
      expect(quick, `seed ${seed}`).toEqual(full);
      renewed += parts.length;
    }
    return renewed;
  };
  const seeds = (from: number, count: number): number[] => Array.from({ length: count }, (_, k) => from + k);

  test('are dated as if each were recorded', async () => {
    expect(await tryCases(seeds(1, 2))).toBeGreaterThan(2);
  });

  for (const [count, options] of [
    [15, CAMPAIGN],
    [60, LONG],
  ] as const)
    test(`are dated as if each were recorded, in ${count} ledgers`, options, async () => {
      expect(await tryCases(seeds(100, count))).toBeGreaterThan(count);
    });
});
