/** Caps are learnt from evidence only: an accident of the source teaches none, and a cap that is wrong is given up. */
import { readFile } from 'node:fs/promises';
import pLimit from 'p-limit';
import { describe, expect, test } from 'vitest';
import { fetchBatch } from '../../../src/extract/fetch/fetch.ts';
import type { Fetched, FetchOptions } from '../../../src/extract/fetch/fetch.ts';
import { createLanding } from '../../../src/extract/fetch/land.ts';
import { CapsLearner } from '../../../src/extract/fetch/learning.ts';
import { planPages } from '../../../src/extract/plan/plan.ts';
import type { Caps } from '../../../src/extract/plan/plan.ts';
import { HOUR, MINUTE, SECOND, parseInstant } from '../../../src/kernel/instant.ts';
import { LEAST_ROW_CAP } from '../../../src/model/page.ts';
import type { Page } from '../../../src/model/page.ts';
import type { SandboxOptions } from '../../../sandbox/sandbox.ts';
import { scratchFolders } from '../support/scratch.ts';
import { sources } from '../support/source.ts';
import type { Source } from '../support/source.ts';
import { CAMPAIGN, LONG, campaign } from '../../support/campaign.ts';

const scratch = scratchFolders();
const start = sources();
const WIDE: Caps = { rows: 500_000, bytes: 60_000_000 };
const FROM = parseInstant('2026-03-19T04:00:00Z') ?? 0n;
const HOUR_LONG = [{ from: FROM, to: FROM + HOUR }];

/** An event `n` seconds after 04:00. */
function row(n: number, id = n): Record<string, unknown> {
  const at = new Date(Date.parse('2026-03-19T04:00:00Z') + n * 1000).toISOString();
  const eventId = `a0000000-0000-4000-8000-${id.toString(16).padStart(12, '0')}`;
  return { eventId, timestamp: at, tenantId: 'demo', eventType: 'x', operationId: 'o', properties: {} };
}

/** A source that has only these rows of Events. */
async function sourceOf(rows: readonly Record<string, unknown>[], options: SandboxOptions = {}): Promise<Source> {
  const source = await start({ rows: 100, days: 1, frozen: true, ...options });
  await source.sandbox.apply({ action: 'erase', table: 'Events', tenant: 'demo' });
  await source.sandbox.apply({ action: 'rows', table: 'Events', tenant: 'demo', rows: [...rows] });
  return source;
}

function page(rows: number | undefined, more: Partial<Page> = {}): Page {
  return { id: 'p1', windows: HOUR_LONG, rows, bytes: 1000, ...more };
}

interface Result extends Fetched {
  readonly rows: number;
  readonly learnt: readonly Caps[];
}

async function fetchPages(
  source: Source,
  pages: readonly Page[],
  options: Partial<FetchOptions> = {},
): Promise<Result> {
  const windows = [{ from: FROM, to: pages.at(-1)?.windows[0]?.to ?? FROM + HOUR }];
  const landing = await createLanding(
    await scratch(),
    { id: 'b', tenant: 'demo', table: 'Events', windows, pages },
    'r',
  );
  const learnt: Caps[] = [];
  const all = source.options({ caps: WIDE, limit: pLimit(1), onLearn: (caps) => learnt.push(caps), ...options });
  const fetched = await fetchBatch(landing, all);
  expect(source.calls()).toBe(fetched.planned + fetched.splits);
  return { ...fetched, rows: fetched.landed.reduce((sum, part) => sum + part.rows, 0), learnt };
}

const numbers = (count: number): number[] => Array.from({ length: count }, (_, n) => n);

