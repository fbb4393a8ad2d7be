/** A data directory that has seen everything, and what the inventory says of its files. */
import { cp, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { PassThrough } from 'node:stream';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { startSandbox, type Sandbox } from '../../../sandbox/sandbox.ts';
import { main } from '../../../src/commands/program.ts';
import { createLanding } from '../../../src/extract/fetch/land.ts';
import { EXIT } from '../../../src/kernel/errors.ts';
import { systemFiles } from '../../../src/kernel/files.ts';
import { HOUR, parseInstant } from '../../../src/kernel/instant.ts';
import { listDataDir } from '../../../src/load/maintenance/list-data-dir.ts';
import { DATA_DIR } from '../../../src/model/data-dir.ts';
import { Collector, openStage, type Stage } from '../../support/shell.ts';
import { bytesBelow } from '../support/world.ts';
import { CAMPAIGN, LONG } from '../../support/campaign.ts';

const TENANTS = ['canary-shop', 'lyon'];
const EARLIER_MARTS = 'store/marts/<report>.<generation>.parquet';
const CHECKPOINTS = ['store/<lake_table>', 'store/marts/<report>'].flatMap((table) => [
  `${table}/_delta_log/<version>.checkpoint.parquet`,
  `${table}/_delta_log/_last_checkpoint`,
]);
const CHECKS = z.object({ machine: z.array(z.object({ name: z.string(), detail: z.string(), hint: z.string().optional() })) }); // oxfmt-ignore

let sandbox: Sandbox;
let webhook: Server;
let stage: Stage;
const copies: string[] = [];

function configText(tenants: readonly string[]): string {
  const address = webhook.address();
  if (address === null || typeof address === 'string') throw new Error('the webhook does not listen');
  return JSON.stringify({
    baseUrl: sandbox.url,
    callsPerMinute: 0,
    tenants: tenants.map((id) => ({ id, apiKey: { env: `KEY_${tenants.indexOf(id)}` } })),
    landing: { keep: true },
    webhook: { url: `http://127.0.0.1:${address.port}/`, heartbeat: true },
  });
}

/** Runs the program; fails where it does not end well. */
async function run(argv: readonly string[], dataDir: string, tenants: readonly string[] = TENANTS): Promise<string> {
  const config = await stage.write('insights.json', configText(tenants));
  const env = Object.fromEntries(tenants.map((id, index) => [`KEY_${index}`, sandbox.keyOf(id)]));
  const { code, out, err } = await stage.run([...argv, '--data-dir', dataDir, '--config', config], env);
  expect({ argv, code, err: code === EXIT.ok ? '' : err }).toEqual({ argv, code: EXIT.ok, err: '' });
  return out;
}

/** A statement typed at the prompt, which keeps a history. */
async function typeAtPrompt(statement: string): Promise<void> {
  const stdin = Object.assign(new PassThrough(), { isTTY: true });
  stdin.end(`${statement}\n.quit\n`);
  const [stdout, stderr] = [new Collector(true), new Collector()];
  const nothing = (): void => {};
  const env = { INSIGHTS_BASE_URL: sandbox.url, INSIGHTS_TENANT: 'lyon', INSIGHTS_API_KEY: 'k' };
  const io = { stdout, stderr, stdin, env, cwd: stage.folder, onStop: () => nothing, exit: nothing };
  expect(await main(['sql', '--data-dir', join(stage.folder, 'data')], io)).toBe(EXIT.ok);
}

/** A batch with a landed page and a page that was cut off, as a killed run leaves it. */
async function leaveLanded(dataDir: string, tenant: string): Promise<void> {
  const start = parseInstant('2026-10-31T00:00:00Z') ?? 0n;
  const window = { from: start, to: start + HOUR };
  const pages = ['p1', 'p2'].map((id) => ({ id, windows: [window], rows: 1, bytes: 10 }));
  const batch = { id: 'b1', tenant, table: 'Events', windows: [window], pages } as const;
  const landing = await createLanding(join(dataDir, 'landing'), batch, 'killed');
  const [landed] = pages;
  if (!landed) throw new Error('no pages');
  const writer = await landing.open(landed, 'Events');
  await landing.commit(landed, writer, { rows: 0, bytes: 0, largestRow: 0, columns: [] });
  await writeFile(join(landing.folder, 'p2.ndjson.tmp'), '["cut');
}

async function copyOfUsed(): Promise<string> {
  const copy = await mkdtemp(join(tmpdir(), 'insights-etl-used-'));
  copies.push(copy);
  await cp(join(stage.folder, 'data'), copy, { recursive: true });
  return copy;
}

const paths = async (folder: string): Promise<string[]> =>
  (await readdir(folder, { recursive: true, withFileTypes: true }))
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(folder.length + 1));

beforeAll(async () => {
  const source = { rows: 400, days: 2, seed: 4, now: '2026-11-01T00:30:00Z', frozen: true, memory: true, rate: 0 };
  sandbox = await startSandbox({ ...source, tenants: TENANTS });
  webhook = createServer((_request, response) => response.end());
  await new Promise<void>((resolve) => webhook.listen(0, '127.0.0.1', resolve));
  stage = await openStage();
  const dataDir = join(stage.folder, 'data');
  await run(['schedule', '--once', '--cron', '0 0 1 1 *'], dataDir);
  await run(['repair'], dataDir);
  await run(['run'], dataDir);
  await typeAtPrompt(`select count(*) from events where tenant_id = 'canary-shop';`);
  for (const tenant of TENANTS) await leaveLanded(dataDir, tenant);
});
afterEach(async () => {
  for (const copy of copies.splice(0)) await rm(copy, { recursive: true, force: true });
});
afterAll(async () => {
  await sandbox.close();
  await new Promise((resolve) => webhook.close(resolve));
  await stage[Symbol.asyncDispose]();
});

