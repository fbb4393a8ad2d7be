/** A lake that is divided into shards is read as one lake with the same rows. */
import { mkdir, readdir, readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { DuckDBInstance } from '@duckdb/node-api';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { siteOf, writeSite } from '../../src/commands/site.ts';
import { manifestTenants, parseManifest } from '../../src/model/manifest.ts';
import { serveDashboard } from '../../src/operate/dashboard/serve.ts';
import { CAMPAIGN } from '../support/campaign.ts';
import { openReader, textRows } from '../../src/query/reader.ts';
import { openStage, type Stage } from '../support/shell.ts';
import { openWorld, type World } from '../pipeline/support/world.ts';

const TENANTS = ['paris', 'lyon', 'events'];
const NOW = '2026-11-01T00:30:00Z';

let whole: World;
let divided: World;
let stage: Stage;
beforeAll(async () => {
  stage = await openStage();
  whole = await openWorld(
    { rows: 80, days: 1, now: NOW, frozen: true, tenants: TENANTS },
    { lake: { marts: true }, engine: { threads: 1 } },
  );
  await whole.run();
  divided = await openWorld(whole.sandbox, { lake: { marts: true }, engine: { threads: 1 } });
  for (const shard of ['0/2', '1/2'])
    if (divided.config({ shard }).tenants.length > 0) await divided.run({}, { shard });
}, 300_000);
afterAll(async () => {
  await divided[Symbol.asyncDispose]();
  await whole[Symbol.asyncDispose]();
  await stage[Symbol.asyncDispose]();
});

/** What the command prints of the whole lake, and of the divided one. */
async function both(...argv: string[]): Promise<[string, string]> {
  const [one, other] = [
    await stage.run([...argv, '--data-dir', whole.dataDir]),
    await stage.run([...argv, '--data-dir', divided.dataDir]),
  ];
  expect([argv, one.code, one.err, other.code, other.err]).toEqual([argv, 0, '', 0, '']);
  return [one.out, other.out];
}

/** Without the times at which the rows were loaded. */
function withoutTimes(csv: string): string {
  return csv.replaceAll(/,\d{4}-\d\d-\d\d \d\d:[^,\n]*$/gm, '');
}

describe('the shards of a lake', CAMPAIGN, () => {
  it.each([
    'select tenant_id, count(*) as n, sum(hash(event_id, timestamp, properties)) as h from events group by all order by all',
    'select tenant_id, count(*) as n, sum(hash(event_id, timestamp, properties)) as h from logs group by all order by all',
    'select tenant_id, count(*) as n, sum(hash(metric_id, timestamp, value)) as h from metrics group by all order by all',
    'select * exclude (verified_at) from coverage order by all',
    'select tenant_id, table_name, period, rows, min_timestamp from lake_files order by all',
    'select * exclude (view_name, column_name) from properties order by all',
    'select * exclude (loaded_at) from daily_active order by all',
    'select * from passes order by all',
    'select * exclude (loaded_at) from mart_passes_created order by all',
    `select table_name from information_schema.tables where table_catalog = current_database() and table_schema = 'main' and table_name not similar to 'event_page_?view' order by all`,
    'select count(*) as n from lyon.events',
    'select count(*) as n from "events".events',
  ])('give the rows of one: %s', async (sql) => {
    const [one, other] = await both('sql', sql, '--format', 'csv');
    expect(other).toBe(one);
    expect(one.split('\n').length).toBeGreaterThan(2);
  });

  it('have the views of types, with the columns of all shards', async () => {
    const [one, other] = await both('sql', 'describe event_pass_created', '--format', 'csv');
    expect(other.split('\n').toSorted()).toEqual(one.split('\n').toSorted());
    const sql =
      'select tenant_id, count(*) as n, count(customer_id) as c from event_pass_created group by all order by all';
    const [rows, same] = await both('sql', sql, '--format', 'csv');
    expect(same).toBe(rows);
  });

  it('show a type under each name that a shard has given it, with the rows of all', async () => {
    const named = "select distinct view_name from properties where lower(type) = 'pageview' order by all";
    const [one, other] = await both('sql', named, '--format', 'csv');
    const [[, nameOfOne = ''], [, ...names]] = [one.trim().split('\n'), other.trim().split('\n')];
    expect(names).toHaveLength(2);
    const count = (view: string): string => `select tenant_id, count(*) as n from ${view} group by all order by all`;
    const rows = await whole.sql(count(nameOfOne));
    await using reader = await openReader(divided.dataDir, { threads: 1, memoryLimit: '384MB' });
    for (const name of names)
      expect([name, await textRows(reader, count(name))]).toEqual([name, rows.map((row) => Object.values(row))]);
  });

  it('give the figures of one, also filtered and split', async () => {
    for (const words of [
      ['query', 'passes_created'],
      ['query', 'installs', '--param', 'by=store,platform'],
      ['query', 'installs', '--param', 'tenant=paris,lyon'],
      ['query', 'net_growth', '--param', 'total=true'],
    ]) {
      const [one, other] = (await both(...words, '--format', 'csv')).map(withoutTimes);
      expect([words, other]).toEqual([words, one]);
    }
  });

  it('are read where they are now, also after they have moved', async () => {
    const moved = `${divided.dataDir}-moved`;
    await rename(divided.dataDir, moved);
    try {
      const sql = 'select count(*) as n, (select sum(passes_created) from mart_passes_created) as p from events';
      const { out, err } = await stage.run(['sql', sql, '--format', 'csv', '--data-dir', moved]);
      expect([err, out]).toEqual([
        '',
        (await stage.run(['sql', sql, '--format', 'csv', '--data-dir', whole.dataDir])).out,
      ]);
    } finally {
      await rename(moved, divided.dataDir);
    }
  });

  it('are one table for other tools: the files of one pattern', async () => {
    const pattern = join(divided.dataDir, 'shards/*/lake/events/v*/tenant_id=*/month=*/*.parquet');
    const instance = await DuckDBInstance.create(':memory:');
    const connection = await instance.connect();
    const sql = `select tenant_id, count(*)::int as n from read_parquet('${pattern}', hive_partitioning = true, union_by_name = true) group by all order by all`;
    const rows = (await connection.runAndReadAll(sql)).getRowObjectsJson();
    connection.closeSync();
    instance.closeSync();
    expect(rows).toEqual(await whole.sql('select tenant_id, count(*)::int as n from events group by all order by all'));
  });

  it('are checked as one', async () => {
    for (const argv of [['check', '--format', 'json'], ['properties'], ['privacy', 'audit']]) {
      const one = await stage.run([...argv, '--data-dir', whole.dataDir]);
      const other = await stage.run([...argv, '--data-dir', divided.dataDir]);
      expect([0, 5]).toContain(one.code);
      expect([argv, other.code, other.err]).toEqual([argv, one.code, one.err]);
      expect(other.out.split('\n').length).toBeGreaterThanOrEqual(one.out.split('\n').length);
    }
  });

  it('are exported as one', async () => {
    const out = join(stage.folder, 'events.parquet');
    const { code } = await stage.run(['export', 'events', '--out', out, '--data-dir', divided.dataDir]);
    const [{ n } = { n: 0 }] = await whole.sql('select count(*)::int as n from events');
    const { out: counted } = await stage.run([
      'sql',
      'select count(*) as n from events',
      '--format',
      'csv',
      '--data-dir',
      divided.dataDir,
    ]);
    expect([code, counted]).toEqual([0, `n\n${String(n)}\n`]);
  });

  it('have their state together, with the last run of each', async () => {
    const [one, other] = await both('status');
    const tables = (text: string): string[] =>
      text
        .split('\n')
        .filter((line) => /^(paris|lyon|events) /.test(line))
        .map((line) => line.replaceAll(/\S+ (ago|min|s|h|d)\b| +/g, ' '));
    expect(tables(other).map((line) => line.split(' ').slice(0, 4))).toEqual(
      tables(one).map((line) => line.split(' ').slice(0, 4)),
    );
    expect(other).toMatch(/shard 0\/2: last run ended .*\nshard 1\/2: last run ended .* with exit code 0/);
    const [list, same] = await both('tenant', 'list');
    expect(
      same
        .replaceAll(/ +/g, ' ')
        .split('\n')
        .map((line) => line.split(' ').slice(0, 4)),
    ).toEqual(
      list
        .replaceAll(/ +/g, ' ')
        .split('\n')
        .map((line) => line.split(' ').slice(0, 4)),
    );
  });

  it('are documented as one: kinds, types, comments and shares of columns', async () => {
    // Two shards may name the views of a type differently, and each describes the spellings that it has.
    for (const name of [
      'events',
      'coverage',
      'lake_files',
      'mart_passes_created',
      'event_pass_created',
      'passes',
      'is_in_days',
    ]) {
      const [one, other] = await both('dictionary', name, '--format', 'csv');
      expect(other).toBe(one);
      expect(one.split('\n').length).toBeGreaterThan(2);
    }
    const { out } = await stage.run(['dictionary', 'event_page*', '--data-dir', divided.dataDir]);
    expect(out).toContain('"PageView"');
    expect(out).toContain('"pageview"');
  });

  it('are asked for one by one where a command cannot read them together', async () => {
    for (const argv of [
      ['status', '--prometheus'],
      ['mirror', 'status'],
      ['export', 'dbt', '--out', 'dbt'],
      ['export', 'spark', '--out', 'spark'],
    ]) {
      const { code, err } = await stage.run([...argv, '--data-dir', divided.dataDir]);
      expect([argv, code, err]).toEqual([argv, 2, expect.stringContaining('--shard 0/2 to 1/2')]);
    }
  });

  it('have one page, which any worker writes, with the figures and proofs of all', async () => {
    const page = join(stage.folder, 'page');
    await mkdir(join(page, 'assets'), { recursive: true });
    await writeFile(join(page, 'index.html'), '<p>page</p>');
    const out = join(stage.folder, 'public');
    const signal = new AbortController().signal;
    for (const shard of ['0/2', '1/2']) {
      await writeSite(divided.config({ shard, dashboard: { out } }), divided.runtime, signal, page);
      const manifest = parseManifest(await readFile(join(out, 'manifest.json'), 'utf8'));
      expect(manifestTenants(manifest)).toEqual(TENANTS.toSorted());
      expect(await readdir(join(out, 'proof'))).toHaveLength(TENANTS.length);
      const mart = manifest.marts['passes_created'];
      const instance = await DuckDBInstance.create(':memory:');
      const connection = await instance.connect();
      const sql = `select tenant_id, day::varchar as day, passes_created::int as n from read_parquet('${join(out, mart?.file ?? '')}') order by all`;
      const rows = (await connection.runAndReadAll(sql)).getRowObjectsJson();
      connection.closeSync();
      instance.closeSync();
      expect(rows).toEqual(
        await whole.sql(
          'select tenant_id, day::varchar as day, passes_created::int as n from mart_passes_created order by all',
        ),
      );
      expect(mart?.rows).toBe(rows.length);
    }
    const site = await siteOf({ config: divided.config(), signal }, page);
    await using server = await serveDashboard(site, { port: 0, setting: { flag: '--port' } });
    const answer = parseManifest(await (await fetch(`${server.url}manifest.json`)).text());
    const mart = await fetch(`${server.url}${answer.marts['passes_created']?.file ?? ''}`);
    expect([mart.status, (await mart.arrayBuffer()).byteLength]).toEqual([200, answer.marts['passes_created']?.bytes]);
    const refused = await stage.run([
      'dashboard',
      '--out',
      join(divided.dataDir, 'public'),
      '--data-dir',
      divided.dataDir,
    ]);
    expect([refused.code, refused.err]).toEqual([2, expect.stringContaining('data directory')]);
  });

  it('that have published nothing yet are named, and the others are read', async () => {
    await stage.write(
      'three.yaml',
      `dataDir: ${divided.dataDir}\ntenants:\n${TENANTS.map((id) => `  - { id: ${id}, apiKey: { env: KEY } }\n`).join('')}`,
    );
    const one = join(divided.dataDir, 'shards/0-of-2/insights.duckdb');
    await rename(one, `${one}-aside`);
    try {
      const { code, out, err } = await stage.run([
        'sql',
        'select distinct tenant_id from events order by 1',
        '--format',
        'csv',
        '--config',
        'three.yaml',
        '--log-level',
        'warn',
      ]);
      expect([code, out]).toEqual([0, 'tenant_id\nevents\nparis\n']);
      expect(err).toContain('0/2');
    } finally {
      await rename(`${one}-aside`, one);
    }
  });
});