describe('no cap is learnt', () => {
  test('from a page of two rows that lacked one, however often', async () => {
    const source = await sourceOf([row(10), row(3000)], {
      faults: [{ match: { kind: 'page' }, times: 3, reply: { kind: 'silent-truncation', rows: 1 } }],
    });
    const fetched = await fetchPages(source, [page(2)]);
    expect(fetched).toMatchObject({ rows: 2, caps: WIDE, learnt: [] });
  });

  test('from an answer that lacked rows once: the whole, requested again, has them', async () => {
    const source = await sourceOf(numbers(60).map((n) => row(n * 60)), {
      faults: [{ match: { kind: 'page' }, reply: { kind: 'silent-truncation', rows: 30 } }],
    }); // oxfmt-ignore
    const fetched = await fetchPages(source, [page(60)]);
    // A count and a second request.
    expect(fetched).toMatchObject({ rows: 60, splits: 2, caps: WIDE, learnt: [] });
  });

  test('from a single refusal without a number of rows', async () => {
    const source = await sourceOf(numbers(60).map((n) => row(n * 60)), {
      faults: [{ match: { kind: 'page' }, reply: { kind: 'too-large', by: 'rows', mode: 'error-400' } }],
    }); // oxfmt-ignore
    const fetched = await fetchPages(source, [page(60)]);
    expect(fetched).toMatchObject({ rows: 60, splits: 1, caps: WIDE, learnt: [] });
  });

  test('from a single refusal because of bytes', async () => {
    const source = await sourceOf(numbers(60).map((n) => row(n * 60)), {
      faults: [{ match: { kind: 'page' }, reply: { kind: 'too-large', by: 'bytes', mode: 'error-400' } }],
    }); // oxfmt-ignore
    const fetched = await fetchPages(source, [page(60)]);
    expect(fetched).toMatchObject({ rows: 60, splits: 1, caps: WIDE, learnt: [] });
  });

  test('below the least that a source may have', async () => {
    const source = await sourceOf(numbers(16).map((n) => row(n * 200)), {
      faults: [{ match: { kind: 'page' }, times: 6, reply: { kind: 'too-large', by: 'rows', mode: 'error-400' } }],
    }); // oxfmt-ignore
    const fetched = await fetchPages(source, [page(16)]);
    expect(fetched.rows).toBe(16);
    expect(fetched.caps.rows).toBeGreaterThanOrEqual(LEAST_ROW_CAP);
  });
});

for (const by of ['rows', 'bytes'] as const)
  test(
    `a cap of ${by} that was learnt from refusals is given up when a larger page is answered`,
    CAMPAIGN,
    async () => {
      const rows = numbers(4).flatMap((hour) => numbers(100).map((n) => row(hour * 3600 + n * 30)));
      const source = await sourceOf(rows, {
        faults: [{ match: { kind: 'page' }, times: 2, reply: { kind: 'too-large', by, mode: 'error-400' } }],
      });
      const pages = numbers(4).map((hour): Page => {
        const from = FROM + BigInt(hour) * HOUR;
        return { id: `p${hour}`, windows: [{ from, to: from + HOUR }], rows: 100, bytes: 100_000 };
      });
      const fetched = await fetchPages(source, pages);
      expect(fetched.rows).toBe(400);
      expect(fetched.learnt[0]?.[by]).toBe(50_000 / (by === 'rows' ? 1000 : 1));
      expect(fetched.caps).toEqual(WIDE);
    },
  );

test('copies of one row are read even if there are more of them than a learnt cap allows', CAMPAIGN, async () => {
  const source = await sourceOf(numbers(25).map(() => row(7, 1)));
  const windows = [{ from: FROM + 7n * SECOND, to: FROM + 8n * SECOND }];
  const fetched = await fetchPages(source, [page(undefined, { windows })], {
    caps: { ...WIDE, rows: LEAST_ROW_CAP },
    most: { ...WIDE, rows: 500 },
  });
  expect(fetched).toMatchObject({ rows: 25, refused: [] });
});

test('a full page that was not counted is fetched in parts', async () => {
  const source = await sourceOf(numbers(60).map((n) => row(n * 60)));
  const caps = { ...WIDE, rows: 25 };
  expect(await fetchPages(source, [page(undefined)], { caps, most: caps })).toMatchObject({ rows: 60, refused: [] });
});

test('copies of one row, and other rows, are read under a cap of three rows, which is not learnt', async () => {
  const others = numbers(8).map((n) => row(60 * (n + 1), 1000 + n));
  const source = await sourceOf([...numbers(30).map(() => row(7, 1)), ...others], { rowCap: 3, limitMode: 'silent' });
  const fetched = await fetchPages(source, [page(38)]);
  expect(fetched).toMatchObject({ rows: 38, refused: [], caps: WIDE });
});

