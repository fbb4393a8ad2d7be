import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { heldHours, recordComparison } from '../../../src/load/ledger/hours.ts';
import { compactMonths } from '../../../src/load/maintenance/compact.ts';
import { publish } from '../../../src/load/publish/publish.ts';
import { recover } from '../../../src/load/maintenance/recover.ts';
import { repair } from '../../../src/load/maintenance/repair.ts';
import { verifyFiles } from '../../../src/load/maintenance/verify.ts';
import { DAILY, LAKE_SETTINGS } from '../support/lake.ts';
import { at, event, load, scratchLake, sourceHours, span, storedRows, TENANT } from '../support/lake.ts';
import type { Scratch } from '../support/lake.ts';
import { CAMPAIGN, LONG } from '../../support/campaign.ts';

const MONTH = span('2026-07-01T00:00:00Z', '2026-08-01T00:00:00Z');
const ROWS = [3, 4, 5, 30].map((day) => event(`r${day}`, `2026-07-${String(day).padStart(2, '0')}T10:00:00Z`));
const LATER = at('2026-09-10T00:00:00Z');
const FOLDER = 'store/events/tenant_id=acme/month=2026-07';

async function settled(lake: Scratch): Promise<void> {
  await load(lake, MONTH, ROWS);
  await recordComparison(
    lake.ledger,
    TENANT,
    'Events',
    { at: LATER, spans: [MONTH], grade: 'checksum', hours: sourceHours(ROWS) },
    'run-1',
  );
}

describe('compacting a closed month of small days', () => {
  test('gives one file, with the same rows, accounts and proofs', async () => {
    await using lake = await scratchLake({ ...DAILY, keepHours: 0 });
    await settled(lake);
    const [rows, hours] = [await storedRows(lake.ledger), await heldHours(lake.ledger, TENANT, 'Events')];
    expect(await compactMonths(lake.ledger, { run: 'run-1', at: LATER })).toEqual({ months: 1, files: 4 });
    expect(await storedRows(lake.ledger)).toEqual(rows);
    expect(await heldHours(lake.ledger, TENANT, 'Events')).toEqual(hours);
    await publish(lake.ledger, { run: 'run-1', head: true });
    expect(readdirSync(join(lake.dir, FOLDER))).toEqual(['2026-07.2.parquet']);
    expect(readdirSync(join(lake.dir, 'lake/events/v1/tenant_id=acme/month=2026-07'))).toEqual(['2026-07.parquet']);
    expect(await verifyFiles(lake.ledger)).toMatchObject({ files: 1, rows: 4, faults: [] });
    expect(await compactMonths(lake.ledger, { run: 'run-2', at: LATER })).toEqual({ months: 0, files: 0 });
  });

  test('gives a month that a late row and an erasure rewrite as a whole', CAMPAIGN, async () => {
    await using lake = await scratchLake(DAILY);
    await settled(lake);
    await compactMonths(lake.ledger, { run: 'run-1', at: LATER });
    const hour = span('2026-07-20T05:00:00Z', '2026-07-20T06:00:00Z');
    expect(await load(lake, hour, [event('late', '2026-07-20T05:30:00Z')])).toMatchObject({ inserted: 1, days: 1 });
    const erased = span('2026-07-03T10:00:00Z', '2026-07-03T11:00:00Z');
    expect(await load(lake, erased, [])).toMatchObject({ removed: 1, days: 1 });
    expect((await storedRows(lake.ledger)).map((row) => row['event_id'])).toEqual(['r4', 'r5', 'late', 'r30']);
    expect(existsSync(join(lake.dir, FOLDER, '2026-07.4.parquet'))).toBe(true);
    expect(await verifyFiles(lake.ledger)).toMatchObject({ files: 1, rows: 4, faults: [] });
  });

  test('does not happen while the month is recent or unsettled, or when its days are large', CAMPAIGN, async () => {
    await using lake = await scratchLake(DAILY);
    await load(lake, MONTH, ROWS);
    expect(await compactMonths(lake.ledger, { run: 'r', at: LATER })).toMatchObject({ months: 0 });
    await settled(lake);
    expect(await compactMonths(lake.ledger, { run: 'r', at: at('2026-08-20T00:00:00Z') })).toMatchObject({ months: 0 });
    expect(await compactMonths(lake.ledger, { run: 'r', at: LATER, smallBytes: 100 })).toMatchObject({ months: 0 });
  });

  test('that is killed keeps the days, removes the unknown file, and is done by the next run', async () => {
    await using lake = await scratchLake(DAILY);
    await settled(lake);
    const killed = compactMonths(lake.ledger, {
      run: 'r',
      at: LATER,
      onStep: () => {
        throw new Error('killed');
      },
    });
    await expect(killed).rejects.toThrow('killed');
    await lake.reopen();
    expect(await recover(lake.ledger)).toMatchObject({ orphans: 1 });
    expect(await storedRows(lake.ledger)).toHaveLength(4);
    expect(await compactMonths(lake.ledger, { run: 'r', at: LATER })).toMatchObject({ months: 1 });
  });

  test('gives a file that repair uses instead of its days where both are there', CAMPAIGN, async () => {
    await using lake = await scratchLake(DAILY);
    await settled(lake);
    await compactMonths(lake.ledger, { run: 'r', at: LATER });
    await publish(lake.ledger, { run: 'r', head: true });
    expect(readdirSync(join(lake.dir, FOLDER))).toHaveLength(5);
    await lake.ledger.close();
    expect(await repair(lake.dir, LAKE_SETTINGS, lake.runtime)).toMatchObject({ files: 1, rows: 4, leftOut: 4 });
    await lake.reopen();
  });
});

test('a few late rows do not sort a large period again, and no row of it is lost or duplicated', LONG, async () => {
  await using lake = await scratchLake(DAILY);
  const day = span('2026-07-03T00:00:00Z', '2026-07-04T00:00:00Z');
  const many = Array.from({ length: 201_000 }, (_, index) =>
    event(`r${index}`, new Date(Date.parse('2026-07-03T00:00:00Z') + index * 400).toISOString(), {
      type: ['b', 'd', 'e'][index % 3] ?? '',
      properties: '',
    }),
  );
  await load(lake, day, many);
  // The 201,000 rows end at 22:20.
  const minute = span('2026-07-03T23:59:00Z', '2026-07-04T00:00:00Z');
  const late = ['a', 'b', 'c', 'd', 'f', ''].map((type) => event(`late-${type}`, '2026-07-03T23:59:30Z', { type }));
  expect(await load(lake, minute, late)).toMatchObject({ inserted: 6, removed: 0 });
  const [shape] = await lake.ledger.rawRows(
    `select count(*)::int as n, count(distinct event_id)::int as ids, count(distinct event_type)::int as types
     from read_parquet('${lake.dir}/${FOLDER}/2026-07-03.2.parquet', hive_partitioning = false)`,
  );
  expect(shape).toEqual({ n: 201_006, ids: 201_006, types: 6 });
});
