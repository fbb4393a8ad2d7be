import { DuckDBInstance } from '@duckdb/node-api';
import { existsSync, readFileSync, readdirSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { recordComparison } from '../../../src/load/ledger/hours.ts';
import { publish } from '../../../src/load/publish/publish.ts';
import { recover } from '../../../src/load/maintenance/recover.ts';
import { readCatalogue as read } from '../support/catalogue.ts';
import { DAILY, at, event, load, scratchLake, sourceHours, span, TENANT } from '../support/lake.ts';
import type { Scratch } from '../support/lake.ts';
import { CAMPAIGN, campaign } from '../../support/campaign.ts';

const TWO_DAYS = span('2026-07-03T00:00:00Z', '2026-07-05T00:00:00Z');
const ROWS = [
  event('a', '2026-07-03T10:10:00Z'),
  event('b', '2026-07-04T11:00:00Z'),
  event('b', '2026-07-04T11:00:00Z'),
];

/** Inode and time of every published file. */
function fingerprintOfFiles(dir: string): Record<string, string> {
  const names = readdirSync(dir, { recursive: true }).map(String);
  const published = names.filter((name) => /^(store|lake)\/|^insights|^manifest/.test(name)).sort();
  return Object.fromEntries(
    published.map((name) => {
      const { ino, mtimeMs, size } = statSync(join(dir, name));
      return [name, `${ino} ${mtimeMs} ${size}`];
    }),
  );
}

async function verifiedLake(lake: Scratch): Promise<void> {
  await load(lake, TWO_DAYS, ROWS);
  await recordComparison(
    lake.ledger,
    TENANT,
    'Events',
    {
      at: at('2026-08-01T00:00:00Z'),
      spans: [TWO_DAYS],
      grade: 'checksum',
      hours: sourceHours(ROWS),
    },
    'run-1',
  );
}

describe('the catalogue', () => {
  test('shows all tenants in its views, and each tenant in a schema of its own', async () => {
    await using lake = await scratchLake();
    await verifiedLake(lake);
    await load(lake, TWO_DAYS, [event('z', '2026-07-03T10:10:00Z', { tenant: 'x' })], { tenant: 'my-brand.eu' });
    expect(await publish(lake.ledger, { run: 'run-1', head: true })).toMatchObject({ snapshot: 1, changed: true });
    expect(await read(lake.dir, 'select tenant_id, month, event_id from events order by all')).toEqual([
      { tenant_id: TENANT, month: '2026-07', event_id: 'a' },
      { tenant_id: TENANT, month: '2026-07', event_id: 'b' },
      { tenant_id: 'my-brand.eu', month: '2026-07', event_id: 'z' },
    ]);
    expect(await read(lake.dir, 'select event_id from "my-brand.eu".events')).toEqual([{ event_id: 'z' }]);
    expect(await read(lake.dir, `select properties->>'a' as a from acme.events limit 1`)).toEqual([{ a: '1' }]);
  });

  test('has comments on the columns of the common views, and on those of each tenant unless there are more than fifty', async () => {
    await using lake = await scratchLake();
    await load(lake, TWO_DAYS, [event('z', '2026-07-03T10:10:00Z')]);
    const commented = `select distinct schema_name as schema from duckdb_columns() where comment is not null and table_name = 'events' order by all`;
    await publish(lake.ledger, { run: 'run-1', head: true });
    expect(await read(lake.dir, commented)).toEqual([{ schema: TENANT }, { schema: 'main' }]);
    await lake.ledger.run(
      `insert into hours select h.* replace ('t' || n as tenant) from range(50) as more(n), (from hours limit 1) as h`,
    );
    await publish(lake.ledger, { run: 'run-2', head: true });
    expect(await read(lake.dir, commented)).toEqual([{ schema: 'main' }]);
    expect(await read(lake.dir, `select count(*)::integer as n from duckdb_schemas() where schema_name like 't%' and not internal`)).toEqual([{ n: 50 }]); // oxfmt-ignore
  });

  test('keeps apart tenants whose ids look like numbers or null, also in files with the folder names of earlier versions', async () => {
    await using lake = await scratchLake();
    const tenants = ['007', '7', TENANT, 'null'];
    for (const tenant of tenants) await load(lake, TWO_DAYS, [event(`of-${tenant}`, '2026-07-03T10:10:00Z')], { tenant });
    for (const tenant of ['007', 'null']) {
      const [now, earlier] = [`tenant_id=_${tenant}/`, `tenant_id=${tenant}/`];
      renameSync(join(lake.dir, 'store/events', now), join(lake.dir, 'store/events', earlier));
      await lake.ledger.run(`update partitions set file = replace(file, '${now}', '${earlier}')`);
    }
    await publish(lake.ledger, { run: 'run-1', head: true });
    const rows = await read(lake.dir, 'select tenant_id, event_id from events order by all');
    expect(rows).toEqual(tenants.map((tenant) => ({ tenant_id: tenant, event_id: `of-${tenant}` })));
    for (const tenant of tenants) {
      const own = await read(lake.dir, `select event_id from events where tenant_id = '${tenant}'`);
      expect(own).toEqual([{ event_id: `of-${tenant}` }]);
    }
    // Readers of the folder see text only, and the files are the same.
    expect(readdirSync(join(lake.dir, 'lake/events/v1')).toSorted()).toEqual(
      ['_007', '_7', '_null', TENANT].map((name) => `tenant_id=${name}`).toSorted(),
    );
  }); // oxfmt-ignore

  test('has typed, empty views for tables without rows', async () => {
    await using lake = await scratchLake();
    await publish(lake.ledger, { run: 'run-1', head: true });
    expect(await read(lake.dir, 'select count(*) as n from logs')).toEqual([{ n: '0' }]);
    const columns = await read(lake.dir, 'describe metrics');
    expect(columns.map((column) => `${String(column['column_name'])} ${String(column['column_type'])}`)).toEqual([
      'tenant_id VARCHAR',
      'month VARCHAR',
      'metric_id VARCHAR',
      'source_tenant_id VARCHAR',
      'metric_type VARCHAR',
      'value JSON',
      'value_type VARCHAR',
      'value_number DOUBLE',
      'properties JSON',
      'timestamp TIMESTAMP WITH TIME ZONE',
      'pass_type VARCHAR',
    ]);
  });

  test('shows the state of each hour and has a comment on every column', CAMPAIGN, async () => {
    await using lake = await scratchLake();
    await verifiedLake(lake);
    await publish(lake.ledger, { run: 'run-1', head: true });
    const coverage = await read(lake.dir, `select * from coverage where hour = '2026-07-04T11:00:00Z'`);
    expect(coverage).toEqual([
      {
        tenant_id: TENANT,
        table_name: 'events',
        hour: '2026-07-04 11:00:00+00',
        state: 'verified',
        grade: 'checksum',
        source_rows: '2',
        lake_rows: '1',
        duplicate_rows: '1',
        quarantined_rows: '0',
        verified_at: '2026-08-01 00:00:00+00',
        checked_at: '2026-08-01 00:00:00+00',
      },
    ]);
    const silent = await read(
      lake.dir,
      `select table_name, column_name from duckdb_columns() where table_name in ('events', 'logs', 'metrics') and database_name = 'insights' and comment is null`,
    );
    expect(silent).toEqual([]);
  });

  test('has separate schemas for tenants whose names differ only in case, or are reserved', CAMPAIGN, async () => {
    await using lake = await scratchLake();
    for (const tenant of ['main', 'Acme', 'acme']) {
      await load(lake, TWO_DAYS, [event(tenant, '2026-07-03T10:10:00Z', { tenant })], { tenant });
    }
    await publish(lake.ledger, { run: 'run-1', head: true });
    expect(await read(lake.dir, 'select event_id from main_.events')).toEqual([{ event_id: 'main' }]);
    expect(await read(lake.dir, 'select tenant_id from "acme".events union all select tenant_id from "acme_".events')).toHaveLength(2); // oxfmt-ignore
  });
});

describe('a snapshot', () => {
  test('without a difference is not published again: no file is touched', async () => {
    await using lake = await scratchLake();
    await verifiedLake(lake);
    await publish(lake.ledger, { run: 'run-1', head: true });
    const before = fingerprintOfFiles(lake.dir);
    await lake.reopen();
    await verifiedLake(lake);
    expect(await publish(lake.ledger, { run: 'run-2', head: true })).toEqual({
      snapshot: 1,
      changed: false,
      checks: [],
      isBehind: false,
      drift: [],
      removedFiles: 0,
    });
    expect(fingerprintOfFiles(lake.dir)).toEqual(before);
  });

  test('is described by the manifest: files, sums, fingerprints, coverage', async () => {
    await using lake = await scratchLake(DAILY);
    await verifiedLake(lake);
    await publish(lake.ledger, { run: 'run-1', head: true });
    const manifest = JSON.parse(readFileSync(join(lake.dir, 'manifest.json'), 'utf8'));
    expect(manifest).toMatchObject({ version: 1, snapshot: 1, run: 'run-1', publishedAt: '2026-11-01T00:00:00.000Z' });
    const { partitions, coverage } = manifest.tables.events.tenants[TENANT];
    expect(partitions).toHaveLength(2);
    expect(partitions[0]).toMatchObject({
      period: '2026-07-03',
      file: 'store/events/tenant_id=acme/month=2026-07/2026-07-03.1.parquet',
      rows: 1,
      fingerprint: { rows: '1', sum0: String(0x0cc175b9), sum1: String(0xc0f1b6a8) },
      minTimestamp: '2026-07-03T10:10:00.000000Z',
      maxTimestamp: '2026-07-03T10:10:00.000000Z',
    });
    expect(partitions[0].bytes).toBe(statSync(join(lake.dir, partitions[0].file)).size);
    expect(coverage).toEqual([
      {
        state: 'verified',
        grade: 'checksum',
        hours: 48,
        from: '2026-07-03T00:00:00.000000Z',
        to: '2026-07-05T00:00:00.000000Z',
        sourceRows: 3,
        lakeRows: 2,
        duplicateRows: 1,
        quarantinedRows: 0,
      },
    ]);
  });

  test('stays readable for a reader that has it open while newer ones are published', CAMPAIGN, async () => {
    await using lake = await scratchLake();
    await verifiedLake(lake);
    await publish(lake.ledger, { run: 'run-1', head: true });
    const instance = await DuckDBInstance.create(join(lake.dir, 'insights.duckdb'), { access_mode: 'READ_ONLY' });
    const reader = await instance.connect();
    try {
      await load(lake, TWO_DAYS, [event('c', '2026-07-03T10:10:00Z')]);
      await publish(lake.ledger, { run: 'run-2', head: true });
      const rows = await reader.runAndReadAll('select event_id from events order by 1');
      expect(rows.getRowObjectsJson()).toEqual([{ event_id: 'a' }, { event_id: 'b' }]);
      expect(await read(lake.dir, 'select event_id from events')).toEqual([{ event_id: 'c' }]);
    } finally {
      reader.closeSync();
      instance.closeSync();
    }
  });

  test('keeps superseded files for the grace period, then removes them with all erased rows', CAMPAIGN, async () => {
    await using lake = await scratchLake({ ...DAILY, keepHours: 24 });
    await verifiedLake(lake);
    await publish(lake.ledger, { run: 'run-1', head: true });
    await load(lake, TWO_DAYS, []);
    const old = join(lake.dir, 'store/events/tenant_id=acme/month=2026-07/2026-07-03.1.parquet');
    expect(await publish(lake.ledger, { run: 'run-2', head: true })).toMatchObject({ changed: true, removedFiles: 0 });
    lake.clock.now += 23 * 3_600_000;
    expect(await publish(lake.ledger, { run: 'run-3', head: true })).toMatchObject({ changed: false, removedFiles: 0 });
    expect(existsSync(old)).toBe(true);
    lake.clock.now += 2 * 3_600_000;
    expect(await publish(lake.ledger, { run: 'run-4', head: true })).toMatchObject({ removedFiles: 2 });
    expect(existsSync(old)).toBe(false);
    expect(readdirSync(join(lake.dir, 'lake'))).not.toContain('events');
  });

  test(
    'does not extend the grace period because the clock was a year ahead when files were replaced',
    CAMPAIGN,
    async () => {
      await using lake = await scratchLake({ ...DAILY, keepHours: 24 });
      await verifiedLake(lake);
      await publish(lake.ledger, { run: 'run-1', head: true });
      const right = lake.clock.now;
      lake.clock.now += 365 * 86_400_000;
      await load(lake, TWO_DAYS, []);
      await publish(lake.ledger, { run: 'run-2', head: true });
      lake.clock.now = right;
      expect(await publish(lake.ledger, { run: 'run-3', head: true })).toMatchObject({ removedFiles: 0 });
      lake.clock.now += 25 * 3_600_000;
      expect(await publish(lake.ledger, { run: 'run-4', head: true })).toMatchObject({ removedFiles: 2 });
    },
  );

  test('is published again when the catalogue is missing, under a number that was never used', async () => {
    await using lake = await scratchLake(DAILY);
    await publish(lake.ledger, { run: 'run-1', head: true });
    rmSync(join(lake.dir, 'insights.duckdb'));
    expect(await publish(lake.ledger, { run: 'run-2', head: true })).toMatchObject({ snapshot: 2, changed: true });
  });

  for (const name of ['insights.duckdb', 'manifest.json'])
    test(`is published again when ${name} is damaged`, campaign(name === 'insights.duckdb'), async () => {
      await using lake = await scratchLake(DAILY);
      await verifiedLake(lake);
      await publish(lake.ledger, { run: 'run-1', head: true });
      const before = await read(lake.dir, 'select event_id from events order by all');
      const file = join(lake.dir, name);
      const bytes = readFileSync(file);
      for (const damaged of [
        bytes.subarray(0, bytes.length / 2),
        Buffer.from(bytes).fill(0xff, bytes.length - 300, bytes.length - 250),
      ]) {
        writeFileSync(file, damaged);
        const { changed } = await publish(lake.ledger, { run: 'run-2', head: true });
        expect([changed, await read(lake.dir, 'select event_id from events order by all')]).toEqual([true, before]);
        expect(JSON.parse(readFileSync(join(lake.dir, 'manifest.json'), 'utf8'))).toHaveProperty('snapshot');
      }
      expect(await publish(lake.ledger, { run: 'run-3', head: true })).toMatchObject({ changed: false });
    });
});

describe('the head', () => {
  const headFiles = (lake: Scratch): string[] =>
    readdirSync(join(lake.dir, 'lake/events'), { recursive: true, encoding: 'utf8' })
      .filter((name) => name.endsWith('.parquet'))
      .sort();

  test('has hard links to the current generations, changes only when requested, and has a folder per version', async () => {
    await using lake = await scratchLake(DAILY);
    await verifiedLake(lake);
    const name = (version: string): string =>
      join(lake.dir, 'lake/events', version, 'tenant_id=acme/month=2026-07/2026-07-03.parquet');
    await publish(lake.ledger, { run: 'run-1', head: false });
    expect(existsSync(join(lake.dir, 'lake'))).toBe(false);
    await publish(lake.ledger, { run: 'run-1', head: true });
    const store = join(lake.dir, 'store/events/tenant_id=acme/month=2026-07');
    expect(statSync(name('v1')).ino).toBe(statSync(join(store, '2026-07-03.1.parquet')).ino);
    await load(lake, TWO_DAYS, [...ROWS, event('new', '2026-07-03T10:20:00Z')]);
    await publish(lake.ledger, { run: 'run-2', head: true });
    expect(readdirSync(join(lake.dir, 'lake/events'))).toEqual(['v2']);
    expect(statSync(name('v2')).ino).toBe(statSync(join(store, '2026-07-03.2.parquet')).ino);
    const rows = await read(lake.dir, `select count(*) as n from read_parquet('${lake.dir}/lake/events/**/*.parquet')`);
    expect(rows).toEqual([{ n: '3' }]);
    const hours = await read(lake.dir, `select count(*) as n from '${lake.dir}/lake/coverage.parquet'`);
    expect(hours).toEqual([{ n: '48' }]);
  });

  test(
    'fails a reader that listed its files before a change, even unchanged ones: no read mixes two versions',
    CAMPAIGN,
    async () => {
      await using lake = await scratchLake(DAILY);
      await verifiedLake(lake);
      await publish(lake.ledger, { run: 'run-1', head: true });
      const listed = headFiles(lake).map((name) => join(lake.dir, 'lake/events', name));
      expect(listed.length).toBeGreaterThan(1);
      await load(lake, TWO_DAYS, [...ROWS, event('new', '2026-07-03T10:20:00Z')]);
      await publish(lake.ledger, { run: 'run-2', head: true });
      for (const file of listed) expect(existsSync(file)).toBe(false);
    },
  );

  test(
    'is missing as a whole while it is changed, and made again when a change was interrupted',
    CAMPAIGN,
    async () => {
      await using lake = await scratchLake(DAILY);
      await verifiedLake(lake);
      await publish(lake.ledger, { run: 'run-1', head: true });
      await load(lake, TWO_DAYS, [...ROWS, event('new', '2026-07-03T10:20:00Z')]);
      const { files } = lake.ledger;
      const dying = {
        ...lake.ledger,
        files: {
          ...files,
          rename: async (...[from, to]: Parameters<typeof files.rename>): Promise<void> => {
            if (String(to).endsWith('2026-07-03.parquet')) throw new Error('killed');
            await files.rename(from, to);
          },
        },
      };
      await expect(publish(dying, { run: 'run-2', head: true })).rejects.toThrow('killed');
      expect(existsSync(join(lake.dir, 'lake/events'))).toBe(false);
      await recover(lake.ledger);
      expect(readdirSync(join(lake.dir, 'work'))).toEqual([]);
      await publish(lake.ledger, { run: 'run-3', head: true });
      expect(headFiles(lake)).toHaveLength(2);
      expect(await read(lake.dir, `select count(*) as n from read_parquet('${lake.dir}/lake/events/**/*.parquet')`)).toEqual([{ n: '3' }]); // oxfmt-ignore
    },
  );

  test('of the layout without versions is replaced completely', CAMPAIGN, async () => {
    await using lake = await scratchLake(DAILY);
    await verifiedLake(lake);
    await publish(lake.ledger, { run: 'run-1', head: true });
    const root = join(lake.dir, 'lake/events');
    renameSync(join(root, 'v1/tenant_id=acme'), join(root, 'tenant_id=acme'));
    rmSync(join(root, 'v1'), { recursive: true });
    await publish(lake.ledger, { run: 'run-2', head: true });
    expect(readdirSync(root)).toEqual(['v1']);
    expect(headFiles(lake)).toHaveLength(2);
  });
});
