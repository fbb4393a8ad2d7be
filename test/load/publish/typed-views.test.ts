import { DuckDBInstance } from '@duckdb/node-api';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { publish } from '../../../src/load/publish/publish.ts';
import { columnName, shown, snake, viewName } from '../../../src/transform/names.ts';
import { readCatalogue as read } from '../support/catalogue.ts';
import { event, load, metric, scratchLake, span } from '../support/lake.ts';
import type { Scratch } from '../support/lake.ts';
import { CAMPAIGN } from '../../support/campaign.ts';

const DAY = span('2026-07-03T00:00:00Z', '2026-07-04T00:00:00Z');
const NEXT = span('2026-07-04T00:00:00Z', '2026-07-05T00:00:00Z');

function of(type: string, id: string, properties: unknown, time = '2026-07-03T10:00:00Z'): unknown[] {
  return event(id, time, { type, properties: properties === '' ? '' : JSON.stringify(properties) });
}

async function published(lake: Scratch): Promise<void> {
  await publish(lake.ledger, { run: 'run', head: false });
}

async function viewNames(lake: Scratch): Promise<unknown[]> {
  await published(lake);
  const rows = await read(
    lake.dir,
    `select view_name as name from duckdb_views() where comment like '% of type %' order by 1`,
  );
  return rows.map(({ name }) => name);
}

async function columnsOf(lake: Scratch, view: string): Promise<string[]> {
  const rows = await read(lake.dir, `describe ${view}`);
  return rows.map((row) => `${String(row['column_name'])} ${String(row['column_type'])}`);
}