describe('an answer that is cut without any indication at a number of bytes', () => {
  const sized = (n: number, bytes: number) => ({ ...row(n), properties: { text: 'x'.repeat(bytes) } });
  const hourPage = (id: string, hour: number, rows: number, bytes: number): Page => {
    const from = FROM + BigInt(hour) * HOUR;
    return { id, windows: [{ from, to: from + HOUR }], rows, bytes: rows * (150 + bytes) };
  };

  test('is read in parts, and teaches a cap of bytes', CAMPAIGN, async () => {
    const large = numbers(40).map((n) => sized(n * 60, 1000));
    const small = numbers(200).map((n) => sized(3600 + n * 10, 10));
    const source = await sourceOf([...large, ...small], { byteCap: 20_000, limitMode: 'silent' });
    const fetched = await fetchPages(source, [hourPage('a', 0, 40, 1000), hourPage('b', 1, 200, 10)]);
    expect(fetched).toMatchObject({ rows: 240, refused: [], caps: { rows: WIDE.rows } });
    expect(fetched.caps.bytes).toBeLessThan(200 * 160);
    expect(source.calls()).toBeLessThan(30);
  });

  test('looks like a cap of rows until another one is cut at the same size and at another number of rows', () => {
    const learner = new CapsLearner(WIDE, WIDE, () => {});
    const cut = (rows: number, largestRow: number) => ({ rows, bytes: 20_000 - largestRow / 2, largestRow });
    learner.cutShort(hourPage('a', 0, 40, 1000), [cut(18, 1100), cut(18, 1100)], 40);
    expect(learner.caps).toEqual({ ...WIDE, rows: 17 });
    learner.cutShort(hourPage('b', 1, 200, 10), [cut(150, 130)], 200);
    expect(learner.caps).toEqual({ ...WIDE, bytes: 200 * 160 * 0.75 * 0.95 });
  });

  test('is read in parts if the rows come in another order each time, so that their number does not repeat', async () => {
    const cut = (rows: number) => ({ match: { kind: 'page' as const }, reply: { kind: 'silent-truncation' as const, rows } }); // oxfmt-ignore
    const source = await sourceOf(numbers(60).map((n) => sized(n * 60, 500)), { faults: [cut(31), cut(30)] }); // oxfmt-ignore
    const fetched = await fetchPages(source, [hourPage('a', 0, 60, 500)]);
    expect(fetched).toMatchObject({ rows: 60, refused: [], caps: { rows: WIDE.rows } });
    expect(fetched.caps.bytes).toBeLessThan(60 * 650);
  });
});

/** Rows of one second each. Some have neither time nor id of their own, or differ in no cell. */
const CROWDS: readonly ((n: number) => Record<string, unknown>)[] = [
  (n) => ({ ...row(7), eventId: null, properties: { n } }),
  (n) => ({ ...row(17 + n / 100, 1), eventId: null }),
  (n) => ({ ...row(27, 1), properties: { n } }),
  () => row(37, 2),
  (n) => row(47, 100 + n),
];
for (const [by, isPlanned] of [
  ['silent', false],
  ['silent', true],
  ['one-api-errors', true],
  ['error-400', false],
] as const)
  test(
    `a row cap below the rows of one second, which shows as ${by}, hides none of them${isPlanned ? ', even if the page was planned to be cut' : ''}`,
    isPlanned ? (by === 'silent' ? CAMPAIGN : LONG) : campaign(by === 'silent'),
    async () => {
      const others = numbers(8).map((n) => row(60 * (n + 1), 1000 + n));
      const rows = [...CROWDS.flatMap((crowd) => numbers(30).map(crowd)), ...others];
      const source = await sourceOf(rows, { rowCap: 12, limitMode: by });
      const seconds = CROWDS.map((_, k) => FROM + BigInt(7 + 10 * k) * SECOND);
      const cells = seconds.map((from) => ({ from, to: from + SECOND, rows: 30, bytes: 3000 }));
      const rest = { from: FROM + 60n * SECOND, to: FROM + HOUR, rows: 8, bytes: 800 };
      const pages = isPlanned ? planPages([...cells, rest], { ...WIDE, rows: 25 }) : [page(158)];
      const fetched = await fetchPages(source, pages, { digests: isPlanned });
      expect(fetched).toMatchObject({ rows: 158, refused: [] });
      // 158 rows in answers of 11 are 15 calls at least.
      expect(source.calls()).toBeLessThan(60);
      const lines = await Promise.all(
        fetched.landed.map(async ({ file }) => (await readFile(file, 'utf8')).split('\n')),
      );
      const different = new Set(lines.flat().filter((line) => /^[[{]/.test(line)));
      expect(different.size).toBe(158 - 29);
    },
  );

test(
  'a silent cap is found under a burst that fills one part of a page: 2,500 rows in ten minutes',
  CAMPAIGN,
  async () => {
    const burst = numbers(2500).map((n) => row(1200 + (n * 600) / 2500, n));
    const source = await sourceOf(burst, { rowCap: 1000, limitMode: 'silent' });
    const day = [{ from: FROM, to: FROM + 20n * HOUR + 10n * MINUTE }];
    const fetched = await fetchPages(source, [page(2500, { windows: day })]);
    expect(fetched).toMatchObject({ rows: 2500, refused: [] });
    expect(fetched.caps.rows).toBe(999);
    expect(source.calls()).toBeLessThan(12);
  },
);
