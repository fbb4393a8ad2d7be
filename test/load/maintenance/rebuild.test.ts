/** Rewriting files that have other rules than today's: the same rows and accounts, atomically, and only the files that are due. */
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { StoppedError } from '../../../src/kernel/errors.ts';
import { text } from '../../support/cells.ts';
import { heldHours, recordComparison } from '../../../src/load/ledger/hours.ts';
import { publish } from '../../../src/load/publish/publish.ts';
import { rebuild, rebuildDue } from '../../../src/load/maintenance/rebuild.ts';
import { recover } from '../../../src/load/maintenance/recover.ts';
import { verifyFiles } from '../../../src/load/maintenance/verify.ts';
import { promotionKey } from '../../../src/model/promoted.ts';
import { TABLES } from '../../../src/model/tables.ts';
import type { Tables } from '../../../src/model/tables.ts';
import { CAMPAIGN, caseOfMany } from '../../support/campaign.ts';
import { at, DAILY, event, load, scratchLake, sourceHours, span, storedRows, TENANT } from '../support/lake.ts';
import type { Scratch } from '../support/lake.ts';

const BEFORE: Tables = { ...TABLES, Events: { ...TABLES.Events, promoted: [] } };
const TODAY = promotionKey(TABLES.Events.promoted);
const DAYS = span('2026-07-03T00:00:00Z', '2026-07-06T00:00:00Z');
const ROWS = [3, 4, 5].map((day) =>
  event(`r${day}`, `2026-07-0${day}T10:00:00Z`, { properties: `{"passId":"P${day}","n":1.0}` }),
);
const COPIES = [...ROWS, ROWS[0] ?? [], event('', '2026-07-04T11:30:00Z')];
const FOLDER = 'store/events/tenant_id=acme/month=2026-07';

/** Three days and their proof, written before there were promoted columns. */
async function oldLake(): Promise<Scratch> {
  const lake = await scratchLake({ ...DAILY, tables: BEFORE, keepHours: 0 });
  await load(lake, DAYS, COPIES);
  const hours = sourceHours(COPIES);
  const comparison = {
    at: at('2026-08-01T00:00:00Z'),
    spans: [DAYS],
    grade: 'checksum',
    hours,
  } as const;
  expect(await recordComparison(lake.ledger, TENANT, 'Events', comparison, 'run-1')).toMatchObject({ verified: 72 });
  await lake.reopen({ tables: TABLES });
  await publish(lake.ledger, { run: 'run-1', head: true });
  return lake;
}

async function promotions(lake: Scratch): Promise<Record<string, string | undefined>> {
  const rows = await lake.ledger.rawRows(
    'select period, promotion from partitions where superseded_at is null order by all',
  );
  return Object.fromEntries(rows.map((row) => [text(row, 'period'), text(row, 'promotion')]));
}

/** What a rebuild must not change: the rows as the source sent them, and their proofs. */
async function truth(lake: Scratch): Promise<object> {
  const given = 'event_id, "timestamp", event_type, source_tenant_id, operation_id, properties::varchar as properties';
  return {
    rows: await storedRows(lake.ledger, 'Events', TENANT, given),
    hours: await heldHours(lake.ledger, TENANT, 'Events'),
    ledgerHours: await lake.ledger.rawRows('select * from hours order by all'),
    fingerprints: await lake.ledger.rawRows(`select period, fingerprint, rows, min_ts, max_ts from partitions where superseded_at is null order by period`),
    duplicates: await lake.ledger.rawRows('select * from duplicates'),
    quarantine: await lake.ledger.rawRows('select reason, raw from quarantine'),
  }; // oxfmt-ignore
}

