/** Checks after a load: they run over the changed days only, their results are kept, and one that cannot run stops nothing. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { lakeChecks } from '../../../src/query/definitions.ts';
import { OutOfMemoryError } from '../../../src/load/ledger/engine-errors.ts';
import type { Patiently } from '../../../src/load/ledger/engine.ts';
import { runChecks } from '../../../src/load/marts/checks.ts';
import { dropDays, noteDays } from '../../../src/load/marts/days.ts';
import { publish } from '../../../src/load/publish/publish.ts';
import { openReader, textRows } from '../../../src/query/reader.ts';
import { event, load, metric, scratchLake, span, TENANT } from '../support/lake.ts';
import type { Scratch } from '../support/lake.ts';
import { CAMPAIGN, LONG } from '../../support/campaign.ts';

let lake: Scratch;
beforeEach(async () => {
  lake = await scratchLake({ checks: true });
});
afterEach(() => lake[Symbol.asyncDispose]());

function next(day: string): string {
  return new Date(Date.parse(day) + 86_400_000).toISOString().slice(0, 10);
}

/** A day of correct rows, and others in addition. */
async function loadDay(day: string, others: readonly unknown[] = [], tenant = TENANT): Promise<void> {
  const rows = ['00:00:00', '12:30:00', '23:59:59.999999'].map((time, n) =>
    event(`${day}-${n}`, `${day}T${time}Z`, { type: 'Pass:Created', tenant, properties: JSON.stringify({ passId: `p${n}` }) }),
  ); // oxfmt-ignore
  await load(lake, span(`${day}T00:00:00Z`, `${next(day)}T00:00:00Z`), [...rows, ...others], { tenant });
}

const unknown = (id: string, day: string): unknown[] => event(id, `${day}T05:00:00Z`, { type: 'Privilege:Granted' });

async function published(run: string): Promise<{ changed: boolean; reported: unknown[][] }> {
  const { changed, checks } = await publish(lake.ledger, { run, head: true });
  const failed = checks.filter(({ failures, error }) => failures > 0 || error !== undefined);
  return { changed, reported: failed.map(({ check, tenant, days, failures }) => [check, tenant, days, failures]) };
}

async function query(sql: string): Promise<string[][]> {
  await using reader = await openReader(lake.dir, { threads: 1, memoryLimit: '256MB' });
  return await textRows(reader, sql);
}

const FAILURES = 'select check_name, severity, tenant_id, day, failures, run from check_failures order by all';

