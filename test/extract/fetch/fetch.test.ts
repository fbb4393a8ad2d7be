import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { batches } from '../../../src/extract/plan/batch.ts';
import { fetchBatch } from '../../../src/extract/fetch/fetch.ts';
import type { Fetched, FetchOptions } from '../../../src/extract/fetch/fetch.ts';
import type { Client } from '../../../src/extract/source/client.ts';
import { createLanding, openLandings } from '../../../src/extract/fetch/land.ts';
import type { Landing } from '../../../src/extract/fetch/land.ts';
import { packPages } from '../../../src/extract/plan/pack.ts';
import type { Caps } from '../../../src/extract/plan/plan.ts';
import { readSource } from '../../../src/extract/compare/reconcile.ts';
import type { SourceView } from '../../../src/extract/compare/reconcile.ts';
import { PartError } from '../../../src/kernel/errors.ts';
import { EMPTY, combine } from '../../../src/model/fingerprint.ts';
import type { Fingerprint } from '../../../src/model/fingerprint.ts';
import { HOUR, SECOND, parseInstant } from '../../../src/kernel/instant.ts';
import type { Window } from '../../../src/kernel/instant.ts';
import type { Batch, Page } from '../../../src/model/page.ts';
import type { SandboxOptions } from '../../../sandbox/sandbox.ts';
import { CAMPAIGN, campaign } from '../../support/campaign.ts';
import { scratchFolders } from '../support/scratch.ts';
import { landedFingerprint, NOW, sources } from '../support/source.ts';
import type { Source } from '../support/source.ts';

const scratch = scratchFolders();
const start = sources();
const now = parseInstant(NOW) ?? 0n;
const base: SandboxOptions = { rows: 1500, days: 4, frozen: true };
const WIDE: Caps = { rows: 500_000, bytes: 60_000_000 };

interface Loaded {
  readonly view: SourceView;
  readonly total: Fingerprint;
  readonly fetched: Fetched;
  readonly landing: Landing;
  readonly learnt: readonly Caps[];
  /** Calls for pages and finer counts, without the first count. */
  readonly calls: number;
  readonly counts: number;
}

/** Counts, plans with the given caps, and fetches everything as one batch. */
async function load(source: Source, caps: Caps, more: Partial<FetchOptions> = {}): Promise<Loaded> {
  const view = await readSource(source.client, {
    table: 'Events',
    unit: 'hour',
    grade: 'checksum',
    range: { settleMs: 300_000 },
  });
  const before = source.calls();
  const cells = [...view.cells]
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([from, { rows, bytes }]) => {
      const to = from + HOUR < view.upper ? from + HOUR : view.upper;
      return { from, to, rows, bytes };
    });
  const plan = await packPages(source.client, { table: 'Events', cells, caps });
  const [batch] = batches(plan.pages, { tenant: 'demo', table: 'Events', prefix: 'r', bytes: 1e12 });
  if (!batch) throw new Error('Nothing to fetch.');
  const landing = await createLanding(await scratch(), batch, 'r');
  const learnt: Caps[] = [];
  const fetched = await fetchBatch(landing, source.options({ caps, onLearn: (found) => learnt.push(found), ...more }));
  const total = [...view.cells.values()].reduce((sum, { fingerprint }) => combine(sum, fingerprint), EMPTY);
  return { view, total, fetched, landing, learnt, calls: source.calls() - before, counts: plan.calls };
}

async function expectWhole({ fetched, total, landing }: Loaded): Promise<void> {
  expect(await landedFingerprint(fetched.landed)).toEqual(total);
  expect(fetched.landed.map(({ page }) => page.id).toSorted()).toEqual(
    fetched.batch.pages.map(({ id }) => id).toSorted(),
  );
  expect((await readdir(landing.folder)).length).toBe(fetched.landed.length + 1);
}

/** A batch of one page that was counted as `rows`, or not counted. */
function onePage(windows: readonly Window[], rows: number | undefined, more: Partial<Page> = {}): Batch {
  return {
    id: 'b',
    tenant: 'demo',
    table: 'Events',
    windows,
    pages: [{ id: 'p1', windows, rows, bytes: 1000, ...more }],
  };
}

