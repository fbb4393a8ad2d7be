import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { DAY, HOUR, parseInstant } from '../instant.ts';
import { openStore, type Store } from '../store.ts';
import { fillTenant } from '../synthetic.ts';
import { spreadRows, spreadSnapshots, type Spread } from '../synthetic-hours.ts';

const NOW = parseInstant('2026-11-01T10:20:30Z') ?? 0n;
const SPREAD: Spread = { rows: 60_000, days: 30, now: NOW, seed: 7, shape: 'wallet' };

describe('the spread over hours', () => {
  it.each([0, 1, 37, 60_000, 1_234_567])('adds up to the %i requested rows, in consecutive hours', (rows) => {
    for (const shape of ['wallet', 'even'] as const) {
      const hours = spreadRows({ ...SPREAD, rows, shape });
      expect(hours.reduce((sum, hour) => sum + hour.rows, 0)).toBe(rows);
      let first = 0;
      for (const hour of hours) {
        expect(hour.first).toBe(first);
        first += hour.rows;
      }
    }
  });

  it('fills every hour equally with shape `even`', () => {
    const hours = spreadRows({ ...SPREAD, rows: 720 * 100, now: NOW - (NOW % HOUR), shape: 'even' });
    expect(new Set(hours.map((hour) => hour.rows))).toEqual(new Set([100]));
  });

  it('has days of very different size and one hot hour with shape `wallet`', () => {
    const hours = spreadRows(SPREAD);
    const days = new Map<bigint, number>();
    for (const hour of hours) days.set(hour.start / DAY, (days.get(hour.start / DAY) ?? 0) + hour.rows);
    expect(Math.max(...days.values())).toBeGreaterThan(20 * Math.min(...days.values()));
    expect(Math.max(...hours.map((hour) => hour.rows))).toBeGreaterThan(0.04 * SPREAD.rows);
  });

  it('has a few missing snapshots', () => {
    const hours = spreadSnapshots({ ...SPREAD, rows: 7200 });
    expect(hours.length).toBeLessThan(719);
    expect(hours.length).toBeGreaterThan(690);
  });
});

