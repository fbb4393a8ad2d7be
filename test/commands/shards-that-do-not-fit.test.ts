/** A tenant in two shards, or shards of two numbers: nothing is counted twice, and the message says how to put it right. */
import { cp, mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { EXIT } from '../../src/kernel/errors.ts';
import { shardIndex } from '../../src/model/shard.ts';
import { requireOwnTenants } from '../../src/query/shards.ts';
import type { World } from '../pipeline/support/world.ts';
import { CAMPAIGN } from '../support/campaign.ts';
import type { Stage } from '../support/shell.ts';
import { useTwoShards } from '../support/two-shards.ts';

/** Of two shards, the first has lyon and the second has the others. */
const TENANTS = ['lyon', 'paris', 'nice'];

let world: World;
let stage: Stage;
let putBack: () => Promise<void>;
useTwoShards(TENANTS, (opened) => {
  ({ world, stage, putBack } = opened);
});

const folder = (name: string): string => join(world.dataDir, 'shards', name);

/** What commands say, by the command. */
async function refusals(...commands: string[]): Promise<string[]> {
  const texts: string[] = [];
  for (const command of commands) {
    const { code, err, out } = await stage.run(command.split(' '), { KEY: 'k' });
    expect([command, code, out]).toEqual([command, EXIT.shards, '']);
    texts.push(err);
  }
  return texts;
}

describe('a tenant in the folder of another shard', () => {
  const NAMED = 'Shard 0/2 holds 2 tenants of other shards: nice, paris of shard 1/2.';

  it('is counted by no reader and kept by no command that writes, and all name it', async () => {
    await rm(folder('0-of-2'), { recursive: true });
    await cp(folder('1-of-2'), folder('0-of-2'), { recursive: true });
    const before = await readdir(world.dataDir, { recursive: true });
    const texts = await refusals(
      'sql from(events)',
      'query installs',
      'properties',
      'check',
      'status',
      'tenant list',
      'run --shard 0/2',
      'verify --shard 0/2',
      'repair --shard 0/2',
      'publish --shard 0/2',
      'backup copy --shard 0/2',
      'doctor --shard 0/2',
      'reshard --from 2 --to 3',
    );
    for (const text of texts) {
      expect(text).toContain(NAMED);
      expect(text).toContain('Move this folder out of the data directory and keep it.');
    }
    // A run that is refused in its own folder is recorded, too.
    const after = (await readdir(world.dataDir, { recursive: true })).filter((path) => !path.endsWith('outcomes.json'));
    expect(after.toSorted()).toEqual(before.toSorted());
  });

  it('is found next to its own by the doctor of the right shard', async () => {
    await cp(folder('1-of-2'), folder('0-of-2'), { recursive: true, force: true });
    const { code, out } = await stage.run(['doctor', '--shard', '1/2'], { KEY: 'k' });
    expect([code, out]).toEqual([expect.any(Number), expect.stringContaining(`FAIL  other shards: ${NAMED}`)]);
  });

  it('is no reason to delete anything if the folder has only the wrong name', async () => {
    await rm(folder('0-of-2'), { recursive: true });
    await rename(folder('1-of-2'), folder('0-of-2'));
    for (const text of await refusals('sql from(events)', 'run --shard 0/2'))
      expect(text).toContain('another shard under a wrong name: rename shards/0-of-2 to shards/1-of-2.');
  });

  it.each([
    ['0/2', '1/2'],
    ['1/2', '0/2'],
  ])(
    'gets the advice to rename folders, and not that for a copy, if those of %s and another shard are swapped',
    async (shard, other) => {
      const [one, two] = [shard, other].map((name) => name.replace('/', '-of-'));
      await rename(folder('0-of-2'), folder('x'));
      await rename(folder('1-of-2'), folder('0-of-2'));
      await rename(folder('x'), folder('1-of-2'));
      const [text = ''] = await refusals(`run --shard ${shard}`);
      const [way, back] = [`shards/${one} to shards/${two}`, `shards/${two} to shards/${one}`];
      expect(text.replaceAll(/\s+/g, ' ')).toContain(`Rename them, the first by way of another name: ${way}, ${back}.`);
    },
  );

  it('is renamed after the folder that is at its place', async () => {
    const shared = join(stage.folder, 'four');
    const lyon = await readFile(folder('0-of-2/manifest.json'), 'utf8');
    /** The folder of a shard with this tenant alone. */
    const put = async (name: string, tenant: string): Promise<void> => {
      await mkdir(join(shared, 'shards', name), { recursive: true });
      await writeFile(join(shared, 'shards', name, 'state.duckdb'), '');
      await writeFile(join(shared, 'shards', name, 'manifest.json'), lyon.replaceAll('lyon', tenant));
    };
    // Of four shards, the third has lyon and the last has paris.
    await put('0-of-4', 'lyon');
    await put('2-of-4', 'paris');
    const check = requireOwnTenants(shared, [{ index: 0, of: 4, tenants: ['lyon'] }]);
    const order = 'in this order: shards/2-of-4 to shards/3-of-4, shards/0-of-4 to shards/2-of-4.';
    await expect(check).rejects.toMatchObject({ hint: expect.stringContaining(order) });
    await put('2-of-4', 'lyon');
    const copy = requireOwnTenants(shared, [{ index: 0, of: 4, tenants: ['lyon'] }]);
    await expect(copy).rejects.toMatchObject({ hint: expect.stringContaining('Move this folder out') });
  });

  it('is taken out of a folder that has tenants of its own, too, and all of those stay', CAMPAIGN, async () => {
    const [mixed, kept] = [join(stage.folder, 'mixed'), join(stage.folder, 'kept')];
    await cp(folder('1-of-2'), mixed, { recursive: true });
    await stage.write('empty.yaml', '');
    const { baseUrl } = world.config();
    await stage.write('lyon.yaml', `baseUrl: ${baseUrl}\ntenants:\n  - { id: lyon, apiKey: { env: KEY } }\n`);
    const key = { KEY: world.sandbox.keyOf('lyon') };
    expect((await stage.run(['run', '--config', 'lyon.yaml', '--data-dir', mixed], key)).code).toBe(0);
    await rm(folder('0-of-2'), { recursive: true });
    await rename(mixed, folder('0-of-2'));
    const counted = ['sql', 'select tenant_id, count(*) as n from events group by all order by all', '--format', 'csv'];
    for (const text of await refusals('sql from(events)', 'run --shard 0/2'))
      expect(text).toContain('It holds tenants of its own, too: docs/scale.md, Shards that do not fit');
    // The steps of docs/scale.md.
    await rename(folder('0-of-2'), kept);
    for (const tenant of ['nice', 'paris']) {
      const remove = ['tenant', 'remove', tenant, '--purge', '--config', 'empty.yaml', '--data-dir', kept];
      expect((await stage.run(remove)).code).toBe(0);
    }
    await rename(kept, folder('0-of-2'));
    expect((await stage.run(['publish', '--shard', '0/2'])).code).toBe(0);
    const healed = await stage.run(counted);
    await putBack();
    expect([healed.code, healed.out]).toEqual([0, (await stage.run(counted)).out]);
  });

  it('is not meant by a folder that is no tenant', async () => {
    // As tenants, these would belong to both shards.
    const names = ['lost-and-found', 'a', 'b', 'c', 'd', 'e'];
    for (const name of names) await mkdir(join(folder('0-of-2'), 'landing', name), { recursive: true });
    expect(new Set(names.map((name) => shardIndex(name, 2))).size).toBe(2);
    const { code, err } = await stage.run(['publish', '--shard', '0/2']);
    expect([code, err]).toEqual([0, '']);
  });

  it('is no longer in the way once that folder is moved out of the data directory', async () => {
    await rm(folder('0-of-2'), { recursive: true });
    await cp(folder('1-of-2'), folder('0-of-2'), { recursive: true });
    await rename(folder('0-of-2'), join(stage.folder, 'moved-away'));
    const sql = 'select distinct tenant_id from events order by all';
    const { code, out } = await stage.run(['sql', sql, '--format', 'csv']);
    expect([code, out]).toEqual([0, 'tenant_id\nnice\nparis\n']);
    const doctor = await stage.run(['doctor', '--shard', '1/2'], { KEY: 'k' });
    expect(doctor.out).toContain('ok    other shards: each of 2 tenants is in one shard');
  });
});

describe('shards of two numbers', () => {
  it('are not added up, and the message lists each folder with its rows, tenants and last publish', async () => {
    await cp(folder('0-of-2'), folder('0-of-3'), { recursive: true });
    const texts = await refusals(
      'sql from(events)',
      'query installs',
      'status',
      'run --shard 0/2',
      'run --shard 0/3',
      'reshard --from 2 --to 1',
      'reshard --from 3 --to 1',
      'doctor --shard 0/2',
    );
    const [{ rows } = { rows: 0 }] = await rowsOfLyon();
    for (const text of texts) {
      expect(text).toContain('holds 2 lakes side by side, one of 2 shards and one of 3 shards');
      expect(text).toMatch(new RegExp(`shards/0-of-2 \\(1 tenant, ${rows} rows, published 2026-\\S+Z\\)`));
      expect(text).toMatch(new RegExp(`shards/0-of-3 \\(1 tenant, ${rows} rows, published 2026-\\S+Z\\)`));
      expect(text).toContain('shards/1-of-2 (2 tenants, ');
      expect(text).toContain('Move the folders of the other out of the data directory, and keep them');
    }
  });

  it('are refused next to a lake that is not divided', async () => {
    await cp(folder('0-of-2'), world.dataDir, { recursive: true });
    const texts = await refusals('status', 'run', 'run --shard 0/2', 'reshard --from 1 --to 2');
    for (const text of texts) expect(text).toContain('the data directory itself (1 tenant, ');
  });
});

/** Of all tables, as the sandbox counts them. */
async function rowsOfLyon(): Promise<{ rows: number }[]> {
  const counts = await world.sandbox.counts();
  return [{ rows: counts.filter(({ tenant }) => tenant === 'lyon').reduce((sum, { rows }) => sum + rows, 0) }];
}
