/** Several tenants in one data directory: none waits for, sees or harms another. */
import { afterEach, describe, expect, it } from 'vitest';
import { EXIT } from '../../src/kernel/errors.ts';
import { bytesBelow, openWorld, reportOf, type World } from './support/world.ts';
import { LONG } from '../support/campaign.ts';

const NOW = '2026-11-01T00:30:00Z';

let world: World;
afterEach(() => world[Symbol.asyncDispose]());

describe('many tenants', () => {
  it('are loaded in parallel, each with its own schema and files', LONG, async () => {
    world = await openWorld({ rows: 300, days: 1, now: NOW, tenants: ['paris', 'lyon', 'nice'] });
    const report = await world.run();
    expect(report.exitCode).toBe(EXIT.ok);
    expect(report.tenants).toEqual(['paris', 'lyon', 'nice']);
    const rows = await world.sql(`select tenant_id, count(*)::int as n from events group by 1 order by 1`);
    expect(rows.map((row) => row['tenant_id'])).toEqual(['lyon', 'nice', 'paris']);
    expect(await world.sql(`select count(*)::int as n from lyon.events`)).toEqual([{ n: rows[0]?.['n'] }]);
    expect(await world.sql(`select count(*)::int as n from lyon.events where tenant_id <> 'lyon'`)).toEqual([{ n: 0 }]);
  });

  it("a tenant's wrong key stops that tenant after one call, and no other tenant", async () => {
    world = await openWorld({ rows: 300, days: 1, now: NOW, tenants: ['paris', 'lyon'] });
    const tenants = [
      { id: 'paris', apiKey: { env: 'KEY_LYON' } },
      { id: 'lyon', apiKey: { env: 'KEY_LYON' } },
    ];
    const report = await world.run({}, { tenants });
    expect(report.exitCode).toBe(EXIT.auth);
    expect(reportOf(report, 'Events', 'paris')).toMatchObject({ outcome: 'failed', error: { failure: 'auth' } });
    expect(reportOf(report, 'Events', 'lyon').outcome).toBe('verified');
    expect(world.sandbox.calls.filter((call) => call.tenant === 'paris')).toHaveLength(1);
  });

  it('each has its own page size and its own limits for rows that cannot be loaded or that vanish', LONG, async () => {
    world = await openWorld({
      rows: 300,
      days: 2,
      now: NOW,
      frozen: true,
      tenants: ['paris', 'lyon'],
      faults: [{ match: { kind: 'page', table: 'Events' }, times: null, reply: { kind: 'null-id', rows: 2 } }],
    });
    const tenants = ['paris', 'lyon'].map((id) => ({ id, apiKey: { env: `KEY_${id.toUpperCase()}` } }));
    const [paris, lyon] = tenants;
    const own = {
      page: { maxRows: 50 },
      quarantine: { minRows: 1, maxShare: 0 },
      deletes: { minRows: 0, maxShare: 0 },
    };
    const values = { tenants: [{ ...paris, ...own }, lyon] };

    const first = await world.run({ tables: ['Events', 'Metrics'] }, values);
    expect(reportOf(first, 'Events', 'paris')).toMatchObject({ outcome: 'failed', quarantined: 0 });
    const tolerant = reportOf(first, 'Events', 'lyon');
    expect(tolerant.quarantined).toBeGreaterThan(0);
    expect(reportOf(first, 'Events', 'paris').pages).toBeGreaterThan(tolerant.pages);

    for (const { id } of tenants)
      await world.sandbox.apply({ action: 'erase', tenant: id, table: 'Metrics', share: 0.1 });
    const second = await world.run({ tables: ['Events', 'Metrics'] }, values);
    expect(reportOf(second, 'Metrics', 'paris')).toMatchObject({ outcome: 'refused', removed: 0 });
    expect(reportOf(second, 'Metrics', 'lyon').removed).toBeGreaterThan(0);
  });

  it('no key is ever written to the data directory', LONG, async () => {
    world = await openWorld({ rows: 100, days: 1, now: NOW, tenants: ['paris'] });
    await world.run();
    expect(await bytesBelow(world.dataDir)).not.toContain(world.sandbox.keyOf('paris'));
  });
});
