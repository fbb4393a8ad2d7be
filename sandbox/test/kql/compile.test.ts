import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { NOW_TICKS, openEngine } from './support.ts';
import type { Answer, Engine } from './support.ts';

let engine: Engine;

beforeAll(async () => {
  engine = await openEngine(`
    insert into "Events" select printf('%08x-0000-4000-8000-00000000000%d', i, i % 10), 17830260000000000 + i * 3600000000 + i,
      't1', case when i % 3 = 0 then 'pass.installed' else 'PassRemoved' end, 'op-' || i,
      '{"userAgent":"Mozilla","device":{"os":"ios","v":[1,2.50]},"n":' || i || '}' from range(20) r(i);
    insert into "Events" values (null, 17830260000000007, 't1', 'null.id', '', null);
    insert into "Metrics" values
      ('00000000-0000-4000-8000-000000000001', 't1', 'passes', '1.0', '{}', 17830260000000001),
      ('00000000-0000-4000-8000-000000000002', 't1', 'passes', '"a"', '{}', 17830260000000002),
      ('00000000-0000-4000-8000-000000000003', 't1', 'passes', null, '{}', 17830260000000003),
      ('00000000-0000-4000-8000-000000000004', 't1', 'passes', '12345678901234567890', '{}', 17830260000000004),
      ('00000000-0000-4000-8000-000000000005', 't1', 'passes', '{"a": 1.50}', '{}', 17830260000000005);
  `);
});

afterAll(async () => {
  await engine[Symbol.asyncDispose]();
});

const run = (query: string): Promise<Answer> => engine.run(query);
const rows = async (query: string): Promise<(string | null)[][]> => (await run(query)).rows;
/** The values of a `print`. */
const row = async (expressions: string): Promise<(string | null)[]> => (await rows(`print ${expressions}`))[0] ?? [];

describe('a query that was seen before with other instants', () => {
  const query = (from: string, text: string): string =>
    `Events | where timestamp >= datetime(${from}) | summarize n = count() | project n, at = '${text}', d = dynamic(['${text}'])`;

  test('has its own instants, in datetimes and in texts', async () => {
    const all = await rows(query('2025-03-01T00:00:00Z', '2025-03-01T00:00:00Z'));
    const none = await rows(query('2036-02-29T00:00:00Z', '2036-02-29T00:00:00Z'));
    expect([all, none]).toEqual([
      [['21', '2025-03-01T00:00:00Z', '["2025-03-01T00:00:00Z"]']],
      [['0', '2036-02-29T00:00:00Z', '["2036-02-29T00:00:00Z"]']],
    ]);
  });

  test('is rejected when one of them does not exist, and the message quotes the query as it was sent', async () => {
    await expect(rows(query('2035-02-29T00:00:00Z', ''))).rejects.toThrow('2035-02-29');
    const wrong = `print datetime(2025-03-01T00:00:00Z) + '2025-03-01T00:00:00Z'`;
    await expect(rows(wrong)).rejects.toThrow(/^(?!.*1871)/s);
  });
});