describe('a view per type', () => {
  test('has a row per row of its type, and a typed, documented column per path', async () => {
    await using lake = await scratchLake();
    await load(lake, DAY, [
      of('Pass:Installed', 'a', { passId: 'A', order: 1, registrationSource: { tags: ['x', 'y'], medium: 'email' } }),
      of('Pass:Installed', 'b', { passId: 7, order: 2, isNew: true, seenAt: '2026-07-03T09:00:00+02:00' }),
      of('Pass:Removed', 'c', { passId: 'A', timestamp: 5 }),
      of('Pass:Removed', 'd', ''),
    ]);
    expect(await viewNames(lake)).toEqual(['event_pass_installed', 'event_pass_removed']);
    expect(
      await read(
        lake.dir,
        `select event_id, pass_id, property_order, is_new, seen_at, medium,
           registration_source_tags->>0 as tag from event_pass_installed order by event_id`,
      ),
    ).toEqual([
      { event_id: 'a', pass_id: 'A', property_order: '1', is_new: null, seen_at: null, medium: 'email', tag: 'x' },
      { event_id: 'b', pass_id: '7', property_order: '2', is_new: true, seen_at: '2026-07-03 07:00:00+00', medium: null, tag: null },
    ]); // oxfmt-ignore
    expect(await columnsOf(lake, 'event_pass_removed')).toEqual([
      'tenant_id VARCHAR', 'month VARCHAR', 'event_id VARCHAR', 'timestamp TIMESTAMP WITH TIME ZONE', 'source_tenant_id VARCHAR',
      'event_type VARCHAR', 'operation_id VARCHAR', 'pass_id VARCHAR', 'property_timestamp BIGINT', 'properties JSON',
    ]); // oxfmt-ignore
    expect(await read(lake.dir, 'select count(*)::integer as n, count(properties)::integer as given from event_pass_removed')).toEqual([{ n: 2, given: 1 }]); // oxfmt-ignore
    expect(await read(lake.dir, `select comment from duckdb_views() where view_name = 'event_pass_installed'`)).toContainEqual({ comment: 'Events of type "Pass:Installed"' }); // oxfmt-ignore
    expect(
      await read(
        lake.dir,
        `select comment from duckdb_columns() where schema_name = 'main' and table_name = 'event_pass_installed' and column_name in ('registration_source_tags', 'medium')  order by 1`,
      ),
    ).toEqual([{ comment: 'Channel of an installation' }, { comment: 'properties: registrationSource.tags' }]);
  });

  test('exists as soon as the type was seen once, and is shared by spellings of one type', CAMPAIGN, async () => {
    await using lake = await scratchLake();
    await load(lake, DAY, [of('Pass:Created', 'a', { a: 1 })]);
    expect(await viewNames(lake)).toEqual(['event_pass_created']);
    await load(lake, NEXT, [
      of('pass.created', 'b', { b: 'x' }, '2026-07-04T10:00:00Z'),
      of('Scan', 'c', {}, '2026-07-04T10:00:00Z'),
    ]);
    expect(await viewNames(lake)).toEqual(['event_pass_created', 'event_scan']);
    expect(await read(lake.dir, 'select event_type, a, b from event_pass_created order by event_id')).toEqual([
      { event_type: 'Pass:Created', a: '1', b: null },
      { event_type: 'pass.created', a: null, b: 'x' },
    ]);
  });

  test('keeps its name and columns when later types would take them', CAMPAIGN, async () => {
    await using lake = await scratchLake();
    await load(lake, DAY, [of('pass-scan', 'a', { cardId: 'A' })]);
    expect(await viewNames(lake)).toEqual(['event_pass_scan']);
    await load(lake, NEXT, [of('Pass Scan', 'b', { card_id: 'B', cardId: 'A' }, '2026-07-04T10:00:00Z')]);
    await load(lake, DAY, [of('pass-scan', 'a', { cardId: 'A', card_id: 'other', aaa: 1 })]);
    expect(await viewNames(lake)).toEqual(['event_pass_scan', 'event_pass_scan_2']);
    expect(await read(lake.dir, 'select event_type, card_id, card_id_2, aaa from event_pass_scan')).toEqual([
      { event_type: 'pass-scan', card_id: 'A', card_id_2: 'other', aaa: '1' },
    ]);
    const columns = await columnsOf(lake, 'event_pass_scan');
    expect(columns.indexOf('card_id VARCHAR')).toBeLessThan(columns.indexOf('aaa BIGINT'));
    // The first type disappears and returns; both types still have their names.
    await load(lake, DAY, [], { guard: false });
    expect(await viewNames(lake)).toEqual(['event_pass_scan_2']);
    await load(lake, DAY, [of('pass-scan', 'a', { cardId: 'A' })]);
    expect(await viewNames(lake)).toEqual(['event_pass_scan', 'event_pass_scan_2']);
  });

  test(
    'has a promoted column instead of its only path, and next to the paths if there are several',
    CAMPAIGN,
    async () => {
      await using lake = await scratchLake();
      await load(lake, DAY, [of('Scan', 'a', { passId: 'A', statusCode: 'none' })]);
      await published(lake);
      const own = async (): Promise<string[]> => (await columnsOf(lake, 'event_scan')).slice(7, -1);
      expect(await own()).toEqual(['pass_id VARCHAR', 'status_code BIGINT', 'property_status_code VARCHAR']);
      await load(lake, NEXT, [of('Scan', 'b', { pass: { id: 'B' } }, '2026-07-04T10:00:00Z')]);
      await published(lake);
      expect(await own()).toEqual([
      'pass_id VARCHAR', 'status_code BIGINT', 'property_pass_id VARCHAR', 'property_status_code VARCHAR', 'property_pass_id_2 VARCHAR',
    ]); // oxfmt-ignore
      expect(await read(lake.dir, 'select pass_id, property_pass_id_2 as nested from event_scan order by 1')).toEqual([
        { pass_id: 'A', nested: null },
        { pass_id: 'B', nested: 'B' },
      ]);
    },
  );

  test('never takes the name of another table, view or macro of the catalogue', CAMPAIGN, async () => {
    await using lake = await scratchLake();
    await load(lake, DAY, [of('facts', 'a', { a: 1 })]);
    await load(lake, DAY, [metric('m', '2026-07-03T10:00:00Z', '[1]', { type: 'values' })], { table: 'Metrics' });
    expect(await viewNames(lake)).toEqual(['event_facts_2', 'metric_values_2']);
    expect(await read(lake.dir, 'select event from event_facts')).toEqual([{ event: 'facts' }]);
  });

  test('has a safe name for any name of the type and its keys', CAMPAIGN, async () => {
    await using lake = await scratchLake();
    const long = 'x'.repeat(65_536);
    const types = [`"; drop table events; --`, `'quoted'`, 'select', '\u202Eevil', '注册', long, '1st', '', '%s\n\t'];
    const keys = { select: 1, 'a"b': 2, "a'b": 3, 'a/b~c.d': 4, '\u202Ekey': 5, 名: 6, ['k'.repeat(400)]: 7, '': 8, '1st': 9, '[]': 10 };
    await load(lake, DAY, types.map((type, k) => of(type, `id-${k}`, keys))); // oxfmt-ignore
    const names = await viewNames(lake);
    expect(names).toHaveLength(types.length);
    for (const name of names) {
      expect(name).toMatch(/^event_[a-z0-9_注册]{1,54}$/);
      const [row] = await read(lake.dir, `from ${String(name)}`);
      expect(Object.keys(row ?? {}).filter((column) => !/^[a-z][a-z0-9_]{0,59}$/.test(column))).toEqual(['名']);
      expect(row).toMatchObject({ property_select: '1', a_b: '2', a_b_2: '3', a_b_c_d: '4', key: '5', property_1st: '9' });
    }
    const comments = await read(lake.dir, `select comment from duckdb_views() where comment like '% of type %' union all select comment from duckdb_columns() where comment is not null`);
    const text = JSON.stringify(comments.map(({ comment }) => comment));
    expect(text).not.toMatch(/[\u202A-\u202E]/);
    expect(text).toContain('u202e');
    expect(await read(lake.dir, 'select count(*)::integer as n from events')).toEqual([{ n: types.length }]);
  }); // oxfmt-ignore

  test('shows the rows and keys of all tenants', CAMPAIGN, async () => {
    await using lake = await scratchLake();
    await load(lake, DAY, [of('Scan', 'a', { mine: 1 })]);
    await load(lake, DAY, [of('Scan', 'b', { theirs: 'x' })], { tenant: 'other' });
    await load(lake, DAY, [of('Own', 'c', {})], { tenant: 'third' });
    expect(await viewNames(lake)).toEqual(['event_own', 'event_scan']);
    expect(await read(lake.dir, 'select tenant_id, mine, theirs from event_scan order by 1')).toEqual([
      { tenant_id: 'acme', mine: '1', theirs: null },
      { tenant_id: 'other', mine: null, theirs: 'x' },
    ]);
  });

  test('has columns for the value of a metric too', CAMPAIGN, async () => {
    await using lake = await scratchLake();
    await load(
      lake,
      DAY,
      [
        metric('a', '2026-07-03T10:00:00Z', '[{"apple":3,"google":1}]', { type: 'passes.installed', properties: '{"value":"p"}' }),
        metric('b', '2026-07-03T10:00:00Z', '[12]', { type: 'passes.total' }),
        metric('c', '2026-07-03T11:00:00Z', '[12.5]', { type: 'passes.total' }),
      ],
      { table: 'Metrics' },
    ); // oxfmt-ignore
    await published(lake);
    expect(
      await read(lake.dir, 'select value_apple, value_google, property_value from metric_passes_installed'),
    ).toEqual([{ value_apple: '3', value_google: '1', property_value: 'p' }]);
    expect(await read(lake.dir, 'select value from metric_passes_total order by 1')).toEqual([
      { value: 12 },
      { value: 12.5 },
    ]);
  });
});

