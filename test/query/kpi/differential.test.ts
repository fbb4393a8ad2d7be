/**
 * Every KPI over random tenants equals a second computation that shares nothing with it: no SQL, no engine, other zone
 * data. `KPI_TENANTS=200 KPI_SEED=7 npx vitest run test/query/kpi/differential.test.ts` tests more tenants.
 */
import type { Json } from '@duckdb/node-api';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { findReport, listReports } from '../../../src/query/report.ts';
import type { Cell, Options } from './support/calendar.ts';
import { shown } from './support/cases.ts';
import { CAMPAIGN, LONG } from '../../support/campaign.ts';
import { openLake, type Lake } from './support/lake.ts';
import { picker, randomWorld, seeded } from './support/random.ts';
import { RECKONED, tenantWorld } from './support/reckon.ts';

const TENANTS = Number(process.env['KPI_TENANTS'] ?? 20);
const SEED = Number(process.env['KPI_SEED'] ?? 1);

const world = randomWorld(TENANTS, SEED);
const tenants = [...new Set(world.rows.coverage.map(({ tenant }) => tenant))].map((tenant) =>
  tenantWorld(world, tenant),
);

const next = seeded(SEED);
const pick = picker(next);
const ranges = [
  [null, null],
  ['2026-03-10', null],
  [null, '2026-04-01'],
  ['2026-03-28', '2026-03-31'],
] as const;
/** A run with more tenants needs a longer timeout. */
const GRAINS = TENANTS > 20 ? (['day', 'week', 'hour', 'month', 'day'] as const) : (['day', 'week', 'hour'] as const);
const choices = GRAINS.map((grain, index) => {
  const [from, to] = index === 0 ? ranges[0] : pick(ranges);
  return {
    from: grain === 'hour' ? '2026-03-28' : from,
    to: grain === 'hour' ? '2026-03-30' : to,
    grain,
    zone: index === 0 ? 'UTC' : pick(['Europe/Paris', 'America/New_York', 'Asia/Kolkata']),
    pass_type: index === 0 ? null : pick([null, 'loyalty']),
    platform: index === 0 ? null : pick([null, 'apple', '(unknown)']),
  };
}); // oxfmt-ignore

let lake: Lake;
beforeAll(async () => {
  lake = await openLake(world.rows, 2);
});
afterAll(() => lake[Symbol.asyncDispose]());

/** The queries round to four digits. */
function differs(asked: Json, reckoned: Cell): boolean {
  if (asked === null || reckoned === null || typeof reckoned !== 'number') return asked !== reckoned;
  return !(Math.abs(Number(asked) - reckoned) <= 0.000_051);
}

/** The first row of each tenant in which the two computations differ. */
async function differences(report: string, options: Options): Promise<unknown[]> {
  const reckon = RECKONED[report];
  if (!reckon) throw new Error(`${report} is not reckoned`);
  // Only the report's own parameters: dimensions.test.ts tries those that come with its dimensions.
  const { sql } = await findReport(report);
  const words = Object.entries(options).flatMap(([name, value]: [string, string | null]) =>
    value !== null && sql.includes(`$${name}`) ? [`${name}=${value}`] : [],
  );
  const asked = new Map<string, Json[][]>();
  for (const { tenant_id: tenant, loaded_at: _, ...cells } of await lake.ask(report, words)) {
    const rows = asked.get(shown(tenant)) ?? [];
    rows.push(Object.values(cells));
    asked.set(shown(tenant), rows);
  }
  return tenants.flatMap((tenant) => {
    const [rows, reckoned] = [asked.get(tenant.tenant) ?? [], reckon(tenant, options)];
    const at = reckoned.findIndex((row, index) =>
      row.some((cell, column) => differs(rows[index]?.[column] ?? null, cell)),
    );
    if (at === -1 && rows.length === reckoned.length) return [];
    return [
      { tenant: tenant.tenant, words, rows: [rows.length, reckoned.length], asked: rows[at], reckoned: reckoned[at] },
    ];
  });
}

for (const choice of choices)
  describe(`over random tenants by ${choice.grain} in ${choice.zone}`, choice === choices[0] ? CAMPAIGN : LONG, () => {
    it.each(Object.keys(RECKONED))('%s equals the second computation', async (report) => {
      const words = { redirect_to_install: ['store', 'redirect'], attribution: ['medium', 'origin', 'tag'] }[report];
      for (const by of words ?? ['']) expect(await differences(report, { ...choice, by })).toEqual([]);
    });
  });

describe('the second computation', () => {
  it('covers every KPI except those that show the present state', async () => {
    const states = ['active_passes_by_platform', 'freshness'];
    const names = (await listReports()).map(({ name }) => name).filter((name) => !states.includes(name));
    expect(Object.keys(RECKONED).sort()).toEqual(names.sort());
  });
});