describe('a rebuild', () => {
  test('gives every file the columns of today and keeps rows, fingerprints and proofs', async () => {
    await using lake = await oldLake();
    const before = await truth(lake);
    expect(await rebuildDue(lake.ledger)).toEqual([{ tenant: TENANT, table: 'Events', files: 3, rows: 3 }]);
    expect(await rebuild(lake.ledger, { run: 'rebuild' })).toEqual([
      { tenant: TENANT, table: 'Events', files: 3, rows: 3 },
    ]);
    expect(await truth(lake)).toEqual(before);
    expect(await promotions(lake)).toEqual({ '2026-07-03': TODAY, '2026-07-04': TODAY, '2026-07-05': TODAY });
    const stored = await storedRows(lake.ledger, 'Events', TENANT, 'pass_id');
    expect(stored.map((row) => row['pass_id'])).toEqual(['P3', 'P4', 'P5']);
    expect(await publish(lake.ledger, { run: 'rebuild', head: true })).toMatchObject({
      changed: true,
      removedFiles: 3,
    });
    expect(readdirSync(join(lake.dir, FOLDER)).sort()).toEqual(['2026-07-03.2.parquet', '2026-07-04.2.parquet', '2026-07-05.2.parquet']); // oxfmt-ignore
    expect(await verifyFiles(lake.ledger)).toMatchObject({ files: 3, faults: [] });
  });

  test('writes nothing the second time', CAMPAIGN, async () => {
    await using lake = await oldLake();
    await rebuild(lake.ledger, { run: 'rebuild' });
    expect(await rebuildDue(lake.ledger)).toEqual([]);
    expect(await rebuild(lake.ledger, { run: 'rebuild' })).toEqual([]);
  });

  test('can be limited to a range, a tenant or a table', CAMPAIGN, async () => {
    await using lake = await oldLake();
    expect(await rebuild(lake.ledger, { run: 'r', tables: ['Logs', 'Metrics'] })).toEqual([]);
    expect(await rebuild(lake.ledger, { run: 'r', tenants: ['other'] })).toEqual([]);
    expect(await rebuild(lake.ledger, { run: 'r', tenants: [] })).toEqual([]);
    await rebuild(lake.ledger, { run: 'r', from: at('2026-07-04T00:00:00Z'), to: at('2026-07-05T00:00:00Z') });
    expect(await promotions(lake)).toMatchObject({ '2026-07-04': TODAY });
    expect(await rebuildDue(lake.ledger)).toMatchObject([{ files: 2 }]);
    expect(await rebuild(lake.ledger, { run: 'r', tenants: [TENANT], tables: ['Events'] })).toMatchObject([
      { files: 2 },
    ]);
  });

  const stepsOf = (day: string): string[] =>
    ['copied', 'named', 'recording', 'recorded'].map((step) => `${step} ${day}`);

  test('goes through the same steps for each file', CAMPAIGN, async () => {
    await using undisturbed = await oldLake();
    const steps: string[] = [];
    await rebuild(undisturbed.ledger, { run: 'r', onStep: (step) => void steps.push(step) });
    expect(steps.slice(0, 8)).toEqual([...stepsOf('2026-07-03'), ...stepsOf('2026-07-04')]);
  });

  for (const [index, killAt] of stepsOf('2026-07-04').entries())
    test(`killed at "${killAt}" leaves a correct lake, and the next one does the rest`, caseOfMany(index), async () => {
      await using lake = await oldLake();
      const expected = await truth(lake);
      const killed = rebuild(lake.ledger, {
        run: 'r',
        onStep: (step) => {
          if (step === killAt) throw new Error('killed');
        },
      });
      await expect(killed).rejects.toThrow('killed');
      await lake.reopen({ tables: TABLES });
      await recover(lake.ledger);
      expect(await truth(lake)).toEqual(expected);
      expect(await verifyFiles(lake.ledger)).toMatchObject({ files: 3, faults: [] });
      const left = killAt.startsWith('recorded') ? 1 : 2;
      expect(await rebuild(lake.ledger, { run: 'r' })).toMatchObject([{ files: left }]);
      expect(await truth(lake)).toEqual(expected);
      await publish(lake.ledger, { run: 'r', head: true });
      expect(readdirSync(join(lake.dir, FOLDER))).toHaveLength(3);
    });

  test('stops between two files when it is aborted', CAMPAIGN, async () => {
    await using lake = await oldLake();
    const stop = new AbortController();
    const stopped = rebuild(lake.ledger, {
      run: 'r',
      signal: stop.signal,
      onPartition: () => stop.abort(new StoppedError('Stopped.')),
    });
    await expect(stopped).rejects.toThrow(StoppedError);
    expect(await rebuildDue(lake.ledger)).toMatchObject([{ files: 2 }]);
  });

  test('refuses a file that does not hold what the ledger says, and does not change it', CAMPAIGN, async () => {
    await using lake = await oldLake();
    await lake.ledger.run(
      `update hours set lake = {n: lake.n, s0: 1::hugeint, s1: lake.s1, x: lake.x} where lake.n > 0`,
    );
    await expect(rebuild(lake.ledger, { run: 'r' })).rejects.toThrow('do not hold what the ledger says');
    expect(await promotions(lake)).not.toMatchObject({ '2026-07-03': TODAY });
    expect(existsSync(join(lake.dir, FOLDER, '2026-07-03.1.parquet'))).toBe(true);
  });
});
