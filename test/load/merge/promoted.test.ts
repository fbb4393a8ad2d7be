/** Lakes whose files were written with different sets of promoted columns: every row reads the same. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { DuckDBInstance } from '@duckdb/node-api';
import { expect, test } from 'vitest';
import { compactMonths } from '../../../src/load/maintenance/compact.ts';
import { text } from '../../support/cells.ts';
import { heldHours, recordComparison } from '../../../src/load/ledger/hours.ts';
import { LAKE_SETTINGS } from '../support/lake.ts';
import { publish } from '../../../src/load/publish/publish.ts';
import { repair } from '../../../src/load/maintenance/repair.ts';
import { verifyFiles } from '../../../src/load/maintenance/verify.ts';
import { promotionKey, withPromoted } from '../../../src/model/promoted.ts';
import type { PromotedColumn } from '../../../src/model/promoted.ts';
import { TABLES } from '../../../src/model/tables.ts';
import type { Tables } from '../../../src/model/tables.ts';
import { at, DAILY, event, load, scratchLake, sourceHours, span, storedRows, TENANT } from '../support/lake.ts';
import type { Scratch } from '../support/lake.ts';
import { CAMPAIGN, LONG } from '../../support/campaign.ts';

const BEFORE = promoting([]);
const MORE: Tables = promoting(
  withPromoted(TABLES.Events.promoted, [{ name: 'price', type: 'number', paths: ['price'], comment: 'Price' }]),
);
const MONTH = span('2026-07-01T00:00:00Z', '2026-08-01T00:00:00Z');
const LATER = at('2026-09-10T00:00:00Z');

function promoting(columns: readonly PromotedColumn[]): Tables {
  return { ...TABLES, Events: { ...TABLES.Events, promoted: columns } };
}

function pass(id: string, day: number, properties: object): unknown[] {
  return event(id, `2026-07-${String(day).padStart(2, '0')}T10:00:00Z`, { properties: JSON.stringify(properties) });
}

function day(number: number): ReturnType<typeof span> {
  return span(
    `2026-07-${String(number).padStart(2, '0')}T00:00:00Z`,
    `2026-07-${String(number + 1).padStart(2, '0')}T00:00:00Z`,
  );
}

const ROWS = [
  pass('a', 3, { passId: 'P1', registrationSource: { tags: ['x', 'y'] }, price: 1.5 }),
  pass('b', 4, { pass_id: 'P2', tags: 'z', price: '2' }),
  pass('c', 5, { pass: { id: 'P3' }, price: 'free' }),
];

/** A lake with three files: without promoted columns, with the default set and with a larger set. */
async function mixedLake(): Promise<Scratch> {
  const lake = await scratchLake({ ...DAILY, tables: BEFORE, keepHours: 0 });
  await load(lake, day(3), ROWS.slice(0, 1));
  await lake.reopen({ tables: TABLES });
  await load(lake, day(4), ROWS.slice(1, 2));
  await lake.reopen({ tables: MORE });
  await load(lake, day(5), ROWS.slice(2));
  return lake;
}

/** Queries the published catalogue. */
async function ask(lake: Scratch, sql: string): Promise<Record<string, unknown>[]> {
  const instance = await DuckDBInstance.create(join(lake.dir, 'insights.duckdb'), { access_mode: 'READ_ONLY' });
  const connection = await instance.connect();
  try {
    return (await connection.runAndReadAll(sql)).getRowObjectsJson();
  } finally {
    connection.closeSync();
    instance.closeSync();
  }
}

async function promotions(lake: Scratch): Promise<unknown[]> {
  const rows = await lake.ledger.rawRows(
    'select promotion from partitions where superseded_at is null order by period',
  );
  return rows.map((row) => text(row, 'promotion'));
}

const [NONE, DEFAULTS, LARGER] = [BEFORE, TABLES, MORE].map(({ Events }) => promotionKey(Events.promoted));
const EXPECTED = [
  { event_id: 'a', pass_id: 'P1', tags: ['x', 'y'], price: 1.5 },
  { event_id: 'b', pass_id: 'P2', tags: ['z'], price: 2 },
  { event_id: 'c', pass_id: 'P3', tags: null, price: null },
];
const QUERY = 'select event_id, pass_id, tags, price from events order by event_id';

test('the catalogue shows one set of columns over files of all sets', CAMPAIGN, async () => {
  await using lake = await mixedLake();
  expect(await promotions(lake)).toEqual([NONE, DEFAULTS, LARGER]);
  await publish(lake.ledger, { run: 'r', head: true });
  expect(await ask(lake, QUERY)).toEqual(EXPECTED);
  expect(await ask(lake, QUERY.replace('events', 'acme.events'))).toEqual(EXPECTED);
  expect(await ask(lake, `select count(*)::int as n from events where month = '2026-07' and pass_id = 'P1'`)).toEqual([{ n: 1 }]); // oxfmt-ignore
  expect(await verifyFiles(lake.ledger)).toMatchObject({ files: 3, faults: [] });
});

