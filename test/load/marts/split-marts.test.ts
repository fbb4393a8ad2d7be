/**
 * Split marts: each has the same rows as its report, asked by day, week and month, in total and by pass type and platform. The tenants
 * of the long test are random; `SPLIT_SEED=7 npx vitest run test/load/marts/split-marts.test.ts` tests others.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { dailyMarts } from '../../../src/query/definitions.ts';
import type { SplitMart } from '../../../src/query/definitions.ts';
import { splitMartsOf } from '../../../src/load/marts/split-marts.ts';
import { publish } from '../../../src/load/publish/publish.ts';
import { openReader, textRows } from '../../../src/query/reader.ts';
import type { Reader } from '../../../src/query/reader.ts';
import { findReport, parameterValues } from '../../../src/query/report.ts';
import { prepareReport } from '../../../src/query/split.ts';
import { randomWorld } from '../../query/kpi/support/random.ts';
import { CAMPAIGN, LONG } from '../../support/campaign.ts';
import { event, load, scratchLake, span } from '../support/lake.ts';
import type { Scratch } from '../support/lake.ts';

const SPLITS = splitMartsOf(await dailyMarts());
const GRAINS = ['day', 'week', 'month'];

/** What differs between a split mart and its report, in each grain and each combination of dimensions. */
async function differences(reader: Reader, { name, dimensions, hasPlatforms }: SplitMart): Promise<string[]> {
  const report = await findReport(name.replace(/_by$/, ''));
  const combinations = [[], ...dimensions.map((dimension) => [dimension]), ...(dimensions.length > 1 ? [dimensions] : [])]; // oxfmt-ignore
  const found: string[] = [];
  for (const grain of GRAINS) {
    for (const by of combinations) {
      // The grains share everything but the length of a period.
      if (grain !== 'week' && by.length === 1 && dimensions.length > 1) continue;
      const words = [`grain=${grain}`, ...(by.length > 0 ? [`by=${by.join(',')}`] : [])];
      const { sql, parameters } = await prepareReport(reader, report, parameterValues(report, words, { nowMs: Date.now() }), '--param'); // oxfmt-ignore
      const own = ['pass_type', ...(hasPlatforms ? [] : ['platform'])];
      const all = own.filter((column) => !by.includes(column)).map((column) => `, '(all)' as ${column}`);
      const said = `select '${grain}' as grain, period::date as period ${all.join('')}, * exclude (period, loaded_at) from (${sql})`;
      const isOf = own.map((column) => `${column} ${by.includes(column) ? '<>' : '='} '(all)'`).join(' and ');
      const kept = `select * exclude (loaded_at) from mart_${name} where grain = '${grain}' and ${isOf}`;
      const rows = await textRows(
        reader,
        `select * from (select *, 1 as side from (${said}) union all by name select *, -1 as side from (${kept})) group by all having sum(side) <> 0 order by all limit 4`.replace('select * from (select *, 1', 'select * exclude (side), sum(side) as side from (select *, 1'), // oxfmt-ignore
        parameters,
      );
      if (rows.length > 0) found.push(`${words.join(' ')}: ${rows.map((row) => row.join(' ')).join('; ')}`);
    }
  }
  await reader.replaceViews([]);
  return found;
}

