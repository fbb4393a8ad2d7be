/** What `reshard` deletes: only folders whose tenants it has moved. A shard that it cannot read or find stops it before it begins. */
import { cp, mkdir, readdir, readFile, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { EXIT } from '../../src/kernel/errors.ts';
import { systemFiles, type Files } from '../../src/kernel/files.ts';
import type { StatusReport } from '../../src/model/report.ts';
import { reshardLake, type ReshardReport } from '../../src/pipeline/maintenance/reshard.ts';
import { shardIndex } from '../../src/model/shard.ts';
import type { World } from '../pipeline/support/world.ts';
import { CAMPAIGN } from '../support/campaign.ts';
import type { Stage } from '../support/shell.ts';
import { useTwoShards } from '../support/two-shards.ts';

/** Of two shards, the first has lyon and the second has paris. */
const TENANTS = ['lyon', 'paris'];

let world: World;
let stage: Stage;
useTwoShards(TENANTS, async ({ writeConfig, ...opened }) => {
  ({ world, stage } = opened);
  await writeConfig('lyon.yaml', ['lyon']);
});

const folder = (name: string): string => join(world.dataDir, 'shards', name);

const allFiles = async (): Promise<string[]> => (await readdir(world.dataDir, { recursive: true })).toSorted();

/** The lake as one that is not divided. */
async function undivided(): Promise<void> {
  for (const name of await readdir(folder('1-of-2')))
    await cp(join(folder('1-of-2'), name), join(world.dataDir, name), { recursive: true });
  await rm(join(world.dataDir, 'shards'), { recursive: true });
}

async function cutOff(at: string): Promise<void> {
  const cut = reshardLake(world.config(), { from: 2, to: 3 }, world.runtime, (step) => {
    if (step === at) throw new Error('killed');
  });
  await expect(cut).rejects.toThrow('killed');
}

/** Runs a command that must change nothing. Returns its exit code and what it says. */
async function refused(command: string): Promise<[number, string]> {
  const before = await allFiles();
  const { code, err } = await stage.run(command.split(' '), { KEY: 'k' });
  expect(await allFiles()).toEqual(before);
  return [code, err];
}

describe('reshard of a shard that has lost its ledger', () => {
  it.each(['3', '1'])('to %s deletes nothing, and names the shard and the command that mends it', async (to) => {
    await rm(folder('1-of-2/state.duckdb'));
    const [code, err] = await refused(`reshard --from 2 --to ${to}`);
    expect([code, err]).toEqual([EXIT.damaged, expect.stringContaining('state.duckdb of shard 1/2 is missing')]);
    expect(err).toContain('run `insights-etl repair --shard 1/2`');
  });

  it('does not call a lake that is not divided an empty one', async () => {
    await undivided();
    await rm(join(world.dataDir, 'state.duckdb'));
    const [code, err] = await refused('reshard --from 1 --to 2');
    expect([code, err]).toEqual([EXIT.damaged, expect.stringContaining('state.duckdb of the lake is missing')]);
    expect(err).toContain('run `insights-etl repair`:');
  });

  it('is found in a folder that has only a manifest, too', async () => {
    await rm(folder('1-of-2'), { recursive: true });
    await mkdir(folder('1-of-2'));
    await writeFile(folder('1-of-2/manifest.json'), '{}');
    const [code, err] = await refused('reshard --from 2 --to 3');
    expect([code, err]).toEqual([EXIT.damaged, expect.stringContaining('Mount the volume of both')]);
  });

  it('does not continue, can be given up, and succeeds after the repair', CAMPAIGN, async () => {
    await cutOff('shard 0/3');
    await rm(folder('1-of-2/state.duckdb'));
    const [code, err] = await refused('reshard --from 2 --to 3');
    expect([code, err]).toEqual([EXIT.damaged, expect.stringContaining('first give this change up')]);
    const rows = ['sql', 'select tenant_id, count(*) from events group by all order by all', '--format', 'csv'];
    const before = await stage.run(rows);
    for (const command of ['reshard --from 2 --to 2', 'repair --shard 1/2', 'reshard --from 2 --to 3'])
      expect([command, (await stage.run(command.split(' '), { KEY: 'k' })).code]).toEqual([command, 0]);
    expect((await stage.run(rows)).out).toBe(before.out);
    expect((await readdir(join(world.dataDir, 'shards'))).every((name) => name.endsWith('-of-3'))).toBe(true);
  });
});

describe('reshard without the folder of a shard', () => {
  it.each(['missing', 'empty'])('refuses one that is %s if a configured tenant belongs to it', async (how) => {
    await rm(folder('1-of-2'), { recursive: true });
    if (how === 'empty') await mkdir(folder('1-of-2'));
    const [code, err] = await refused('reshard --from 2 --to 3');
    expect([code, err]).toEqual([EXIT.config, expect.stringContaining('Shard 1/2 is not there, and paris')]);
    expect(err).toContain('mount it or put it back');
  });

  it('warns of one that no configured tenant belongs to', async () => {
    await rm(folder('1-of-2'), { recursive: true });
    const { code, err } = await stage.run(['reshard', '--from', '2', '--to', '3', '--config', 'lyon.yaml'], {
      KEY: 'k',
    });
    expect([code, err]).toEqual([0, expect.stringContaining('shards/1-of-2')]);
  });

  it('neither continues nor gives up while a shard is gone from which it may have copied', async () => {
    await cutOff('shard 0/3');
    const away = join(stage.folder, 'unmounted');
    await rename(folder('1-of-2'), away);
    for (const to of ['3', '2']) {
      const [code, err] = await refused(`reshard --from 2 --to ${to} --config lyon.yaml`);
      expect([code, err]).toEqual([
        EXIT.damaged,
        expect.stringContaining('Shard 1/2 was there when this change began'),
      ]);
    }
    await rename(away, folder('1-of-2'));
    expect((await stage.run(['reshard', '--from', '2', '--to', '3'], { KEY: 'k' })).code).toBe(0);
  });

  it(
    'neither continues nor gives up while a new shard is gone, and gives up after a kill that did so',
    CAMPAIGN,
    async () => {
      await cutOff('rows');
      const [made = ''] = (await readdir(join(world.dataDir, 'shards'))).filter((name) => name.endsWith('-of-3'));
      const away = join(stage.folder, 'unmounted');
      await rename(folder(made), away);
      for (const to of ['3', '2', '4']) {
        const [code, err] = await refused(`reshard --from 2 --to ${to}`);
        expect([to, code, err]).toEqual([to, EXIT.damaged, expect.stringContaining('was made by this change')]);
      }
      await rename(away, folder(made));
      const whileDeleting: Files = {
        ...systemFiles,
        rm: async (path, options) => {
          await rm(path, options);
          if (String(path) === folder(`${made}/state.duckdb`)) throw new Error('killed');
        },
      };
      const cut = reshardLake(world.config(), { from: 2, to: 2 }, { ...world.runtime, files: whileDeleting });
      await expect(cut).rejects.toThrow('killed');
      expect((await stage.run(['reshard', '--from', '2', '--to', '2'], { KEY: 'k' })).code).toBe(0);
    },
  );
});

it('does not take a store whose volume is not mounted for one without files', async () => {
  await rm(folder('1-of-2/store'), { recursive: true });
  await mkdir(folder('1-of-2/store'));
  const [code, err] = await refused('reshard --from 2 --to 3');
  expect([code, err]).toEqual([EXIT.damaged, expect.stringContaining('The store of shard 1/2 holds no file')]);
});

describe('reshard into a folder that is not empty', () => {
  it('replaces no files of a store, though no ledger is next to them', async () => {
    await cp(folder('1-of-2/store'), folder('0-of-3/store'), { recursive: true });
    const [code, err] = await refused('reshard --from 2 --to 3');
    expect([code, err]).toEqual([EXIT.shards, expect.stringContaining('shards/0-of-3 holds files of another lake')]);
    await rename(folder('0-of-3/store'), join(world.dataDir, 'store'));
    const [whole] = await refused('reshard --from 2 --to 1');
    expect(whole).toBe(EXIT.shards);
  });
});

/** What `shards` holds after a reshard to three is complete. */
async function isComplete(): Promise<boolean> {
  const names = await readdir(join(world.dataDir, 'shards'));
  return names.every((name) => name.endsWith('-of-3')) && !(await readdir(world.dataDir)).includes('reshard.json');
}

const continues = async (): Promise<[number, boolean]> => {
  const { code } = await stage.run(['reshard', '--from', '2', '--to', '3'], { KEY: 'k' });
  return [code, await isComplete()];
};

it('reports what the new shards hold, though another call has filled them', async () => {
  await cutOff('remove 0/2');
  const { code, out } = await stage.run(['reshard', '--from', '2', '--to', '3', '--json'], { KEY: 'k' });
  const { rows, shards }: ReshardReport = JSON.parse(out);
  const count = 'select sum(rows) as rows from lake_files';
  const held = await stage.run(['sql', count, '--format', 'csv']);
  expect([code, held.out.trim().split(/\s+/).at(-1)]).toEqual([0, `${rows}`]);
  const full = new Set(TENANTS.map((tenant) => `${shardIndex(tenant, 3)}/3`));
  const expected = ['0/3', '1/3', '2/3'].map((shard) => [shard, full.has(shard) ? 1 : 0, full.has(shard)]);
  expect(full.size).toBe(2);
  expect(shards.map((each) => [each.shard, each.tenants, each.rows > 0])).toEqual(expected);
});

describe('reshard that was cut off when it had switched to the new shards', () => {
  it('does not complete while an old shard that it has not deleted, or a new one, is gone', async () => {
    await cutOff('remove 0/2');
    const away = join(stage.folder, 'unmounted');
    const made = (await readdir(join(world.dataDir, 'shards'))).find((name) => name.endsWith('-of-3'));
    for (const [name, what] of [
      ['1-of-2', 'Shard 1/2 was there when this change began'],
      ['1-of-2/state.duckdb', 'Shard 1/2 was there when this change began'],
      ['1-of-2/store', 'Shard 1/2 was there when this change began'],
      [`${made}`, 'was made by this change'],
      [`${made}/store`, 'was made by this change'],
    ] as const) {
      await rename(folder(name), away);
      const [code, err] = await refused('reshard --from 2 --to 3');
      expect([name, code, err]).toEqual([name, EXIT.damaged, expect.stringContaining(what)]);
      await rename(away, folder(name));
    }
    expect(await continues()).toEqual([0, true]);
  });

  it('removes what a deletion that was cut off has left', CAMPAIGN, async () => {
    await cutOff('removal 0/2');
    // A deletion has no order: the ledger may be the first to go.
    await rm(folder('0-of-2/state.duckdb'));
    expect(await continues()).toEqual([0, true]);
  });

  it('deletes nothing a second time: the mount point may hold something else by now', CAMPAIGN, async () => {
    await cutOff('removal 1/2');
    await mkdir(folder('0-of-2'));
    await writeFile(folder('0-of-2/notes.txt'), '');
    expect((await continues())[0]).toBe(0);
    expect(await readdir(folder('0-of-2'))).toEqual(['notes.txt']);
  });

  it('keeps a link whose target is away, though the deletion had begun', CAMPAIGN, async () => {
    const [target, away] = [join(stage.folder, 'disk', '0-of-2'), join(stage.folder, 'away')];
    await mkdir(join(stage.folder, 'disk'));
    await rename(folder('0-of-2'), target);
    await symlink(target, folder('0-of-2'));
    await cutOff('removal 0/2');
    await rename(target, away);
    const [code, err] = await refused('reshard --from 2 --to 3');
    expect([code, err]).toEqual([EXIT.damaged, expect.stringContaining('Shard 0/2 was there when this change began')]);
    await rename(away, target);
    expect(await continues()).toEqual([0, true]);
    expect(await readdir(target)).toEqual([]);
  });

  it('completes what an older version began, whose mark does not say what is deleted', CAMPAIGN, async () => {
    await cutOff('remove 0/2');
    await rm(folder('1-of-2/state.duckdb'));
    const mark = { from: 2, to: 3, phase: 'remove', done: [0, 1, 2], sources: [0, 1] };
    await writeFile(join(world.dataDir, 'reshard.json'), JSON.stringify(mark));
    expect(await continues()).toEqual([0, true]);
  });
});

describe('a command that a message names', () => {
  it('names the shard of the command that failed', async () => {
    await rm(folder('1-of-2/state.duckdb'));
    const [, err] = await refused('verify --shard 1/2');
    expect(err).toContain('Run `insights-etl repair --shard 1/2`: it rebuilds the ledger');
    const repaired = await stage.run(['repair', '--shard', '1/2']);
    expect([repaired.code, repaired.out]).toEqual([0, expect.stringContaining('Next: `insights-etl run --shard 1/2`')]);
  });

  it('names the shard of the folder that --data-dir gives, and the directory of all', async () => {
    await rm(folder('1-of-2/state.duckdb'));
    const [, err] = await refused(`verify --data-dir ${folder('1-of-2')}`);
    const text = err.replaceAll(/\s+/g, ' ');
    expect(text).toContain(`Run \`insights-etl repair --shard 1/2 --data-dir ${world.dataDir}\``);
  });

  it('names the shard that has the tenant, where a command of one tenant lacks it', async () => {
    for (const command of ['tenant remove paris --purge', 'tenant pin paris T-1']) {
      const [code, err] = await refused(command);
      expect([code, err]).toEqual([EXIT.config, expect.stringContaining('belongs to shard 1/2: give --shard 1/2.')]);
    }
  });

  it('works where INSIGHTS_SHARD sets the shard, and names the data directory that was given', async () => {
    const flags = ['--data-dir', 'empty', '--config', 'empty.yaml'];
    await stage.write('empty.yaml', '');
    for (const command of ['status', 'check', 'dictionary', 'query installs']) {
      const { code, err } = await stage.run([...command.split(' '), ...flags], { INSIGHTS_SHARD: '0/2' });
      const text = err.replaceAll(/\s+/g, ' ');
      expect([command, code, text]).toEqual([command, EXIT.config, expect.stringContaining('--data-dir empty`')]);
      expect(text).not.toMatch(/omit --shard/i);
    }
    const whole = await stage.run(['tenant', 'list', '--shard', '0/1'], { INSIGHTS_SHARD: '0/3', KEY: 'k' });
    expect([whole.code, whole.err]).toEqual([0, '']);
  });

  it('does not say that the lake is divided as it is to be, where it is divided in another way', async () => {
    const [, other] = await refused('reshard --from 3 --to 3');
    expect(other).toContain('is divided into 2 shards');
    await undivided();
    const [, none] = await refused('reshard --from 2 --to 2');
    expect(none).toContain('is not divided into shards');
    const [, same] = await refused('reshard --from 1 --to 1');
    expect(same).toContain('would be divided as it is now');
  });

  it('names the shard whose ledger a command of all shards cannot read', async () => {
    await writeFile(folder('1-of-2/state.duckdb'), 'no database'.repeat(1000));
    const [code, err] = await refused('reshard --from 2 --to 3');
    expect([code, err]).toEqual([EXIT.damaged, expect.stringContaining('Run `insights-etl repair --shard 1/2`')]);
  });
});

it('keeps what `status` says of the last run, and the oldest proof of each table', CAMPAIGN, async () => {
  const status = async (): Promise<StatusReport> => {
    const { out } = await stage.run(['status', '--json'], { KEY: 'k' });
    return JSON.parse(out);
  };
  const before = await status();
  expect((await stage.run(['reshard', '--from', '2', '--to', '1'], { KEY: 'k' })).code).toBe(0);
  const merged = await status();
  expect((await stage.run(['reshard', '--from', '1', '--to', '3'], { KEY: 'k' })).code).toBe(0);
  const proofs = ({ tables }: StatusReport): unknown =>
    tables.map(({ tenant, table, oldestProof }) => [tenant, table, oldestProof]);
  expect(before.tables.every(({ oldestProof }) => oldestProof !== undefined)).toBe(true);
  for (const report of [merged, await status()])
    expect([report.lastRun?.finishedAt, proofs(report)]).toEqual([before.lastRun?.finishedAt, proofs(before)]);
  // The third shard has no tenant, and so no last run.
  const shards = new Set(TENANTS.map((tenant) => `${shardIndex(tenant, 3)}-of-3`));
  const named = await Promise.all(
    [...shards].map(async (name) => {
      const text = await readFile(folder(`${name}/last-run.json`), 'utf8');
      return TENANTS.filter((tenant) => text.includes(`"${tenant}"`)).join();
    }),
  );
  expect(named.toSorted()).toEqual(TENANTS);
});
