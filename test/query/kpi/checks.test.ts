import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { EXIT } from '../../../src/kernel/errors.ts';
import { QUERIES_FOLDER } from '../../../src/kernel/queries-folder.ts';
import { listChecks, parameterValues } from '../../../src/query/report.ts';
import { openStage } from '../../support/shell.ts';
import { openLake, type Coverage, type Happening, type Lake, type Metric } from './support/lake.ts';

let made = 0;
function event(tenant: string, time: string, over: Partial<Happening> = {}): Happening {
  const row = { table: 'events', type: 'Pass:Created', properties: '{"passId":"A"}', id: `id-${made++}` } as const;
  return { ...row, tenant, time: `2026-03-${time}:00Z`, ...over };
}
function metric(tenant: string, time: string, type = 'passes.total'): Metric {
  return { tenant, time: `2026-03-${time}:00Z`, type, value: '1', properties: '{}' };
}
function hours(tenant: string, table: string, from: string, to: string, over: Partial<Coverage> = {}): Coverage {
  return { tenant, table, from: `2026-03-${from}:00Z`, to: `2026-03-${to}:00Z`, state: 'verified', ...over };
}

/** Each tenant except the first has one fault and is named after the check that finds it. */
const ROWS = {
  happenings: [
    event('sound', '01T00:30'),
    event('sound', '01T02:30', { type: 'Customer:Upserted', properties: '{}' }),
    event('sound', '01T02:31', { type: 'Pass:Printed', properties: 'null' }),
    event('sound', '01T02:32', { table: 'logs', type: 'Anything' }),
    event('duplicate_id', '01T00:59', { id: 'same' }),
    event('duplicate_id', '01T01:01', { id: 'same' }),
    event('duplicate_id_in_hour', '01T00:10', { id: 'same' }),
    event('duplicate_id_in_hour', '01T00:50', { id: 'same' }),
    event('duplicate_id_in_hour', '01T00:50', { id: 'same' }),
    event('foreign_tenant', '01T00:10'),
    event('foreign_tenant', '01T00:11'),
    event('foreign_tenant', '01T00:12', { table: 'logs', source: 'elsewhere' }),
    event('row_outside_partition', '01T00:10', { month: '2026-02' }),
    event('hour_missing', '01T00:10'),
    event('hour_missing', '01T04:10'),
    event('future_timestamp', '31T00:10', { time: '2026-05-01T00:00:01Z' }),
    event('unknown_type', '01T00:10', { type: 'Privilege:Granted' }),
    event('pass_missing', '01T00:10', { type: 'pass.installed', properties: '{"passID":"A"}' }),
    event('pass_missing', '01T00:11', { properties: 'null' }),
  ],
  metrics: [
    metric('sound', '01T00:00'), metric('sound', '01T01:00'), metric('sound', '01T02:00'),
    metric('metric_snapshot_missing', '01T00:00'), metric('metric_snapshot_missing', '01T03:00'),
    metric('metric_snapshot_missing', '01T02:00', 'stores'), metric('metric_snapshot_missing', '01T03:00', 'stores'),
  ],
  coverage: [
    ...['events', 'logs', 'metrics'].map((table) => hours('sound', table, '01T00:00', '01T03:00')),
    hours('sound', 'events', '01T03:00', '01T04:00', { state: 'open', proven: 5 }),
    // Deleted rows, an hour without a record, and a partial hour that is already known to be wrong.
    hours('hour_missing', 'events', '01T00:00', '01T01:00', { proven: 3 }),
    hours('hour_missing', 'events', '01T01:00', '01T02:00', { proven: 2 }),
    hours('hour_missing', 'events', '01T03:00', '01T04:00', { state: 'partial', proven: 9 }),
    hours('hour_missing', 'events', '01T04:00', '01T05:00'),
    hours('metric_snapshot_missing', 'metrics', '01T00:00', '01T04:00'),
    hours('metric_snapshot_missing', 'metrics', '01T04:00', '01T05:00', { state: 'partial' }),
  ],
}; // oxfmt-ignore