describe('a synthetic tenant', () => {
  let store: Store;
  beforeAll(async () => {
    store = await openStore();
    await fillTenant(store, 'demo', SPREAD);
  });
  afterAll(async () => store.close());

  it('has exactly the requested rows, all of them before now and within its days', async () => {
    const span = `select count(*) n, min("timestamp") lo, max("timestamp") hi from`;
    const tables = ['Logs', 'Events', 'Metrics'].map((name) => one(`${span} demo."${name}"`));
    const [logs, events, metrics] = await Promise.all(tables);
    expect(Number(logs?.[0]) + Number(events?.[0]) + Number(metrics?.[0])).toBe(SPREAD.rows);
    for (const [, lo, hi] of [logs, events, metrics].map((row) => row ?? [])) {
      expect(BigInt(lo ?? 0)).toBeGreaterThanOrEqual(NOW - 30n * DAY);
      expect(BigInt(hi ?? 0)).toBeLessThan(NOW);
    }
  });

  it('is the same for the same seed with any number of threads, and different for another seed', async () => {
    await using again = await openStore({ memory: true });
    await again.run('set threads = 1');
    await fillTenant(again, 'demo', SPREAD);
    await using other = await openStore({ memory: true });
    await fillTenant(other, 'demo', { ...SPREAD, seed: 8 });
    for (const name of ['Logs', 'Events', 'Metrics']) {
      const digest = `select count(*), bit_xor(hash(r)), sum(hash(r)) from demo."${name}" r`;
      expect(await one(digest, again)).toEqual(await one(digest));
      expect(await one(digest, other)).not.toEqual(await one(digest));
    }
  });

  it('differs from another tenant of the same seed', async () => {
    await using two = await openStore({ memory: true });
    await fillTenant(two, 'a', { ...SPREAD, rows: 2000 });
    await fillTenant(two, 'b', { ...SPREAD, rows: 2000 });
    expect(await one(`select count(*) from a."Events" join b."Events" using ("eventId")`, two)).toEqual(['0']);
  });

  it('is stored in the order of its timestamps, as far as two parallel inserts allow', async () => {
    const [late] = await one(
      `select count(*) from (select "timestamp" < lag("timestamp") over (order by rowid) as back from demo."Events") where back`,
    );
    expect(Number(late)).toBeLessThanOrEqual(1);
  });

  it('has JSON in every dynamic column', async () => {
    const valid = `select bool_and(json_valid(properties)) from`;
    expect(await one(`${valid} demo."Events"`)).toEqual(['true']);
    expect(await one(`${valid} demo."Logs"`)).toEqual(['true']);
    expect(
      await one(`select bool_and(json_valid(value)), bool_and(json_valid(properties)) from demo."Metrics"`),
    ).toEqual(['true', 'true']);
  });

  it.each([
    [
      'duplicated rows, exact copies',
      `select count(*) from (select 1 from demo."Events" where "eventId" is not null group by "eventId", "timestamp", properties having count(*) > 1)`,
    ],
    [
      'copies of an id whose content differs',
      `select count(*) from (select "eventId" from demo."Events" group by 1 having count(distinct properties) > 1)`,
    ],
    ['null ids', `select count(*) from demo."Events" where "eventId" is null`],
    ['a hot instant', `select count(*) from (select "timestamp" from demo."Events" group by 1 having count(*) >= 60)`],
    ['ties', `select count(*) - count(distinct "timestamp") from demo."Events"`],
    ['instants on the whole second', `select count(*) from demo."Events" where "timestamp" % 10000000 = 0`],
    ['instants that need the seventh digit', `select count(*) from demo."Events" where "timestamp" % 10 <> 0`],
    ['both spellings of event names', `select count(*) from demo."Events" where "eventType" = 'pass.installed'`],
    [
      'installs on Apple',
      `select count(*) from demo."Events" where "eventType" = 'Pass:Installed' and (properties->>'device') = 'apple'`,
    ],
    [
      'installs on Google',
      `select count(*) from demo."Events" where "eventType" = 'Pass:Installed' and (properties->>'device') = 'google'`,
    ],
    [
      'scans by store',
      `select count(distinct properties->>'storeId') - 3 from demo."Events" where "eventType" = 'Pass:Scanned'`,
    ],
    ['campaigns', `select count(distinct properties->>'$.registrationSource.tags[1]') - 2 from demo."Events"`],
    [
      'API requests with errors',
      `select count(*) from demo."Events" where "eventType" = 'ApiRequest' and (properties->>'statusCode')::int >= 400`,
    ],
    ['text beyond ASCII', `select count(*) from demo."Events" where properties like '%🎁%'`],
    ['escaped text', `select count(*) from demo."Events" where contains(properties, '\\u00c9t\\u00e9 \\"')`],
    [
      'a property path that appears in the middle',
      `select count(*) from demo."Events" where (properties->'$.metadata.tier') is not null`,
    ],
    [
      'a property that changes its type in the middle',
      `select count(distinct json_type(properties, '$.statusCode')) - 1 from demo."Events" where "eventType" = 'ApiRequest'`,
    ],
    [
      'metric values of number, object and array shape',
      `select count(distinct json_type(value)) - 3 from demo."Metrics"`,
    ],
    ['null metric values', `select count(*) from demo."Metrics" where value is null`],
    [
      'log errors with a nested exception',
      `select count(*) from demo."Logs" where (properties->'$.exception.stack') is not null`,
    ],
  ])('has %s', async (_, sql) => {
    expect(Number((await one(sql))[0])).toBeGreaterThan(0);
  });

  it('gives each pass a possible life: created, installed, removed, in this order', async () => {
    const sql = `
      with e as (
        select lower(replace("eventType", '.', ':')) as kind, properties->>'passId' as pass, properties->>'device' as device, "timestamp" as moment
        from demo."Events"
      ),
      created as (select pass, min(moment) as moment from e where kind = 'pass:created' group by 1),
      installed as (select pass, device, min(moment) as moment from e where kind = 'pass:installed' group by 1, 2),
      removed as (select pass, device, min(moment) as moment from e where kind = 'pass:uninstalled' group by 1, 2),
      scanned as (select pass, min(moment) as moment from e where kind = 'pass:scanned' group by 1)
      select
        (select count(*) from installed) as installs,
        (select count(*) from removed) as removals,
        (select count(*) from scanned) as scans,
        (select count(*) from installed i left join created c using (pass) where c.moment is null or c.moment > i.moment) as installed_before_created,
        (select count(*) from removed r left join installed i using (pass, device) where i.moment is null or i.moment > r.moment) as removed_before_installed,
        (select count(*) from scanned s left join (select pass, min(moment) as moment from installed group by 1) i using (pass) where i.moment is null or i.moment > s.moment) as scanned_before_installed`;
    const [installs, removals, scans, ...impossible] = await one(sql);
    expect(Number(installs)).toBeGreaterThan(2000);
    expect(Number(removals)).toBeGreaterThan(300);
    expect(Number(scans)).toBeGreaterThan(1000);
    expect(impossible).toEqual(['0', '0', '0']);
  });

  it('has customers with two passes, and notified passes that are scanned, removed and installed again afterwards', async () => {
    const sql = `
      with e as (
        select lower(replace("eventType", '.', ':')) as kind, properties->>'passId' as pass, properties->>'campaign' as campaign,
          coalesce(properties->>'customerId', properties->>'$.identifiers.customerId') as customer, "timestamp" as moment
        from demo."Events"
      ),
      notified as (select pass, min(moment) as moment, count(distinct campaign) as campaigns from e where kind = 'notification:sent' group by 1),
      later as (select kind, count(distinct pass) as passes from e join notified n using (pass) where e.moment > n.moment and e.moment < n.moment + ${7n * DAY} group by 1),
      owners as (select customer, count(distinct pass) as passes from e where customer is not null group by 1)
      select
        (select count(distinct campaign) from e where kind = 'notification:sent'),
        (select passes from later where kind = 'pass:scanned'),
        (select passes from later where kind = 'pass:uninstalled'),
        (select passes from later where kind = 'pass:installed'),
        (select max(passes) from owners),
        (select count(*) from e where kind = 'customer:upserted' and customer not in (select customer from e where kind = 'pass:created'))`;
    const [campaigns, scanned, removed, again, passes, strangers] = (await one(sql)).map(Number);
    expect({ campaigns, passes, strangers }).toEqual({ campaigns: 4, passes: 2, strangers: 0 });
    expect(scanned).toBeGreaterThan(200);
    expect(removed).toBeGreaterThan(50);
    expect(again).toBeGreaterThan(10);
    expect(removed).toBeGreaterThan(again ?? 0);
  });

  it('has re-installs after a removal, and passes on two devices', async () => {
    const again = `select count(*) from (select lower(replace("eventType", '.', ':')) as kind, properties->>'passId' as p, "timestamp" as moment from demo."Events") a
      join (select properties->>'passId' as p, "timestamp" as moment from demo."Events" where "eventType" = 'Pass:Uninstalled') u on a.p = u.p and a.moment > u.moment where kind = 'pass:installed'`;
    expect(Number((await one(again))[0])).toBeGreaterThan(20);
    const both = `select count(*) from (select properties->>'passId' from demo."Events" where "eventType" = 'Pass:Installed' group by 1 having count(distinct properties->>'device') = 2)`;
    expect(Number((await one(both))[0])).toBeGreaterThan(20);
  });

  it('is clean with shape `even`: no duplicates, no null ids, equal hours', async () => {
    await using even = await openStore({ memory: true });
    await fillTenant(even, 'demo', { ...SPREAD, shape: 'even' });
    const [rows, idsDistinct] = await one(`select count(*), count(distinct "eventId") from demo."Events"`, even);
    expect(idsDistinct).toBe(rows);
    const [least, most] = await one(
      `select min(n), max(n) from (select count(*) as n from demo."Events" where "timestamp" < ${NOW - (NOW % HOUR)} group by "timestamp" // ${HOUR})`,
      even,
    );
    expect(Number(most) - Number(least)).toBeLessThanOrEqual(1);
  });

  async function one(sql: string, from: Store = store): Promise<string[]> {
    const rows: string[] = [];
    const cells = `select array_to_string(json_extract_string(to_json(r), '$.*'), '|') from (${sql}) r`;
    for await (const chunk of from.stream(cells, new AbortController().signal)) rows.push(...chunk);
    return (rows[0] ?? '').split('|');
  }
});
