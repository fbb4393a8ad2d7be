/** Another number of shards: the same rows and proofs, nothing fetched again, and safe when it is cut off at any step. */
import { existsSync } from 'node:fs';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { openLedger } from '../../../src/load/ledger/ledger.ts';
import { reshardLake, type ReshardReport } from '../../../src/pipeline/maintenance/reshard.ts';
import { purgeTenant } from '../../../src/pipeline/maintenance/purge.ts';
import { lakeSettings } from '../../../src/pipeline/lake-settings.ts';
import { pushMirror } from '../../../src/pipeline/mirror/push.ts';
import { openReader, textRows } from '../../../src/query/reader.ts';
import { parseShard, shardIndex } from '../../../src/model/shard.ts';
import { CAMPAIGN, LONG } from '../../support/campaign.ts';
import { openWorld, type World } from '../support/world.ts';

const SOURCE = { rows: 60, days: 1, now: '2026-11-01T00:30:00Z', frozen: true };

/** Another process that holds a ledger. */
const HOLDS = `require('@duckdb/node-api').DuckDBInstance.create(process.argv[1]).then(() => { console.log('held'); setInterval(() => {}, 1000); })`;

let world: World;
afterEach(() => world[Symbol.asyncDispose]());

const shardsOf = (of: number): string[] => Array.from({ length: of }, (_, index) => `${index}/${of}`);

/** Runs every worker that has a tenant. Returns the pages that they fetched. */
async function runAll(of: number): Promise<number> {
  let pages = 0;
  for (const shard of shardsOf(of)) {
    if (world.config({ shard }).tenants.length === 0) continue;
    const { tables, exitCode } = await world.run({}, { shard });
    expect([shard, exitCode]).toEqual([shard, 0]);
    pages += tables.reduce((sum, table) => sum + table.pages, 0);
  }
  return pages;
}

/** What a reader of all shards sees: rows, proofs, properties, and which views of types there are. */
async function seen(): Promise<string[][]> {
  await using reader = await openReader(world.dataDir, { threads: 1, memoryLimit: '384MB' });
  const texts = [
    `select tenant_id, count(*), sum(hash(event_id, timestamp, properties)) from events group by all`,
    `select tenant_id, count(*), sum(hash(event_id, timestamp, properties)) from logs group by all`,
    `select tenant_id, count(*), sum(hash(metric_id, timestamp, value)) from metrics group by all`,
    `select * from coverage`,
    `select * exclude (file), regexp_extract(file, 'store/.*') as file from lake_files`,
    `select * exclude (view_name, column_name) from properties`,
    `select * from quarantine`,
  ];
  const rows: string[][] = [];
  for (const text of texts) rows.push([text], ...(await textRows(reader, `select * from (${text}) order by all`)));
  return rows;
}

async function reshard(from: number, to: number, onStep?: (step: string) => void): Promise<ReshardReport> {
  return reshardLake(world.config(), { from, to }, world.runtime, onStep);
}