const FOUND: Readonly<Record<string, readonly object[]>> = {
  duplicate_id: [{ table_name: 'events', ids: '1', rows: '2', first_at: '2026-03-01 00:59:00+00' }],
  duplicate_id_in_hour: [{ table_name: 'events', hour: '2026-03-01 00:00:00+00', ids: '1', rows: '3' }],
  foreign_tenant: [{ table_name: 'logs', rows: '1', other_tenants: '1' }],
  row_outside_partition: [{ table_name: 'events', partition: '2026-02', rows: '1' }],
  hour_missing: [
    { hour: '2026-03-01 00:00:00+00', fault: 'rows differ', proven_rows: '3', rows: '1' },
    { hour: '2026-03-01 01:00:00+00', fault: 'rows differ', proven_rows: '2', rows: '0' },
    { hour: '2026-03-01 02:00:00+00', fault: 'unknown', proven_rows: null, rows: null },
  ],
  metric_snapshot_missing: [
    { metric_type: 'passes.total', missing_hours: '2', first_missing: '2026-03-01 01:00:00+00', last_missing: '2026-03-01 02:00:00+00' },
  ],
  unknown_type: [{ event_type: 'Privilege:Granted', rows: '1' }],
  future_timestamp: [{ table_name: 'events', rows: '1' }],
  pass_missing: [{ event: 'pass:created', rows: '1' }, { event: 'pass:installed', rows: '1' }],
}; // oxfmt-ignore

let lake: Lake;
beforeAll(async () => {
  lake = await openLake(ROWS);
});
afterAll(() => lake[Symbol.asyncDispose]());

describe('checks', () => {
  it('each file has a severity and an example of a fault', async () => {
    const checks = await listChecks();
    expect(checks.map(({ name }) => name).sort()).toEqual(Object.keys(FOUND).sort());
    expect(checks.filter(({ severity }) => severity === undefined)).toEqual([]);
    expect(readdirSync(join(QUERIES_FOLDER, 'checks'))).toHaveLength(checks.length);
  });

  it.each(Object.entries(FOUND))('%s finds its fault, and nothing in a correct lake', async (name, expected) => {
    const check = (await listChecks()).find((candidate) => candidate.name === name);
    const rows = await lake.select(check?.sql ?? '', { tenant: null, from: null });
    expect(rows).toMatchObject(expected.map((row) => ({ tenant_id: name, ...row })));
    expect(rows).toHaveLength(expected.length);
  });

  it('a first day excludes earlier rows', async () => {
    for (const check of await listChecks()) {
      const rows = await lake.select(check.sql, parameterValues(check, ['from=2026-06-01'], { nowMs: Date.now() }));
      expect({ check: check.name, rows }).toEqual({ check: check.name, rows: [] });
    }
  });
});

describe('the command', () => {
  it('passes for a correct tenant', async () => {
    await using stage = await openStage();
    const { code, out } = await stage.run(['check', '--tenant', 'sound', '--data-dir', lake.folder]);
    expect({ code, failures: out.split('\n').filter((line) => / (error|warning) /.test(line)) }).toEqual({ code: EXIT.ok, failures: [] }); // oxfmt-ignore
    expect(out).toMatch(/^hour_missing +passed +0  Hour missing inside a verified range$/m);
  });

  it('a warning is printed and is not a failure; an error sets the exit code', async () => {
    await using stage = await openStage();
    const warned = await stage.run(['check', '--tenant', 'pass_missing', '--data-dir', lake.folder]);
    expect(warned.code).toBe(EXIT.ok);
    expect(warned.out).toMatch(/pass_missing +warning +2 /);
    const failed = await stage.run(['check', 'hour_missing', '--data-dir', lake.folder]);
    expect(failed.code).toBe(EXIT.partial);
    expect(failed.out).toContain('hour_missing  events      2026-03-01 02:00:00+00  unknown      null         null\n');
  });

  it('prints every check with its severity, count and rows as JSON', async () => {
    await using stage = await openStage();
    const { code, out } = await stage.run([
      'check',
      'duplicate_id',
      'unknown_type',
      '--json',
      '--data-dir',
      lake.folder,
    ]);
    expect(code).toBe(EXIT.ok);
    expect(JSON.parse(out)).toMatchObject({
      checks: [
        { name: 'duplicate_id', severity: 'warning', failures: 1, found: [{ tenant_id: 'duplicate_id', ids: '1' }] },
        { name: 'unknown_type', severity: 'warning', failures: 1 },
      ],
      exitCode: EXIT.ok,
    });
  });

  it.each([
    [['check', 'hour_mising'], 'There is no check "hour_mising".', 'Did you mean "hour_missing"?'],
    [['check', '--from', '2026-13-01'], '--from cannot be "2026-13-01".', 'Allowed: a day such as 2026-01-31'],
  ])('%j is refused', async (argv, message, hint) => {
    await using stage = await openStage();
    const { code, err } = await stage.run([...argv, '--data-dir', lake.folder]);
    expect(code).toBe(EXIT.config);
    expect(err).toContain(message);
    expect(err).toContain(hint);
  });
});