describe('queries of the pipeline', () => {
  const fingerprints = `
    let upper = bin(now() - 5m, 1m);
    let cells = Events
    | where timestamp >= datetime(2025-03-01T00:00:00.0000000Z) and timestamp < upper
    | extend h = hash_md5(tolower(tostring(eventId)))
    | summarize n = count(), bytes = sum(150 + string_size(tostring(properties))),
        s0 = sum(tolong(strcat('0x', substring(h, 0, 8)))), s1 = sum(tolong(strcat('0x', substring(h, 8, 8)))),
        x = binary_all_xor(tolong(strcat('0x', substring(h, 16, 15)))) by cell = bin(timestamp, 1h);
    cells`;

  test('a fingerprint equals the one that DuckDB computes from the same rows; a null id counts as empty text', async () => {
    const answer = await rows(`${fingerprints} | project tostring(cell), n, s0, s1, x | order by cell asc`);
    const direct = await engine.connection.runAndReadAll(`
      select kql_datetime_text("timestamp" // 36000000000 * 36000000000) as cell, count(*)::varchar,
        sum(('0x' || substr(h, 1, 8))::bigint)::varchar, sum(('0x' || substr(h, 9, 8))::bigint)::varchar,
        bit_xor(('0x' || substr(h, 17, 15))::bigint)::varchar
      from (select "timestamp", md5(lower(coalesce("eventId", ''))) as h from "Events") group by 1 order by 1`);
    expect(answer).toEqual(direct.getRowsJson());
    expect(answer).toHaveLength(2);
  });

  test('the packed form has the cells in one text and the clock in a separate row', async () => {
    const answer = await run(`${fingerprints}
      | summarize part = strcat_array(make_list(strcat(tostring(cell), ' ', n)), ';') by chunk = bin(cell, 32d)
      | project part, at = '', upto = ''
      | union (print part = '', at = tostring(now()), upto = tostring(upper))`);
    expect(answer.columns.map((column) => column.type)).toEqual(['string', 'string', 'string']);
    const sorted = answer.rows.toSorted(([a = ''], [b = '']) => ((a ?? '') < (b ?? '') ? -1 : 1));
    expect(sorted[0]).toEqual(['', '2026-07-03T00:00:00.1234567Z', '2026-07-02T23:55:00.0000000Z']);
    expect(sorted[1]?.[0]?.split(';').toSorted()).toEqual([
      '2026-07-02T21:00:00.0000000Z 11',
      '2026-07-02T22:00:00.0000000Z 10',
    ]);
  });

  test('a page filters by plain comparisons on the stored ticks', () => {
    const { sql } = engine.compile(
      'Events | where timestamp >= datetime(2026-07-02T21:00:00Z) and timestamp < datetime(2026-07-02T22:00:00.0000001Z)',
    );
    expect(sql).toContain('("timestamp" >= 17830260000000000::bigint)');
    expect(sql).toContain('("timestamp" < 17830296000000001::bigint)');
  });

  test('a page has text columns, stored JSON unchanged, and no dropped key', async () => {
    const [first] = await rows(`Events
      | where timestamp >= datetime(2026-07-02T21:00:00Z) and timestamp < datetime(2026-07-02T21:00:00.0000007Z)
      | extend b = tolong(strcat('0x', substring(hash_md5(tolower(tostring(eventId))), 0, 4)))
      | where b >= 0 and b < 65536
      | take 50001
      | project eventId=tostring(eventId), timestamp=tostring(timestamp), tenantId=tostring(tenantId),
          properties=tostring(properties), kept=tostring(bag_remove_keys(properties, dynamic(['userAgent']))),
          same=tostring(bag_remove_keys(properties, dynamic(['absent'])))`);
    const stored = '{"userAgent":"Mozilla","device":{"os":"ios","v":[1,2.50]},"n":0}';
    expect(first?.slice(0, 4)).toEqual([
      '00000000-0000-4000-8000-000000000000',
      '2026-07-02T21:00:00.0000000Z',
      't1',
      stored,
    ]);
    expect(JSON.parse(first?.[4] ?? '')).toEqual({ device: { os: 'ios', v: [1, 2.5] }, n: 0 });
    expect(first?.[5]).toBe(stored);
  });

  test('a packed value of any kind keeps its stored text', async () => {
    expect(
      await rows('Metrics | order by timestamp asc | project tostring(pack_array(value)), tostring(value)'),
    ).toEqual([
      ['[1.0]', '1.0'],
      ['["a"]', 'a'],
      ['[null]', ''],
      ['[12345678901234567890]', '12345678901234567890'],
      ['[{"a": 1.50}]', '{"a": 1.50}'],
    ]);
  });

  test('windows joined by or, cells as hour numbers, minima and maxima, bit operations', async () => {
    expect(
      await rows(`Events
        | where (timestamp >= datetime(2026-07-02T21:00:00Z) and timestamp < datetime(2026-07-02T21:06:00Z))
            or (timestamp >= datetime(2026-07-02T22:00:00Z) and timestamp < datetime(2026-07-02T23:00:00Z))
        | summarize n = count(), lo = min(timestamp), hi = max(timestamp), low = binary_and(binary_shift_right(sum(7), 1), 3)
            by hour = tolong((bin(timestamp, 1h) - datetime(1970-01-01)) / 1h)
        | order by hour asc`),
    ).toEqual([
      ['495285', '2', '2026-07-02T21:00:00.0000000Z', '2026-07-02T21:00:00.0000007Z', '3'],
      ['495286', '10', '2026-07-02T22:00:00.0000010Z', '2026-07-02T22:54:00.0000019Z', '3'],
    ]);
  });

  test('the seventh digit of now() survives arithmetic', async () => {
    expect(await row('now(), now() - 1tick, now() - 1microsecond, ago(1h), tostring(now())')).toEqual([
      '2026-07-03T00:00:00.1234567Z',
      '2026-07-03T00:00:00.1234566Z',
      '2026-07-03T00:00:00.1234557Z',
      '2026-07-02T23:00:00.1234567Z',
      '2026-07-03T00:00:00.1234567Z',
    ]);
    expect(engine.compile('print now()', { nowTicks: 5n }).sql).toContain('5::bigint');
    expect(NOW_TICKS % 10n).toBe(7n);
  });

  test('getschema gives .NET types and reads no rows', async () => {
    expect(await rows('Events | getschema')).toContainEqual(['properties', '5', 'System.Object', 'dynamic']);
    expect(engine.compile('Events | getschema').sql).not.toContain('"Events"');
  });
});
