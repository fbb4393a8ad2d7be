import { describe, expect, test } from 'vitest';
import type { Drift } from '../../../src/model/report.ts';
import { publish } from '../../../src/load/publish/publish.ts';
import { readCatalogue as read } from '../support/catalogue.ts';
import { event, load, scratchLake, span } from '../support/lake.ts';
import type { Scratch } from '../support/lake.ts';
import { CAMPAIGN } from '../../support/campaign.ts';

/** Loads one day in a run of its own: `count` rows of type Scan, each with these properties. */
async function day(lake: Scratch, number: number, count: number, properties: (k: number) => object, more: readonly unknown[][] = []): Promise<readonly Drift[]> {
  const date = `2026-07-${String(number).padStart(2, '0')}`;
  const rows = Array.from({ length: count }, (_, k) =>
    event(`${date}-${k}`, `${date}T10:00:00.${String(k).padStart(7, '0')}Z`, { type: 'Scan', properties: JSON.stringify(properties(k)) }),
  );
  await load(lake, span(`${date}T00:00:00Z`, `2026-07-${String(number + 1).padStart(2, '0')}T00:00:00Z`), [...rows, ...more], { run: `run-${number}`, guard: false });
  return (await publish(lake.ledger, { run: `run-${number}`, head: false })).drift;
} // oxfmt-ignore

const brief = (drift: readonly Drift[]): string[] =>
  drift.map(({ change, type, path, kind, at }) => [change, type, path, kind, at.slice(0, 10)].join(' ')).sort();

describe('drift', () => {
  test('reports a new path, a new kind at a known path, and a path that stopped, each once', async () => {
    await using lake = await scratchLake();
    expect(await day(lake, 1, 40, () => ({ passId: 'A', old: 1 }))).toEqual([]);
    expect(brief(await day(lake, 2, 40, () => ({ passId: 7, source: { medium: 'email' } })))).toEqual([
      'new_kind Scan passId bigint 2026-07-02',
      'new_path Scan source object 2026-07-02',
      'stopped Scan old bigint 2026-07-01',
    ]);
    expect(await day(lake, 3, 40, () => ({ passId: 7, source: { medium: 'email' } }))).toEqual([]);
    expect(await read(lake.dir, 'select change, path, run from property_drift order by change')).toEqual([
      { change: 'new_kind', path: 'passId', run: 'run-2' },
      { change: 'new_path', path: 'source', run: 'run-2' },
      { change: 'stopped', path: 'old', run: 'run-2' },
    ]);
  });

  test('forgets what earlier rows show not to be new, such as late rows or those of a file that was damaged', async () => {
    await using lake = await scratchLake();
    await day(lake, 2, 40, () => ({ a: 1 }));
    await day(lake, 3, 40, () => ({ a: 'x', b: 1, c: 1 }));
    const entries = 'select change, path, kind, changed_at::date::varchar as day from property_drift order by all';
    expect(await read(lake.dir, entries)).toEqual([
      { change: 'new_kind', path: 'a', kind: 'text', day: '2026-07-03' },
      { change: 'new_path', path: 'b', kind: 'bigint', day: '2026-07-03' },
      { change: 'new_path', path: 'c', kind: 'bigint', day: '2026-07-03' },
    ]);
    await day(lake, 1, 40, () => ({ a: 'x', b: 2 }));
    expect(await read(lake.dir, entries)).toEqual([
      { change: 'new_kind', path: 'a', kind: 'bigint', day: '2026-07-02' },
      { change: 'new_path', path: 'c', kind: 'bigint', day: '2026-07-03' },
    ]);
  });

  test('does not report rare paths, which come and go by chance', CAMPAIGN, async () => {
    await using lake = await scratchLake();
    await day(lake, 1, 40, (k) => ({ passId: 'A', ...(k === 0 ? { gone: 1 } : {}) }));
    expect(await day(lake, 2, 40, (k) => ({ passId: 'A', ...(k === 0 ? { rare: 1 } : {}) }))).toEqual([]);
  });

  test('reports a new type without its paths', CAMPAIGN, async () => {
    await using lake = await scratchLake();
    await day(lake, 1, 40, () => ({ a: 1 }));
    const fresh = Array.from({ length: 40 }, (_, k) =>
      event(`n-${k}`, '2026-07-02T11:00:00Z', { type: 'Redeemed', properties: '{"x":1}' }),
    );
    expect(brief(await day(lake, 2, 1, () => ({ a: 1 }), fresh))).toEqual(['new_type Redeemed   2026-07-02']);
  });

  test('in the first load is recorded and not reported as new', CAMPAIGN, async () => {
    await using lake = await scratchLake();
    const rows = (date: string, properties: string): unknown[][] =>
      Array.from({ length: 40 }, (_, k) => event(`${date}-${k}`, `${date}T10:00:00Z`, { type: 'Scan', properties }));
    await load(lake, span('2026-07-01T00:00:00Z', '2026-07-03T00:00:00Z'), [...rows('2026-07-01', '{"a":1}'), ...rows('2026-07-02', '{"a":1,"b":2}')]); // oxfmt-ignore
    expect((await publish(lake.ledger, { run: 'run-1', head: false })).drift).toEqual([]);
    expect(await read(lake.dir, 'select change, path from property_drift')).toEqual([
      { change: 'new_path', path: 'b' },
    ]);
  });

  test('forgets a stopped path when it is sent again, and erased ones', CAMPAIGN, async () => {
    await using lake = await scratchLake();
    await day(lake, 1, 40, () => ({ a: 1, b: 1 }));
    await day(lake, 2, 40, () => ({ a: 1, c: 1 }));
    await day(lake, 3, 40, () => ({ a: 1, b: 1, c: 1 }));
    const left = await read(lake.dir, 'select change, path from property_drift order by all');
    expect(left).toEqual([{ change: 'new_path', path: 'c' }]);
    await day(lake, 2, 0, () => ({}));
    await day(lake, 3, 0, () => ({}));
    expect(await read(lake.dir, 'select change, path from property_drift')).toEqual([]);
  });
});
