/** Which shard has a tenant. The values here must never change: lakes are divided by them. */
import { describe, expect, it } from 'vitest';
import { mayShareTenants, parseShard, shardFolder, shardIndex, shardOfFolder } from '../../src/model/shard.ts';
import { mirrorBelow, parseMirrorPlace, showMirrorPlace } from '../../src/model/mirror-address.ts';

describe('the shard of a tenant', () => {
  it.each([
    ['acme', [0, 2, 1, 105]],
    ['riviera-paris', [0, 2, 5, 837]],
    ['007', [0, 0, 3, 171]],
    ['null', [0, 1, 7, 727]],
    ['T-0042', [0, 0, 7, 55]],
    ['a', [0, 0, 3, 699]],
  ])('%s is where it has always been', (tenant, indexes) => {
    expect([1, 3, 8, 1000].map((of) => shardIndex(tenant, of))).toEqual(indexes);
  });

  it('is one of about equally large ones', () => {
    const sizes = Array.from({ length: 8 }, () => 0);
    for (let nth = 0; nth < 8000; nth++) {
      const index = shardIndex(`tenant-${nth}`, 8);
      sizes[index] = (sizes[index] ?? 0) + 1;
    }
    expect([Math.min(...sizes) > 900, Math.max(...sizes) < 1100]).toEqual([true, true]);
  });

  it.each([
    [1, 2],
    [2, 3],
    [2, 4],
    [6, 4],
  ])('may be in these of %i and of %i shards, and in no other two', (m, n) => {
    const indexes = Array.from({ length: 1000 }, (_, nth) =>
      [shardIndex(`t${nth}`, m), shardIndex(`t${nth}`, n)].join(),
    );
    const pairs = Array.from({ length: m * n }, (_, nth) => [Math.floor(nth / n), nth % n] as const);
    const may = pairs.filter(([i, j]) => mayShareTenants({ index: i, of: m }, { index: j, of: n }));
    expect(may.map((pair) => pair.join())).toEqual([...new Set(indexes)].toSorted());
  });
});

describe('a shard', () => {
  it('is written as index and number, counted from 0', () => {
    expect(parseShard('0/1')).toEqual({ index: 0, of: 1 });
    expect(parseShard('7/8')).toEqual({ index: 7, of: 8 });
    for (const text of ['8/8', '1/0', '-1/8', '1', '1/8/2', '01/8', '1/1001', ' 1/8', '1 / 8', ''])
      expect([text, parseShard(text)]).toEqual([text, undefined]);
  });

  it('has a folder of its own below the data directory, and a single one has all of it', () => {
    expect(shardFolder('/data', { index: 3, of: 8 })).toBe('/data/shards/3-of-8');
    expect(shardFolder('/data', { index: 0, of: 1 })).toBe('/data');
    expect(['3-of-8', '8-of-8', '0-of-1', 'page'].map(shardOfFolder)).toEqual([
      { index: 3, of: 8 },
      undefined,
      undefined,
      undefined,
    ]);
  });

  it('has a prefix of its own in the mirror', () => {
    const shown = ['s3://bucket/lake', 's3://bucket', 'az://container/a/b', '/mnt/lake', 'lake/'].map((text) => {
      const place = parseMirrorPlace(text);
      return place && showMirrorPlace(mirrorBelow(place, 'shards/3-of-8'));
    });
    expect(shown).toEqual([
      's3://bucket/lake/shards/3-of-8',
      's3://bucket/shards/3-of-8',
      'az://container/a/b/shards/3-of-8',
      '/mnt/lake/shards/3-of-8',
      'lake/shards/3-of-8',
    ]);
  });
});
