/** Rows that share an id and differ in any cell are different rows: all are loaded, counted and proven. */
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { LEDGER_FILE } from '../../src/model/data-dir.ts';
import { join } from 'node:path';
import { DuckDBInstance } from '@duckdb/node-api';
import { loadOnce, reportOf, type LoadedWorlds, type World } from './support/world.ts';
import { CAMPAIGN, LONG } from '../support/campaign.ts';

const EVENTS = { tables: ['Events'] } as const;
const EMPTY_GUID = '00000000-0000-0000-0000-000000000000';

let loaded: LoadedWorlds;
let world: World;
beforeAll(async () => {
  loaded = await loadOnce({ rows: 300, days: 2, seed: 5, now: '2026-11-01T00:00:00Z', frozen: true }, EVENTS);
});
afterAll(() => loaded[Symbol.asyncDispose]());
afterEach(() => world[Symbol.asyncDispose]());

type Row = Record<string, unknown>;

function row(n: number, changes: Row = {}): Row {
  const timestamp = '2026-10-31T10:20:30.1234567Z';
  return {
    eventId: EMPTY_GUID,
    timestamp,
    eventType: 'wallet.changed',
    operationId: 'op',
    properties: { n },
    ...changes,
  };
}

async function setRows(rows: Row[]): Promise<void> {
  await world.sandbox.apply({ action: 'erase', table: 'Events', tenant: 'demo', ids: [EMPTY_GUID] });
  await world.sandbox.apply({ action: 'rows', table: 'Events', tenant: 'demo', rows });
}

const stored = async (): Promise<unknown[]> =>
  (await world.sql(`select properties::varchar as p from events where event_id = '${EMPTY_GUID}' order by p`)).map(
    ({ p }) => p,
  );

const hour = async (): Promise<unknown> =>
  (
    await world.sql(
      `select state, grade, (source_rows = lake_rows + duplicate_rows)::int as balances, duplicate_rows::int as copies
       from coverage where table_name = 'events' and hour = '2026-10-31T10:00:00Z'`,
    )
  )[0];

const numbers = (from: number, to: number): Row[] => Array.from({ length: to - from }, (_, n) => row(from + n));

describe('rows of one id', () => {
  it('are all in the lake, follow the source row by row, and cost no call when nothing is new', CAMPAIGN, async () => {
    world = await loaded.next();
    await setRows([...numbers(100, 200), row(100)]);
    const first = reportOf(await world.run(EVENTS), 'Events');
    expect(first).toMatchObject({ outcome: 'verified', grade: 'content', inserted: 100, duplicates: 1, calls: 2 });
    expect(await stored()).toHaveLength(100);
    expect(await hour()).toEqual({ state: 'verified', grade: 'content', balances: 1, copies: 1 });
    expect(reportOf(await world.run(EVENTS), 'Events')).toMatchObject({ outcome: 'verified', calls: 1, pages: 0 });

    await setRows([...numbers(101, 199), row(300), row(300, { operationId: 'other' })]);
    const second = reportOf(await world.run(EVENTS), 'Events');
    expect(second).toMatchObject({ outcome: 'verified', replaced: 2, inserted: 0, removed: 0, duplicates: 0 });
    expect(await stored()).toEqual(
      [...numbers(101, 199), row(300), row(300)].map(({ properties }) => JSON.stringify(properties)),
    );
  });

  it('are different rows even if they differ only in what the lake does not store', LONG, async () => {
    world = await loaded.next();
    const drop = { privacy: { rules: [{ action: 'drop', paths: ['secret'] }] } };
    await world.run(EVENTS, drop);
    await setRows([
      row(1, { properties: { n: 1, secret: 'a' } }),
      row(1, { properties: { n: 1, secret: 'b' } }),
      row(1, { properties: { n: 1, secret: 'b' } }),
      row(1, { properties: { n: 1, secret: 'b' }, timestamp: '2026-10-31T10:20:30.1234568Z' }),
    ]);
    expect(reportOf(await world.run(EVENTS, drop), 'Events')).toMatchObject({
      outcome: 'verified',
      inserted: 3,
      duplicates: 1,
    });
    expect(await stored()).toEqual(['{"n":1}', '{"n":1}', '{"n":1}']);
    expect(await hour()).toEqual({ state: 'verified', grade: 'content', balances: 1, copies: 1 });
  });

  it('that an older version left out are fetched by the next run', CAMPAIGN, async () => {
    world = await loaded.next();
    await setRows(numbers(1, 3));
    await world.run(EVENTS);
    await asOlderVersion();
    const report = reportOf(await world.run(EVENTS), 'Events');
    expect(report).toMatchObject({ outcome: 'verified', pages: 1, duplicates: 0 });
    expect(await stored()).toHaveLength(2);
    expect(reportOf(await world.run(EVENTS), 'Events')).toMatchObject({ pages: 0, calls: 1 });
  });
});

/** Marks a row of the hour as left out, as versions did that kept one row per id and hour. */
async function asOlderVersion(): Promise<void> {
  const instance = await DuckDBInstance.create(join(world.dataDir, LEDGER_FILE));
  const connection = await instance.connect();
  await connection.run(
    `insert into duplicates values ('demo', 'Events', '2026-10-31T10:00:00Z', '2026-10-31T10:20:00Z', '2026-10-31T10:20:00Z', '${EMPTY_GUID}', false, null)`,
  );
  connection.closeSync();
  instance.closeSync();
}