describe('split marts', () => {
  let lake: Scratch;
  beforeAll(async () => {
    lake = await scratchLake({
      marts: ['active_passes', 'passes_created', 'installs', 'campaigns'],
      splitMarts: true,
      dailyAbove: 8,
    });
    await load(lake, DAY, first);
    await publishAll();
  });
  afterAll(() => lake[Symbol.asyncDispose]());

  const DAY = span('2026-07-01T00:00:00Z', '2026-07-02T00:00:00Z');
  const of = (n: number, type: string, time: string, pass: string, more: object = {}): unknown[] =>
    event(`${n}-${type}-${time}`, `${time}:00:00Z`, { type, properties: JSON.stringify({ passId: pass, ...more }) });
  const first = [
    of(1, 'Pass:Created', '2026-07-01T01', 'a', { passType: 'coupon' }),
    of(1, 'Pass:Installed', '2026-07-01T02', 'a', { device: 'Apple' }),
    of(2, 'Pass:Created', '2026-07-01T03', 'b'),
    of(2, 'Pass:Installed', '2026-07-01T04', 'b', { device: 'Google' }),
    of(1, 'Notification:Sent', '2026-07-01T05', 'a', { campaign: 'x' }),
  ];
  const publishAll = async (): Promise<void> => {
    await publish(lake.ledger, { run: 'r', head: true });
  };
  const rows = async (sql: string): Promise<string[]> => {
    await using reader = await openReader(lake.dir, { threads: 1, memoryLimit: '256MB' });
    return (await textRows(reader, sql, {})).map((row) => row.join(' '));
  };

  test('have rows for each grain, pass type and platform', CAMPAIGN, async () => {
    expect(
      await rows(`select grain, period, pass_type, platform, active_passes from mart_active_passes_by where grain <> 'day' order by all`),
    ).toEqual(
      ['month', 'week'].flatMap((grain) => {
        const key = `${grain} ${grain === 'month' ? '2026-07-01' : '2026-06-29'}`;
        return ['(all) (all) 2', '(all) apple 1', '(all) google 1', '(none) (all) 1', '(none) google 1', 'coupon (all) 1', 'coupon apple 1'].map((rest) => `${key} ${rest}`); // oxfmt-ignore
      }),
    ); // oxfmt-ignore
    // Its report has a row for each platform.
    expect(await rows(`select pass_type, platform, installs from mart_installs_by where grain = 'day' order by all`)).toEqual([
      '(all) apple 1', '(all) google 1', '(none) google 1', 'coupon apple 1',
    ]); // oxfmt-ignore
  });

  test(
    'are computed again for the tenants that changed, and those of a large tenant once a day',
    CAMPAIGN,
    async () => {
      const when = (): Promise<string[]> =>
        rows(`select distinct tenant_id, loaded_at from mart_passes_created_by order by all`);
      const created = (): Promise<string[]> => rows(`select tenant_id, passes_created from mart_passes_created_by where grain = 'month' and pass_type = '(all)' order by all`); // oxfmt-ignore
      const [before = ''] = await when();
      lake.clock.now += 60_000;
      await load(lake, DAY, [of(9, 'Pass:Created', '2026-07-01T05', 'z')], { tenant: 'other' });
      await publishAll();
      expect((await when())[0]).toBe(before);
      expect(await created()).toEqual(['acme 2', 'other 1']);
      // Nothing new: no file changes.
      const files = await rows(
        `select name from (from glob('${lake.dir}/store/marts/*_by/*')) as found(name) order by all`,
      );
      await publishAll();
      expect(await rows(`select name from (from glob('${lake.dir}/store/marts/*_by/*')) as found(name) order by all`)).toEqual(files); // oxfmt-ignore
      const more = Array.from({ length: 6 }, (_, n) => of(20 + n, 'Pass:Created', '2026-07-01T06', `more${n}`));
      await load(lake, DAY, [...first, ...more]);
      await publishAll();
      expect(await created()).toEqual(['acme 2', 'other 1']);
      lake.clock.now += 86_400_000;
      await publishAll();
      expect(await created()).toEqual(['acme 8', 'other 1']);
    },
  );

  test('are removed when they are turned off', LONG, async () => {
    await lake.reopen({ splitMarts: false });
    await publishAll();
    expect(await rows(`select mart from (select view_name as mart from duckdb_views() where view_name like 'mart_%') order by all`)).toEqual([
      'mart_active_passes', 'mart_campaigns', 'mart_installs', 'mart_installs_per_day', 'mart_passes_created',
    ]); // oxfmt-ignore
  });
});

describe('split marts of random tenants', LONG, () => {
  const world = randomWorld(2, Number(process.env['SPLIT_SEED'] ?? 1));
  let lake: Scratch;
  let reader: Reader;
  beforeAll(async () => {
    lake = await scratchLake({ marts: true, splitMarts: true });
    const window = span('2026-01-01T00:00:00Z', '2026-12-31T00:00:00Z');
    for (const tenant of new Set(world.rows.happenings.map((row) => row.tenant))) {
      const own = world.rows.happenings.filter((row) => row.tenant === tenant);
      for (const [name, table] of [
        ['events', 'Events'],
        ['logs', 'Logs'],
      ] as const) {
        const cells = own.filter((row) => row.table === name).map(({ id, time, type, properties }) => event(id, time, { type, tenant, properties })); // oxfmt-ignore
        await load(lake, window, cells, { tenant, table: name === 'logs' ? 'Logs' : table });
      }
      const numbers = world.rows.metrics.filter((row) => row.tenant === tenant).map(({ time, type, value, properties }) => [`${type} ${time}`, tenant, type, value, properties, time]); // oxfmt-ignore
      await load(lake, window, numbers, { tenant, table: 'Metrics' });
    }
    await publish(lake.ledger, { run: 'r', head: true });
    reader = await openReader(lake.dir, { threads: 1, memoryLimit: '256MB' });
  }, 900_000);
  afterAll(async () => {
    await reader?.[Symbol.asyncDispose]();
    await lake[Symbol.asyncDispose]();
  });

  test.each(SPLITS)(
    '$name has the rows of its report, by day, week and month, in total and split',
    async (split) => {
      expect(await differences(reader, split)).toEqual([]);
    },
    900_000,
  );
});
