/** Marts: results of reports by day, equal to the reports themselves, and computed only for the days that changed. */
import { existsSync, readdirSync, renameSync, readFileSync, writeFileSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { z } from 'zod';
import { dailyMarts } from '../../../src/query/definitions.ts';
import { OutOfMemoryError } from '../../../src/load/ledger/engine-errors.ts';
import type { Ledger } from '../../../src/load/ledger/ledger.ts';
import { publish } from '../../../src/load/publish/publish.ts';
import { recover } from '../../../src/load/maintenance/recover.ts';
import { verifyMarts } from '../../../src/load/maintenance/verify.ts';
import { openReader, textRows } from '../../../src/query/reader.ts';
import { findReport, parameterValues } from '../../../src/query/report.ts';
import { DAILY, event, load, metric, scratchLake, span, TENANT } from '../support/lake.ts';
import type { Scratch } from '../support/lake.ts';
import { CAMPAIGN, LONG } from '../../support/campaign.ts';

const DAYS = ['2026-07-01', '2026-07-02', '2026-07-03', '2026-07-05'];

/** Reports that depend on their day, on a day of another table, on the past, and on all days. Most tests need no others. */
const SOME = ['passes_created', 'log_volume', 'churn', 'survival'];

let lake: Scratch;
beforeEach(async () => {
  lake = await scratchLake({ marts: SOME, together: { rows: 3_000_000, passEvents: 300_000, beforeOpening: 1 } });
});
afterEach(() => lake[Symbol.asyncDispose]());

function next(day: string): string {
  return new Date(Date.parse(day) + 86_400_000).toISOString().slice(0, 10);
}

/** A day with every kind of event, in numbers that differ by day. Some happen in its first and last instant. */
function happenings(day: string, passes: number): unknown[][] {
  const of = (n: number, type: string, time: string, properties: object): unknown[] =>
    event(`${day}-${type}-${n}`, `${day}T${time}Z`, { type, properties: JSON.stringify(properties) });
  return Array.from({ length: passes }, (_, n) => [
    of(n, 'Pass:Created', '00:00:00', { passId: `p${n}` }),
    of(n, 'Pass:Installed', '12:30:00', { passId: `p${n}`, device: n % 2 === 0 ? 'apple' : 'google', redirectId: 'r' }),
    of(n, 'Pass:Uninstalled', '23:59:59.999999', { passId: `p${n}`, device: 'apple' }),
    of(n, 'PageView', '10:00:00', {}),
    of(n, 'ApiRequest', '10:00:00', { statusCode: n === 0 ? 500 : 200 }),
    of(n, 'Notification:Sent', '10:00:00', { passId: `p${n}` }),
    of(n, 'Redirect:Redirected', '10:00:00', { redirectId: 'r' }),
  ]).flat();
}

async function loadDay(day: string, passes: number, hasMetrics = false): Promise<void> {
  const window = span(`${day}T00:00:00Z`, `${next(day)}T00:00:00Z`);
  await load(lake, window, happenings(day, passes));
  const logs = [event(`${day}-e`, `${day}T01:00:00Z`, { type: 'Error:Timeout' }), event(`${day}-i`, `${day}T02:00:00Z`, { type: 'Info' })];
  await load(lake, window, logs, { table: 'Logs' });
  if (!hasMetrics) return;
  const snapshots = ['00', '07', '23'].map((hour) => metric(`${day}-${hour}`, `${day}T${hour}:00:05Z`, '{"apple":4}', { type: 'passes.installed' }));
  await load(lake, window, snapshots, { table: 'Metrics' });
} // oxfmt-ignore

async function query(sql: string, values: Record<string, string | null> = {}): Promise<string[][]> {
  await using reader = await openReader(lake.dir, { threads: 1, memoryLimit: '256MB' });
  return await textRows(reader, sql, values);
}

/** All columns except the time of the computation. */
const NOT_WHEN = '* exclude (tenant_id, loaded_at)';

async function kept(name: string): Promise<string[][]> {
  return query(`select tenant_id, ${NOT_WHEN} from mart_${name} order by all`);
}

async function reported(name: string): Promise<string[][]> {
  const report = await findReport(name);
  const inner = report.sql.trim();
  return query(`select tenant_id, period::date as day, ${NOT_WHEN.replace('tenant_id', 'tenant_id, period')} from (${inner}) where period::date in (select hour::date from coverage) order by all`, parameterValues(report, [], { nowMs: Date.now() })); // oxfmt-ignore
}

async function publishAll(): Promise<void> {
  await publish(lake.ledger, { run: 'r', head: true });
}

/** Names of files below the store: those of the marts, and the openings. */
function martFiles(): string[] {
  const folder = join(lake.dir, 'store/marts');
  if (!existsSync(folder)) return [];
  const names = readdirSync(folder, { recursive: true, encoding: 'utf8' });
  return names.filter((name) => /^\w+[./]\d+\.parquet$/.test(name)).toSorted();
}

test('docs/lake.md names every report that has a mart', async () => {
  const docs = readFileSync(new URL('../../../docs/lake.md', import.meta.url), 'utf8');
  const listed = /<!-- marts: .*?-->([\s\S]*?)<!-- end -->/.exec(docs)?.[1] ?? '';
  expect([...listed.matchAll(/`(\w+)`/g)].map(([, name]) => name)).toEqual(
    (await dailyMarts()).map(({ name }) => name),
  );
});

describe('marts', () => {
  test('have the same rows for each day as their report', CAMPAIGN, async () => {
    await lake.reopen({ marts: true });
    for (const [n, day] of DAYS.entries()) await loadDay(day, n + 2, true);
    await lake.ledger.run(`update hours set state = 'verified'`);
    await publishAll();
    const names = (await dailyMarts()).map(({ name }) => name);
    expect(names.length).toBeGreaterThanOrEqual(22);
    for (const name of names) {
      const rows = await kept(name);
      expect(rows.length).toBeGreaterThanOrEqual(DAYS.length);
      expect(rows).toEqual(await reported(name));
      // Not only zeros.
      expect(rows.some((row) => row.slice(2).some((cell) => Number(cell) >= 2 || cell === 'Info'))).toBe(true);
    }
  });

  test('are computed again for the days that changed, and keep the rows of the others', LONG, async () => {
    // These rows have no digests, so a day changes with its file.
    await lake.reopen({ ...DAILY, marts: SOME });
    for (const [n, day] of DAYS.entries()) await loadDay(day, n + 1);
    await publishAll();
    const whenBefore = new Map((await query('select day, loaded_at from mart_passes_created')).map(([day = '', at = '']) => [day, at])); // oxfmt-ignore
    lake.clock.now += 3_600_000;
    await loadDay('2026-07-02', 7);
    await loadDay('2026-07-06', 2);
    await publishAll();
    for (const name of SOME) expect(await kept(name)).toEqual(await reported(name));
    const after = await query('select day, loaded_at, passes_created from mart_passes_created order by day');
    expect(after.map(([day, , created]) => `${day} ${created}`)).toEqual(['2026-07-01 1', '2026-07-02 7', '2026-07-03 3', '2026-07-05 4', '2026-07-06 2']); // oxfmt-ignore
    const changed = after.filter(([day = '', at]) => whenBefore.get(day) !== at).map(([day]) => day);
    expect(changed).toEqual(['2026-07-02', '2026-07-06']);
  });

  test('change with the coverage of an earlier day, whose rows stay the same', LONG, async () => {
    await lake.reopen({ marts: ['churn', 'passes_created', 'active_passes'] });
    for (const day of DAYS.slice(0, 3)) await loadDay(day, 1, true);
    // Every hour of a day is known, as after a comparison.
    await lake.ledger.run(
      `update hours set state = 'verified';
       insert into hours select tenant, table_name, unnest(generate_series('2026-07-01T00:00:00Z'::timestamptz, '2026-07-03T23:00:00Z'::timestamptz, interval 1 hour)) as hour,
         any_value(source), any_value(duplicates), any_value(duplicates), any_value(duplicates), any_value(covered_to), 'verified', 'checksum', null, null, 'r'
       from hours group by tenant, table_name;
       delete from hours where rowid not in (select min(rowid) from hours group by tenant, table_name, hour)`,
    );
    await publishAll();
    const coverage = async (name: string): Promise<string[]> => (await query(`select coverage from mart_${name} order by day`)).flat(); // oxfmt-ignore
    expect([await coverage('churn'), await coverage('passes_created')]).toEqual([
      ['verified', 'verified', 'verified'],
      ['verified', 'verified', 'verified'],
    ]);
    await lake.ledger.run(
      `update hours set state = 'partial' where table_name = 'Events' and hour = '2026-07-02T05:00:00Z'`,
    );
    await publishAll();
    expect([await coverage('churn'), await coverage('passes_created')]).toEqual([
      ['verified', 'unverified', 'unverified'],
      ['verified', 'unverified', 'verified'],
    ]);
    for (const name of ['churn', 'active_passes']) expect(await kept(name)).toEqual(await reported(name));
    // Snapshots of an earlier day decide which series are known, also on a day without hours of metrics.
    await lake.ledger.run(`delete from hours where table_name = 'Metrics' and hour >= '2026-07-03'`);
    const snapshot = metric('late', '2026-07-01T09:00:00Z', '7', { type: 'passes.installed', properties: '{"passType":"late"}' }); // oxfmt-ignore
    await load(lake, span('2026-07-01T09:00:00Z', '2026-07-01T10:00:00Z'), [snapshot], { table: 'Metrics' });
    await publishAll();
    expect(await kept('active_passes')).toEqual(await reported('active_passes'));
    expect((await query('select known_series from mart_active_passes order by day')).flat()).toEqual(['2', '2', '2']);
  });

  test(
    'are not touched when nothing changed, nor when a batch is published in the middle of a run',
    CAMPAIGN,
    async () => {
      await loadDay('2026-07-01', 1);
      await publish(lake.ledger, { run: 'r', head: false });
      expect(martFiles()).toEqual([]);
      await publishAll();
      const files = martFiles();
      expect(files.length).toBe(SOME.length);
      expect(await publish(lake.ledger, { run: 'r', head: true })).toMatchObject({ changed: false });
      expect(martFiles()).toEqual(files);
    },
  );

  test('are in the manifest with their checksums, and in the head under their names', CAMPAIGN, async () => {
    await loadDay('2026-07-01', 2);
    await publishAll();
    const manifest: unknown = JSON.parse(readFileSync(join(lake.dir, 'manifest.json'), 'utf8'));
    const file = martFiles().find((name) => name.startsWith('scans') || name.startsWith('passes_created')) ?? '';
    const bytes = readFileSync(join(lake.dir, 'store/marts', file));
    expect(manifest).toMatchObject({
      marts: {
        passes_created: {
          file: `store/marts/${file}`,
          rows: 1,
          bytes: bytes.length,
          sha256: createHash('sha256').update(bytes).digest('hex'),
          days: 1,
          firstDay: '2026-07-01',
          lastDay: '2026-07-01',
        },
      },
    });
    expect(readFileSync(join(lake.dir, 'lake/marts/passes_created.parquet'))).toEqual(bytes);
    const facts = await query(
      `select decode(key), decode(value) from parquet_kv_metadata('${lake.dir}/lake/marts/passes_created.parquet')`,
    );
    expect(facts).toEqual(
      expect.arrayContaining([
        ['insights.mart', 'passes_created'],
        ['insights.grain', 'day'],
        ['insights.first_day', '2026-07-01'],
      ]),
    );
  });

  test('lose the days of an emptied day and of a removed tenant, and are removed with the setting', LONG, async () => {
    await loadDay('2026-07-01', 2);
    await loadDay('2026-07-02', 2);
    await publishAll();
    await lake.ledger.run(`delete from hours where tenant = '${TENANT}' and hour::date = '2026-07-02'`);
    await publishAll();
    expect(await query('select day from mart_passes_created')).toEqual([['2026-07-01']]);
    await lake.reopen({ marts: false, keepHours: 0 });
    await publishAll();
    expect(martFiles()).toEqual([]);
    expect(readdirSync(join(lake.dir, 'lake'))).not.toContain('passes_created.parquet');
    await expect(query('select * from mart_passes_created')).rejects.toThrow('does not exist');
  });

  test('are made again when a file is lost, and files left by a killed run are removed', LONG, async () => {
    await loadDay('2026-07-01', 2);
    await publishAll();
    const before = await kept('passes_created');
    const [first = ''] = martFiles();
    await rm(join(lake.dir, 'store/marts', first));
    await recover(lake.ledger);
    await publishAll();
    expect(martFiles()).toHaveLength(SOME.length);
    expect(await kept('passes_created')).toEqual(before);
    await lake.ledger.run('delete from mart_files');
    await recover(lake.ledger);
    expect(martFiles()).toEqual([]);
    await publishAll();
    expect(await kept('passes_created')).toEqual(before);
  });

  test('of an earlier version get a folder of their own, and their old files stay for readers', LONG, async () => {
    await loadDay('2026-07-01', 2);
    await publishAll();
    const before = await kept('passes_created');
    const files = martFiles().filter((name) => name.includes('/'));
    for (const name of files) {
      const earlier = name.replace('/', '.');
      renameSync(join(lake.dir, 'store/marts', name), join(lake.dir, 'store/marts', earlier));
      await lake.ledger.run(`update mart_files set file = 'store/marts/${earlier}' where file = 'store/marts/${name}'`);
    }
    await publish(lake.ledger, { run: 'r', head: true, again: true });
    expect(martFiles()).toEqual([...files, ...files.map((name) => name.replace('/', '.'))].toSorted());
    expect(await kept('passes_created')).toEqual(before);
    lake.clock.now += 25 * 3_600_000;
    await publishAll();
    expect(martFiles()).toEqual(files);
    expect(await kept('passes_created')).toEqual(before);
  });

  test(
    'that are damaged are reported by verify, by size or checksum, and made again under another name',
    LONG,
    async () => {
      await loadDay('2026-07-01', 2);
      await publishAll();
      const before = await kept('passes_created');
      const [first = '', second = '', third = ''] = martFiles();
      const path = (name: string): string => join(lake.dir, 'store/marts', name);
      await rm(path(first));
      writeFileSync(path(second), 'garbage');
      const bytes = readFileSync(path(third));
      bytes.writeUInt8(bytes.readUInt8(10) ^ 4, 10);
      writeFileSync(path(third), bytes);
      expect(await verifyMarts(lake.ledger, true)).toEqual({
        files: martFiles().length + 1,
        faults: [
          { file: `store/marts/${first}`, fault: 'missing' },
          { file: `store/marts/${second}`, fault: 'size' },
          { file: `store/marts/${third}`, fault: 'sha256' },
        ],
      });
      await publishAll();
      expect((await verifyMarts(lake.ledger, true)).faults).toEqual([]);
      for (const name of SOME) expect(await kept(name)).toEqual(await reported(name));
      expect(await kept('passes_created')).toEqual(before);
      const manifest = z
        .object({ marts: z.record(z.string(), z.object({ file: z.string() })) })
        .parse(JSON.parse(readFileSync(join(lake.dir, 'manifest.json'), 'utf8')));
      const named = Object.values(manifest.marts).map(({ file }) => file);
      expect([first, second, third].filter((name) => named.includes(`store/marts/${name}`))).toEqual([]);
    },
  );

  test('with the right size pass a verify that is not deep', LONG, async () => {
    await loadDay('2026-07-01', 1);
    await publishAll();
    const [first = ''] = martFiles();
    const path = join(lake.dir, 'store/marts', first);
    writeFileSync(path, readFileSync(path).fill(0));
    expect((await verifyMarts(lake.ledger, false)).faults).toEqual([]);
    expect((await verifyMarts(lake.ledger, true)).faults).toMatchObject([{ fault: 'sha256' }]);
  });
});

describe('a stop', () => {
  test(
    'leaves marts to the next run: this run publishes the rows without them, the next one with them',
    CAMPAIGN,
    async () => {
      await loadDay('2026-07-01', 3);
      await publish(lake.ledger, { run: 'r', head: true, signal: AbortSignal.abort() });
      expect(martFiles()).toEqual([]);
      expect(await query('select count(*)::varchar from events')).toEqual([['21']]);
      await publishAll();
      expect(martFiles().length).toBeGreaterThan(0);
    },
  );

  test('while marts are computed keeps the existing ones', LONG, async () => {
    await loadDay('2026-07-01', 3);
    await publishAll();
    const [before, shown] = [martFiles(), await kept('passes_created')];
    await loadDay('2026-07-15', 2);
    for (const table of ['fresh_log_volume', 'fresh_churn', 'fresh_openings']) {
      const stop = new AbortController();
      const run: Ledger['run'] = async (sql, values) => {
        if (sql.includes(` ${table} `)) stop.abort();
        await lake.ledger.run(sql, values);
      };
      await publish({ ...lake.ledger, run }, { run: 'r', head: true, signal: stop.signal });
      expect(stop.signal.aborted).toBe(true);
      expect([martFiles(), await kept('passes_created')]).toEqual([before, shown]);
    }
    await publishAll();
    for (const name of ['passes_created', 'churn']) expect(await kept(name)).toEqual(await reported(name));
    expect((await kept('passes_created')).length).toBeGreaterThan(shown.length);
  });
});

describe('an engine that runs out of memory while it computes the marts', () => {
  /** The ledger, with a statement of one mart that fails. */
  const short = (): Ledger => ({
    ...lake.ledger,
    async run(sql, values) {
      if (sql.includes(' fresh_churn ')) throw new OutOfMemoryError();
      await lake.ledger.run(sql, values);
    },
  });

  test('publishes the rows without them and reports the error; the next run makes them', CAMPAIGN, async () => {
    await loadDay('2026-07-01', 3);
    await expect(publish(short(), { run: 'r', head: true })).rejects.toThrow(OutOfMemoryError);
    expect(martFiles()).toEqual([]);
    expect(await query('select count(*)::varchar from events')).toEqual([['21']]);
    await publishAll();
    for (const name of ['passes_created', 'churn']) expect(await kept(name)).toEqual(await reported(name));
  });
});