describe('the numbers of metrics', () => {
  test('are listed one per row with their path, and list members with their position', CAMPAIGN, async () => {
    await using lake = await scratchLake();
    const values = ['[{"apple":3,"by store":{"PAR":1.5,"name":"x"}}]', '[[7,"no",{"n":-8}]]', '[42]', '["5"]', '[null]', ''];
    await load(lake, DAY, values.map((value, k) => metric(`m${k}`, '2026-07-03T10:00:00Z', value)), { table: 'Metrics' });
    await published(lake);
    expect(await read(lake.dir, 'select metric_id as id, path, key, position, value_number as n from metric_values order by all')).toEqual([
      { id: 'm0', path: 'apple', key: 'apple', position: null, n: 3 },
      { id: 'm0', path: 'by store.PAR', key: 'PAR', position: null, n: 1.5 },
      { id: 'm1', path: '[0]', key: '0', position: '0', n: 7 },
      { id: 'm1', path: '[2].n', key: 'n', position: null, n: -8 },
      { id: 'm2', path: null, key: null, position: null, n: 42 },
    ]);
  }); // oxfmt-ignore
});

describe('the catalogue for other tools', () => {
  test('has the shared definitions and can be attached under any name', CAMPAIGN, async () => {
    await using lake = await scratchLake();
    await load(lake, DAY, [of('Pass:Installed', 'a', { passId: 'A', device: 'apple' })]);
    await published(lake);
    const instance = await DuckDBInstance.create(':memory:');
    const connection = await instance.connect();
    const rows = async (sql: string): Promise<unknown[]> =>
      (await connection.runAndReadAll(sql)).getRowObjectsJson();
    await connection.run(`attach '${join(lake.dir, 'insights.duckdb')}' as lake (read_only)`);
    expect(await rows('select pass_id from lake.event_pass_installed')).toEqual([{ pass_id: 'A' }]);
    expect(await rows('select pass_id from lake.acme.events')).toEqual([{ pass_id: 'A' }]);
    expect(await rows('select pass_id, wallet_status from lake.passes')).toEqual([{ pass_id: 'A', wallet_status: 'apple' }]);
    await connection.run('use lake');
    expect(await rows(`select active_passes::integer as n from daily_active`)).toEqual([{ n: 1 }]);
    expect(await rows(`select count(*)::integer as n from periods('events', null, 'UTC', 'day', null, null)`)).toEqual([{ n: 1 }]);
    const undocumented = await rows(
      `select view_name as name from duckdb_views() where not internal and comment is null
       union all select function_name from duckdb_functions() where not internal and comment is null`,
    );
    expect(undocumented).toEqual([]);
    connection.closeSync();
    instance.closeSync();
  }); // oxfmt-ignore
});

