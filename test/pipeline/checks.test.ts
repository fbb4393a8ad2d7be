/** The checks that run after a load, as reported by the run, `status`, the metrics and the published lake. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { pino } from 'pino';
import { metricsText } from '../../src/commands/observe.ts';
import { EXIT } from '../../src/kernel/errors.ts';
import { runSummary, statusSummary } from '../../src/output/summary.ts';
import type { RunReport } from '../../src/model/report.ts';
import { lakeStatus } from '../../src/pipeline/status.ts';
import { openWorld, type World } from './support/world.ts';
import { CAMPAIGN } from '../support/campaign.ts';

const SOURCE = { rows: 200, days: 1, seed: 3, now: '2026-11-01T12:30:00Z', frozen: true, tenants: ['paris'] } as const;
/** This machine's clock is hours behind: newer rows lie in its future. */
const LATE = Date.parse('2026-11-01T06:00:00Z');

let world: World;
let first: RunReport;
const logged: { event?: string }[] = [];
beforeAll(async () => {
  world = await openWorld(SOURCE, { lake: { checks: true } });
  const log = pino({ level: 'warn' }, { write: (line: string) => void logged.push(JSON.parse(line)) });
  first = await world.run({}, {}, { now: () => LATE, log });
});
afterAll(() => world[Symbol.asyncDispose]());

describe('checks after a run', CAMPAIGN, () => {
  it('are reported with the number of rows they found, and do not change the exit code', async () => {
    expect(first.exitCode).toBe(EXIT.ok);
    const [future] = first.checks.filter(({ check }) => check === 'future_timestamp');
    // The check returns a row for each table: events at least.
    expect(future).toMatchObject({ severity: 'error', tenant: 'paris' });
    expect(future?.failures).toBeGreaterThan(0);
    expect(runSummary(first, { colour: false })).toMatch(/Checks that failed for the days that this run changed; `insights-etl check`.*:\n.*\nparis +future_timestamp +error +\d+ +in the 2 days checked\n/); // oxfmt-ignore
    expect(logged.find(({ event }) => event === 'run.checks')).toMatchObject({ errors: 1, notRun: 0 });
  });

  it('are in the published lake and in `status`, also those that passed', async () => {
    const report = await lakeStatus(world.config(), world.runtime);
    expect(report.checks.length).toBeGreaterThanOrEqual(9);
    expect(report.checks.every(({ run }) => run === first.run)).toBe(true);
    const future = report.checks.find(({ check }) => check === 'future_timestamp');
    expect(future).toMatchObject({ tenant: 'paris', severity: 'error', firstDay: '2026-11-01', lastDay: '2026-11-01', error: undefined }); // oxfmt-ignore
    expect(report.checks.find(({ check }) => check === 'hour_missing')).toMatchObject({ failures: 0, firstDay: undefined }); // oxfmt-ignore
    expect(statusSummary(report, { colour: false })).toMatch(/paris +future_timestamp +error +\d+ +2026-11-01\n/);
    expect(await world.sql(`select failures::int as n from check_failures where check_name = 'future_timestamp'`)).toEqual([{ n: future?.failures }]); // oxfmt-ignore
  });

  it('are exported to Prometheus, with 0 for a check that passed', async () => {
    const text = await metricsText(world.config(), world.runtime);
    expect(text).toMatch(/^insights_etl_check_failures\{tenant="paris",check="future_timestamp",severity="error"\} [1-9]/m); // oxfmt-ignore
    expect(text).toMatch(/^insights_etl_check_failures\{tenant="paris",check="hour_missing",severity="error"\} 0$/m);
    expect(text).toMatch(/^insights_etl_check_refused\{tenant="paris",check="hour_missing",severity="error"\} 0$/m);
  });

  it('do not run when nothing is new, and their last results stay', async () => {
    const before = await lakeStatus(world.config(), world.runtime);
    const second = await world.run({}, {}, { now: () => LATE });
    expect({ published: second.published, checks: second.checks }).toEqual({ published: false, checks: [] });
    expect(runSummary(second, { colour: false })).not.toContain('Checks');
    expect((await lakeStatus(world.config(), world.runtime)).checks).toEqual(before.checks);
  });
});