describe('a data directory after a schedule, a repair, a run, a prompt and a kill', () => {
  it('holds no file that the inventory does not declare, and nearly every one that it does', CAMPAIGN, async () => {
    const found = await listDataDir(systemFiles, join(stage.folder, 'data'));
    expect(found.filter(({ entry }) => !entry).map(({ path }) => path)).toEqual([]);
    const seen = new Set(found.map(({ entry }) => entry));
    // These take a damaged file, a lake of an earlier version or of two months, twenty publishes, a kill inside the engine, very many views, a reader that spills, a purge that was cut off, a mirror, shards, a restore, or the repository.
    const damaged = 'store/<lake_table>/tenant_id=<tenant>/month=<month>/<period>.<generation>.parquet.damaged';
    const rare = [
      damaged,
      EARLIER_MARTS,
      ...CHECKPOINTS,
      'state.duckdb.wal',
      'state.duckdb.<time>.wal',
      'definitions/<digest>.duckdb',
      'insights.duckdb.tmp/**',
      'purges/<tenant>',
      'mirrored.json',
      'reshard.json',
      'reshard.tag',
      'restore.duckdb',
      'restore.duckdb.wal',
      'shards/**',
      'README.md',
      'demo/**',
    ];
    expect(DATA_DIR.filter((entry) => !seen.has(entry)).map(({ path }) => path)).toEqual(rare);
  });

  it(
    'is backed up as the inventory says: every kind of file that a backup copies, and no other',
    CAMPAIGN,
    async () => {
      const target = await mkdtemp(join(tmpdir(), 'insights-etl-backup-'));
      copies.push(target);
      await run(['backup', target], join(stage.folder, 'data'));
      const kinds = new Set((await listDataDir(systemFiles, target)).map(({ entry }) => entry));
      const copied = DATA_DIR.filter(({ backup, path }) => backup === 'copies' && path !== EARLIER_MARTS);
      expect(kinds).toEqual(new Set(copied));
    },
  );

  it(
    'gives up every byte of a purged tenant: set-aside ledger, kept and landed pages, records and history',
    CAMPAIGN,
    async () => {
      const dataDir = await copyOfUsed();
      const setAside = (await readdir(dataDir)).filter((name) => /^state\.duckdb\.\d/.test(name));
      expect(setAside).toHaveLength(1);
      expect(await readFile(join(dataDir, setAside[0] ?? ''), 'latin1')).toContain('canary-shop');
      for (const name of ['outcomes.json', 'schedule.json', '.sql_history'])
        expect(await readFile(join(dataDir, name), 'utf8')).toContain('canary-shop');
      // As a kill leaves them.
      await writeFile(join(dataDir, 'schedule.json.tmp'), '{"slots":{"canary-shop Events":');
      await writeFile(join(dataDir, 'calls', 'canary-shop.log.tmp'), 's 1 2\n');
      await mkdir(join(dataDir, 'insights.duckdb.tmp'));
      await writeFile(join(dataDir, 'insights.duckdb.tmp', 'duckdb_temp_storage-0.tmp'), 'canary-shop');
      const ofLyon = (await paths(dataDir)).filter((path) => /^(landing|kept|store)\/.*lyon/.test(path));
      await run(['tenant', 'remove', 'canary-shop', '--purge'], dataDir, ['lyon']);
      const left = await paths(dataDir);
      expect(left.filter((path) => path.includes('canary-shop'))).toEqual([]);
      expect(await bytesBelow(dataDir)).not.toContain('canary-shop');
      expect(left.filter((path) => setAside.includes(path) || path === '.sql_history')).toEqual([]);
      expect(ofLyon.length).toBeGreaterThan(10);
      expect(ofLyon.filter((path) => !left.includes(path))).toEqual([]);
      expect(await readFile(join(dataDir, 'schedule.json'), 'utf8')).toContain('lyon Events');
    },
  );
});

describe('a file that the inventory does not declare', () => {
  it('is reported by doctor and deleted by no command', LONG, async () => {
    const dataDir = await copyOfUsed();
    const own = ['.hidden', 'landing/notes.txt', 'notes.json', 'old/state.duckdb', 'store/events/notes.txt'];
    for (const path of own) {
      await mkdir(dirname(join(dataDir, path)), { recursive: true });
      await writeFile(join(dataDir, path), 'canary-shop');
    }
    const { machine } = CHECKS.parse(JSON.parse(await run(['doctor', '--json', '--max-calls', '2'], dataDir)));
    const found = machine.find(({ name }) => name === 'unknown files');
    expect(found?.detail).toBe('.hidden, landing/notes.txt, notes.json, old, store/events/notes.txt');
    expect(found?.hint).toContain('No command reads, backs up or removes them');
    expect(machine.find(({ name }) => name === 'leftovers')?.detail).toBe(
      '4 landed files, 1 set-aside ledger, 2 unfinished files',
    );
    // Their pages are not those of the source, so a run could not load them.
    for (const tenant of TENANTS) await rm(join(dataDir, 'landing', tenant), { recursive: true });
    const target = await mkdtemp(join(tmpdir(), 'insights-etl-backup-'));
    copies.push(target);
    for (const argv of [['run'], ['rebuild'], ['backup', target], ['verify', '--deep'], ['repair']])
      await run(argv, dataDir);
    await run(['tenant', 'remove', 'canary-shop', '--purge'], dataDir, ['lyon']);
    for (const path of own) expect(await readFile(join(dataDir, path), 'utf8')).toBe('canary-shop');
  });
});
