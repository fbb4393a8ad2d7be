/** The Delta logs of tables and marts, read by a reader that shares no code with their writer. */
import { readFileSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { DELTA_FOLDER } from '../../../src/model/data-dir.ts';
import { TABLES } from '../../../src/model/tables.ts';
import { rebuild } from '../../../src/load/maintenance/rebuild.ts';
import { recover } from '../../../src/load/maintenance/recover.ts';
import { checkDelta } from '../../../src/load/publish/delta/sync.ts';
import { PATH_COLUMNS } from '../../../src/load/publish/catalogue.ts';
import { publish } from '../../../src/load/publish/publish.ts';
import type { PublishOptions, PublishResult } from '../../../src/load/publish/publish.ts';
import { lakeColumns } from '../../../src/transform/lake.ts';
import { CAMPAIGN, LONG } from '../../support/campaign.ts';
import { readCatalogue } from '../support/catalogue.ts';
import { columnsOf, deltaRows, deltaState, entryOf, logOf, versionsOf } from '../support/delta.ts';
import { DAILY, TENANT, event, load, metric, scratchLake, span } from '../support/lake.ts';
import type { Scratch } from '../support/lake.ts';

const DAYS = ['2026-07-03', '2026-07-04', '2026-07-05'];
const DELTA = { ...DAILY, delta: true } as const;

const loadDay = (lake: Scratch, day: string, rows = 1, options: Parameters<typeof load>[3] = {}) =>
  load(
    lake,
    span(`${day}T00:00:00Z`, new Date(Date.parse(day) + 86_400_000).toISOString()),
    Array.from({ length: rows }, (_, n) => event(`${day}-${n}`, `${day}T10:0${n}:00.1234567Z`)),
    options,
  );

function published(lake: Scratch, options: Partial<PublishOptions> = {}): Promise<PublishResult> {
  return publish(lake.ledger, { run: 'run-1', head: true, ...options });
}

/** All rows of a table in the catalogue, with the columns of the Delta table. */
async function catalogueRows(lake: Scratch, table: string): Promise<Record<string, unknown>[]> {
  const names = columnsOf(await deltaState(lake.dir, table)).map(({ name, type }) =>
    ['properties', 'value'].includes(name) && type === 'string' ? `"${name}"::varchar as "${name}"` : `"${name}"`,
  );
  return readCatalogue(lake.dir, `select ${names.join(', ')} from ${table} order by all`);
}

async function expectEqual(lake: Scratch, table = 'events'): Promise<void> {
  expect(await deltaRows(lake.dir, table)).toEqual(await catalogueRows(lake, table));
  expect(await checkDelta(lake.ledger)).toMatchObject({ faults: [] });
}

describe('a table', () => {
  test('has the rows and columns of the catalogue, with real ids of tenants and comments', async () => {
    await using lake = await scratchLake(DELTA);
    for (const tenant of [TENANT, '007', 'null', 'my-brand.eu']) await loadDay(lake, '2026-07-03', 2, { tenant });
    await load(lake, span('2026-07-03T00:00:00Z', '2026-07-04T00:00:00Z'), [metric('m', '2026-07-03T10:00:00Z', 9_007_199_254_740_993n.toString())], { table: 'Metrics' }); // oxfmt-ignore
    await published(lake);
    for (const table of ['events', 'logs', 'metrics']) await expectEqual(lake, table);
    const state = await deltaState(lake.dir, 'events');
    expect(state).toMatchObject({
      version: 0,
      snapshot: 1,
      protocol: { minReaderVersion: 1, minWriterVersion: 2 },
      metaData: { name: 'events', partitionColumns: ['tenant_id', 'month'], configuration: { 'delta.deletedFileRetentionDuration': 'interval 86400 seconds' } },
    }); // oxfmt-ignore
    expect(state.files.map(({ partitionValues }) => partitionValues['tenant_id'] ?? '').toSorted()).toEqual(
      [TENANT, '007', 'null', 'my-brand.eu'].toSorted(),
    );
    const columns = columnsOf(state);
    expect(Object.fromEntries(columns.map(({ name, type }) => [name, type]))).toMatchObject({
      timestamp: 'timestamp',
      properties: 'string',
      tags: { type: 'array', elementType: 'string', containsNull: true },
      active_registrations: 'long',
    });
    expect(columns.filter(({ metadata }) => !metadata.comment)).toEqual([]);
    // Rows of microseconds: the bounds are whole milliseconds around them, and no other value of a row is in the log.
    expect(JSON.parse(state.files[0]?.stats ?? '')).toEqual({
      numRecords: 2,
      minValues: { timestamp: '2026-07-03T10:00:00.123Z' },
      maxValues: { timestamp: '2026-07-03T10:01:00.124Z' },
      nullCount: { timestamp: 0 },
    });
  });

  test('gets a version with each snapshot that changes it, and none from a run that changes nothing', async () => {
    await using lake = await scratchLake(DELTA);
    const expected: Record<string, unknown>[][] = [];
    for (const [nth, day] of [...DAYS, DAYS[0] ?? ''].entries()) {
      await loadDay(lake, day, nth + 1);
      expect(await published(lake)).toMatchObject({ snapshot: nth + 1, changed: true });
      expected.push(await catalogueRows(lake, 'events'));
    }
    const before = readdirSync(join(lake.dir, 'store'), { recursive: true, encoding: 'utf8' }).toSorted();
    expect(await published(lake)).toMatchObject({ changed: false });
    expect(readdirSync(join(lake.dir, 'store'), { recursive: true, encoding: 'utf8' }).toSorted()).toEqual(before);
    expect(versionsOf(lake.dir, 'events').versions).toEqual([0, 1, 2, 3]);
    expect(versionsOf(lake.dir, 'logs').versions).toEqual([0]);
    for (const [version, rows] of expected.entries())
      expect(await deltaRows(lake.dir, 'events', version)).toEqual(rows);
    const last = entryOf(lake.dir, 'events', 3);
    expect(last.map((action) => Object.keys(action)[0])).toEqual(['commitInfo', 'txn', 'remove', 'add']);
    expect(last[0]?.commitInfo).toMatchObject({ operationParameters: { run: 'run-1', snapshot: '4' } });
  });

  test('has checkpoints, and loses entries behind them when the grace period of readers is over', LONG, async () => {
    await using lake = await scratchLake({ ...DELTA, keepHours: 24 });
    for (let nth = 0; nth <= 41; nth++) {
      lake.clock.now += 3_600_000;
      await loadDay(lake, '2026-07-03', 1 + (nth % 5));
      await published(lake);
    }
    const { names } = versionsOf(lake.dir, 'events');
    expect(names.filter((name) => !name.endsWith('.json'))).toEqual(['00000000000000000020.checkpoint.parquet', '00000000000000000040.checkpoint.parquet', '_last_checkpoint']); // oxfmt-ignore
    // Version 20 was current 20 hours before the checkpoint of version 40, so readers may still need what is before it.
    expect(names.filter((name) => name.endsWith('.json'))).toHaveLength(42);
    await expectEqual(lake);
    for (let nth = 0; nth <= 20; nth++) {
      lake.clock.now += 3_600_000;
      await loadDay(lake, '2026-07-03', 1 + (nth % 4));
      await published(lake);
    }
    expect(versionsOf(lake.dir, 'events').versions[0]).toBe(20);
    await expectEqual(lake);
    // Every version within the grace period can still be read.
    for (const version of [50, 55, 60]) expect((await deltaRows(lake.dir, 'events', version)).length).toBeGreaterThan(0);
  }); // oxfmt-ignore

  test(
    'follows a change of the promoted columns, and leaves out a column whose type changed until a rebuild',
    CAMPAIGN,
    async () => {
      await using lake = await scratchLake(DELTA);
      const promote = (...own: { name: string; type: 'text' | 'integer'; paths: string[] }[]) => ({
      tables: { ...TABLES, Events: { ...TABLES.Events, promoted: [...TABLES.Events.promoted, ...own.map((column) => ({ ...column, comment: 'own' }))] } },
    }); // oxfmt-ignore
      await lake.reopen(promote({ name: 'a', type: 'text', paths: ['a'] }));
      await loadDay(lake, '2026-07-03');
      await published(lake);
      const { id } = (await deltaState(lake.dir, 'events')).metaData;
      expect(await deltaRows(lake.dir, 'events')).toMatchObject([{ a: '1' }]);
      await lake.reopen(
        promote({ name: 'a', type: 'integer', paths: ['a'] }, { name: 'b', type: 'text', paths: ['a'] }),
      );
      await loadDay(lake, '2026-07-04');
      await published(lake);
      const mixed = await deltaState(lake.dir, 'events');
      expect(mixed.metaData.id).toBe(id);
      const all = [...PATH_COLUMNS, ...lakeColumns(lake.ledger.settings.tables.Events)].map(({ name }) => name);
      expect(all).toContain('tags');
      expect(columnsOf(mixed).map(({ name }) => name)).toEqual(all.filter((name) => name !== 'a'));
      expect((await deltaRows(lake.dir, 'events')).map(({ b }) => b)).toEqual([null, '1']);
      await rebuild(lake.ledger, { run: 'rebuild' });
      await published(lake);
      expect((await deltaRows(lake.dir, 'events')).map(({ a, b }) => [a, b])).toEqual([['1', '1'], ['1', '1']]); // oxfmt-ignore
      await expectEqual(lake);
    },
  );

  test('without files can be read, also when the last tenant is gone', CAMPAIGN, async () => {
    await using lake = await scratchLake(DELTA);
    await published(lake);
    expect(await deltaState(lake.dir, 'metrics')).toMatchObject({ files: [] });
    await loadDay(lake, '2026-07-03');
    await published(lake);
    await lake.ledger.run('delete from partitions');
    await published(lake, { restartLogs: new Set(['events']) });
    const { names, versions } = versionsOf(lake.dir, 'events');
    expect(versions).toEqual([2]);
    expect(await deltaState(lake.dir, 'events')).toMatchObject({ files: [] });
    for (const name of names) expect(readFileSync(join(logOf(lake.dir, 'events'), name), 'latin1')).not.toContain(TENANT);
  }); // oxfmt-ignore
});

describe('a mart', () => {
  test('is a table of its own that follows each new file', CAMPAIGN, async () => {
    await using lake = await scratchLake({ ...DELTA, marts: ['passes_created', 'churn'] });
    for (const day of DAYS) {
      await loadDay(lake, day);
      await published(lake);
      for (const mart of ['passes_created', 'churn']) {
        const rows = await deltaRows(lake.dir, `marts/${mart}`);
        const names = columnsOf(await deltaState(lake.dir, `marts/${mart}`)).map(({ name }) => `"${name}"`);
        expect(rows).toEqual(await readCatalogue(lake.dir, `select ${names.join(', ')} from mart_${mart} order by all`)); // oxfmt-ignore
        expect(rows.length).toBeGreaterThan(0);
      }
    }
    const state = await deltaState(lake.dir, 'marts/churn');
    expect(state).toMatchObject({ version: 2, metaData: { name: 'mart_churn', partitionColumns: [] } });
    const described = await readCatalogue(lake.dir, 'describe mart_churn');
    expect(columnsOf(state).map(({ name }) => name)).toEqual(described.map((column) => column['column_name']));
    expect(columnsOf(state).filter(({ metadata }) => !metadata.comment)).toEqual([]);
    expect(await checkDelta(lake.ledger)).toEqual({ tables: 5, faults: [] });
    await lake.reopen({ marts: ['churn'] });
    await published(lake);
    expect(versionsOf(lake.dir, 'marts/passes_created').names).toEqual([]);
    expect(versionsOf(lake.dir, 'marts/churn').newest).toBe(2);
  }); // oxfmt-ignore
});

describe('a log', () => {
  test('of a publish that was killed at any step is continued by the next one', LONG, async () => {
    const steps: string[] = [];
    for (let kill = -1; kill < steps.length || kill < 0; kill++) {
      await using lake = await scratchLake({ ...DELTA, marts: ['passes_created'] });
      await loadDay(lake, '2026-07-03');
      await published(lake);
      await loadDay(lake, '2026-07-04');
      const first = await catalogueRows(lake, 'events');
      const seen: string[] = [];
      const killed = published(lake, {
        onStep: (step) => {
          if (kill < 0) steps.push(step);
          else if (seen.push(step) > kill) throw new Error('killed');
        },
      });
      const ended = await killed.then(
        () => 'published',
        (error: unknown) => (error instanceof Error ? error.message : ''),
      );
      expect(ended).toBe(kill < 0 ? 'published' : 'killed');
      // Every version that a reader finds is whole.
      for (const version of versionsOf(lake.dir, 'events').versions)
        expect(await deltaRows(lake.dir, 'events', version)).toHaveLength(first.length + version);
      await lake.reopen();
      await recover(lake.ledger);
      await published(lake);
      await expectEqual(lake);
      await loadDay(lake, '2026-07-05');
      await published(lake);
      await expectEqual(lake);
      expect(versionsOf(lake.dir, 'events').versions).toEqual([0, 1, 2]);
    }
    expect(steps).toEqual(expect.arrayContaining(['catalogue', 'delta events', 'delta mart_passes_created', 'delta', 'manifest']));
  }); // oxfmt-ignore

  for (const [what, options, damage] of [
    ['is missing', CAMPAIGN, (log: string) => rmSync(log, { recursive: true })],
    ['lacks an entry', LONG, (log: string) => rmSync(join(log, '00000000000000000001.json'))],
    ['lacks its newest entry', LONG, (log: string) => rmSync(join(log, '00000000000000000002.json'))],
    [
      'has an unreadable entry',
      CAMPAIGN,
      (log: string) => writeFileSync(join(log, '00000000000000000002.json'), '{"add":'),
    ],
    ['has an empty entry', LONG, (log: string) => writeFileSync(join(log, '00000000000000000002.json'), '')],
  ] as const)
    test(`that ${what} starts again, without a change to any data file`, options, async () => {
      await using lake = await scratchLake(DELTA);
      for (const day of DAYS) {
        await loadDay(lake, day);
        await published(lake);
      }
      const files = await lake.ledger.rawRows('select file, sha256 from partitions order by all');
      damage(logOf(lake.dir, 'events'));
      await published(lake);
      await expectEqual(lake);
      expect(await lake.ledger.rawRows('select file, sha256 from partitions order by all')).toEqual(files);
      await loadDay(lake, '2026-07-03', 3);
      await published(lake);
      await expectEqual(lake);
    });

  test('that does not have the ledger’s files is found by a check, and starts again', CAMPAIGN, async () => {
    await using lake = await scratchLake(DELTA);
    for (const day of DAYS) {
      await loadDay(lake, day);
      await published(lake);
    }
    const entry = join(logOf(lake.dir, 'events'), '00000000000000000001.json');
    writeFileSync(entry, readFileSync(entry, 'utf8').replace('2026-07-04.1', '2026-07-04.9'));
    expect(await checkDelta(lake.ledger)).toEqual({ tables: 3, faults: [{ table: 'events', fault: 'differs' }] });
    await published(lake, { restartLogs: new Set(['events']) });
    await expectEqual(lake);
    expect(versionsOf(lake.dir, 'events').versions).toEqual([3]);
    expect(versionsOf(lake.dir, 'logs').versions).toEqual([0]);
    // Another table, so that a reader that has the earlier one open reads it again.
    expect(await published(lake)).toMatchObject({ changed: false });
  });

  test('that another program has written to is refused, and everything else is published', CAMPAIGN, async () => {
    await using lake = await scratchLake(DELTA);
    await loadDay(lake, '2026-07-03');
    await published(lake);
    const next = (name: string): string => join(logOf(lake.dir, 'events'), `${'0'.repeat(19)}${name}.json`);
    writeFileSync(next('1'), '{"commitInfo":{"operation":"VACUUM START"}}\n');
    await loadDay(lake, '2026-07-04');
    await published(lake);
    await expectEqual(lake);
    expect(versionsOf(lake.dir, 'events').versions).toEqual([0, 1, 2]);
    writeFileSync(next('3'), '{"add":{"path":"x.parquet"}}\n');
    await loadDay(lake, '2026-07-05');
    for (let nth = 0; nth < 2; nth++)
      await expect(published(lake)).rejects.toMatchObject({ failure: 'damaged', message: expect.stringContaining('Another program') });
    expect(await catalogueRows(lake, 'events').catch(() => readCatalogue(lake.dir, 'from events'))).toHaveLength(3);
    expect(await checkDelta(lake.ledger)).toMatchObject({ faults: [{ table: 'events', fault: 'foreign' }] });
    renameSync(logOf(lake.dir, 'events'), join(lake.dir, 'moved'));
    await published(lake);
    await expectEqual(lake);
  }); // oxfmt-ignore

  test('is removed when it is turned off, and starts again when it is turned on', CAMPAIGN, async () => {
    await using lake = await scratchLake(DELTA);
    await loadDay(lake, '2026-07-03');
    await published(lake);
    await lake.reopen({ delta: false });
    await published(lake);
    const logs = () => readdirSync(join(lake.dir, 'store'), { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith(DELTA_FOLDER)); // oxfmt-ignore
    expect(logs()).toEqual([]);
    await lake.reopen({ delta: true });
    await published(lake);
    expect(logs()).toHaveLength(3);
    await expectEqual(lake);
  });
});
