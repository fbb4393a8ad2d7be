/** Backups and mirrors of a lake of shards, and their `restore`: all of them, each in its own folder, and none over another. */
import { cp, mkdir, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { EXIT } from '../../src/kernel/errors.ts';
import { openWorld, type World } from '../pipeline/support/world.ts';
import { CAMPAIGN } from '../support/campaign.ts';
import { openStage, type Stage } from '../support/shell.ts';

/** Of two shards, the first has lyon and the second has the others. */
const TENANTS = ['lyon', 'paris', 'nice'];

let world: World;
let stage: Stage;
beforeAll(async () => {
  world = await openWorld({ rows: 20, days: 1, now: '2026-11-01T00:30:00Z', frozen: true, tenants: TENANTS });
  for (const shard of ['0/2', '1/2']) await world.run({}, { shard });
  stage = await openStage();
  await stage.write('insights.yaml', `dataDir: ${world.dataDir}\nlake: { marts: false, checks: false }\n`);
}, 120_000);
afterAll(async () => {
  await world[Symbol.asyncDispose]();
  await stage[Symbol.asyncDispose]();
});

const COUNTS = ['sql', 'select tenant_id, table_name, sum(rows) as n from lake_files group by all order by all'];

async function run(...argv: string[]): Promise<string> {
  const { code, out, err } = await stage.run(argv);
  expect([argv, code, err]).toEqual([argv, EXIT.ok, '']);
  return out;
}

it('a backup has all shards, and a restore brings back every row of each in its own shard', async () => {
  const whole = await run(...COUNTS, '--format', 'csv');
  expect(whole.split('\n').length).toBeGreaterThan(TENANTS.length);
  for (const flags of [[], ['--keep', '2']]) {
    const [kept, back] = [`all${flags.length}`, `back${flags.length}`];
    const out = await run('backup', kept, ...flags);
    expect(out).toMatch(/^shard 0\/2\nsnapshot \d+ is in .*0-of-2[\s\S]*\nshard 1\/2\nsnapshot \d+ is in .*1-of-2/);
    expect((await readdir(join(stage.folder, kept, 'shards'))).toSorted()).toEqual(['0-of-2', '1-of-2']);
    expect((await run('backup', '--check', kept)).match(/^ok /gm)).toHaveLength(2);
    const restored = await run('restore', kept, back);
    expect(restored).toContain(`run --shard 1/2 --data-dir ${join(stage.folder, back)}`);
    expect(await run(...COUNTS, '--format', 'csv', '--data-dir', back)).toBe(whole);
  }
  const again: unknown = JSON.parse(await run('backup', 'all0', '--json'));
  expect(again).toMatchObject({
    exitCode: 0,
    shards: [
      { shard: '0/2', report: { copiedFiles: 0 } },
      { shard: '1/2', report: { copiedFiles: 0 } },
    ],
  });
});

it('with a shard set, only that shard is restored, into its own folder', CAMPAIGN, async () => {
  await run('backup', 'whole');
  const source = join(stage.folder, 'whole');
  const targets = [
    ['into1', ['--shard', '1/2', '--data-dir', 'into1', 'restore', '--from', source], {}],
    ['into2', ['restore', 'whole', 'into2'], { INSIGHTS_SHARD: '1/2' }],
    ['into3', ['--shard', '1/2', 'restore', 'whole/shards/1-of-2', 'into3/shards/1-of-2'], {}],
  ] as const;
  for (const [name, argv, env] of targets) {
    const { code, err } = await stage.run(argv, env);
    expect([name, code, err]).toEqual([name, EXIT.ok, '']);
    expect(await readdir(join(stage.folder, name, 'shards'))).toEqual(['1-of-2']);
    expect(await readdir(join(stage.folder, name, 'shards/1-of-2'))).toEqual(
      expect.arrayContaining(['manifest.json', 'state.duckdb', 'store']),
    );
    expect(await readdir(join(stage.folder, name, 'shards/1-of-2'))).not.toContain('shards');
  }
});

it('a shard that cannot be restored is named and does not stop the others', async () => {
  await run('backup', 'some');
  await writeFile(join(stage.folder, 'some/shards/0-of-2/manifest.json'), '');
  const { code, out } = await stage.run(['restore', 'some', 'some-back']);
  expect(code).toBe(EXIT.damaged);
  expect(out).toMatch(/^shard 0\/2\nFAIL: The manifest cannot be read[\s\S]*\nshard 1\/2\nrestored snapshot/);
});

it('a restore that was cut off is completed by the same command, and no other lake is replaced', async () => {
  const whole = await run(...COUNTS, '--format', 'csv');
  await run('backup', 'source');
  await run('restore', 'source/shards/0-of-2', 'cut/shards/0-of-2');
  expect(await run('restore', 'source', 'cut')).toMatch(
    /^shard 0\/2\nwas restored before: snapshot 1 [\s\S]*\nshard 1\/2\nrestored snapshot 1 /,
  );
  expect(await run(...COUNTS, '--format', 'csv', '--data-dir', 'cut')).toBe(whole);
  const [first = ''] = (await readdir(join(stage.folder, 'cut/shards/0-of-2/store'), { recursive: true })).filter(
    (name) => name.endsWith('.parquet'),
  );
  await rm(join(stage.folder, 'cut/shards/0-of-2/store', first));
  const { code, out } = await stage.run(['restore', 'source', 'cut']);
  expect(code).toBe(EXIT.config);
  expect(out).toMatch(/^shard 0\/2\nFAIL: The folder holds a lake already[\s\S]*\nshard 1\/2\nwas restored before/);
});

it('a shard that is missing is named, and a shard without tenants is not missed', CAMPAIGN, async () => {
  await run('backup', 'half');
  await rm(join(stage.folder, 'half/shards/1-of-2'), { recursive: true });
  // As a first backup that was cut off leaves it.
  await mkdir(join(stage.folder, 'half/shards/1-of-2/store'), { recursive: true });
  const away = join(stage.folder, 'away');
  await rename(join(world.dataDir, 'shards/1-of-2'), away);
  try {
    for (const [argv, exitCode, text] of [
      [['backup', '--check', 'half'], EXIT.damaged, 'FAIL  shard 1/2 is missing\n'],
      [['restore', 'half', 'half-back'], EXIT.damaged, 'shard 1/2\nMISSING from the backup: '],
      [['backup', 'partial'], EXIT.ok, 'shard 1/2\nMISSING from the data directory: '],
    ] as const) {
      const { code, out } = await stage.run(argv);
      expect([argv, code, out]).toEqual([argv, exitCode, expect.stringContaining(text)]);
      const asJson = await stage.run([...argv, '--json']);
      expect(JSON.parse(asJson.out)).toMatchObject({ missing: ['1/2'], exitCode });
    }
    await stage.write('few.yaml', `dataDir: ${world.dataDir}\ntenants: [{ id: lyon, apiKey: { env: KEY } }]\n`);
    for (const argv of [
      ['backup', '--check', 'half'],
      ['restore', 'half', 'half-back'],
      ['backup', 'partial'],
    ])
      expect(JSON.parse(await run(...argv, '--json', '--config', 'few.yaml'))).toMatchObject({ missing: [] });
  } finally {
    await rename(away, join(world.dataDir, 'shards/1-of-2'));
  }
});

it('no backup of a shard takes the place of that of another, and none is restored as another', CAMPAIGN, async () => {
  await run('backup', 'one', '--shard', '0/2');
  await run('backup', 'dated', '--shard', '0/2', '--keep', '3');
  await run('backup', 'all');
  await run('restore', 'one', 'undivided');
  const before = await readdir(stage.folder, { recursive: true });
  const inside = join(world.dataDir, 'copy');
  for (const [argv, message] of [
    [['backup', 'one', '--shard', '1/2'], 'with 1 tenant that shard 1/2 does not have, such as lyon'],
    [['backup', 'dated', '--shard', '1/2', '--keep', '3'], 'that shard 1/2 does not have, such as lyon'],
    [['backup', 'all', '--shard', '1/2'], 'The folder holds a backup of all shards of a lake.'],
    [['backup', 'one'], 'The folder holds another backup than of 2 shards.'],
    [['backup', 'all/shards/1-of-2'], 'that of shard 1/2, and this is a backup of a whole lake.'],
    [['backup', 'all/shards/1-of-2', '--shard', '0/2'], 'that of shard 1/2, and this is a backup of shard 0/2.'],
    [
      ['backup', 'all/shards/1-of-2', '--data-dir', 'undivided'],
      'that of shard 1/2, and this is a backup of a whole lake.',
    ],
    [['backup', inside, '--shard', '1/2'], 'A backup needs a folder of its own, outside of the data directory.'],
    [['restore', 'all', 'wrong/shards/1-of-2'], 'that of shard 1/2, and the backup is of all shards.'],
    [['restore', 'all', 'wrong/shards/0-of-2', '--shard', '1/2'], 'that of shard 0/2, and this is shard 1/2.'],
    [['restore', 'all', 'wrong', '--shard', '0/3'], 'The backup does not hold shard 0/3.'],
    [['restore', 'one', 'wrong', '--shard', '1/2'], 'that shard 1/2 does not have, such as lyon'],
    [['restore', 'one', join(world.dataDir, 'shards/0-of-3')], 'a folder of 2 shards, and the backup is of 3.'],
    [['restore', 'one', 'wrong/shards/1-of-2'], 'that shard 1/2 does not have, such as lyon'],
    [['restore', 'one', 'insights.yaml'], 'There is a file where the folder should be.'],
    [['restore', 'all', 'insights.yaml/below'], 'There is a file where the folder should be.'],
  ] as const) {
    const { code, err } = await stage.run(argv);
    expect([argv, code, err]).toEqual([argv, EXIT.config, expect.stringContaining(message)]);
  }
  expect(await readdir(stage.folder, { recursive: true })).toEqual(before);
  await run('restore', 'one', 'right/shards/0-of-2');
});

it.each([
  ['all shards', 'kinds', []],
  ['one shard', 'kinds-of-one', ['--shard', '0/2']],
])('of %s, a folder never gets backups with and without a date', async (_, name, flags) => {
  const undated = `${name}-undated`;
  await run('backup', name, '--keep', '3', ...flags);
  await run('backup', undated, ...flags);
  // A shard that has no backup yet gets none of the other kind.
  if (flags.length === 0) await rm(join(stage.folder, name, 'shards/0-of-2'), { recursive: true });
  const before = await readdir(stage.folder, { recursive: true });
  for (const [argv, message, hint] of [
    [['backup', name, ...flags], 'The folder holds 1 dated snapshot.', 'Add --keep'],
    [['backup', undated, '--keep', '3', ...flags], 'holds a backup without a date.', 'a folder of its own'],
  ] as const) {
    const { code, err } = await stage.run(argv);
    expect([argv, code, err]).toEqual([argv, EXIT.config, expect.stringContaining(message)]);
    expect(err).toContain(hint);
  }
  expect(await readdir(stage.folder, { recursive: true })).toEqual(before);
});

it('a folder with backups of both kinds is refused by every command, and the hint makes two of it', async () => {
  await run('backup', 'mixed', '--shard', '0/2');
  await run('backup', 'dated-only', '--shard', '0/2', '--keep', '3');
  const [snapshot = ''] = await readdir(join(stage.folder, 'dated-only'));
  // As earlier versions allowed it.
  await rename(join(stage.folder, 'dated-only', snapshot), join(stage.folder, 'mixed', snapshot));
  for (const argv of [
    ['backup', 'mixed', '--shard', '0/2'],
    ['backup', 'mixed', '--shard', '0/2', '--keep', '3'],
    ['backup', '--check', 'mixed'],
    ['restore', 'mixed', 'mixed-back'],
  ]) {
    const { code, err } = await stage.run(argv);
    expect([argv, code, err]).toEqual([argv, EXIT.config, expect.stringContaining('without a date and 1 dated')]);
    expect(err.replaceAll(/\s+/g, ' ')).toContain(`Move the folder ${snapshot} into a new folder`);
  }
  await rename(join(stage.folder, 'mixed', snapshot), join(stage.folder, 'dated-only', snapshot));
  for (const name of ['mixed', 'dated-only']) expect(await run('backup', '--check', name)).toMatch(/^ok /);
});

it('a mirror of all shards is restored with its ledgers, and no mirror of a shard as another', async () => {
  const whole = await run(...COUNTS, '--format', 'csv');
  await stage.write(
    'mirrored.yaml',
    `dataDir: ${world.dataDir}\nmirror: ${join(stage.folder, 'mirror')}\nlake: { marts: false, checks: false }\n`,
  );
  for (const shard of ['0/2', '1/2']) await run('mirror', 'push', '--shard', shard, '--config', 'mirrored.yaml');
  const ledgers = { shards: ['0/2', '1/2'].map((shard) => ({ shard, report: { withLedger: true } })), exitCode: 0 };
  expect(JSON.parse(await run('restore', 'mirror', 'mirrored', '--json'))).toMatchObject(ledgers);
  expect(await run(...COUNTS, '--format', 'csv', '--data-dir', 'mirrored')).toBe(whole);
  for (const [to, source] of [
    ['own1', 'mirror'],
    ['own2', 'mirror/shards/1-of-2'],
  ] as const) {
    const out = await run('--shard', '1/2', 'restore', source, to);
    expect(out).toContain(`run --shard 1/2 --data-dir ${join(stage.folder, to)}`);
    expect(await readdir(join(stage.folder, to))).toEqual(['shards']);
  }
  const before = await readdir(stage.folder, { recursive: true });
  for (const [argv, message] of [
    [['--shard', '0/2', 'restore', 'mirror/shards/1-of-2', 'no'], 'a mirror with 2 tenants that shard 0/2 does not'],
    [['restore', 'mirror/shards/0-of-2', 'no/shards/1-of-2'], 'with 1 tenant that shard 1/2 does not have'],
    [['restore', 'mirror', 'no/shards/1-of-2'], 'that of shard 1/2, and the mirror is of all shards.'],
    [['restore', 'mirror', 'no', '--shard', '0/3'], 'The mirror does not hold shard 0/3.'],
    [['restore', 'mirror/shards/0-of-2', 'mirrored/shards/0-of-3'], 'a folder of 2 shards, and the mirror is of 3.'],
  ] as const) {
    const { code, err } = await stage.run(argv);
    expect([argv, code, err]).toEqual([argv, EXIT.config, expect.stringContaining(message)]);
  }
  expect(await readdir(stage.folder, { recursive: true })).toEqual(before);
  // As the mirror of the lake before it was divided, which nobody has deleted.
  await cp(join(stage.folder, 'mirror/shards/0-of-2/mirror.json'), join(stage.folder, 'mirror/mirror.json'));
  const { code, err } = await stage.run(['restore', 'mirror', 'no']);
  expect([code, err]).toEqual([
    EXIT.config,
    expect.stringContaining('a lake that is not divided and a lake of 2 shards'),
  ]);
  await run('restore', 'mirror', 'no', '--shard', '0/2');
});
