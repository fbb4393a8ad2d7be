/** The views `passes` and `customers` over rows counted by hand, and the paths at which a customer and a campaign are found. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { TABLES } from '../../../src/model/tables.ts';
import { openLake, type Happening, type Lake } from './support/lake.ts';

const PROMOTED = TABLES.Events.promoted;

/** Properties with a value at a path such as `identifiers.customerId`. */
function at(path: string, value: string): Record<string, unknown> {
  const [first = '', second] = path.split('.');
  return { [first]: second === undefined ? value : { [second]: value } };
}

function event(tenant: string, time: string, type: string, properties: object): Happening {
  return { table: 'events', tenant, time, type, properties: JSON.stringify(properties), id: `${tenant}-${time}` };
}

const owner = (customerId: string): object => ({ identifiers: { customerId } });
const acme = (time: string, type: string, properties: object): Happening => event('acme', `2026-03-${time}:00Z`, type, properties); // oxfmt-ignore
const HAPPENINGS = [
  acme('01T08:00', 'Pass:Created', { passId: 'A', passType: 'loyalty', storeId: 'PAR', ...owner('C-1') }),
  acme('01T09:00', 'pass.installed', {
    passId: 'A', device: 'Apple', ...owner('C-1'), registrationSource: { medium: 'email', tags: ['spring', 'news'] },
  }),
  acme('01T10:00', 'Pass:Scanned', { passId: 'A' }),
  acme('02T10:00', 'Pass:Scanned', { passId: 'A' }),
  acme('03T08:00', 'Pass:Installed', {
    passId: 'A', device: 'google', registrationSource: { medium: 'qr', tags: ['spring'] },
  }),
  acme('04T08:00', 'Pass:Created', { passId: 'B', ...owner('C-1') }),
  // Pass C changes hands, and its last event names nobody.
  acme('05T08:00', 'Pass:Installed', { passId: 'C', ...owner('C-1') }),
  acme('06T08:00', 'Pass:Updated', { passId: 'C', ...owner('C-2') }),
  acme('07T08:00', 'Pass:Uninstalled', { passId: 'C' }),
  acme('08T08:00', 'Customer:Upserted', { customerId: 'C-3' }),
  acme('09T08:00', 'Pass:Created', { passId: 'D', customerId: '' }),
]; // oxfmt-ignore
const pathsOf = (name: string): readonly string[] => PROMOTED.find((column) => column.name === name)?.paths ?? [];

let lake: Lake;
beforeAll(async () => {
  const paths = ['customer_id', 'campaign'].flatMap((name) =>
    pathsOf(name).map((path, n) => event('paths', `2026-03-01T08:00:0${n}Z`, name, at(path, path))),
  );
  lake = await openLake({ happenings: [...HAPPENINGS, ...paths], metrics: [], coverage: [] });
});
afterAll(() => lake[Symbol.asyncDispose]());

describe('passes', () => {
  it('have a customer, a type, a store, a medium, and the times of their life and of their scans', async () => {
    const passes = await lake.select(`from passes where tenant_id = 'acme' order by pass_id`);
    expect(passes).toMatchObject([
      {
        pass_id: 'A', customer_id: 'C-1', pass_type: 'loyalty', store_id: 'PAR', medium: 'email',
        first_seen_at: '2026-03-01 08:00:00+00', last_seen_at: '2026-03-03 08:00:00+00', created_at: '2026-03-01 08:00:00+00',
        first_installed_at: '2026-03-01 09:00:00+00', last_installed_at: '2026-03-03 08:00:00+00', last_removed_at: null,
        first_scanned_at: '2026-03-01 10:00:00+00', last_scanned_at: '2026-03-02 10:00:00+00', scans: '2',
        wallet_status: 'both', is_active: true,
      },
      { pass_id: 'B', customer_id: 'C-1', medium: null, first_installed_at: null, first_scanned_at: null, scans: '0', wallet_status: 'none', is_active: false },
      { pass_id: 'C', customer_id: 'C-2', last_removed_at: '2026-03-07 08:00:00+00', is_active: false },
      { pass_id: 'D', customer_id: null },
    ]); // oxfmt-ignore
  });
});

describe('customers', () => {
  it('own the passes whose last named customer they are, with all of their past', async () => {
    const customers = await lake.select(`from customers where tenant_id = 'acme' order by customer_id`);
    expect(customers).toEqual([
      {
        tenant_id: 'acme', customer_id: 'C-1', first_seen_at: '2026-03-01 08:00:00+00', last_seen_at: '2026-03-05 08:00:00+00',
        passes: '2', active_passes: '1', first_installed_at: '2026-03-01 09:00:00+00',
        platforms: ['apple', 'google'], media: ['email', 'qr'], tags: ['news', 'spring'],
        scans: '2', first_scanned_at: '2026-03-01 10:00:00+00', last_scanned_at: '2026-03-02 10:00:00+00',
      },
      {
        tenant_id: 'acme', customer_id: 'C-2', first_seen_at: '2026-03-05 08:00:00+00', last_seen_at: '2026-03-07 08:00:00+00',
        passes: '1', active_passes: '0', first_installed_at: '2026-03-05 08:00:00+00',
        platforms: ['(unknown)'], media: [], tags: [], scans: '0', first_scanned_at: null, last_scanned_at: null,
      },
      {
        tenant_id: 'acme', customer_id: 'C-3', first_seen_at: '2026-03-08 08:00:00+00', last_seen_at: '2026-03-08 08:00:00+00',
        passes: '0', active_passes: '0', first_installed_at: null,
        platforms: [], media: [], tags: [], scans: '0', first_scanned_at: null, last_scanned_at: null,
      },
    ]); // oxfmt-ignore
  });
});

it.each(['customer_id', 'campaign'])('%s is found at each of its paths', async (column) => {
  const found = await lake.select(
    `select ${column} as value from events where tenant_id = 'paths' and event_type = $type order by timestamp`,
    { type: column },
  );
  expect(pathsOf(column).length).toBeGreaterThan(1);
  expect(found.map(({ value }) => value)).toEqual(pathsOf(column));
});