describe('every counted row lands', () => {
  test('in exactly the planned calls, when the caps are known', async () => {
    const source = await start({ ...base, rowCap: 50 });
    const loaded = await load(source, { ...WIDE, rows: 50 });
    await expectWhole(loaded);
    expect(loaded.fetched.splits).toBe(0);
    expect(loaded.calls).toBe(loaded.fetched.planned + loaded.counts);
    const fewest = Math.ceil(Number(loaded.total.rows) / 50);
    expect(loaded.fetched.planned / fewest).toBeLessThanOrEqual(1.05);
    expect(loaded.learnt).toEqual([]);
  });

  for (const limitMode of ['one-api-errors', 'exceptions', 'top-level', 'error-400', 'silent'] as const)
    test(
      `under an unknown row cap that shows as ${limitMode}, and the cap is learnt`,
      campaign(limitMode === 'exceptions'),
      async () => {
        const source = await start({ ...base, rowCap: 50, limitMode });
        const loaded = await load(source, WIDE);
        await expectWhole(loaded);
        expect(loaded.calls).toBe(loaded.fetched.planned + loaded.fetched.splits + loaded.counts);
        const learnt = loaded.learnt.at(-1)?.rows ?? Infinity;
        expect(learnt).toBeLessThanOrEqual(50);
        expect(learnt).toBeGreaterThanOrEqual(25);
        expect(loaded.calls).toBeLessThan((Number(loaded.total.rows) / 50) * 3);
      },
    );

  test('under an unknown byte cap', async () => {
    const source = await start({ ...base, byteCap: 40_000 });
    const loaded = await load(source, WIDE);
    await expectWhole(loaded);
    expect(loaded.learnt.at(-1)?.bytes).toBeLessThan(100_000);
  });

  test('when a page times out once, and no cap is learnt', async () => {
    const source = await start({
      ...base,
      faults: [{ match: { kind: 'page' }, reply: { kind: 'status', status: 504 } }],
    });
    const loaded = await load(source, WIDE);
    await expectWhole(loaded);
    expect(loaded.fetched).toMatchObject({ planned: 1, splits: 2 });
    expect(loaded.learnt).toEqual([]);
  });

  test('when an answer is silently cut once, and no cap is learnt', async () => {
    const source = await start({
      ...base,
      faults: [{ match: { kind: 'page' }, reply: { kind: 'silent-truncation', rows: 7 } }],
    });
    const loaded = await load(source, WIDE);
    await expectWhole(loaded);
    expect(loaded.fetched).toMatchObject({ planned: 1, splits: 2 });
    expect(loaded.learnt).toEqual([]);
  });
});

