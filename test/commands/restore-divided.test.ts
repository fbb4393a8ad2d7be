/** A restore of a lake of shards that is not complete: nothing begins another lake in its place, and there is always a way on. */
import { cp, mkdir, readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { EXIT } from '../../src/kernel/errors.ts';
import { systemFiles, type Files } from '../../src/kernel/files.ts';
import { backupSource, restoreFrom, type RestoreSource } from '../../src/pipeline/maintenance/restore.ts';
import { mirrorSource } from '../../src/pipeline/mirror/restore.ts';
import type { World } from '../pipeline/support/world.ts';
import { CAMPAIGN, campaign } from '../support/campaign.ts';
import type { Stage } from '../support/shell.ts';
import { useTwoShards } from '../support/two-shards.ts';

const KINDS = ['backup', 'mirror'] as const;
type Kind = (typeof KINDS)[number];

let world: World;
let stage: Stage;
/** Of two shards, the first has lyon and the second has paris. */
useTwoShards(['lyon', 'paris'], async (opened) => {
  ({ world, stage } = opened);
  await run('backup', 'backup');
  await stage.write(
    'mirrored.yaml',
    `dataDir: ${world.dataDir}\nmirror: ${at('mirror')}\nlake: { marts: false, checks: false }\n`,
  );
  for (const shard of ['0/2', '1/2']) await run('mirror', 'push', '--shard', shard, '--config', 'mirrored.yaml');
});

const at = (...names: string[]): string => join(stage.folder, ...names);
const COUNTS = ['sql', 'select tenant_id, table_name, sum(rows) as n from lake_files group by all order by all'];

async function run(...argv: string[]): Promise<string> {
  const { code, out, err } = await stage.run(argv);
  expect([argv, code, err]).toEqual([argv, EXIT.ok, '']);
  return out;
}

/** Begins a restore that a kill ends when it gives a file this name. Before that, it calls `during`. */
async function cutOff(kind: Kind, to: string, name: string, during = async (): Promise<void> => {}): Promise<void> {
  const killed = new AbortController();
  const rename: Files['rename'] = async (from, path) => {
    if (String(path).endsWith(name)) {
      await during();
      killed.abort(new Error('killed'));
      killed.signal.throwIfAborted();
    }
    await systemFiles.rename(from, path);
  };
  const runtime = { ...world.runtime, files: { ...systemFiles, rename } };
  const { signal } = killed;
  const sources: Readonly<Record<Kind, () => RestoreSource>> = {
    backup: () => backupSource(world.config(), at(kind), runtime, signal),
    mirror: () => mirrorSource(world.config(), { kind: 'folder', path: at(kind) }, runtime, signal),
  };
  await expect(restoreFrom(world.config(), sources[kind](), at(to), runtime, signal)).rejects.toThrow('killed');
}

const refused = (into: string, shard?: string): unknown[] => [
  EXIT.config,
  expect.stringContaining(`A restore ${shard === undefined ? '' : `of ${shard} `}into ${into} is not complete.`),
];

describe.each(KINDS)('of a %s', (kind) => {
  it('no command begins a lake in any of its shards, while it works and when it was cut off, and the same command completes it', campaign(kind === 'mirror'), async () => {
    const to = `${kind}-cut`;
    const [first, second] = [at(to, 'shards/0-of-2'), at(to, 'shards/1-of-2')];
    const expectRefusals = async (): Promise<void> => {
      for (const [argv, into, shard] of [
        [['run', '--shard', '1/2'], second, 'shard 1/2'],
        [['publish', '--shard', '1/2'], second, 'shard 1/2'],
        [['run', '--shard', '0/2'], first, 'shard 0/2'],
        [['run'], at(to), '2 shards'],
        [['run', '--shard', '0/3'], at(to), '2 shards'],
        [['publish'], at(to), '2 shards'],
        [['reshard', '--from', '2', '--to', '3'], at(to), '2 shards'],
        [['backup', `${to}-copy`], at(to), '2 shards'],
        [['backup', `${to}-copy`, '--shard', '0/2'], first, 'shard 0/2'],
        [['mirror', 'push', '--shard', '1/2'], second, 'shard 1/2'],
        [['status', '--shard', '1/2'], second, 'shard 1/2'],
        [['status'], at(to), '2 shards'],
      ] as const) {
        const { code, err } = await stage.run([...argv, '--data-dir', at(to)], { KEY: 'key', INSIGHTS_MIRROR_TO: at('unused') });
        expect([argv, code, err]).toEqual([argv, ...refused(into, shard)]);
        expect(err.replaceAll(/\s+/g, ' ')).toContain('run the same `insights-etl restore` command again: it continues');
      }
    };
    await cutOff(kind, to, '.parquet', expectRefusals);
    await expectRefusals();
    expect((await readdir(second)).filter((name) => name !== 'work')).toEqual(['restore.duckdb']);
    await run('restore', kind, to);
    expect(await run(...COUNTS, '--format', 'csv', '--data-dir', to)).toBe(await run(...COUNTS, '--format', 'csv'));
    const { tables } = await world.run({}, { shard: '1/2', dataDir: at(to) });
    expect(tables.map(({ rowsFetched }) => rowsFetched)).toEqual([0, 0, 0]);
  }); // oxfmt-ignore

  it('shards that are complete can be read and loaded while others are not', CAMPAIGN, async () => {
    const to = `${kind}-half`;
    await cutOff(kind, to, join('1-of-2', 'manifest.json'));
    expect(await stage.run([...COUNTS, '--format', 'csv', '--data-dir', to])).toEqual({
      code: EXIT.ok,
      out: expect.stringContaining('lyon'),
      err: expect.stringContaining('some shards have published nothing yet shards=1/2'),
    });
    await world.run({}, { shard: '0/2', dataDir: at(to) });
    for (const [argv, into, shard] of [
      [['run'], at(to), 'shard 1/2'],
      [['run', '--shard', '1/2'], at(to, 'shards/1-of-2'), 'shard 1/2'],
      [['reshard', '--from', '2', '--to', '3'], at(to), 'shard 1/2'],
    ] as const) {
      const { code, err } = await stage.run([...argv, '--data-dir', at(to)], { KEY: 'key' });
      expect([argv, code, err]).toEqual([argv, ...refused(into, shard)]);
    }
    // The first one is used by now, so it stays as it is, also if the command is repeated when everything is complete.
    const used = String.raw`^shard 0/2\nwas restored before, and has been used since: it was not changed\n[\s\S]*\nshard 1/2\n`;
    expect(await run('restore', kind, to)).toMatch(new RegExp(`${used}restored snapshot`));
    expect(await run('restore', kind, to)).toMatch(new RegExp(`${used}was restored before: snapshot`));
    expect(await run(...COUNTS, '--format', 'csv', '--data-dir', to)).toBe(await run(...COUNTS, '--format', 'csv'));
  });

  it('a shard whose source is damaged waits for it to be mended, or is given up with repair', campaign(kind === 'mirror'), async () => {
    const [source, to] = [`${kind}-damaged`, `${kind}-damaged-back`];
    await cp(at(kind), at(source), { recursive: true });
    for (const name of ['manifest.json', 'mirror.json']) if (kind === 'mirror' || name === 'manifest.json') await writeFile(at(source, 'shards/0-of-2', name), '');
    const { out } = await stage.run(['restore', source, to]);
    expect(out).toMatch(/^shard 0\/2\nFAIL: [\s\S]*\nshard 1\/2\nrestored snapshot/);
    await cp(at(to), at(`${to}-2`), { recursive: true });
    const { code, err } = await stage.run(['run', '--shard', '0/2', '--data-dir', at(to)], { KEY: 'key' });
    expect([code, err]).toEqual(refused(at(to, 'shards/0-of-2'), 'shard 0/2'));
    expect(err.replaceAll(/\s+/g, ' ')).toContain(`\`insights-etl repair --shard 0/2 --data-dir ${at(to)}\` makes a lake`);
    await run('repair', '--shard', '0/2', '--data-dir', at(to));
    const { tables } = await world.run({}, { shard: '0/2', dataDir: at(to) });
    expect(tables.map(({ outcome }) => outcome)).toEqual(['verified', 'verified', 'verified']);
    // The other way on.
    await cp(at(kind, 'shards'), at(source, 'shards'), { recursive: true });
    await run('restore', source, `${to}-2`);
  }); // oxfmt-ignore

  it('a shard that the source does not hold, or holds the tenants of another, is not blocked', campaign(kind === 'backup'), async () => {
    const [source, to] = [`${kind}-other`, `${kind}-other-back`];
    await cp(at(kind, 'shards/1-of-2'), at(source, 'shards/0-of-2'), { recursive: true });
    const { code, out } = await stage.run(['restore', source, to]);
    expect([code, out]).toEqual([EXIT.damaged, expect.stringMatching(/that shard 0\/2 does not have[\s\S]*MISSING/)]);
    expect(await readdir(at(to, 'shards'))).toEqual([]);
    await world.run({}, { shard: '0/2', dataDir: at(to) });
    await rm(at(source, 'shards/0-of-2'), { recursive: true });
    await cp(at(kind, 'shards/1-of-2'), at(source, 'shards/1-of-2'), { recursive: true });
    const rest = await stage.run(['restore', source, to]);
    expect([rest.code, rest.out]).toEqual([EXIT.damaged, expect.stringMatching(/^shard 1\/2\nrestored snapshot[\s\S]*\nshard 0\/2\nMISSING/)]);
  }); // oxfmt-ignore
});

it('what refused commands and readers write into its folders is not in its way', async () => {
  const to = 'with-records';
  // Everything of the shard is there but its ledger.
  await cutOff('backup', to, join('0-of-2', 'state.duckdb'));
  const { code, err } = await stage.run(['run', '--shard', '0/2', '--data-dir', at(to)], { KEY: 'key' });
  expect([code, err]).toEqual(refused(at(to, 'shards/0-of-2'), 'shard 0/2'));
  expect(await readdir(at(to, 'shards/0-of-2'))).toContain('outcomes.json');
  for (const folder of ['', 'shards/1-of-2'])
    for (const name of ['webhook.json', 'schedule.json', '.sql_history']) await writeFile(at(to, folder, name), '{}');
  await run('restore', 'backup', to);
  expect(await readdir(at(to, 'shards/0-of-2'))).toContain('outcomes.json');
  expect(await run(...COUNTS, '--format', 'csv', '--data-dir', to)).toBe(await run(...COUNTS, '--format', 'csv'));
});

it('a mark without content protects its shard, too, and one shard can be restored by itself', async () => {
  const folder = at('marked', 'shards/1-of-2');
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, 'restore.duckdb'), '');
  const { code, err } = await stage.run(['run', '--shard', '1/2', '--data-dir', at('marked')], { KEY: 'key' });
  expect([code, err]).toEqual(refused(folder, 'shard 1/2'));
  await cutOff('backup', 'marked', '.parquet');
  await run('--shard', '1/2', 'restore', 'backup', 'marked');
  expect((await readdir(at('marked', 'shards/0-of-2'))).toSorted()).not.toContain('state.duckdb');
  await world.run({}, { shard: '1/2', dataDir: at('marked') });
  await rm(at('marked', 'shards/1-of-2'), { recursive: true });
  await run('restore', 'backup', 'marked');
});

it('the folder of another number of shards gets no mark', async () => {
  await cutOff('backup', 'other-number', '.parquet');
  await cp(at('backup', 'shards/1-of-2'), at('three', 'shards/0-of-3'), { recursive: true });
  const { code, err } = await stage.run(['restore', 'three', 'other-number']);
  expect([code, err]).toEqual([EXIT.config, expect.stringContaining('has a folder of 2 shards, and the backup is of 3')]);
  expect((await readdir(at('other-number', 'shards'))).toSorted()).toEqual(['0-of-2', '1-of-2']);
}); // oxfmt-ignore
