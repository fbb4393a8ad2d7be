import { beforeAll, describe, expect, test } from 'vitest';
import { readBuckets, readHistogram } from '../../../src/extract/plan/histogram.ts';
import { readSource } from '../../../src/extract/compare/reconcile.ts';
import { FIRST_POSSIBLE } from '../../../src/model/outside.ts';
import type { Client } from '../../../src/extract/source/client.ts';
import type { SourceView } from '../../../src/extract/compare/reconcile.ts';
import { EMPTY, combine } from '../../../src/model/fingerprint.ts';
import { DAY, HOUR, MINUTE, floorTo, parseInstant } from '../../../src/kernel/instant.ts';
import type { Instant } from '../../../src/kernel/instant.ts';
import { fingerprintOf, NOW, sources } from '../support/source.ts';
import type { Source } from '../support/source.ts';
import { CAMPAIGN } from '../../support/campaign.ts';

const start = sources();
const now = parseInstant(NOW) ?? 0n;
const base = { rows: 8000, days: 20, frozen: true };
const everything = { table: 'Events', unit: 'hour', grade: 'checksum', range: { settleMs: 300_000 } } as const;

let plain: Source;
let truth: SourceView;
beforeAll(async () => {
  plain = await start(base);
  truth = await readSource(plain.client, everything);
});

/** Rows by hour in the sandbox's store, read without going through its API. */
async function storedHours(source: Source): Promise<Map<Instant, number>> {
  const counts = await source.sandbox.counts();
  const hours = counts.filter(({ table }) => table === 'Events');
  return new Map(hours.map(({ hour, rows }) => [parseInstant(hour ?? '') ?? 0n, rows]));
}

describe('one call reads what the source has, hour by hour', () => {
  test("with the rows of each hour and a range that follows the source's clock", async () => {
    expect(truth.calls).toBe(1);
    expect(truth).toMatchObject({ grade: 'checksum', lower: undefined, at: now, upper: now - 5n * MINUTE });
    const stored = await storedHours(plain);
    const settled = [...truth.cells].filter(([hour]) => hour < floorTo(truth.upper, HOUR));
    for (const [hour, { rows }] of settled) expect(rows).toBe(stored.get(hour));
    expect(truth.cells.size).toBeGreaterThan(100);
  });

  test('with the fingerprint of the ids of each hour', async () => {
    const ids = await plain.client.ask(
      'Events | where timestamp < bin(now() - 5m, 1m) | project h = tostring(bin(timestamp, 1h)), id = tostring(eventId)',
      ['h', 'id'],
    );
    if (ids.kind !== 'rows') throw new Error(ids.by);
    const own = new Map<Instant, typeof EMPTY>();
    for (const [h, id] of ids.rows) {
      const hour = parseInstant(String(h)) ?? 0n;
      own.set(hour, combine(own.get(hour) ?? EMPTY, fingerprintOf(String(id))));
    }
    expect(new Map([...truth.cells].map(([hour, { fingerprint }]) => [hour, fingerprint]))).toEqual(own);
  });

  test('within start, depth, retention and end, whichever is narrowest', async () => {
    const range = {
      settleMs: 0,
      lower: now - 12n * DAY + 5n * MINUTE,
      depthDays: 10,
      retentionDays: 45,
      upper: now - DAY,
    };
    const view = await readSource(plain.client, { ...everything, range });
    expect(view.lower).toBe(floorTo(now - 10n * DAY, DAY));
    expect(view.upper).toBe(now - DAY);
    const wide = await readSource(plain.client, { ...everything, range: { ...range, depthDays: 15 } });
    expect(wide.lower).toBe(floorTo(now - 12n * DAY, HOUR));
    const logs = await readSource(plain.client, {
      ...everything,
      table: 'Logs',
      range: { settleMs: 0, retentionDays: 3 },
    });
    expect(logs.lower).toBe(floorTo(now - 3n * DAY, HOUR));
  });

  test('or minute by minute, for given windows', async () => {
    const [hour, cell] = [...truth.cells].toSorted(([, a], [, b]) => b.rows - a.rows)[0] ?? [0n];
    const view = await readSource(plain.client, {
      ...everything,
      unit: 'minute',
      range: { windows: [{ from: hour, to: hour + HOUR }] },
    });
    const sum = [...view.cells.values()].reduce((all, { fingerprint }) => combine(all, fingerprint), EMPTY);
    expect(sum).toEqual(cell?.fingerprint);
    expect(view.cells.size).toBeGreaterThan(5);
  });
});

describe('the form of the answer does not matter', () => {
  test.each([
    { shape: 'columns', gzip: true },
    { shape: 'v1' },
    { shape: 'v2' },
    { shape: 'tables', datetime: 'trimmed' },
    { shape: 'array' },
    { row: 'object' },
  ] as const)('%o', async (wire) => {
    const source = await start({ ...base, wire });
    const view = await readSource(source.client, everything);
    expect(view).toMatchObject({ cells: truth.cells, at: truth.at, upper: truth.upper, calls: 1 });
  });
});