describe('fewer rows than counted', () => {
  test('are accepted when the source now counts no more, because rows vanished', async () => {
    const source = await start(base);
    const windows = [{ from: now - 100n * HOUR, to: now - 50n * HOUR }];
    const landing = await createLanding(await scratch(), onePage(windows, 10_000), 'r');
    const fetched = await fetchBatch(landing, source.options());
    expect(fetched).toMatchObject({ planned: 1, splits: 1, refused: [] });
    expect(fetched.landed).toHaveLength(1);
    expect(source.calls()).toBe(2);
  });

  test('are refused when the source still counts more, and the page is fetched whole the next time', async () => {
    const source = await start({
      ...base,
      faults: [{ match: { kind: 'page' }, times: null, reply: { kind: 'stale-replica', share: 0.5 } }],
    });
    const windows = [{ from: now - 100n * HOUR, to: now - 50n * HOUR }];
    const { landed: whole } = await fetchBatch(
      await createLanding(await scratch(), onePage(windows, undefined), 'r'),
      (await start(base)).options(),
    );
    const rows = whole[0]?.rows ?? 0;
    const landing = await createLanding(await scratch(), onePage(windows, rows), 'r');
    await expect(fetchBatch(landing, source.options())).rejects.toThrow(
      new RegExp(`fewer than it had counted, and counts ${rows} there`),
    );
    expect(landing.batch.pages).toMatchObject([{ id: 'p1', windows, rows }]);
    expect(await readdir(landing.folder)).toEqual(['batch.json']);
    expect(source.calls()).toBeLessThan(20);
    await source.sandbox.apply({ action: 'faults', rules: [] });
    expect(await fetchBatch(landing, source.options())).toMatchObject({ landed: [{ rows }], refused: [], splits: 0 });
  });

  test('in hash parts are refused too, together', async () => {
    const source = await start({
      ...base,
      faults: [{ match: { kind: 'page' }, times: null, reply: { kind: 'stale-replica', share: 0.5 } }],
    });
    const second = now - 30n * HOUR;
    const rows = Array.from({ length: 40 }, (_, k) => ({
      eventId: `a0000000-0000-4000-8000-0000000000${k + 10}`,
      timestamp: '2026-03-19T04:30:00.5Z',
      tenantId: 'demo',
      eventType: 'x',
      operationId: 'o',
      properties: {},
    }));
    await source.sandbox.apply({ action: 'rows', table: 'Events', tenant: 'demo', rows });
    const landing = await createLanding(await scratch(), onePage([{ from: second, to: second + SECOND }], 40), 'r');
    await expect(fetchBatch(landing, source.options())).rejects.toThrow(
      /fewer than it had counted, and counts 40 there/,
    );
    expect(landing.batch.pages).toMatchObject([{ id: 'p1', rows: 40 }]);
  });

  test('are counted again at the retention edge too, without splitting the page: its other hours do not expire', async () => {
    const source = await start({
      ...base,
      faults: [{ match: { kind: 'page' }, times: null, reply: { kind: 'silent-truncation', rows: 0 }, after: 1 }],
    });
    const windows = [{ from: now - 100n * HOUR, to: now - 50n * HOUR }];
    const page = onePage(windows, 1000, { atRetentionEdge: true });
    const fetched = await fetchBatch(await createLanding(await scratch(), page, 'r'), source.options());
    expect(fetched).toMatchObject({ planned: 1, splits: 1, refused: [], landed: [{}] });
    expect(source.calls()).toBe(2);
    const again = fetchBatch(await createLanding(await scratch(), page, 'r'), source.options());
    await expect(again).rejects.toThrow(/delivered 0 rows of Events .*fewer than it had counted/);
  });
});

describe('rows that cannot be fetched cause an error, not a loop', () => {
  test('the error for a row that is larger than an answer names its window and no row', CAMPAIGN, async () => {
    const source = await start({ ...base, rows: 100, byteCap: 2000 });
    const second = now - 30n * HOUR;
    const rows = Array.from({ length: 5 }, (_, k) => ({
      eventId: 'a0000000-0000-4000-8000-000000000001',
      timestamp: '2026-03-19T04:30:00.5Z',
      tenantId: 'demo',
      eventType: 'x',
      operationId: 'o',
      properties: { k, text: 'x'.repeat(k === 3 ? 5000 : 1) },
    }));
    await source.sandbox.apply({ action: 'rows', table: 'Events', tenant: 'demo', rows });
    const windows = [{ from: second, to: second + SECOND }];
    const landing = await createLanding(await scratch(), onePage(windows, undefined), 'r');
    const { landed, refused } = await fetchBatch(landing, source.options());
    expect(refused).toHaveLength(1);
    expect(refused[0]).toBeInstanceOf(PartError);
    expect(String(refused[0])).toMatch(/small part of Events from 2026-03-19T04:30:00\.0000000Z/);
    // The others, which share second and id with it, were fetched.
    expect(landed.reduce((sum, page) => sum + page.rows, 0)).toBe(4);
    expect(source.calls()).toBeLessThan(20);
  });

  test('a source that always times out is given up after a few splits', async () => {
    const source = await start({
      ...base,
      faults: [{ match: { kind: 'page' }, times: null, reply: { kind: 'status', status: 504 } }],
    });
    const landing = await createLanding(await scratch(), onePage([{ from: now - 100n * HOUR, to: now }], 100), 'r');
    await expect(fetchBatch(landing, source.options())).rejects.toThrow(
      /did not deliver even a small part of Events from .* in time: its calls timed out/,
    );
    expect(source.calls()).toBeLessThan(30);
  });

  test('the search for a row that exceeds the answer size stops after some gigabytes', async () => {
    const source = await start({
      ...base,
      faults: [{ match: { kind: 'page' }, times: null, reply: { kind: 'status', status: 413 } }],
    });
    const client: Client = {
      ...source.client,
      async download(query, columns, open, signal) {
        const answer = await source.client.download(query, columns, open, signal);
        return answer.kind === 'too-large' ? { ...answer, bytesSeen: 1e9 } : answer;
      },
    };
    const landing = await createLanding(await scratch(), onePage([{ from: now - 100n * HOUR, to: now }], 100), 'r');
    await expect(fetchBatch(landing, source.options({ client }))).rejects.toThrow(
      /cannot deliver even a small part of Events/,
    );
    // The fifth refusal ends it, while other calls are in flight.
    expect(source.calls()).toBeLessThan(12);
  });
});

