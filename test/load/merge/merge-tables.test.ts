/** The temporary tables of a merge are those that merge-tables.ts declares, with the columns that it declares. */
import { describe, expect, test } from 'vitest';
import { asText } from '../../../src/load/ledger/cells.ts';
import type { Engine } from '../../../src/load/ledger/engine.ts';
import { updateProfile } from '../../../src/load/ledger/profile.ts';
import * as tables from '../../../src/load/merge/merge-tables.ts';
import { pinTenantId } from '../../../src/load/merge/pin.ts';
import { replayQuarantined } from '../../../src/load/merge/replay.ts';
import { FILE_FINGERPRINTS } from '../../../src/load/store/file-fingerprints.ts';
import { TABLES } from '../../../src/model/tables.ts';
import type { TableName } from '../../../src/model/tables.ts';
import { event, load, metric, scratchLake, span, TENANT } from '../support/lake.ts';
import type { Scratch } from '../support/lake.ts';

const DAY = span('2026-07-03T00:00:00Z', '2026-07-04T00:00:00Z');
const MINUTE = span('2026-07-03T10:30:00Z', '2026-07-03T10:31:00Z');

const STEPS = [tables.REPEATED_IDS, tables.TOUCHED_HOURS];

type Columns = Record<string, string[]>;

/** Temporary tables and their columns, as name and type. */
async function temporaryTables(engine: Pick<Engine, 'rows'>): Promise<Columns> {
  const rows = await engine.rows(
    `select table_name as "table", column_name || ' ' || data_type as "column"
     from duckdb_columns() where database_name in ('temp', 'shared') and not internal order by table_name, column_index`,
    { table: asText, column: asText },
  );
  const found: Columns = {};
  for (const { table, column } of rows) (found[table] ??= []).push(column);
  return found;
}

/** What merge-tables.ts declares, for a table of the source. */
async function declared(table: TableName, names: readonly string[]): Promise<Columns> {
  await using lake = await scratchLake();
  await tables.createStage(lake.ledger, TABLES[table]);
  for (const name of names) await tables.createEmpty(lake.ledger, name);
  return await temporaryTables(lake.ledger);
}

/** Watches a lake: what temporary tables are there when a merge has been recorded. */
function watched(lake: Scratch): { readonly lake: Scratch; seen: Columns } {
  const { ledger } = lake;
  const watch = {
    seen: {} as Columns,
    lake: {
      ...lake,
      ledger: {
        ...ledger,
        transaction: async <T>(work: () => Promise<T>) => {
          const result = await ledger.transaction(work);
          watch.seen = await temporaryTables(ledger);
          return result;
        },
      },
    },
  };
  return watch;
}

describe.each(['Events', 'Metrics'] as const)('a merge of %s', (table) => {
  const row = (id: string, time: string): unknown[] =>
    table === 'Events' ? event(id, `2026-07-03T${time}Z`) : metric(id, `2026-07-03T${time}Z`, '[1]');

  test('leaves exactly the declared tables behind, with their declared columns', async () => {
    await using lake = await scratchLake();
    const watch = watched(lake);
    // A copy, and rows outside the second batch's windows: every table is filled.
    await load(watch.lake, DAY, [row('a', '10:10:00'), row('a', '10:10:00'), row('b', '10:45:00')], { table });
    await load(watch.lake, MINUTE, [row('a', '10:30:10'), row('b', '10:30:20'), row('b', '10:30:20')], { table });
    const { [FILE_FINGERPRINTS]: fingerprints, ...merge } = watch.seen;
    expect(fingerprints).toHaveLength(5);
    expect(merge).toEqual(await declared(table, STEPS));
  });
});

test('a replay leaves the declared tables behind, with their declared columns', async () => {
  await using lake = await scratchLake();
  const watch = watched(lake);
  await load(lake, DAY, [event('a', '2026-07-03T10:10:00Z'), event('x', '2026-07-03T10:20:00Z', { tenant: 'else' })]);
  await updateProfile(lake.ledger, TENANT, { pinnedTenantId: 'else' });
  await replayQuarantined(watch.lake.ledger, {}, 'replay');
  const { [FILE_FINGERPRINTS]: fingerprints, ...replay } = watch.seen;
  expect(fingerprints).toHaveLength(5);
  expect(replay).toMatchObject(await declared('Events', [tables.REPLAYED_ROWS, tables.TOUCHED_HOURS]));
});

test('no temporary table outlives a merge, a refused merge, a replay or a change of the pinned tenant id', async () => {
  await using lake = await scratchLake({ deletes: { maxShare: 0, minRows: 0 } });
  await load(lake, DAY, [event('a', '2026-07-03T10:10:00Z'), event('x', '2026-07-03T10:20:00Z', { tenant: 'else' })]);
  expect(await temporaryTables(lake.ledger)).toEqual({});
  await expect(load(lake, DAY, [])).rejects.toThrow('vanished');
  expect(await temporaryTables(lake.ledger)).toEqual({});
  await pinTenantId(lake.ledger, TENANT, 'else', 'pin');
  expect(await temporaryTables(lake.ledger)).toEqual({});
  await replayQuarantined(lake.ledger, {}, 'replay');
  expect(await temporaryTables(lake.ledger)).toEqual({});
});
