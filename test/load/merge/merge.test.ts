import { existsSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { CAMPAIGN } from '../../support/campaign.ts';
import { MassLossError } from '../../../src/kernel/errors.ts';
import type { Lane } from '../../../src/load/ledger/engine.ts';
import { heldHours } from '../../../src/load/ledger/hours.ts';
import { DAILY, at, event, load, metric, scratchLake, span, storedRows, TENANT } from '../support/lake.ts';
import type { Scratch } from '../support/lake.ts';

const DAY = span('2026-07-03T00:00:00Z', '2026-07-04T00:00:00Z');
const TEN = span('2026-07-03T10:00:00Z', '2026-07-03T11:00:00Z');
const FILE = 'store/events/tenant_id=acme/month=2026-07/2026-07-03';

async function ids({ ledger }: Scratch): Promise<unknown[]> {
  return (await storedRows(ledger)).map((row) => row['event_id']);
}

/** `n` rows, one per minute from midnight on. */
function rowsOf(n: number, prefix = 'r'): unknown[][] {
  return Array.from({ length: n }, (_, index) =>
    event(`${prefix}${index}`, new Date(Date.parse('2026-07-03T00:00:00Z') + index * 60_000).toISOString()),
  );
}

describe('a first load', () => {
  test('puts every row of the batch into one file per UTC day', async () => {
    await using lake = await scratchLake(DAILY);
    const result = await load(lake, span('2026-07-03T00:00:00Z', '2026-07-05T00:00:00Z'), [
      event('A', '2026-07-03T10:00:00.1234567Z', { properties: '{"é":"漢字 \\" \\n"}' }),
      event('b', '2026-07-04T23:59:59.9999999Z'),
    ]);
    expect(result).toMatchObject({ inserted: 2, removed: 0, duplicates: 0, quarantined: 0, days: 2 });
    const same = { source_tenant_id: TENANT, event_type: 'pass.created', operation_id: 'op' };
    expect(await storedRows(lake.ledger)).toMatchObject([
      {
        event_id: 'a',
        timestamp: '2026-07-03 10:00:00.123456+00',
        ...same,
        properties: '{"é":"漢字 \\" \\n"}',
      },
      { event_id: 'b', timestamp: '2026-07-04 23:59:59.999999+00', ...same, properties: '{"a":1}' },
    ]);
    expect(existsSync(join(lake.dir, `${FILE}.1.parquet`))).toBe(true);
  });

  test('writes the new days of a batch with one statement, with the bytes of days that are loaded one by one', async () => {
    const days = ['2026-07-03', '2026-07-04', '2026-07-05'].map((day, index) => ({
      file: `store/events/tenant_id=acme/month=2026-07/${day}.1.parquet`,
      window: span(`${day}T00:00:00Z`, new Date(Date.parse(day) + 86_400_000).toISOString()),
      rows: ['c', 'a', 'b'].map((type, nth) => event(`${index}${nth}`, `${day}T0${nth}:00:00Z`, { type })),
    }));
    await using together = await scratchLake(DAILY);
    await using alone = await scratchLake(DAILY);
    const copies: string[] = [];
    const spied = (sql: string): void => void (sql.startsWith('copy') && copies.push(sql));
    const watched = (lane: Lane): Lane => ({
      ...lane,
      rows: (sql, ...more) => (spied(sql), lane.rows(sql, ...more)),
      row: (sql, ...more) => (spied(sql), lane.row(sql, ...more)),
    });
    const ledger: typeof together.ledger = {
      ...together.ledger,
      ...watched(together.ledger),
      sideBySide: (jobs) => together.ledger.sideBySide(jobs.map((job) => (lane) => job(watched(lane)))),
    };
    await load({ ...together, ledger }, span('2026-07-03T00:00:00Z', '2026-07-06T00:00:00Z'), days.flatMap(({ rows }) => rows)); // oxfmt-ignore
    expect(copies).toHaveLength(1);
    for (const { file, window, rows } of days) {
      await load(alone, window, rows);
      expect(readFileSync(join(together.dir, file)).equals(readFileSync(join(alone.dir, file)))).toBe(true);
    }
  });

  test(
    'writes days at the same time, with the bytes that they have when they are written one after the other',
    CAMPAIGN,
    async () => {
      const days = ['2026-07-03', '2026-07-04', '2026-07-05', '2026-07-06'];
      const first = Date.parse('2026-07-03T00:00:00Z');
      // Two pairs of days that one statement cannot write.
      const rows = [10_500, 300, 10_500, 200].flatMap((n, day) =>
        Array.from({ length: n }, (_, k) =>
          event(`${day}-${k}`, new Date(first + day * 86_400_000 + ((k * 7919) % n) * 1000).toISOString(), {
            type: `t${k % 3}`,
          }),
        ),
      );
      const written: Buffer[][] = [];
      for (const threads of [1, 2]) {
        await using lake = await scratchLake({ threads });
        const load1 = await load(lake, span('2026-07-03T00:00:00Z', '2026-07-07T00:00:00Z'), rows);
        expect(load1).toMatchObject({ inserted: 21_500, days: 4 });
        // The second generation is made of the first and of one row.
        const more = days.map((day, n) => event(`more${n}`, `${day}T12:00:00.5Z`));
        await load(lake, days.map((day) => span(`${day}T12:00:00Z`, `${day}T12:00:01Z`)), more); // oxfmt-ignore
        written.push(
        [1, 2].flatMap((generation) =>
          days.map((day) => readFileSync(join(lake.dir, `store/events/tenant_id=acme/month=2026-07/${day}.${generation}.parquet`))),
        ),
      ); // oxfmt-ignore
        const unsorted = await lake.ledger.rawRows(
          `select * from (
           select filename, (event_type, "timestamp") < lag((event_type, "timestamp")) over (partition by filename order by file_row_number) as is_late
           from read_parquet('${lake.dir}/store/events/*/*/*.parquet', filename = true, file_row_number = true)
         ) where is_late`,
        );
        expect(unsorted).toEqual([]);
      }
      const [alone, together] = written;
      expect(together?.map((file, n) => file.equals(alone?.[n] ?? Buffer.of()))).toEqual(
        Array.from({ length: 8 }, () => true),
      );
    },
  );

  test('writes no file for windows without rows, and records that they are covered', async () => {
    await using lake = await scratchLake();
    const result = await load(lake, DAY, []);
    expect(result).toMatchObject({ inserted: 0, days: 0 });
    expect(existsSync(join(lake.dir, 'store'))).toBe(false);
    const hours = await heldHours(lake.ledger, TENANT, 'Events');
    expect(hours.size).toBe(24);
    expect(hours.get(at('2026-07-03T23:00:00Z'))).toMatchObject({ rows: 0, coveredTo: DAY.to, state: 'unchecked' });
  });

  test('orders a file by type and time, so that a reader of one type skips the other types', async () => {
    await using lake = await scratchLake(DAILY);
    await load(lake, DAY, [
      event('1', '2026-07-03T10:00:00Z', { type: 'b' }),
      event('2', '2026-07-03T11:00:00Z', { type: 'a' }),
      event('3', '2026-07-03T09:00:00Z', { type: 'b' }),
    ]);
    const rows = await lake.ledger.rawRows(
      `select event_id from read_parquet('${lake.dir}/${FILE}.1.parquet', hive_partitioning = false, file_row_number = true) order by file_row_number`,
    );
    expect(rows.map((row) => row['event_id'])).toEqual(['2', '3', '1']);
  });
});

describe('a later merge', () => {
  test('adds a late row and keeps the rows outside its windows', async () => {
    await using lake = await scratchLake(DAILY);
    await load(lake, DAY, [event('a', '2026-07-03T09:10:00Z'), event('b', '2026-07-03T10:10:00Z')]);
    const result = await load(lake, TEN, [event('b', '2026-07-03T10:10:00Z'), event('late', '2026-07-03T10:20:00Z')]);
    expect(result).toMatchObject({ inserted: 1, unchanged: 1, replaced: 0, removed: 0, days: 1 });
    expect(await ids(lake)).toEqual(['a', 'b', 'late']);
    expect(existsSync(join(lake.dir, `${FILE}.2.parquet`))).toBe(true);
  });

  test('does not rewrite the file of a day in which nothing differs', async () => {
    await using lake = await scratchLake(DAILY);
    const rows = [event('a', '2026-07-03T10:10:00Z'), event('b', '2026-07-03T12:10:00Z')];
    await load(lake, DAY, rows);
    const before = statSync(join(lake.dir, `${FILE}.1.parquet`));
    const result = await load(lake, DAY, rows.toReversed());
    expect(result).toMatchObject({ inserted: 0, unchanged: 2, days: 0 });
    const after = statSync(join(lake.dir, `${FILE}.1.parquet`));
    expect([after.ino, after.mtimeMs]).toEqual([before.ino, before.mtimeMs]);
    expect(existsSync(join(lake.dir, `${FILE}.2.parquet`))).toBe(false);
  });

  test('replaces a row whose content changed under the same id', async () => {
    await using lake = await scratchLake();
    await load(lake, DAY, [event('a', '2026-07-03T10:10:00Z')]);
    const result = await load(lake, TEN, [event('a', '2026-07-03T10:10:00Z', { properties: '{"a":2}' })]);
    expect(result).toMatchObject({ replaced: 1, inserted: 0, removed: 0 });
    expect((await storedRows(lake.ledger))[0]).toMatchObject({ properties: '{"a":2}' });
  });

  test('removes a row that was deleted at the source, and the file of a day that became empty', async () => {
    await using lake = await scratchLake(DAILY);
    await load(lake, DAY, [event('a', '2026-07-03T10:10:00Z'), event('b', '2026-07-03T10:11:00Z')]);
    expect(await load(lake, TEN, [event('b', '2026-07-03T10:11:00Z')])).toMatchObject({ removed: 1, unchanged: 1 });
    expect(await ids(lake)).toEqual(['b']);
    expect(await load(lake, TEN, [])).toMatchObject({ removed: 1, days: 1 });
    expect(await ids(lake)).toEqual([]);
    expect(await lake.ledger.rawRows('select file from partitions where superseded_at is null')).toEqual([]);
    expect(await load(lake, TEN, [event('c', '2026-07-03T10:11:00Z')])).toMatchObject({ inserted: 1 });
    expect(existsSync(join(lake.dir, `${FILE}.3.parquet`)), 'a file name is never used twice').toBe(true);
  });

  test('does nothing when the batch is already merged', async () => {
    await using lake = await scratchLake();
    await load(lake, DAY, [event('a', '2026-07-03T10:10:00Z')], { id: 'once' });
    expect(await load(lake, DAY, [], { id: 'once' })).toMatchObject({ already: true, removed: 0 });
    expect(await ids(lake)).toEqual(['a']);
  });

  test('changes only the minutes of its windows in a large hour', async () => {
    await using lake = await scratchLake();
    await load(lake, DAY, rowsOf(120));
    const minute = span('2026-07-03T01:30:00Z', '2026-07-03T01:31:00Z');
    const result = await load(lake, minute, [
      event('r90', '2026-07-03T01:30:00Z'),
      event('late', '2026-07-03T01:30:59.9999999Z'),
    ]);
    expect(result).toMatchObject({ inserted: 1, unchanged: 1, removed: 0 });
    expect(await ids(lake)).toHaveLength(121);
    const hour = (await heldHours(lake.ledger, TENANT, 'Events')).get(at('2026-07-03T01:00:00Z'));
    expect(hour).toMatchObject({ rows: 61, coveredTo: at('2026-07-03T02:00:00Z') });
  });

  test('changes only its own tenant in a directory with several', async () => {
    await using lake = await scratchLake();
    await load(lake, DAY, [event('a', '2026-07-03T10:10:00Z')]);
    await load(lake, DAY, [event('a', '2026-07-03T10:10:00Z', { tenant: 'other' })], { tenant: 'other' });
    await load(lake, DAY, [], { tenant: 'other' });
    expect(await ids(lake)).toEqual(['a']);
    expect(await storedRows(lake.ledger, 'Events', 'other')).toEqual([]);
  });
});

describe('only rows that are equal in every cell are copies', () => {
  const TIME = '2026-07-03T10:10:00Z';

  test('an exact copy is counted as a duplicate, not loaded', async () => {
    await using lake = await scratchLake();
    const row = event('a', TIME);
    expect(await load(lake, DAY, [row, row, row])).toMatchObject({ inserted: 1, duplicates: 2 });
    expect(await ids(lake)).toEqual(['a']);
    expect(await lake.ledger.rawRows('select id from duplicates')).toEqual([{ id: 'a' }, { id: 'a' }]);
  });

  test('rows of one id that differ in any cell are all loaded, in any order of arrival', async () => {
    const rows = [
      event('a', TIME),
      event('a', '2026-07-03T10:20:00Z'),
      event('a', '2026-07-03T10:10:00.000001Z'),
      event('a', TIME, { type: 'pass.installed' }),
      event('a', TIME, { operation: 'other' }),
      event('a', TIME, { properties: '{"a":2}' }),
      event('a', TIME, { properties: '{"a":1.0}' }),
      event('a', TIME, { properties: null }),
    ];
    for (const order of [rows, rows.toReversed()]) {
      await using lake = await scratchLake();
      expect(await load(lake, DAY, [...order, order[0]])).toMatchObject({ inserted: 8, duplicates: 1 });
      expect(await storedRows(lake.ledger)).toHaveLength(8);
      const again = await load(lake, DAY, [...order.toReversed(), order[0]]);
      expect(again, 'loaded again').toMatchObject({ unchanged: 8, inserted: 0, replaced: 0, removed: 0, days: 0 });
    }
  });

  test('a hundred events with the empty guid are a hundred rows', async () => {
    await using lake = await scratchLake();
    const rows = Array.from({ length: 100 }, (_, n) =>
      event('00000000-0000-0000-0000-000000000000', TIME, { properties: `{"n":${n}}` }),
    );
    expect(await load(lake, DAY, rows)).toMatchObject({ inserted: 100, duplicates: 0 });
    expect(await storedRows(lake.ledger)).toHaveLength(100);
  });

  test('one of several rows of an id is replaced, removed or added', async () => {
    await using lake = await scratchLake();
    const [one, two, three] = [1, 2, 3].map((n) => event('a', TIME, { properties: `{"n":${n}}` }));
    await load(lake, DAY, [one, two]);
    expect(await load(lake, DAY, [one, three])).toMatchObject({ unchanged: 1, replaced: 1, inserted: 0, removed: 0 });
    expect(await load(lake, DAY, [three])).toMatchObject({ unchanged: 1, removed: 1, inserted: 0, replaced: 0 });
    expect(await load(lake, DAY, [two, three])).toMatchObject({ unchanged: 1, inserted: 1, removed: 0, replaced: 0 });
    expect((await storedRows(lake.ledger)).map(({ properties }) => String(properties)).sort()).toEqual([
      '{"n":2}',
      '{"n":3}',
    ]);
  });

  test('the same id in two hours is two rows', async () => {
    await using lake = await scratchLake();
    await load(lake, DAY, [event('a', '2026-07-03T10:59:59.9999999Z'), event('a', '2026-07-03T11:00:00Z')]);
    expect(await ids(lake)).toEqual(['a', 'a']);
  });

  test('a row of the same id in another minute is kept when only one of the minutes is fetched', async () => {
    await using lake = await scratchLake();
    await load(lake, DAY, [event('a', TIME)]);
    const minute = span('2026-07-03T10:30:00Z', '2026-07-03T10:31:00Z');
    const result = await load(lake, minute, [event('a', '2026-07-03T10:30:10Z')]);
    expect(result).toMatchObject({ inserted: 1, duplicates: 0, removed: 0 });
    expect(await load(lake, span(TIME, '2026-07-03T10:11:00Z'), [])).toMatchObject({ removed: 1 });
    expect(await storedRows(lake.ledger)).toHaveLength(1);
  });

  test('an hour in which an older version left out a row of the same id lacks rows until it is loaded again', async () => {
    await using lake = await scratchLake();
    await load(lake, DAY, [event('a', TIME)]);
    await lake.ledger.run(
      `insert into duplicates values ('${TENANT}', 'Events', '2026-07-03T10:00:00Z', '2026-07-03T10:20:00Z', '${TIME}', 'a', false, null)`,
    );
    const lacksRows = async (): Promise<unknown> =>
      (await heldHours(lake.ledger, TENANT, 'Events')).get(at('2026-07-03T10:00:00Z'))?.lacksRows;
    expect(await lacksRows()).toBe(true);
    expect(await load(lake, DAY, [event('a', TIME), event('a', '2026-07-03T10:20:00Z')])).toMatchObject({
      inserted: 1,
    });
    expect(await lacksRows()).toBe(false);
    expect(await storedRows(lake.ledger)).toHaveLength(2);
  });
});

describe('loss at the source', () => {
  test('before the retention edge no row is removed, and rows that still arrive are added', async () => {
    await using lake = await scratchLake();
    const row = event('b', '2026-07-03T10:30:00Z');
    await load(lake, DAY, [event('a', '2026-07-03T10:10:00Z'), row, row], { table: 'Logs' });
    const result = await load(lake, TEN, [event('b', '2026-07-03T10:30:00Z'), event('c', '2026-07-03T10:50:00Z')], {
      table: 'Logs',
      keepMissing: [TEN],
    });
    expect(result).toMatchObject({ inserted: 1, removed: 0, unchanged: 1 });
    expect((await storedRows(lake.ledger, 'Logs')).map((stored) => stored['event_id'])).toEqual(['a', 'b', 'c']);
    expect(await load(lake, TEN, [], { table: 'Logs', keepMissing: [TEN] })).toMatchObject({ removed: 0, days: 0 });
    expect(await storedRows(lake.ledger, 'Logs')).toHaveLength(3);
  });

  test('before the retention edge rows of one id are distinguished by their time', async () => {
    await using lake = await scratchLake();
    const [early, late] = ['2026-07-03T10:10:00Z', '2026-07-03T10:30:00Z'];
    await load(lake, DAY, [event('a', early), event('a', late)], { table: 'Logs' });
    const changed = event('a', late, { properties: '{"a":2}' });
    const result = await load(lake, TEN, [changed], { table: 'Logs', keepMissing: [TEN] });
    expect(result).toMatchObject({ replaced: 1, inserted: 0, removed: 0 });
    const stored = await storedRows(lake.ledger, 'Logs');
    expect(stored.map(({ properties }) => properties)).toEqual(['{"a":1}', '{"a":2}']);
  });

  test('a mass loss is refused before anything changes, and is merged when deletes are allowed', async () => {
    await using lake = await scratchLake(DAILY);
    await load(lake, DAY, rowsOf(1000));
    const left = rowsOf(400);
    const refused = load(lake, DAY, left, { id: 'loss' });
    await expect(refused).rejects.toThrow(MassLossError);
    await expect(refused).rejects.toThrow(
      '600 of 1000 rows of Events in 2026-07-03 vanished at the source: nothing was changed',
    );
    expect(await ids(lake)).toHaveLength(1000);
    expect(existsSync(join(lake.dir, `${FILE}.2.parquet`))).toBe(false);
    expect(await load(lake, DAY, left, { id: 'loss', guard: false })).toMatchObject({ removed: 600 });
    expect(await ids(lake)).toHaveLength(400);
  });

  test('a few vanished rows are not a mass loss, even when they are all rows of a day', async () => {
    await using lake = await scratchLake();
    await load(lake, DAY, rowsOf(99));
    expect(await load(lake, DAY, [])).toMatchObject({ removed: 99 });
  });

  test('a loss of exactly minRows rows is refused', async () => {
    await using lake = await scratchLake();
    await load(lake, DAY, rowsOf(100));
    await expect(load(lake, DAY, [])).rejects.toThrow(MassLossError);
    expect(await ids(lake)).toHaveLength(100);
  });
});

describe('metrics', () => {
  test('keep their value as JSON text, its JSON type, and the number if it is one', async () => {
    await using lake = await scratchLake();
    const values = [
      '[1.0]', '[12345678901234567890123]', '["5"]', '[""]', '[true]', '[null]', '[{"a":1.10,"b":[1,2]}]', '[[1]]', '[-1e5]', '', 7, [8.5],
    ]; // oxfmt-ignore
    await load(lake, DAY, values.map((value, index) => metric(`m${String(index).padStart(2, '0')}`, '2026-07-03T10:00:00Z', value)), { table: 'Metrics' }); // oxfmt-ignore
    const rows = await storedRows(lake.ledger, 'Metrics', TENANT, 'value::varchar as value, value_type, value_number');
    expect(rows.map((row) => [row['value'], row['value_type'], row['value_number']])).toEqual([
      ['1.0', 'number', 1],
      ['12345678901234567890123', 'number', 1.2345678901234568e22],
      ['"5"', 'string', null],
      ['""', 'string', null],
      ['true', 'boolean', null],
      ['null', 'null', null],
      ['{"a":1.10,"b":[1,2]}', 'object', null],
      ['[1]', 'array', null],
      ['-1e5', 'number', -100000],
      [null, null, null],
      ['7', 'number', 7],
      ['8.5', 'number', 8.5],
    ]);
  });
});