test('a change of the configured columns is published, although no file has changed', LONG, async () => {
  await using lake = await mixedLake();
  await publish(lake.ledger, { run: 'r', head: true });
  await lake.reopen({ tables: TABLES });
  expect(await publish(lake.ledger, { run: 'r', head: true })).toMatchObject({ changed: true });
  const columns = (await ask(lake, 'describe events')).map((row) => row['column_name']);
  expect(columns).toContain('pass_id');
  expect(columns).not.toContain('price');
  expect(await publish(lake.ledger, { run: 'r', head: true })).toMatchObject({ changed: false });
});

test('the manifest says which set of columns each file has', async () => {
  await using lake = await mixedLake();
  await publish(lake.ledger, { run: 'r', head: true });
  const manifest: unknown = JSON.parse(readFileSync(join(lake.dir, 'manifest.json'), 'utf8'));
  const partitions = [NONE, DEFAULTS, LARGER].map((promotion) => expect.objectContaining({ promotion }));
  expect(manifest).toMatchObject({ tables: { events: { promotion: LARGER, tenants: { acme: { partitions } } } } });
});

test('a merge writes its whole period with the current set, unchanged rows included', CAMPAIGN, async () => {
  await using lake = await mixedLake();
  const hour = span('2026-07-03T20:00:00Z', '2026-07-03T21:00:00Z');
  const late = event('late', '2026-07-03T20:30:00Z', { properties: '{"passId":"P9"}' });
  expect(await load(lake, hour, [late])).toMatchObject({ inserted: 1, replaced: 0 });
  expect(await promotions(lake)).toEqual([LARGER, DEFAULTS, LARGER]);
  const rows = await storedRows(lake.ledger, 'Events', TENANT, 'event_id, properties::varchar as p');
  expect(rows.map((row) => row['event_id'])).toEqual(['a', 'late', 'b', 'c']);
  const [file] = await lake.ledger.rawRows(
    `select file from partitions where superseded_at is null and period = '2026-07-03'`,
  );
  expect(
    await lake.ledger.rawRows(`select event_id, pass_id, price from read_parquet('${lake.dir}/${text(file ?? {}, 'file')}') order by 1`),
  ).toEqual([
    { event_id: 'a', pass_id: 'P1', price: 1.5 },
    { event_id: 'late', pass_id: 'P9', price: null },
  ]); // oxfmt-ignore
});

test('loading the same rows again changes nothing, whichever set of columns their file has', CAMPAIGN, async () => {
  await using lake = await mixedLake();
  expect(await load(lake, MONTH, ROWS)).toMatchObject({ unchanged: 3, days: 0 });
  expect(await promotions(lake)).toEqual([NONE, DEFAULTS, LARGER]);
});

test('a month is compacted from days with different sets, and its accounts do not change', LONG, async () => {
  await using lake = await mixedLake();
  const hours = sourceHours(ROWS);
  const comparison = { at: LATER, spans: [MONTH], grade: 'checksum', hours } as const;
  await recordComparison(lake.ledger, TENANT, 'Events', comparison, 'r');
  const held = await heldHours(lake.ledger, TENANT, 'Events');
  expect(await compactMonths(lake.ledger, { run: 'r', at: LATER })).toEqual({ months: 1, files: 3 });
  expect(await heldHours(lake.ledger, TENANT, 'Events')).toEqual(held);
  expect(await promotions(lake)).toEqual([LARGER]);
  await publish(lake.ledger, { run: 'r', head: true });
  expect(await ask(lake, QUERY)).toEqual(EXPECTED);
});

test('a ledger rebuilt from the files records which set each file has', CAMPAIGN, async () => {
  await using lake = await mixedLake();
  await lake.ledger.close();
  await repair(lake.dir, LAKE_SETTINGS, lake.runtime);
  await lake.reopen({ tables: MORE });
  expect(await promotions(lake)).toEqual([NONE, DEFAULTS, LARGER]);
});

test('a file from before promoted columns existed counts as having none', CAMPAIGN, async () => {
  await using lake = await mixedLake();
  await lake.ledger.run(`update partitions set promotion = null where period = '2026-07-03'`);
  await publish(lake.ledger, { run: 'r', head: true });
  expect(await ask(lake, QUERY)).toEqual(EXPECTED);
});