describe('checks after a load', () => {
  test('pass over correct rows and record that', CAMPAIGN, async () => {
    await loadDay('2026-07-01');
    await load(lake, span('2026-07-01T00:00:00Z', '2026-07-01T01:00:00Z'), [metric('m', '2026-07-01T00:00:00Z', 1)], {
      table: 'Metrics',
    });
    expect(await published('r1')).toEqual({ changed: true, reported: [] });
    const names = (await lakeChecks()).map(({ name }) => [name, 'r1', TENANT, '1', '0', '']);
    expect(names.length).toBeGreaterThanOrEqual(9);
    expect(await query(`select check_name, run, tenant_id, days, failures, coalesce(error, '') from check_results order by all`)).toEqual(names); // oxfmt-ignore
    expect(await query(FAILURES)).toEqual([]);
  });

  test('find a row in the future, keep the failure with its day, and are in the report of the run that loaded it', async () => {
    lake.clock.now = Date.parse('2026-07-02T12:00:00Z');
    await loadDay('2026-07-01');
    await loadDay('2026-07-02');
    expect(await published('r1')).toEqual({ changed: true, reported: [['future_timestamp', TENANT, 2, 1]] });
    expect(await query(FAILURES)).toEqual([['future_timestamp', 'error', TENANT, '2026-07-02', '1', 'r1']]);
    // A day that did not change is not checked again, and its results remain.
    lake.clock.now += 1_000;
    await loadDay('2026-07-03', [], 'other');
    expect((await published('r2')).reported).toEqual([
      ['foreign_tenant', 'other', 1, 0],
    ].slice(1).concat([['future_timestamp', 'other', 1, 1]])); // oxfmt-ignore
    expect(await query(FAILURES)).toEqual([
      ['future_timestamp', 'error', TENANT, '2026-07-02', '1', 'r1'],
      ['future_timestamp', 'error', 'other', '2026-07-03', '1', 'r2'],
    ]);
    expect(await query(`select distinct run, tenant_id, days from check_results order by all`)).toEqual([
      ['r1', TENANT, '2'],
      ['r2', 'other', '1'],
    ]);
  });

  test('do not run when nothing is new, and their last results remain', LONG, async () => {
    await loadDay('2026-07-01', [unknown('u', '2026-07-01')]);
    expect((await published('r1')).reported).toEqual([['unknown_type', TENANT, 1, 1]]);
    const before = await query('from check_results');
    expect(await published('r2')).toEqual({ changed: false, reported: [] });
    expect(await lake.ledger.rawRows('select distinct run from check_results')).toEqual([{ run: 'r1' }]);
    expect(await query('from check_results')).toEqual(before);
    expect(await query(FAILURES)).toEqual([['unknown_type', 'warning', TENANT, '2026-07-01', '1', 'r1']]);
  });

  test('drop a failure when its rows are corrected or deleted', CAMPAIGN, async () => {
    await loadDay('2026-07-01', [unknown('u', '2026-07-01')]);
    await loadDay('2026-07-02', [unknown('v', '2026-07-02')]);
    expect((await published('r1')).reported).toEqual([['unknown_type', TENANT, 2, 2]]);
    await load(lake, span('2026-07-01T05:00:00Z', '2026-07-01T06:00:00Z'), []);
    await lake.ledger.run(`delete from hours where hour::date = '2026-07-02'`);
    expect((await published('r2')).reported).toEqual([]);
    expect(await query(FAILURES)).toEqual([]);
  });

  test('examine each day by itself, also for several tenants and in one file of a month', CAMPAIGN, async () => {
    await loadDay('2026-07-01', [unknown('u', '2026-07-01')]);
    await loadDay(
      '2026-07-01',
      [event('w', '2026-07-01T06:00:00Z', { type: 'Privilege:Granted', tenant: 'b c' })],
      'b c',
    );
    await loadDay('2026-07-02', [unknown('v', '2026-07-02'), unknown('w', '2026-07-02')]);
    await published('r1');
    expect(await query('select tenant_id, day, failures from check_failures order by all')).toEqual([
      [TENANT, '2026-07-01', '1'],
      [TENANT, '2026-07-02', '1'],
      ['b c', '2026-07-01', '1'],
    ]);
    // The rows are the same, but with other checks every day is due.
    const two = (await lakeChecks()).filter(({ name }) => name === 'unknown_type' || name === 'hour_missing');
    await loadDay('2026-07-03');
    const { checks } = await publish(lake.ledger, { run: 'r2', head: true, checks: two });
    expect(checks.map(({ check, tenant, days, failures }) => [check, tenant, days, failures])).toEqual([
      ['hour_missing', TENANT, 3, 0],
      ['hour_missing', 'b c', 1, 0],
      ['unknown_type', TENANT, 3, 2],
      ['unknown_type', 'b c', 1, 1],
    ]);
  });

  test(
    'report a check that cannot run, retry it, and lose neither the other checks nor the snapshot',
    CAMPAIGN,
    async () => {
      const checks = [...(await lakeChecks()), { name: 'broken', severity: 'error', sql: 'select tenant_id, no_such_column from events' }] as const; // oxfmt-ignore
      await loadDay('2026-07-01', [unknown('u', '2026-07-01')]);
      const first = await publish(lake.ledger, { run: 'r1', head: true, checks });
      expect(first.changed).toBe(true);
      const broken = first.checks.find(({ check }) => check === 'broken');
      expect(broken).toMatchObject({ failures: 0, error: expect.stringContaining('no_such_column') });
      expect(await query(`select failures, error is null from check_results where check_name = 'broken'`)).toEqual([['""', 'false']]); // oxfmt-ignore
      expect(await query(FAILURES)).toEqual([['unknown_type', 'warning', TENANT, '2026-07-01', '1', 'r1']]);
      // Nothing is new at the source, but the days are checked again.
      const second = await publish(lake.ledger, { run: 'r2', head: true, checks });
      expect(second.checks.map(({ check, failures }) => [check, failures])).toContainEqual(['unknown_type', 1]);
      expect((await published('r3')).reported).toEqual([['unknown_type', TENANT, 1, 1]]);
      expect(await published('r4')).toMatchObject({ reported: [] });
      expect(await lake.ledger.rawRows(`select check_name from check_results where check_name = 'broken'`)).toEqual([]);
    },
  );

  test('that run out of memory are run once more when no other work shares it, and then reported', async () => {
    const greedy = { name: 'greedy', severity: 'error', sql: 'select tenant_id from events where len((select list(md5(range::varchar)) from range(20_000_000))) = 0' } as const; // oxfmt-ignore
    const checks = [greedy, { ...greedy, name: 'modest', sql: 'select tenant_id from events where false' }];
    await loadDay('2026-07-01');
    const outcomes: string[] = [];
    const patiently: Patiently = (step) =>
      step().catch((error: unknown) => {
        outcomes.push(error instanceof OutOfMemoryError ? 'out of memory' : 'other');
        return step();
      });
    await lake.ledger.exclusive(async () => {
      await noteDays(lake.ledger);
      const results = await runChecks(lake.ledger, 'r0', { checks, patiently });
      expect(results.map(({ check, error }) => [check, error === undefined])).toEqual([
        ['greedy', false],
        ['modest', true],
      ]);
      await dropDays(lake.ledger);
    });
    expect(outcomes).toEqual(['out of memory']);
    const { checks: results } = await publish(lake.ledger, { run: 'r1', head: true, checks });
    expect(results.map(({ check, error }) => [check, error === undefined])).toEqual([
      ['greedy', false],
      ['modest', true],
    ]);
  });

  test('find the same over many rows as over few', LONG, async () => {
    const many = Array.from({ length: 21_000 }, (_, n) =>
      event(`n${n}`, `2026-07-01T0${n % 10}:00:00Z`, { type: n % 7 === 0 ? 'Privilege:Granted' : 'Customer:Upserted', properties: '' }),
    ); // oxfmt-ignore
    await loadDay('2026-07-01', many);
    expect((await published('r1')).reported).toEqual([['unknown_type', TENANT, 1, 1]]);
    expect((await published('r2')).reported).toEqual([]);
    const temporary = await lake.ledger.rawRows(`select table_name as name from duckdb_tables() where temporary union all select view_name from duckdb_views() where temporary and not internal`); // oxfmt-ignore
    expect(temporary).toEqual([]);
  });

  test('keep the last result of each check, and older results for 90 days', LONG, async () => {
    await loadDay('2026-07-01');
    await published('r1');
    lake.clock.now += 91 * 86_400_000;
    await loadDay('2026-07-02', [], 'other');
    await published('r2');
    await loadDay('2026-07-03');
    await published('r3');
    expect(await query('select distinct run, tenant_id from check_results order by all')).toEqual([
      ['r2', 'other'],
      ['r3', TENANT],
    ]);
  });

  test('leave nothing behind when they are turned off', CAMPAIGN, async () => {
    await loadDay('2026-07-01', [unknown('u', '2026-07-01')]);
    await published('r1');
    await lake.reopen({ checks: false });
    expect(await published('r2')).toEqual({ changed: true, reported: [] });
    expect(await query('select count(*) from check_results')).toEqual([['0']]);
    expect(await query(FAILURES)).toEqual([]);
  });
});
