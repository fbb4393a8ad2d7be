import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, existsSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { DamagedError, DiskError, InsightsError, LockedError, NewerStateError } from '../../../src/kernel/errors.ts';
import { asCount } from '../../../src/load/ledger/cells.ts';
import { sparingLimit } from '../../../src/load/ledger/engine.ts';
import { OutOfMemoryError } from '../../../src/load/ledger/engine-errors.ts';
import { heldHours, recordComparison } from '../../../src/load/ledger/hours.ts';
import { openLedger } from '../../../src/load/ledger/ledger.ts';
import { DAILY, LAKE_SETTINGS } from '../support/lake.ts';
import { readProfile, updateProfile } from '../../../src/load/ledger/profile.ts';
import { publish } from '../../../src/load/publish/publish.ts';
import { recover } from '../../../src/load/maintenance/recover.ts';
import { repair } from '../../../src/load/maintenance/repair.ts';
import { finishRun, latestRuns, startRun } from '../../../src/load/ledger/runs.ts';
import { verifyFiles } from '../../../src/load/maintenance/verify.ts';
import { at, event, load, scratchLake, sourceHours, span, storedRows, TENANT } from '../support/lake.ts';
import type { Scratch } from '../support/lake.ts';
import { repairSummary } from '../../../src/output/summary.ts';
import { CAMPAIGN } from '../../support/campaign.ts';

const DAYS = span('2026-07-03T00:00:00Z', '2026-07-05T00:00:00Z');
const ROWS = [
  event('a', '2026-07-03T10:10:00Z'),
  event('b', '2026-07-04T11:00:00Z'),
  event('b', '2026-07-04T11:00:00Z'),
];
const FOLDER = 'store/events/tenant_id=acme/month=2026-07';

async function verified(lake: Scratch): Promise<number> {
  const counts = await recordComparison(
    lake.ledger,
    TENANT,
    'Events',
    { at: at('2026-08-01T00:00:00Z'), spans: [DAYS], grade: 'checksum', hours: sourceHours(ROWS) },
    'run-1',
  );
  return counts.verified;
}

