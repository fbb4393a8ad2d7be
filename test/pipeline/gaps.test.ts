/** Ranges that were loaded with a gap between or before them: reports that depend on the past do not call what follows verified. */
import { afterEach, describe, expect, it } from 'vitest';
import { fromEpochMs } from '../../src/kernel/instant.ts';
import { openReader, textRows } from '../../src/query/reader.ts';
import { findReport, parameterValues } from '../../src/query/report.ts';
import { LONG } from '../support/campaign.ts';
import { openWorld, type World } from './support/world.ts';

const SOURCE = { rows: 1500, days: 26, now: '2026-10-27T00:30:00Z', frozen: true };

let world: World;
afterEach(() => world[Symbol.asyncDispose]());

const load = (from: string, to: string) =>
  world.run({ tables: ['Events'], from: fromEpochMs(Date.parse(from)), to: fromEpochMs(Date.parse(to)) });

const loadTo = (to: string) => world.run({ tables: ['Events'], to: fromEpochMs(Date.parse(to)) });

/** Active passes and the coverage of a report's rows, as `coverage`. */
async function asked(sql: string, values: Record<string, string | null>): Promise<string[][]> {
  await using reader = await openReader(world.dataDir, { threads: 1, memoryLimit: '256MB' });
  return await textRows(reader, sql, values);
}

async function report(name: string, figure: string, day: string): Promise<string[][]> {
  const { sql, ...head } = await findReport(name);
  const next = new Date(Date.parse(day) + 86_400_000).toISOString().slice(0, 10);
  const values = parameterValues({ sql, ...head }, [`from=${day}`, `to=${next}`], { nowMs: Date.now() });
  return asked(`select ${figure}::varchar, coverage from (${sql.trim()})`, values);
}

describe('a day after a gap', () => {
  it('is verified in reports of the day, and not in those that depend on the past', LONG, async () => {
    world = await openWorld(SOURCE);
    await load('2026-10-01', '2026-10-06');
    await load('2026-10-20', '2026-10-26');
    expect((await report('gross_installs', 'installs', '2026-10-20'))[0]?.[1]).toBe('verified');
    for (const [name, figure] of [['active_passes', 'active_passes'], ['churn', 'active_at_start'], ['retention', 'ever_installed'], ['scans', 'active_passes']] as const)
      expect([name, (await report(name, figure, '2026-10-20'))[0]?.[1]]).toEqual([name, 'unverified']);
    const [before] = await report('active_passes', 'active_passes', '2026-10-20');
    await load('2026-10-06', '2026-10-20');
    // Nothing is known about the time before the first backfill.
    expect((await report('active_passes', 'active_passes', '2026-10-20'))[0]?.[1]).toBe('unverified');
    expect((await loadTo('2026-10-26')).tables).toMatchObject([{ outcome: 'verified', calls: 1, inserted: 0 }]);
    const [after] = await report('active_passes', 'active_passes', '2026-10-20');
    expect(after?.[1]).toBe('verified');
    // What the gap held counts: without it the number was far too small.
    expect(Number(after?.[0])).toBeGreaterThan(2 * Number(before?.[0]));
  }); // oxfmt-ignore

  it('is not verified after a backfill into an empty lake either, until a run has loaded the rest, however old', LONG, async () => {
    world = await openWorld(SOURCE);
    await load('2026-10-20', '2026-10-26');
    const settings = { reconcile: { depthDays: 2 } };
    const active = async (): Promise<unknown> => (await report('active_passes', 'active_passes', '2026-10-20'))[0];
    expect((await report('gross_installs', 'installs', '2026-10-20'))[0]?.[1]).toBe('verified');
    expect(await active()).toEqual([expect.any(String), 'unverified']);
    await world.run({ tables: ['Events'], from: fromEpochMs(Date.parse('2026-10-22')) }, settings);
    expect(await active()).toEqual([expect.any(String), 'unverified']);
    await world.run({ tables: ['Events'] }, settings);
    const whole = await openWorld(SOURCE);
    await whole.run({ tables: ['Events'] });
    expect(await world.sql('select event_id from events order by all')).toEqual(
      await whole.sql('select event_id from events order by all'),
    );
    const found = await active();
    await world[Symbol.asyncDispose]();
    world = whole;
    expect(found).toEqual(await active());
    expect(found).toEqual([expect.any(String), 'verified']);
  }); // oxfmt-ignore

  it('is so in marts too, and is verified there once the gap is loaded', LONG, async () => {
    world = await openWorld(SOURCE, { lake: { marts: true } });
    await load('2026-10-01', '2026-10-06');
    await load('2026-10-20', '2026-10-26');
    const coverage = async (): Promise<string[][]> =>
      asked(
        `select a.coverage, g.coverage from mart_active_passes as a join mart_gross_installs as g using (tenant_id, day)
         where day >= '2026-10-20' order by day`,
        {},
      );
    expect(await coverage()).toEqual(Array.from({ length: 6 }, () => ['unverified', 'verified']));
    await load('2026-10-06', '2026-10-20');
    expect(await coverage()).toEqual(Array.from({ length: 6 }, () => ['unverified', 'verified']));
    await loadTo('2026-10-26');
    expect(await coverage()).toEqual(Array.from({ length: 6 }, () => ['verified', 'verified']));
    const [kept] = await asked(`select active_passes::varchar from mart_active_passes where day = '2026-10-25'`, {});
    expect(kept?.[0]).toBe((await report('active_passes', 'active_passes', '2026-10-25'))[0]?.[0]);
  });
});