describe('a cut answer is never mistaken for a smaller source', () => {
  test.each(['silent', 'one-api-errors', 'error-400'] as const)(
    'under a row cap of 2 (%s) the range is halved',
    async (limitMode) => {
      const capped = await start({ ...base, rowCap: 2, limitMode });
      const view = await readSource(capped.client, {
        ...everything,
        range: { settleMs: 300_000, lower: now - 200n * DAY },
      });
      expect(view.cells).toEqual(truth.cells);
      expect(view.upper).toBe(truth.upper);
      expect(view.lower).toBe(floorTo(now - 200n * DAY, HOUR));
      expect(view.calls).toBe(capped.calls());
    },
  );

  test(
    'one row of an old default costs one call more, and not one for each halving of the empty centuries',
    CAMPAIGN,
    async () => {
      const capped = await start({ rows: 60, days: 200, frozen: true, rowCap: 2 });
      const usual = await readSource(capped.client, everything);
      const rows = [{ eventId: '1', timestamp: '1600-02-29T12:00:00Z' }];
      await capped.sandbox.apply({ action: 'rows', table: 'Events', tenant: 'demo', rows });
      const view = await readSource(capped.client, everything);
      expect(usual.calls).toBeGreaterThan(4);
      expect(view.calls).toBe(usual.calls + 1);
      expect(view.cells.size).toBe(usual.cells.size + 1);
      // A range of a few days covers it too, and nothing of the time between.
      const range = { settleMs: 300_000, depthDays: 20, early: { from: FIRST_POSSIBLE, to: 0n } };
      const recent = await readSource(capped.client, { ...everything, range });
      expect(recent.calls).toBeGreaterThan(2);
      expect(recent.covers).toHaveLength(2);
      const hours = [...recent.cells.keys()];
      expect(hours.filter((hour) => hour < 0n)).toHaveLength(1);
      expect(hours.filter((hour) => hour >= 0n && hour < (recent.lower ?? 0n))).toEqual([]);
      expect(hours.length).toBeGreaterThan(2);
    },
  );

  test('an answer without any row is refused at once: a count of nothing has a row too', async () => {
    const empty = await start({
      ...base,
      faults: [{ match: { kind: 'summary' }, times: null, reply: { kind: 'silent-truncation', rows: 0 } }],
    });
    await expect(readSource(empty.client, everything)).rejects.toThrow(/count of Events without its total/);
    expect(empty.calls()).toBe(1);
  });

  test('answers with repeated rows or other numbers are refused, and the hint does not blame a limit', async () => {
    const hour = floorTo(now - DAY, HOUR);
    const range = { windows: [{ from: hour, to: hour + HOUR }] };
    const changes: readonly ((rows: readonly (readonly unknown[])[]) => readonly unknown[][])[] = [
      (rows) => [...rows, ...rows].map((row) => [...row]),
      (rows) => rows.map((row) => row.map((cell) => (/^\d+$/.test(String(cell)) ? `${String(cell)}.0` : cell))),
    ];
    for (const change of changes) {
      const client: Client = Object.create(plain.client, {
        ask: {
          value: async (...asked: Parameters<Client['ask']>) => {
            const answer = await plain.client.ask(...asked);
            return answer.kind === 'rows' ? { ...answer, rows: change(answer.rows) } : answer;
          },
        },
      });
      await expect(readSource(client, { ...everything, range })).rejects.toMatchObject({
        message: expect.stringMatching(/cannot count even a single hour/),
        hint: expect.stringMatching(/answers arrive, but lack rows, repeat them.*proxy or cache/),
      });
    }
  });

  test('under a byte cap the range is halved', async () => {
    const capped = await start({ ...base, byteCap: 8000 });
    const view = await readSource(capped.client, everything);
    expect(view.cells).toEqual(truth.cells);
    expect(view.calls).toBeGreaterThan(3);
  });

  test('after a timeout the range is halved', async () => {
    const slow = await start({
      ...base,
      faults: [{ match: { kind: 'summary' }, times: 2, reply: { kind: 'status', status: 504 } }],
    });
    const view = await readSource(slow.client, {
      ...everything,
      range: { windows: [{ from: now - 30n * DAY, to: truth.upper }] },
    });
    expect(view.cells).toEqual(truth.cells);
    expect(view.calls).toBe(5);
  });

  test.each([
    ['an open range', everything.range, 2],
    [
      'a range with older history',
      { settleMs: 0, depthDays: 2, older: [{ from: now - 10n * DAY, to: now - 9n * DAY }] },
      3,
    ],
    ['two hours', { windows: [{ from: now - DAY, to: now - DAY + HOUR }] }, 2],
  ] as const)(
    'a source that stalls is said to time out, and no shorter history is suggested: %s',
    async (_name, range, calls) => {
      const stalled = await start(
        { rows: 1, days: 1, faults: [{ times: null, reply: { kind: 'stall' } }] },
        { timeoutMs: 60 },
      );
      const error = await readSource(stalled.client, { ...everything, range }).catch((failure: unknown) => failure);
      expect(error).toMatchObject({ reason: 'timeout', message: expect.stringMatching(/timed out/) });
      expect(error).toMatchObject({ hint: expect.not.stringMatching(/start/) });
      expect(error).toMatchObject({ hint: expect.stringMatching(/Run again later.*http\.timeoutSeconds/) });
      expect(stalled.client.stats.calls).toBe(calls);
    },
  );
});

