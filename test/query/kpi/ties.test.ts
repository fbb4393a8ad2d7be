/**
 * Events of one pass at the same instant. Two tenants have the same events with other ids: every report and every view
 * has the same rows for both.
 */
import type { Json } from '@duckdb/node-api';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { PROMOTED } from '../../../src/query/dimensions.ts';
import { listReports } from '../../../src/query/report.ts';
import { CAMPAIGN, LONG } from '../../support/campaign.ts';
import { openLake, type Happening, type Lake, type Metric } from './support/lake.ts';
import { picker, seeded } from './support/random.ts';

const DAY = 86_400_000;
const START = Date.UTC(2026, 2, 1, 8);
const next = seeded(5);
const pick = picker(next);
/** Few instants and few passes: most instants of a pass have several events. */
const events = Array.from({ length: 400 }, () => {
  const type = pick(['Pass:Created', 'Pass:Installed', 'Pass:Installed', 'Pass:Uninstalled', 'Pass:Scanned', 'Pass:Updated', 'Redirect:Redirected', 'Notification:Sent']); // oxfmt-ignore
  const isRegistration = type === 'Pass:Installed' || type === 'Pass:Uninstalled';
  const properties = {
    passId: pick(['A', 'B', 'C', 'D', 'E', 'F', 'G', 'H', 'I', 'J']),
    passType: pick(['gold', 'silver', undefined]),
    storeId: pick(['PAR', 'LYO', undefined, undefined]),
    redirectId: pick(['qr-1', 'qr-2', undefined]),
    customerId: pick(['anne', 'bert', undefined]),
    campaign: pick(['spring', 'summer']),
    ...(isRegistration ? { device: pick(['apple', 'google']), activeRegistrationCount: pick([undefined, undefined, 0, 1, 2]) } : {}),
    ...(type === 'Pass:Installed' ? { medium: pick(['qr', 'mail', undefined]), origin: pick(['https://a.example', 'https://b.example', undefined]), tags: pick([[], ['x'], ['x', 'y'], ['z']]) } : {}),
  }; // oxfmt-ignore
  return { type, time: new Date(START + Math.floor(next() * 9) * DAY).toISOString(), properties: JSON.stringify(properties) };
}); // oxfmt-ignore

const TENANTS = ['a', 'b'];
/** Reports that are also split by everything at once: of events, of state, and of what follows. */
const SPLIT = ['gross_installs', 'active_passes', 'campaigns'];
let lake: Lake;
beforeAll(async () => {
  const happenings = TENANTS.flatMap((tenant): Happening[] =>
    events.map((event, n) => ({ table: 'events', tenant, ...event, id: `id-${String(tenant === 'a' ? n : 999 - n)}` })),
  );
  const metrics = TENANTS.flatMap((tenant, order): Metric[] =>
    [1, 2, 3].map((n) => ({ tenant, time: new Date(START).toISOString(), type: 'passes.installed', value: `{"apple":${order === 0 ? n : 4 - n},"google":${n}}`, properties: '{"passType":"gold"}' })),
  ); // oxfmt-ignore
  const coverage = TENANTS.map((tenant) => ({ tenant, table: 'events', from: '2026-03-01', to: '2026-03-11', state: 'verified' })); // oxfmt-ignore
  lake = await openLake({ happenings, metrics, coverage }, 2);
});
afterAll(() => lake[Symbol.asyncDispose]());

/** Columns that name the tenant, an event or the time of the load. */
const NAMES = ['tenant_id', 'event_id', 'loaded_at'];

/** The rows of one tenant as text, without what names the tenant or an event. */
function rowsOf(tenant: string, rows: readonly Record<string, Json>[]): string[] {
  return rows
    .filter((row) => row['tenant_id'] === tenant)
    .map((row) => JSON.stringify(Object.entries(row).filter(([name]) => !NAMES.includes(name))))
    .toSorted();
}

describe('events of a pass at the same instant', () => {
  it('give every report the same figures, whatever their ids', LONG, async () => {
    const ofPasses = /registrations|pass_events|pass_states|activity\(/;
    const different: string[] = [];
    for (const { name, sql, parameters, dimensions } of (await listReports()).filter((report) => ofPasses.test(report.sql))) {
      const own = /\$by\b/.test(sql) ? (parameters.find((parameter) => parameter.name === 'by')?.kind.split('|') ?? []) : [];
      const finest = dimensions.allowed.filter((word) => word !== PROMOTED && !own.includes(word)).join(',');
      for (const by of ['', ...own, ...(SPLIT.includes(name) ? [finest] : [])]) {
        const rows = await lake.ask(name, [...(parameters.some((parameter) => parameter.name === 'to') ? ['to=2026-03-06'] : []), ...(by === '' ? [] : [`by=${by}`])]);
        expect([name, rowsOf('a', rows).length > 0]).toEqual([name, true]);
        if (rowsOf('a', rows).join('\n') !== rowsOf('b', rows).join('\n')) different.push(`${name} ${by}`);
      }
    }
    expect(different).toEqual([]);
  }); // oxfmt-ignore

  it('give every view the same rows', CAMPAIGN, async () => {
    const views = ['registrations', 'pass_states', 'passes', 'customers'];
    for (const view of views) {
      const rows = await lake.select(`select * from ${view}`);
      expect([view, ...rowsOf('a', rows)]).toEqual([view, ...rowsOf('b', rows)]);
    }
  });

  it('are created, installed, scanned and removed in this order', async () => {
    const at = '2026-03-01T08:00:00Z';
    const one = (tenant: string, kinds: readonly string[]): Happening[] =>
      kinds.map((kind, n) => ({
        table: 'events', tenant, time: at, type: `Pass:${kind}`, id: `id-${n}`,
        properties: JSON.stringify({ passId: 'P', ...(kind === 'Created' ? { storeId: 'PAR' } : {}) }),
      })); // oxfmt-ignore
    const orders = { there: ['Created', 'Installed', 'Uninstalled'], back: ['Uninstalled', 'Installed', 'Created'] };
    const tenants = Object.entries(orders);
    await using small = await openLake({
      happenings: tenants.flatMap(([tenant, kinds]) => one(tenant, kinds)),
      metrics: [],
      coverage: tenants.map(([tenant]) => ({ tenant, table: 'events', from: '2026-03-01', to: '2026-03-02', state: 'verified' })), // oxfmt-ignore
    });
    const cells = async (report: string, ...columns: string[]): Promise<Json[][]> =>
      (await small.ask(report, [])).map((row) => columns.map((column) => row[column] ?? null));
    expect(await cells('redirect_to_install', 'place', 'installs')).toEqual([['PAR', '1'], ['PAR', '1']]); // oxfmt-ignore
    expect(await cells('net_growth', 'installed', 'removed')).toEqual([['1', '1'], ['1', '1']]); // oxfmt-ignore
    expect(await cells('installation_rate', 'created', 'installed_later')).toEqual([['1', '1'], ['1', '1']]); // oxfmt-ignore
  });
});
