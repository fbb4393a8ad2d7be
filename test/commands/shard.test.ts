/** `--shard`: which tenants a worker has, where it keeps them, and what it refuses. */
import { mkdir, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { loadConfig, type Config } from '../../src/config/config.ts';
import { shardIndex } from '../../src/model/shard.ts';
import { LONG } from '../support/campaign.ts';
import { openStage, type Stage } from '../support/shell.ts';

let stage: Stage;
beforeAll(async () => {
  stage = await openStage();
  await stage.write(
    'insights.yaml',
    `tenants:
  - { id: acme, apiKey: { env: KEY } }
  - { id: riviera-paris, apiKey: { env: KEY } }
  - { id: '007', apiKey: { env: KEY } }
mirror: s3://bucket/lake
health: { textfile: metrics/insights.prom }
dashboard: { out: public }
`,
  );
});
afterAll(() => stage[Symbol.asyncDispose]());

/** The configuration of one worker. */
function worker(shard: string | undefined): Config {
  const flags = { values: shard === undefined ? {} : { shard }, names: {} };
  return loadConfig({ env: {}, cwd: stage.folder, flags });
}

/** Pretends that a lake is there: its ledger is not opened, because the command is refused before. */
async function withLedgers(folder: string, ...shards: string[]): Promise<string> {
  for (const shard of shards) {
    await mkdir(join(stage.folder, folder, shard), { recursive: true });
    await writeFile(join(stage.folder, folder, shard, 'state.duckdb'), '');
  }
  return folder;
}

describe('a worker', () => {
  it('has the tenants of its shard, a data directory, a prefix of the mirror and a file of metrics', () => {
    const config = worker('1/8');
    expect(config).toMatchObject({
      dataDir: join(stage.folder, 'data/shards/1-of-8'),
      sharedDir: join(stage.folder, 'data'),
      shard: { index: 1, of: 8 },
      otherTenants: ['riviera-paris', '007'],
      mirror: { place: { kind: 's3', bucket: 'bucket', prefix: 'lake/shards/1-of-8/' } },
      health: { textfile: join(stage.folder, 'metrics/insights.1-of-8.prom') },
      dashboard: { out: join(stage.folder, 'public') },
    });
    expect(config.tenants.map(({ id }) => id)).toEqual(['acme']);
  });

  it('shares every tenant with the others, and has none twice', () => {
    const ids = Array.from({ length: 3 }, (_, index) => worker(`${index}/3`).tenants.map(({ id }) => id));
    expect(ids.flat().toSorted()).toEqual(['007', 'acme', 'riviera-paris']);
  });

  it('of one shard is as one without', () => {
    const { dataDir, shard, tenants, otherTenants } = worker('0/1');
    expect([dataDir, shard, tenants.length, otherTenants]).toEqual([join(stage.folder, 'data'), undefined, 3, []]);
  });

  it('without tenants has done its work', async () => {
    const { code, out } = await stage.run(['run', '--shard', '6/8']);
    expect([code, out]).toEqual([0, 'shard 6/8 has no tenant; 3 tenants in other shards\n']);
    const asJson = await stage.run(['run', '--shard', '6/8', '--json']);
    expect([asJson.code, JSON.parse(asJson.out)]).toEqual([0, { shard: '6/8', tenants: [] }]);
  });

  it('gets its shard from the environment, too', async () => {
    const shown = await stage.run(['run'], { INSIGHTS_SHARD: '6/8' });
    expect(shown.out).toContain('shard 6/8 has no tenant');
  });
});

describe('what is refused', () => {
  it('is a shard that is none, with those that there are', async () => {
    const { code, err } = await stage.run(['run', '--shard', '8/8']);
    expect([code, err]).toEqual([2, expect.stringMatching(/--shard[\s\S]*0\/8 to 7\/8/)]);
  });

  it('is a tenant of another shard, with the shard that has it', async () => {
    const { code, err } = await stage.run(['run', '--shard', '1/8', '--tenant', 'riviera-paris']);
    expect(code).toBe(2);
    expect(err).toContain('Shard 1/8 has no tenant "riviera-paris".');
    expect(err).toContain('Shard 5/8 has it: use --shard 5/8.');
    const purge = await stage.run(['tenant', 'remove', 'gone', '--purge', '--shard', '1/8']);
    expect([purge.code, purge.err]).toEqual([2, expect.stringMatching(/use --shard \d\/8/)]);
  });

  it.each([
    ['a run of all in a divided lake', ['shards/0-of-8'], [], 'is divided into 8 shards', '--from 8 --to 1'],
    ['a shard of another number', ['shards/0-of-8'], ['--shard', '0/3'], 'this is shard 0/3', '--from 8 --to 3'],
    ['a shard in a whole lake', ['.'], ['--shard', '1/8'], 'is not divided into shards', '--from 1 --to 8'],
  ])('is %s, with the next step', LONG, async (_what, shards, flags, message, hint) => {
    const folder = await withLedgers(`lake-${shards.join('').replaceAll(/\W/g, '')}${flags.length}`, ...shards);
    for (const command of [['run'], ['plan'], ['publish'], ['repair'], ['rebuild'], ['doctor'], ['backup', 'copy']]) {
      const { code, err } = await stage.run([...command, ...flags, '--data-dir', folder], { KEY: 'k' });
      expect([command, code, err]).toEqual([command, 2, expect.stringContaining(message)]);
      expect(err).toContain(hint);
    }
  });

  it.each([
    [
      'shards of another number',
      'read-8',
      'shards/0-of-8',
      'is divided into 8 shards, and this is shard 0/3',
      '0/8 to 7/8, or --shard 0/1 to read all shards',
    ],
    ['no shards', 'read-whole', '.', 'is not divided into shards, and this is shard 0/3', 'Give --shard 0/1'],
  ])('is to read one shard of a lake that has %s', async (_what, folder, shard, message, hint) => {
    await withLedgers(folder, shard);
    for (const command of [
      'query installs',
      'sql from(events)',
      'status',
      'tenant list',
      'dashboard --out page',
      'check',
    ])
      for (const given of [
        { flag: ['--shard', '0/3'], env: {} },
        { flag: [], env: { INSIGHTS_SHARD: '0/3' } },
      ]) {
        const argv = [...command.split(' '), ...given.flag, '--data-dir', folder];
        const { code, err } = await stage.run(argv, given.env);
        expect([argv, code, err]).toEqual([argv, 2, expect.stringContaining(message)]);
        expect(err).toContain(hint);
      }
  });

  it('is to read a shard that has published nothing yet', async () => {
    const folder = await withLedgers('unpublished', 'shards/0-of-8');
    const { code, err } = await stage.run(['query', 'installs', '--shard', '1/8', '--data-dir', folder]);
    expect([code, err]).toEqual([2, expect.stringContaining('Shard 1/8 has published nothing yet.')]);
  });

  it('is a shard without tenants that the lake does not have', async () => {
    const folder = await withLedgers('other-number', 'shards/0-of-8');
    const { code, err, out } = await stage.run(['run', '--shard', '4/5', '--data-dir', folder]);
    expect(worker('4/5').tenants).toEqual([]);
    expect([code, out, err]).toEqual([
      2,
      '',
      expect.stringContaining('is divided into 8 shards, and this is shard 4/5'),
    ]);
  });

  it('leaves nothing behind: neither a folder of a shard that the lake does not have, nor a record', async () => {
    const folder = await withLedgers('left-alone', 'shards/0-of-3');
    const other = `${shardIndex('acme', 4)}/4`;
    const before = await readdir(join(stage.folder, folder), { recursive: true });
    for (const argv of [['run', '--shard', other], ['run'], ['schedule'], ['schedule', '--once', '--shard', other]]) {
      const { code, err } = await stage.run([...argv, '--data-dir', folder], { KEY: 'k' });
      expect([argv, code, err]).toEqual([argv, 2, expect.stringContaining('is divided into 3 shards')]);
      expect(await readdir(join(stage.folder, folder), { recursive: true })).toEqual(before);
    }
  });

  it('is a schedule of it, as JSON, too', async () => {
    const folder = await withLedgers('scheduled', 'shards/0-of-3');
    const argv = ['schedule', '--once', '--json', '--data-dir', folder];
    const { code, out } = await stage.run(argv, { KEY: 'k' });
    expect([code, JSON.parse(out)]).toEqual([
      2,
      { error: expect.objectContaining({ failure: 'config' }), exitCode: 2 },
    ]);
  });

  it('is one shard for `reshard`, which works on all', async () => {
    const folder = await withLedgers('one-of-8', 'shards/0-of-8');
    const argv = ['reshard', '--from', '8', '--to', '8', '--data-dir', folder];
    for (const [flag, env] of [
      [['--shard', '0/8'], {}],
      [[], { INSIGHTS_SHARD: '0/8' }],
    ] as const) {
      const { code, err } = await stage.run([...argv, ...flag], env);
      expect([code, err]).toEqual([2, expect.stringContaining('`reshard` works on all shards')]);
    }
    const all = await stage.run([...argv, '--shard', '0/1'], { INSIGHTS_SHARD: '0/8' });
    expect(all.err).toContain('The lake would be divided as it is now.');
  });

  it('is any work while the number of shards is being changed', async () => {
    const folder = await withLedgers('changing', 'shards/0-of-8');
    await stage.write(`${folder}/reshard.json`, JSON.stringify({ from: 8, to: 3, phase: 'copy', done: [] }));
    for (const shard of ['1/8', '0/3', '0/1']) {
      const { code, err } = await stage.run(['run', '--shard', shard, '--data-dir', folder], { KEY: 'k' });
      expect([shard, code, err]).toEqual([shard, 2, expect.stringContaining('reshard --from 8 --to 3')]);
    }
  });
});