describe('a batch whose run ended early', () => {
  test('is continued: no landed page is fetched twice, and the rows are the same', async () => {
    const source = await start({ ...base, rowCap: 100 });
    const root = await scratch();
    const view = await readSource(source.client, {
      table: 'Events',
      unit: 'hour',
      grade: 'checksum',
      range: { settleMs: 300_000 },
    });
    const cells = [...view.cells]
      .toSorted(([a], [b]) => (a < b ? -1 : 1))
      .map(([from, { rows, bytes }]) => ({
        from,
        to: from + HOUR < view.upper ? from + HOUR : view.upper,
        rows,
        bytes,
      }));
    const caps = { ...WIDE, rows: 100 };
    const { pages } = await packPages(source.client, { table: 'Events', cells, caps });
    const [batch] = batches(pages, { tenant: 'demo', table: 'Events', prefix: 'r', bytes: 1e12 });
    if (!batch) throw new Error('Nothing to fetch.');
    const stop = new AbortController();
    let seen = 0;
    const first = fetchBatch(
      await createLanding(root, batch, 'r1'),
      source.options({
        caps,
        signal: stop.signal,
        onPage: () => {
          if (++seen === 5) stop.abort();
        },
      }),
    );
    await expect(first).rejects.toMatchObject({ failure: 'stopped' });
    const [landing] = await openLandings(root, 'demo', 'Events', 'r2');
    if (!landing) throw new Error('The batch was not found.');
    const kept = landing.landed.size;
    expect(kept).toBeGreaterThanOrEqual(5);
    const before = source.calls();
    const fetched = await fetchBatch(landing, source.options({ caps }));
    expect(source.calls() - before).toBe(pages.length - kept);
    const total = [...view.cells.values()].reduce((sum, { fingerprint }) => combine(sum, fingerprint), EMPTY);
    expect(await landedFingerprint(fetched.landed)).toEqual(total);
    expect(await readdir(join(root, 'demo', 'Events'))).toEqual(['r-00001']);
  });

  test('by a failure leaves only complete pages', async () => {
    const source = await start({
      ...base,
      faults: [{ match: { kind: 'page' }, after: 2, times: null, reply: { kind: 'status', status: 403 } }],
    });
    const pages = Array.from({ length: 6 }, (_, k): Page => {
      const from = now - BigInt(100 - k * 10) * HOUR;
      return { id: `p${k}`, windows: [{ from, to: from + HOUR }], rows: undefined, bytes: 1000 };
    });
    const root = await scratch();
    const batch = { ...onePage([], undefined), windows: pages.flatMap(({ windows }) => windows), pages };
    const landing = await createLanding(root, batch, 'r');
    await expect(fetchBatch(landing, source.options())).rejects.toMatchObject({ failure: 'auth' });
    expect((await readdir(landing.folder)).filter((name) => name.endsWith('.tmp'))).toEqual([]);
    const [kept] = await openLandings(root, 'demo', 'Events', 'r2');
    expect([...(kept?.landed.keys() ?? [])]).toEqual([...landing.landed.keys()]);
  });
});
