/** A month that has grown large becomes one file per day again. */
import { existsSync, readdirSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { DamagedError } from '../../../src/kernel/errors.ts';
import { heldHours } from '../../../src/load/ledger/hours.ts';
import { recover } from '../../../src/load/maintenance/recover.ts';
import { repair } from '../../../src/load/maintenance/repair.ts';
import { splitMonths } from '../../../src/load/maintenance/split.ts';
import { verifyFiles } from '../../../src/load/maintenance/verify.ts';
import { publish } from '../../../src/load/publish/publish.ts';
import { at, event, LAKE_SETTINGS, load, scratchLake, span, storedRows, TENANT } from '../support/lake.ts';
import type { Scratch } from '../support/lake.ts';
import { CAMPAIGN, campaign } from '../../support/campaign.ts';
import { text } from '../../support/cells.ts';

const EVENTS = { tenant: TENANT, table: 'Events' } as const;
const OPEN = at('2026-07-20T00:00:00Z');
const CLOSED = at('2026-09-10T00:00:00Z');
const FOLDER = 'store/events/tenant_id=acme/month=2026-07';

async function add(lake: Scratch, day: string, rows: number): Promise<void> {
  const window = span(`${day}T00:00:00Z`, new Date(Date.parse(day) + 86_400_000).toISOString());
  const given = Array.from({ length: rows }, (_, n) =>
    event(`${day}-${n}`, new Date(Date.parse(`${day}T23:00:00Z`) + n * 1000).toISOString(), { type: `t${n % 3}` }),
  );
  await load(lake, window, given);
}

/** A month that was expected to have 31 rows, and has 63 after its third day. */
async function grownMonth(lake: Scratch): Promise<void> {
  await add(lake, '2026-07-01', 1);
  await add(lake, '2026-07-02', 2);
  await add(lake, '2026-07-05', 60);
}

async function current(lake: Scratch): Promise<unknown[]> {
  const rows = await lake.ledger.rawRows('select file from partitions where superseded_at is null order by file');
  return rows.map((row) => text(row, 'file')?.slice(FOLDER.length + 1));
}

const STEPS = ['copied 3 days', 'named 2026-07', 'recording 2026-07', 'recorded 2026-07'];
const DAY_FILES = ['2026-07-01.4.parquet', '2026-07-02.4.parquet', '2026-07-05.4.parquet'];

describe('splitting a month that has grown large', () => {
  test('gives a file per day, with the same rows and accounts, and later rows rewrite only their day', async () => {
    await using lake = await scratchLake({ monthRows: 31, keepHours: 0 });
    await grownMonth(lake);
    expect(await current(lake)).toEqual(['2026-07.3.parquet']);
    const [rows, hours] = [await storedRows(lake.ledger), await heldHours(lake.ledger, TENANT, 'Events')];
    const steps: string[] = [];
    expect(await splitMonths(lake.ledger, EVENTS, { run: 'r', at: OPEN, onStep: (step) => void steps.push(step) })).toBe(1); // oxfmt-ignore
    expect(steps).toEqual(STEPS);
    expect(await current(lake)).toEqual(DAY_FILES);
    expect(await storedRows(lake.ledger)).toEqual(rows);
    expect(await heldHours(lake.ledger, TENANT, 'Events')).toEqual(hours);
    expect(await verifyFiles(lake.ledger)).toMatchObject({ files: 3, rows: 63, faults: [] });
    await publish(lake.ledger, { run: 'r', head: true });
    expect(readdirSync(join(lake.dir, FOLDER))).toEqual(DAY_FILES);
    expect(existsSync(join(lake.dir, 'work/days'))).toBe(false);
    await add(lake, '2026-07-06', 1);
    await add(lake, '2026-07-02', 3);
    expect(await current(lake)).toEqual(['2026-07-01.4.parquet', '2026-07-02.5.parquet', '2026-07-05.4.parquet', '2026-07-06.4.parquet']); // oxfmt-ignore
    expect(await splitMonths(lake.ledger, EVENTS, { run: 'r', at: OPEN })).toBe(0);
  });

  test('writes a day of many rows by itself', CAMPAIGN, async () => {
    await using lake = await scratchLake({ monthRows: 2_000 });
    await add(lake, '2026-07-01', 60);
    await load(lake, span('2026-07-02T00:00:00Z', '2026-07-03T00:00:00Z'), Array.from({ length: 21_000 }, (_, n) =>
      event(`m${n}`, new Date(Date.parse('2026-07-02T00:00:00Z') + n * 4000).toISOString(), { properties: '' }))); // oxfmt-ignore
    await add(lake, '2026-07-03', 2);
    expect(await splitMonths(lake.ledger, EVENTS, { run: 'r', at: OPEN })).toBe(1);
    expect(await current(lake)).toEqual(['2026-07-01.4.parquet', '2026-07-02.4.parquet', '2026-07-03.4.parquet']);
    expect(await verifyFiles(lake.ledger)).toMatchObject({ files: 3, rows: 21_062, faults: [] });
  });

  test(
    'does not happen to a month of few rows, nor to a closed one that compaction could have made',
    CAMPAIGN,
    async () => {
      await using lake = await scratchLake({ monthRows: 31 });
      await add(lake, '2026-07-01', 1);
      await add(lake, '2026-07-05', 61);
      expect(await splitMonths(lake.ledger, EVENTS, { run: 'r', at: OPEN })).toBe(0);
      await add(lake, '2026-07-06', 1);
      expect(await splitMonths(lake.ledger, EVENTS, { run: 'r', at: CLOSED })).toBe(0);
      expect(await splitMonths(lake.ledger, { ...EVENTS, tenant: 'other' }, { run: 'r', at: OPEN })).toBe(0);
      expect(await splitMonths(lake.ledger, EVENTS, { run: 'r', at: CLOSED, smallBytes: 10 })).toBe(1);
    },
  );

  test('refuses a file that does not hold what the ledger says, and keeps it', CAMPAIGN, async () => {
    await using lake = await scratchLake({ monthRows: 31 });
    await grownMonth(lake);
    await lake.ledger.run(`update hours set lake = struct_update(lake, s0 := 1::hugeint) where lake.n > 30`);
    await expect(splitMonths(lake.ledger, EVENTS, { run: 'r', at: OPEN })).rejects.toThrow(DamagedError);
    expect(await current(lake)).toEqual(['2026-07.3.parquet']);
  });

  for (const step of STEPS)
    test(
      `that is killed at "${step}" leaves the month or its days, and is done by the next run`,
      campaign(step.startsWith('recording')),
      async () => {
        await using lake = await scratchLake({ monthRows: 31 });
        await grownMonth(lake);
        const rows = await storedRows(lake.ledger);
        const killed = splitMonths(lake.ledger, EVENTS, {
          run: 'r',
          at: OPEN,
          onStep: (reached) => {
            if (reached === step) throw new Error('killed');
          },
        });
        await expect(killed).rejects.toThrow('killed');
        await lake.reopen();
        await recover(lake.ledger);
        expect(await storedRows(lake.ledger)).toEqual(rows);
        await splitMonths(lake.ledger, EVENTS, { run: 'r', at: OPEN });
        expect(await current(lake)).toEqual(DAY_FILES);
        expect(await verifyFiles(lake.ledger)).toMatchObject({ rows: 63, faults: [] });
      },
    );

  for (const manifest of [false, true])
    test(
      `gives files that repair uses instead of the month, ${manifest ? 'with' : 'without'} a manifest`,
      campaign(!manifest),
      async () => {
        await using lake = await scratchLake({ monthRows: 31 });
        await grownMonth(lake);
        await splitMonths(lake.ledger, EVENTS, { run: 'r', at: OPEN });
        await add(lake, '2026-07-06', 1);
        await publish(lake.ledger, { run: 'r', head: true });
        await lake.ledger.close();
        if (!manifest) await rm(join(lake.dir, 'manifest.json'));
        expect(await repair(lake.dir, LAKE_SETTINGS, lake.runtime)).toMatchObject({ files: 4, rows: 64 });
        await lake.reopen();
      },
    );
});
