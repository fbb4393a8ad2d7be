import { describe, expect, test } from 'vitest';
import { compactMonths } from '../../../src/load/maintenance/compact.ts';
import { publish } from '../../../src/load/publish/publish.ts';
import { DAILY, at, event, load, metric, scratchLake, span } from '../support/lake.ts';
import type { Scratch } from '../support/lake.ts';
import { readCatalogue as read } from '../support/catalogue.ts';
import { CAMPAIGN } from '../../support/campaign.ts';

const DAY = span('2026-07-03T00:00:00Z', '2026-07-04T00:00:00Z');
const NEXT = span('2026-07-04T00:00:00Z', '2026-07-05T00:00:00Z');

function installed(id: string, time: string, properties: unknown): unknown[] {
  return event(id, time, { type: 'Pass:Installed', properties: JSON.stringify(properties) });
}

async function paths(lake: Scratch, where = 'true'): Promise<Record<string, unknown>[]> {
  await publish(lake.ledger, { run: 'run', head: false });
  return read(
    lake.dir,
    `select path, inferred_type as type, rows::integer as rows, share from properties where path <> '$' and ${where} order by path`,
  );
}

describe('the property catalogue', () => {
  test('counts the rows that have each path, and infers its type', async () => {
    await using lake = await scratchLake();
    await load(lake, DAY, [
      installed('a', '2026-07-03T10:00:00Z', { passId: 'A', count: 1, at: '2026-07-03T09:00:00Z', tags: ['x'] }),
      installed('b', '2026-07-03T11:00:00Z', { passId: 'B', count: 2.5, at: null, source: { medium: 'email' } }),
      installed('c', '2026-07-03T12:00:00Z', { passId: 7, isNew: true, at: '2026-07-03T09:00:00+02:00' }),
      installed('d', '2026-07-03T12:00:00Z', { isNew: false, number: 12345678901234567890n.toString(), empty: {} }),
      event('e', '2026-07-03T13:00:00Z', { type: 'Other', properties: '' }),
    ]);
    expect(await paths(lake)).toEqual([
      { path: 'at', type: 'TIMESTAMP WITH TIME ZONE', rows: 2, share: 0.5 },
      { path: 'count', type: 'DOUBLE', rows: 2, share: 0.5 },
      { path: 'empty', type: 'JSON', rows: 1, share: 0.25 },
      { path: 'isNew', type: 'BOOLEAN', rows: 2, share: 0.5 },
      { path: 'number', type: 'VARCHAR', rows: 1, share: 0.25 },
      { path: 'passId', type: 'VARCHAR', rows: 3, share: 0.75 },
      { path: 'source', type: 'JSON', rows: 1, share: 0.25 },
      { path: 'source.medium', type: 'VARCHAR', rows: 1, share: 0.25 },
      { path: 'tags', type: 'JSON', rows: 1, share: 0.25 },
      { path: 'tags[]', type: 'VARCHAR', rows: 1, share: 0.25 },
    ]);
    expect(
      await read(
        lake.dir,
        `select kinds::varchar as kinds, strftime(first_seen_at, '%H') as first, strftime(last_seen_at, '%H') as last
         from properties where path in ('passId', 'at') order by path`,
      ),
    ).toEqual([
      { kinds: `['null', timestamp]`, first: '10', last: '12' },
      { kinds: '[bigint, text]', first: '10', last: '12' },
    ]);
  });

  test('names each path differently, exact shares, and columns that the views have', async () => {
    await using lake = await scratchLake();
    const url = 'https://shop.example/page?x=1';
    const odd = { 'a.b': 1, a: { b: 2, '': 3 }, 'x[]': 4, x: [5], '': 6, $: 7, 'say "hi"': 8, 'co\\de': 9 };
    await load(lake, DAY, [
      installed('a', '2026-07-03T10:00:00Z', { ...odd, passId: 'A', device: 'apple', registrationSource: { origin: url, medium: 'email' } }),
      installed('b', '2026-07-03T11:00:00Z', { passId: 'B' }),
      installed('c', '2026-07-03T12:00:00Z', { 客户: 'x' }),
    ]); // oxfmt-ignore
    const rows = await paths(lake);
    const names = [
      '""',
      '"$"',
      '"a.b"',
      '"co\\\\de"',
      '"say \\"hi\\""',
      '"x[]"',
      'a',
      'a.""',
      'a.b',
      'x',
      'x[]',
      '客户',
    ];
    expect(rows.map(({ path }) => path)).toEqual(expect.arrayContaining(names));
    expect(new Set(rows.map(({ path }) => path)).size).toBe(rows.length);
    expect(rows.find(({ path }) => path === 'a.b')).toMatchObject({ rows: 1, share: 1 / 3 });
    const columns = await read(
      lake.dir,
      `select path, column_name, exists (
         select 1 from duckdb_columns() as c where c.table_name = view_name and c.column_name = properties.column_name) as is_there
       from properties where properties.column_name is not null`,
    );
    expect(columns.filter((column) => column['is_there'] !== true)).toEqual([]);
    expect(columns).toEqual(
      expect.arrayContaining([
        { path: 'passId', column_name: 'pass_id', is_there: true },
        { path: 'registrationSource.medium', column_name: 'medium', is_there: true },
        { path: 'registrationSource.origin', column_name: 'registration_source_origin', is_there: true },
      ]),
    );
    expect(
      await read(
        lake.dir,
        `select origin_host, registration_source_origin as origin from event_pass_installed where pass_id = 'A'`,
      ),
    ).toEqual([{ origin_host: 'shop.example', origin: url }]);
  });

  test('infers a timestamp or a bigint only if every value of the path is one', async () => {
    await using lake = await scratchLake();
    const big = '9223372036854775808';
    await load(lake, DAY, [
      event('a', '2026-07-03T10:00:00Z', { properties: `{"at":"2026-07-03T09:00:00Z","due":"2026-07-03T09:00:00Z","id":${big},"n":1}` }),
      event('b', '2026-07-03T10:00:01Z', { properties: `{"at":"2026-07-03 09:00:00.5","due":"tomorrow","id":1,"n":-9223372036854775808}` }),
    ]); // oxfmt-ignore
    expect(await paths(lake)).toMatchObject([
      { path: 'at', type: 'TIMESTAMP WITH TIME ZONE' },
      { path: 'due', type: 'VARCHAR' },
      { path: 'id', type: 'VARCHAR' },
      { path: 'n', type: 'BIGINT' },
    ]);
    expect(await read(lake.dir, 'select id from event_pass_created order by event_id')).toEqual([
      { id: big },
      { id: '1' },
    ]);
  });

  test('infers a timestamp under any key, whatever the texts around it hold', async () => {
    await using lake = await scratchLake();
    const keys = ['a b', 'quote"s', 'back\\slash', '~x/y', 'é'];
    const properties = JSON.stringify({
      odd: '"at":"2026-07-03T09:00:00Z',
      '\\"': ':"2026-07-03T09:00:00Z"',
      ...Object.fromEntries(keys.map((key) => [key, '2026-07-03T09:00:00Z'])),
      long: 'x'.repeat(60_000),
      last: '2026-07-03T09:00:00Z',
    });
    await load(lake, DAY, [event('a', '2026-07-03T10:00:00Z', { properties })]);
    await publish(lake.ledger, { run: 'run', head: false });
    const found = await read(
      lake.dir,
      `select json_pointer from properties where inferred_type = 'TIMESTAMP WITH TIME ZONE' order by all`,
    );
    const pointers = [...keys, 'last'].map((key) => `/${key.replaceAll('~', '~0').replaceAll('/', '~1')}`);
    expect(found).toEqual(pointers.sort().map((pointer) => ({ json_pointer: pointer })));
  });

  test('counts an hour that is loaded again once, and erased rows no more', CAMPAIGN, async () => {
    await using lake = await scratchLake();
    const rows = [
      installed('a', '2026-07-03T10:00:00Z', { passId: 'A', rare: 1 }),
      installed('b', '2026-07-03T11:00:00Z', { passId: 'B' }),
    ];
    await load(lake, DAY, rows);
    await load(lake, NEXT, [installed('c', '2026-07-04T11:00:00Z', { passId: 'C' })]);
    const before = await paths(lake);
    expect(before).toMatchObject([
      { path: 'passId', rows: 3 },
      { path: 'rare', rows: 1 },
    ]);
    await load(lake, DAY, rows);
    expect(await paths(lake)).toEqual(before);
    await load(lake, DAY, rows.slice(1));
    expect(await paths(lake)).toMatchObject([{ path: 'passId', rows: 2 }]);
    expect(await read(lake.dir, `select count(*)::integer as n from duckdb_columns() where column_name = 'rare'`)).toEqual([{ n: 0 }]); // oxfmt-ignore
  });

  test('is the same after days became a month, and after the ledger was lost', CAMPAIGN, async () => {
    await using lake = await scratchLake(DAILY);
    await load(lake, DAY, [installed('a', '2026-07-03T10:00:00Z', { passId: 'A' })]);
    await load(lake, NEXT, [installed('b', '2026-07-04T10:00:00Z', { passId: 'B', extra: 1 })]);
    const before = await paths(lake);
    await lake.ledger.run(`update hours set state = 'verified'`);
    expect(await compactMonths(lake.ledger, { run: 'run', at: at('2026-11-01T00:00:00Z') })).toMatchObject({
      months: 1,
    });
    expect(await paths(lake)).toEqual(before);
    await lake.ledger.run('delete from property_counts');
    await lake.ledger.run('delete from snapshots');
    expect(await paths(lake)).toEqual(before);
  });

  test('estimates the counts of a type that fills a day, and counts its rows exactly', CAMPAIGN, async () => {
    await using lake = await scratchLake();
    const rows = Array.from({ length: 30_000 }, (_, k) =>
      installed(`id-${k}`, `2026-07-03T10:00:00.${String(k).padStart(7, '0')}Z`, { passId: `P${k}`, n: k % 3 === 0 ? k : null }),
    ); // oxfmt-ignore
    await load(lake, DAY, [...rows, event('few', '2026-07-03T11:00:00Z', { type: 'Few', properties: '{"a":1}' })]);
    await publish(lake.ledger, { run: 'run', head: false });
    const [all, whole, n, few] = await read(
      lake.dir,
      `select rows::integer as rows, is_estimate from properties where path in ('$', 'passId', 'n') and type <> 'Few' or path = 'a' order by type desc, path`,
    );
    expect([all, whole]).toEqual([{ rows: 30_000, is_estimate: true }, expect.objectContaining({ is_estimate: true })]);
    expect(few).toEqual({ rows: 1, is_estimate: false });
    expect(Number(whole?.['rows']) / 10_000).toBeCloseTo(1, 1);
    expect(n).toEqual({ rows: 30_000, is_estimate: true });
  });

  test('describes the values of metrics as well as their properties', async () => {
    await using lake = await scratchLake();
    await load(
      lake,
      DAY,
      [
        metric('a', '2026-07-03T10:00:00Z', '[{"apple":3,"google":1}]', { properties: '{"passType":"gold"}' }),
        metric('b', '2026-07-03T11:00:00Z', '[{"apple":4}]'),
      ],
      { table: 'Metrics' },
    );
    await publish(lake.ledger, { run: 'run', head: false });
    expect(
      await read(lake.dir, `select json_column as j, path, rows::integer as rows from properties order by all`),
    ).toEqual([
      { j: 'properties', path: '$', rows: 1 },
      { j: 'properties', path: 'passType', rows: 1 },
      { j: 'value', path: '$', rows: 2 },
      { j: 'value', path: 'apple', rows: 2 },
      { j: 'value', path: 'google', rows: 1 },
    ]);
  });
});