describe('reshard', () => {
  it('divides a lake, changes the number and puts it together again, and fetches no page', LONG, async () => {
    world = await openWorld(
      { ...SOURCE, rows: 120, tenants: ['paris', 'lyon', 'nice', '007', 'acme'] },
      { lake: { marts: true } },
    );
    await world.run({}, { landing: { keep: true } });
    const before = await seen();
    const keptFiles = async (): Promise<string[]> =>
      (await readdir(world.dataDir, { recursive: true })).filter((path) => path.startsWith('kept/')).toSorted();
    const kept = await keptFiles();
    const snapshots: number[] = [];
    for (const [from, to] of [
      [1, 4],
      [4, 3],
      [3, 1],
    ] as const) {
      const calls = world.sandbox.calls.length;
      const report = await reshard(from, to);
      expect(world.sandbox.calls.length).toBe(calls);
      expect(report.shards.map(({ shard }) => parseShard(shard)?.of)).toEqual(report.shards.map(() => to));
      expect(await seen()).toEqual(before);
      expect(await runAll(to)).toBe(0);
      expect(await seen()).toEqual(before);
      expect(existsSync(join(world.dataDir, 'reshard.json'))).toBe(false);
      const folders = to === 1 ? [] : await readdir(join(world.dataDir, 'shards'));
      expect(folders.every((name) => name.endsWith(`-of-${to}`))).toBe(true);
      await using reader = await openReader(world.dataDir, { threads: 1, memoryLimit: '384MB' });
      snapshots.push(Number((await textRows(reader, 'select snapshot from snapshot'))[0]?.[0]));
    }
    expect(kept.length).toBeGreaterThan(3);
    expect(await keptFiles()).toEqual(kept);
    expect(snapshots).toEqual(snapshots.toSorted((a, b) => a - b));
    expect(await readdir(world.dataDir)).not.toContain('shards');
  });

  for (const [which, options] of [
    ['a few steps', CAMPAIGN],
    ['any step', LONG],
  ] as const)
    it(`is continued by the same command after it was cut off at ${which}, and no run begins meanwhile`, options, async () => {
      world = await openWorld({ ...SOURCE, rows: 20, tenants: ['paris', 'lyon', 'nice'] });
      await runAll(2);
      const before = await seen();
      const putBack = await world.keep();
      const steps: string[] = [];
      await reshard(2, 3, (step) => void steps.push(step));
      expect(steps).toContain('switch');
      // By the last of them, another shard is complete.
      const few = ['rows', 'manifest', 'switch', 'remove 0/2'].map((step) => steps.lastIndexOf(step));
      expect(few).not.toContain(-1);
      for (const [nth, step] of steps.entries()) {
        if (which === 'a few steps' && !few.includes(nth)) continue;
        await putBack();
        let count = 0;
        const cut = reshard(2, 3, () => {
          if (count++ === nth) throw new Error('killed');
        });
        await expect(cut).rejects.toThrow('killed');
        expect([step, await seen()]).toEqual([step, before]);
        for (const shard of [...shardsOf(2), ...shardsOf(3)])
          await expect(world.run({}, { shard })).rejects.toThrow(/change from 2 shards to 3/);
        await reshard(2, 3);
        expect([step, await seen()]).toEqual([step, before]);
      }
      expect(await runAll(3)).toBe(0);
    }); // oxfmt-ignore

  it('can be given up, and begun with another number', LONG, async () => {
    world = await openWorld({ ...SOURCE, tenants: ['paris', 'lyon'] });
    await world.run();
    const before = await seen();
    const cut = (at: string): Promise<ReshardReport> =>
      reshard(1, 2, (step) => {
        if (step === at) throw new Error('killed');
      });
    await expect(cut('rows')).rejects.toThrow('killed');
    await reshard(1, 1);
    expect(await readdir(world.dataDir)).not.toContain('reshard.json');
    expect(await readdir(world.dataDir)).not.toContain('shards');
    expect((await world.run()).tables.every(({ pages }) => pages === 0)).toBe(true);
    await expect(cut('shard 0/2')).rejects.toThrow('killed');
    await reshard(1, 3);
    expect((await readdir(join(world.dataDir, 'shards'))).every((name) => name.endsWith('-of-3'))).toBe(true);
    expect(await seen()).toEqual(before);
  });

  it(
    'gives no mart the name of one that an old shard at the same place has pushed since a purge',
    CAMPAIGN,
    async () => {
      world = await openWorld({ ...SOURCE, rows: 20, tenants: ['paris', 'acme'] }, { lake: { marts: true } });
      // All within one second: floors are seconds.
      const runtime = { ...world.runtime, now: () => Date.parse('2026-11-01T01:00:00Z') };
      const mirror = { to: `${world.dataDir}-mirror` };
      const push = (takeOver: boolean): Promise<unknown> =>
        pushMirror(world.config({ shard: '1/2', mirror }), runtime, new AbortController().signal, { takeOver });
      const martsIn = async (place: string): Promise<string[]> =>
        (await readdir(join(place, 'shards/1-of-2/store/marts/installs'))).filter((name) => name.endsWith('.parquet'));
      await runAll(2);
      await push(false);
      await purgeTenant(world.config({ shard: '1/2' }), 'acme', runtime);
      await push(false);
      const pushed = await martsIn(mirror.to);
      await reshardLake(world.config(), { from: 2, to: 3 }, runtime);
      await reshardLake(world.config(), { from: 3, to: 2 }, runtime);
      const [made, ...others] = await martsIn(world.dataDir);
      expect(others).toEqual([]);
      expect(pushed).not.toContain(made);
      await push(true);
      expect(await martsIn(mirror.to)).toContain(made);
      await rm(mirror.to, { recursive: true });
    },
  );

  it(
    'gives no file of a tenant that was purged and comes again the name of one that an old shard has pushed',
    CAMPAIGN,
    async () => {
      // The shard of three that gets the tenant has no other one, so that it is empty after the reshard.
      const [purged, ...others] = ['nancy', 'lyon', 'paris'];
      const [old, made] = [2, 3].map((of) => `${shardIndex(purged ?? '', of)}/${of}`);
      expect(others.map((tenant) => `${shardIndex(tenant, 3)}/3`)).not.toContain(made);
      world = await openWorld({ ...SOURCE, rows: 20, tenants: ['nancy', 'lyon', 'paris'] });
      const mirror = { to: `${world.dataDir}-mirror` };
      const push = (takeOver: boolean): Promise<unknown> =>
        pushMirror(world.config({ shard: old, mirror }), world.runtime, new AbortController().signal, { takeOver });
      const folderOf = (shard = ''): string => `shards/${shard.replace('/', '-of-')}`;
      const filesIn = async (place: string): Promise<string[]> =>
        (await readdir(place, { recursive: true }))
          .filter((name) => /^store\/.*tenant_id=nancy\/.*\.parquet$/.test(name))
          .toSorted();
      const inMirror = (): Promise<string[]> => filesIn(join(mirror.to, folderOf(old)));
      await runAll(2);
      await push(false);
      const pushed = await inMirror();
      expect(pushed).not.toEqual([]);
      await purgeTenant(world.config({ shard: old, mirror }), 'nancy', world.runtime);
      await reshard(2, 3);
      const { mirrors } = JSON.parse(await readFile(join(world.dataDir, folderOf(made), 'mirrored.json'), 'utf8'));
      expect(mirrors).toMatchObject([{ to: join(mirror.to, folderOf(old)), purgeDue: true }]);
      await world.run({}, { shard: made });
      await reshard(3, 2);
      const held = await filesIn(join(world.dataDir, folderOf(old)));
      expect(held.filter((name) => pushed.includes(name))).toEqual([]);
      await push(true);
      expect(await inMirror()).toEqual(held);
      await rm(mirror.to, { recursive: true });
    },
  );

  it('a worker that makes a shard uses no name that one before it at the same place may have used', async () => {
    world = await openWorld({ ...SOURCE, rows: 20, tenants: ['lyon'] });
    await runAll(2);
    const names = (await readdir(world.dataDir, { recursive: true })).filter((name) =>
      /tenant_id=.*parquet$/.test(name),
    );
    const generations = names.filter((name) => name.includes('/store/')).map((name) => Number(name.split('.').at(-2)));
    expect(generations.length).toBeGreaterThan(1);
    const daysSince2026 = Math.min(...generations) / 86_400;
    expect(daysSince2026).toBeGreaterThan(1);
  });

  it('refuses what does not fit, a worker that is at work, and a purge that was cut off', async () => {
    world = await openWorld({ ...SOURCE, rows: 20, tenants: ['lyon'] });
    await expect(reshard(1, 2)).rejects.toThrow('Nothing has been loaded');
    const shard = `${shardIndex('lyon', 2)}/2`;
    const config = world.config({ shard });
    await (await openLedger(config.dataDir, lakeSettings(config), world.runtime)).close();
    await expect(reshard(3, 2)).rejects.toThrow('is divided into 2 shards');
    await expect(reshard(2, 2)).rejects.toThrow('as it is now');
    await mkdir(join(config.dataDir, 'purges'));
    await writeFile(join(config.dataDir, 'purges/lyon'), '');
    await expect(reshard(2, 3)).rejects.toThrow('holds a purge that was cut off');
    await rm(join(config.dataDir, 'purges'), { recursive: true });
    const other = spawn(process.execPath, ['-e', HOLDS, join(config.dataDir, 'state.duckdb')], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    await once(other.stdout, 'data');
    await expect(reshard(2, 3)).rejects.toMatchObject({
      failure: 'locked',
      message: expect.stringContaining(`Shard ${shard} is in use`),
    });
    other.kill();
    await once(other, 'exit');
    expect(await readdir(world.dataDir)).not.toContain('reshard.json');
  });
});
