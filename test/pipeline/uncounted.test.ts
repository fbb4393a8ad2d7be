/** A source that refuses to count: its rows are loaded, and no hour is reported as verified. */
import { afterEach, describe, expect, it } from 'vitest';
import { EXIT } from '../../src/kernel/errors.ts';
import { openWorld, reportOf, type World } from './support/world.ts';
import { LONG } from '../support/campaign.ts';
import { CAMPAIGN } from '../support/campaign.ts';

const REFUSAL = {
  match: { query: 'summarize' },
  after: 0,
  times: null,
  probability: 1,
  seed: 1,
  reply: { kind: 'refused-function', name: 'count' },
} as const;
const SOURCE = { rows: 1500, days: 3, seed: 8, now: '2026-11-01T00:30:00Z', frozen: true, faults: [REFUSAL] } as const;
const settings = { start: '2026-10-29', page: { maxRows: 500 } };

let world: World;
afterEach(() => world[Symbol.asyncDispose]());

describe('a source that refuses to count', () => {
  it('is loaded day by day, every row once, with coverage of state unchecked and grade none', CAMPAIGN, async () => {
    world = await openWorld(SOURCE);
    const report = await world.run({ tables: ['Events'] }, settings);
    expect(report.exitCode).toBe(EXIT.partial);
    expect(reportOf(report, 'Events')).toMatchObject({ outcome: 'partial', grade: 'none' });
    await world.sandbox.apply({ action: 'faults', rules: [] });
    const [loaded] = await world.sql(`select count(*)::int as n from events`);
    const source = (await world.sandbox.counts()).filter(({ table }) => table === 'Events');
    const rows = source.reduce((sum, hour) => sum + hour.rows, 0);
    const [account] = await world.sql(
      `select sum(duplicate_rows + quarantined_rows)::int as n, count(*) filter (state = 'verified')::int as verified,
        count(*) filter (grade = 'none')::int as ungraded from coverage`,
    );
    expect(Number(loaded?.['n']) + Number(account?.['n'])).toBe(rows);
    expect(account?.['verified']).toBe(0);
    expect(account?.['ungraded']).toBeGreaterThan(0);
  });

  it('the next run fetches the last day again and finds late data', LONG, async () => {
    world = await openWorld(SOURCE);
    await world.run({ tables: ['Events'] }, settings);
    await world.sandbox.apply({
      action: 'rows',
      table: 'Events',
      tenant: 'demo',
      rows: [
        {
          eventId: '00000000-0000-4000-8000-000000000001',
          timestamp: '2026-10-31T12:00:00Z',
          tenantId: 'demo',
          eventType: 'Pass:Created',
          operationId: '',
          properties: {},
        },
      ],
    });
    const report = reportOf(await world.run({ tables: ['Events'] }, settings), 'Events');
    expect(report).toMatchObject({ inserted: 1, removed: 0, grade: 'none' });
    expect(report.pages).toBeLessThanOrEqual(5);
  });

  it('without a start nothing is loaded, and the hint names the key to set', async () => {
    world = await openWorld(SOURCE);
    const report = await world.run({ tables: ['Events'] });
    expect(report.exitCode).toBe(EXIT.config);
    expect(reportOf(report, 'Events').error?.hint).toContain('tables.Events.start');
  });
});