describe('opening a data directory', () => {
  test('is refused while another process uses it, and the error names that process', async () => {
    await using lake = await scratchLake(DAILY);
    await lake.ledger.close();
    const script = `
      import { DuckDBInstance } from '@duckdb/node-api';
      const instance = await DuckDBInstance.create(process.argv[1]);
      console.log('held');
      process.stdin.on('end', () => instance.closeSync()).resume();`;
    const holder = spawn(process.execPath, ['--input-type=module', '-e', script, join(lake.dir, 'state.duckdb')], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    try {
      await once(holder.stdout, 'data');
      const opening = openLedger(lake.dir, LAKE_SETTINGS, lake.runtime);
      await expect(opening).rejects.toThrow(LockedError);
      await expect(opening).rejects.toThrow(`process ${holder.pid}`);
      await expect(repair(lake.dir, LAKE_SETTINGS, lake.runtime)).rejects.toThrow(LockedError);
    } finally {
      holder.stdin.end();
      await once(holder, 'exit');
    }
    await lake.reopen();
  });

  test('is refused when a newer version wrote it', async () => {
    await using lake = await scratchLake(DAILY);
    await lake.ledger.run('insert into migrations values (999, now())');
    const opening = lake.reopen();
    await expect(opening).rejects.toThrow(NewerStateError);
    await expect(opening).rejects.toThrow('ledger schema 999');
    await expect(repair(lake.dir, LAKE_SETTINGS, lake.runtime)).rejects.toThrow(NewerStateError);
  });

  test('is refused when there are Parquet files but no ledger: they would look like orphans', async () => {
    await using lake = await scratchLake(DAILY);
    await load(lake, DAYS, ROWS);
    await lake.ledger.close();
    rmSync(join(lake.dir, 'state.duckdb'));
    const opening = openLedger(lake.dir, LAKE_SETTINGS, lake.runtime);
    await expect(opening).rejects.toThrow(DamagedError);
    await expect(opening.catch((error: InsightsError) => error.hint)).resolves.toContain('repair');
    expect(readdirSync(join(lake.dir, FOLDER))).toHaveLength(2);
  });

  test('is refused when the ledger is not a database, and when the folder cannot be created', async () => {
    await using lake = await scratchLake();
    await lake.ledger.close();
    writeFileSync(join(lake.dir, 'state.duckdb'), 'x'.repeat(20_000));
    await expect(openLedger(lake.dir, LAKE_SETTINGS, lake.runtime)).rejects.toThrow(DamagedError);
    writeFileSync(join(lake.dir, 'file'), '');
    await expect(openLedger(join(lake.dir, 'file', 'data'), LAKE_SETTINGS, lake.runtime)).rejects.toThrow(DiskError);
  });

  test('finds what an earlier run wrote', async () => {
    await using lake = await scratchLake();
    await updateProfile(lake.ledger, TENANT, { rowCap: 500 });
    await updateProfile(lake.ledger, TENANT, { grades: { Logs: 'count' } });
    await lake.reopen();
    expect(await readProfile(lake.ledger, TENANT)).toEqual({ rowCap: 500, grades: { Logs: 'count' } });
  });
});

test.each([
  ['384MB', '128MB'],
  ['2GiB', '715MB'],
  ['1.5 GB', '500MB'],
  // The engine needs at least this much.
  ['256MB', '128MB'],
  ['100MB', '100MB'],
])('with a limit of %s, sparing work may use %s', async (memoryLimit, expected) => {
  await using lake = await scratchLake({ memoryLimit });
  const limit = async (): Promise<unknown> =>
    (await lake.ledger.rawRows(`select current_setting('memory_limit') as m`))[0]?.['m'];
  const whole = await limit();
  expect(sparingLimit(memoryLimit)).toBe(expected);
  const sparing = await lake.ledger.sparing(limit);
  expect(sparing === whole).toBe(expected === memoryLimit);
  expect(await limit()).toBe(whole);
});

describe('sparing work that needs more memory', () => {
  /** Needs about 200 MB, which the engine cannot spill. */
  const large = `select length(string_agg(repeat('x', 1000), '')) as n from range(50000)`;

  test.each([
    // A statement takes all that it may have, so it gets no more than twice as much if that suffices.
    ['384MB', '256MB'],
    ['250MB', '250MB'],
  ])('gets more, from the statement that needs it to the end of the work: of %s, %s', async (memoryLimit, expected) => {
    await using lake = await scratchLake({ memoryLimit });
    const limit = async (): Promise<unknown> =>
      (await lake.ledger.rawRows(`select current_setting('memory_limit') as m`))[0]?.['m'];
    const whole = await limit();
    await lake.ledger.run(`set memory_limit = '${expected}'`);
    const enough = await limit();
    await lake.ledger.release();
    const seen = await lake.ledger.sparing(async () => {
      const before = await limit();
      expect(await lake.ledger.row(large, { n: asCount })).toEqual({ n: 50_000_000 });
      return [before === enough, await limit()];
    });
    expect(seen).toEqual([false, enough]);
    expect(await limit()).toBe(whole);
    expect(await lake.ledger.sparing(limit)).not.toBe(whole);
  });

  test('fails inside a transaction, which cannot go on after an error, and changes nothing', async () => {
    await using lake = await scratchLake({ memoryLimit: '384MB' });
    const work = lake.ledger.sparing(() =>
      lake.ledger.transaction(async () => {
        await lake.ledger.run('create table half_done (n integer)');
        await lake.ledger.run(large);
      }),
    );
    await expect(work).rejects.toThrow(OutOfMemoryError);
    expect(await lake.ledger.rawRows(`select 1 from duckdb_tables() where table_name = 'half_done'`)).toEqual([]);
  });
});

test('the work of several callers is done one after the other', async () => {
  await using lake = await scratchLake();
  const days = ['2026-07-03', '2026-07-04', '2026-07-05'].map((day) => span(`${day}T00:00:00Z`, `${day}T12:00:00Z`));
  await Promise.all(
    days.map((day, index) => load(lake, day, [event(`r${index}`, new Date(Number(day.from / 10_000n)).toISOString())])),
  );
  expect(await storedRows(lake.ledger)).toHaveLength(3);
});

test('runs are recorded: when they ran, how they ended, and their statistics', async () => {
  await using lake = await scratchLake();
  await startRun(lake.ledger, 'run-1');
  lake.clock.now += 61_000;
  await finishRun(lake.ledger, 'run-1', 'ok', { calls: 3 });
  await startRun(lake.ledger, 'run-2');
  expect(await latestRuns(lake.ledger)).toEqual([
    { run: 'run-2', startedAt: '2026-11-01T00:01:01Z', finishedAt: undefined, outcome: undefined, stats: null },
    {
      run: 'run-1',
      startedAt: '2026-11-01T00:00:00Z',
      finishedAt: '2026-11-01T00:01:01Z',
      outcome: 'ok',
      stats: { calls: 3 },
    },
  ]);
});

describe('verify --deep', () => {
  test('finds every file intact after a run', async () => {
    await using lake = await scratchLake(DAILY);
    await load(lake, DAYS, ROWS);
    expect(await verifyFiles(lake.ledger)).toMatchObject({ files: 2, rows: 2, faults: [] });
  });

  test('names a missing, a truncated and a changed file, and their hours will be fetched again', async () => {
    await using lake = await scratchLake(DAILY);
    const wide = span('2026-07-03T00:00:00Z', '2026-07-06T00:00:00Z');
    await load(lake, wide, [...ROWS, event('c', '2026-07-05T01:00:00Z')]);
    expect(await verified(lake)).toBe(48);
    rmSync(join(lake.dir, FOLDER, '2026-07-03.1.parquet'));
    writeFileSync(join(lake.dir, FOLDER, '2026-07-04.1.parquet'), 'cut');
    await lake.ledger.run(`update partitions set sha256 = 'other' where period = '2026-07-05'`);
    const report = await verifyFiles(lake.ledger);
    expect(report.faults.map(({ period, fault }) => [period, fault])).toEqual([
      ['2026-07-03', 'missing'],
      ['2026-07-04', 'size'],
      ['2026-07-05', 'sha256'],
    ]);
    const hours = await heldHours(lake.ledger, TENANT, 'Events');
    expect(hours.get(at('2026-07-03T10:00:00Z'))).toMatchObject({ rows: 0, state: 'partial' });
    expect(hours.get(at('2026-07-03T11:00:00Z'))).toMatchObject({ rows: 0, state: 'verified' });
    expect(await verifyFiles(lake.ledger)).toMatchObject({ files: 0, faults: [] });
    await load(lake, DAYS, ROWS);
    expect(await verified(lake)).toBe(48);
  });

  test('finds a file whose rows differ from the ledger', async () => {
    await using lake = await scratchLake(DAILY);
    await load(lake, DAYS, ROWS);
    await lake.ledger.run(
      `update hours set lake = {n: lake.n, s0: 1::hugeint, s1: lake.s1, x: lake.x} where lake.n > 0 and hour < '2026-07-04'`,
    );
    const { faults } = await verifyFiles(lake.ledger);
    expect(faults.map(({ period, fault }) => [period, fault])).toEqual([['2026-07-03', 'fingerprint']]);
  });
});

describe('repair', () => {
  test('rebuilds the ledger from the files: the same rows, and every hour has to be compared again', async () => {
    await using lake = await scratchLake(DAILY);
    await load(lake, DAYS, ROWS.slice(0, 1));
    await load(lake, DAYS, ROWS);
    await publish(lake.ledger, { run: 'run-1', head: true });
    const before = await storedRows(lake.ledger);
    await lake.ledger.close();
    writeFileSync(join(lake.dir, 'state.duckdb'), 'x'.repeat(20_000));
    const result = await repair(lake.dir, LAKE_SETTINGS, lake.runtime);
    expect(result).toMatchObject({ files: 2, rows: 2, leftOut: 0 });
    expect(existsSync(result.setAside ?? '')).toBe(true);
    await lake.reopen();
    expect(await storedRows(lake.ledger)).toEqual(before);
    // The next run compares everything: what the lost ledger knew about earlier rows is not known.
    const comparedFrom = { Events: '2026-07-03T10:00:00.0000000Z' };
    expect(await readProfile(lake.ledger, TENANT)).toEqual({ pinnedTenantId: TENANT, comparedFrom });
    const hours = await heldHours(lake.ledger, TENANT, 'Events');
    expect([...hours.values()].map(({ rows, state }) => [rows, state])).toEqual([[1, 'unchecked'], [1, 'unchecked']]); // oxfmt-ignore
    // The copy that was left out is no longer known: reconcile finds the hour, fetches it again, and the account balances.
    expect(await verified(lake)).toBe(47);
    await load(lake, DAYS, ROWS);
    expect(await verified(lake)).toBe(48);
    expect(await publish(lake.ledger, { run: 'run-2', head: true })).toMatchObject({ snapshot: 2 });
  });

  test('takes the published generation of each period and skips unreadable files', CAMPAIGN, async () => {
    await using lake = await scratchLake(DAILY);
    await load(lake, DAYS, ROWS.slice(0, 1));
    await load(lake, DAYS, [event('changed', '2026-07-03T10:10:00Z')]);
    await lake.ledger.close();
    rmSync(join(lake.dir, 'state.duckdb'));
    writeFileSync(join(lake.dir, FOLDER, '2026-07-03.7.parquet'), 'not Parquet');
    mkdirSync(join(lake.dir, 'store/other'), { recursive: true });
    expect(await repair(lake.dir, LAKE_SETTINGS, lake.runtime)).toMatchObject({
      files: 1,
      leftOut: 1,
      damaged: [{ file: `${FOLDER}/2026-07-03.7.parquet`, problem: 'unreadable' }],
    });
    await lake.reopen();
    expect((await storedRows(lake.ledger)).map((row) => row['event_id'])).toEqual(['changed']);
    expect(await recover(lake.ledger)).toMatchObject({ orphans: 1 });
  });

  test.each([
    // The bytes in the middle decompress to other bytes or not at all; the checksum differs in both cases.
    ['changed', 'published', 'sha256', (bytes: Buffer) => Buffer.from(bytes).fill(0xff, 40, 60)],
    ['cut off', 'not published', 'unreadable', (bytes: Buffer) => bytes.subarray(0, bytes.length - 100)],
    ['overwritten', 'not published', 'unreadable', (bytes: Buffer) => Buffer.from(bytes).fill(0xff, 4, 400)],
  ])('names a file that is %s (%s), keeps it and continues with the others', async (_name, state, problem, damage) => {
    await using lake = await scratchLake(DAILY);
    await load(lake, DAYS, ROWS);
    if (state === 'published') await publish(lake.ledger, { run: 'run-1', head: true });
    await lake.ledger.close();
    writeFileSync(join(lake.dir, 'state.duckdb'), 'x'.repeat(20_000));
    const file = `${FOLDER}/2026-07-03.1.parquet`;
    const damaged = damage(readFileSync(join(lake.dir, file)));
    writeFileSync(join(lake.dir, file), damaged);
    const report = await repair(lake.dir, LAKE_SETTINGS, lake.runtime);
    expect(report).toMatchObject({ files: 1, rows: 1, leftOut: 0, damaged: [{ file, problem }] });
    expect(repairSummary(report)).toContain(`skipped ${file}: `);
    await lake.reopen();
    expect((await storedRows(lake.ledger)).map((row) => row['event_id'])).toEqual(['b']);
    expect(await recover(lake.ledger)).toMatchObject({ orphans: 0, lost: 0 });
    expect(readFileSync(join(lake.dir, `${file}.damaged`))).toEqual(damaged);
  });

  test('is the next step after a damaged block, wherever a statement reads it', async () => {
    await using lake = await scratchLake(DAILY);
    await load(lake, DAYS, ROWS);
    await lake.ledger.run('checkpoint');
    const [block] = await lake.ledger.rows(
      `select max(block_id)::bigint as id from pragma_storage_info('partitions') where persistent`,
      { id: asCount },
    );
    await lake.ledger.close();
    const path = join(lake.dir, 'state.duckdb');
    const bytes = readFileSync(path);
    const at = 3 * 4096 + (block?.id ?? 0) * 262_144 + 1000;
    bytes[at] = (bytes[at] ?? 0) ^ 1;
    writeFileSync(path, bytes);
    await lake.reopen();
    await expect(recover(lake.ledger)).rejects.toMatchObject({
      exitCode: 9,
      message: 'A block of the ledger state.duckdb is damaged.',
      hint: expect.stringContaining('insights-etl repair'),
    });
    await lake.ledger.close();
    expect(await repair(lake.dir, LAKE_SETTINGS, lake.runtime)).toMatchObject({ files: 2, rows: 2, damaged: [] });
  });
});

test('a folder that cannot be written is reported as such', async () => {
  await using lake = await scratchLake();
  await lake.ledger.close();
  if (process.getuid?.() === 0) return;
  chmodSync(lake.dir, 0o500);
  await expect(openLedger(lake.dir, LAKE_SETTINGS, lake.runtime)).rejects.toThrow(DiskError);
  chmodSync(lake.dir, 0o700);
});