describe('names', () => {
  test('are lower-case words joined by underscores', () => {
    const names = {
      'Pass:Installed': 'pass_installed', HTTPError: 'http_error', 'passes.total': 'passes_total', 'Ünïcode—x': 'unicode_x', a__b: 'a_b',
      '日本 ID': '日本_id', имяКлиента: 'имя_клиента', ΌνομαΠελάτη: 'όνομα_πελάτη', 'اسم العميل': 'اسم_العميل', 'ग्राहक-नाम': 'ग्राहक_नाम',
      고객번호: '고객번호', 'ガ.パ': 'ガ_パ', '👍🏽ok': '👍🏽ok', '❤️': '❤', '\u0301a': 'a', '\u202E—©': '',
    }; // oxfmt-ignore
    expect(Object.fromEntries(Object.keys(names).map((name) => [name, snake(name)]))).toEqual(names);
  });

  test('differ if long names differ, and never exceed 60 bytes', () => {
    const names = ['a', 'b'].map((end) => viewName('event', `${'long '.repeat(30)}${end}`, () => false));
    expect(new Set(names).size).toBe(2);
    expect(names.every((name) => name.length <= 60)).toBe(true);
    expect(columnName('properties', `/${'k'.repeat(300)}`, () => false, () => false)).toHaveLength(60); // oxfmt-ignore
    expect(Buffer.byteLength(columnName('properties', `/${'鍵'.repeat(300)}`, () => false, () => false))).toBe(60); // oxfmt-ignore
  });

  test('show text of the source without characters that control a terminal or change its direction', () => {
    expect(shown('a\u001B[31m\u202Eb')).toBe('a\\u001b[31m\\u202eb');
    expect(shown('x'.repeat(300))).toHaveLength(201);
  });
});