describe('without checksums', () => {
  test('the proof is the count, and the grade says so', async () => {
    const refusing = await start({
      ...base,
      faults: [{ times: null, reply: { kind: 'refused-function', name: 'binary_all_xor' } }],
    });
    const view = await readSource(refusing.client, everything);
    expect(view).toMatchObject({ grade: 'count', calls: 3 });
    for (const [hour, { rows, fingerprint }] of view.cells) {
      expect(rows).toBe(truth.cells.get(hour)?.rows);
      expect(fingerprint).toEqual({ ...EMPTY, rows: BigInt(rows), content: undefined });
    }
    const again = await readSource(refusing.client, { ...everything, lastGrade: 'count' });
    expect(again).toMatchObject({ grade: 'count', calls: 2 });
  });

  test('a rejection that the engine does not repeat weakens nothing', async () => {
    const once = await start({ ...base, faults: [{ reply: { kind: 'refused-function', name: 'binary_all_xor' } }] });
    expect(await readSource(once.client, everything)).toMatchObject({
      grade: 'checksum',
      cells: truth.cells,
      calls: 2,
    });
  });

  test('where counting is rejected too, only the clock is known, and no hour is compared', async () => {
    const refusing = await start({
      ...base,
      faults: [{ match: { query: 'summarize' }, times: null, reply: { kind: 'refused-function', name: 'count' } }],
    });
    const view = await readSource(refusing.client, everything);
    expect(view).toMatchObject({ grade: 'none', at: now, calls: 5 });
    expect(view.cells.size).toBe(0);
    expect((await readSource(refusing.client, { ...everything, lastGrade: 'none' })).calls).toBe(3);
  });

  test('any other failure is thrown: it says nothing about the functions', CAMPAIGN, async () => {
    for (const status of [400, 402, 405, 409, 410, 415, 422, 451, 501, 505, 508]) {
      const failing = await start({ rows: 1, days: 1, faults: [{ times: null, reply: { kind: 'status', status } }] });
      await expect(readSource(failing.client, everything)).rejects.toMatchObject({ reason: 'unusable' });
      expect(failing.calls()).toBe(1);
    }
  });
});

describe('finer counts for the plan', () => {
  test('cover their windows without a gap and add up to what the hours hold', async () => {
    const hours = [...truth.cells].slice(0, 30);
    const windows = hours.map(([from]) => ({ from, to: from + HOUR }));
    for (const unit of ['minute', 'second'] as const) {
      const { cells, calls } = await readHistogram(plain.client, { table: 'Events', unit, windows });
      expect(calls).toBe(1);
      let next = 0;
      for (const { from, to } of windows) {
        let at = from;
        let rows = 0;
        for (; at < to; next++) {
          const cell = cells[next];
          expect(cell?.from).toBe(at);
          at = cell?.to ?? to;
          rows += cell?.rows ?? 0;
        }
        expect(at).toBe(to);
        expect(rows).toBe(truth.cells.get(from)?.rows);
      }
      expect(next).toBe(cells.length);
    }
  });

  test('hash buckets add up to the rows of their cell', async () => {
    const [from, { rows, bytes }] = [...truth.cells].toSorted(([, a], [, b]) => b.rows - a.rows)[0] ?? [
      0n,
      { rows: 0, bytes: 0 },
    ];
    const [buckets = []] = await readBuckets(plain.client, {
      table: 'Events',
      cells: [{ from, to: from + HOUR, rows, bytes }],
    });
    expect(buckets.reduce((sum, bucket) => sum + bucket.rows, 0)).toBe(rows);
    expect(buckets.reduce((sum, bucket) => sum + bucket.bytes, 0)).toBe(bytes);
    expect(buckets.every(({ bucket }, k) => bucket > (buckets[k - 1]?.bucket ?? -1) && bucket < 65_536)).toBe(true);
  });

  test('hash buckets of many seconds take one call', CAMPAIGN, async () => {
    const windows = [...truth.cells].slice(0, 40).map(([from]) => ({ from, to: from + HOUR }));
    const seconds = (await readHistogram(plain.client, { table: 'Events', unit: 'second', windows })).cells
      .filter(({ rows }) => rows > 0)
      .slice(0, 60);
    const before = plain.calls();
    const buckets = await readBuckets(plain.client, { table: 'Events', cells: seconds });
    expect(plain.calls() - before).toBe(1);
    expect(buckets.map((list) => list.reduce((sum, { rows }) => sum + rows, 0))).toEqual(
      seconds.map(({ rows }) => rows),
    );
  });
});
