/** The Delta logs of tables in a mirror. */
import { readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import { EXIT } from '../../../src/kernel/errors.ts';
import type { Runtime } from '../../../src/kernel/runtime.ts';
import { publishLake } from '../../../src/pipeline/maintenance/publish.ts';
import { checkMirror } from '../../../src/pipeline/mirror/inspect.ts';
import { pushMirror, type PushOptions } from '../../../src/pipeline/mirror/push.ts';
import { restoreMirror } from '../../../src/pipeline/mirror/restore.ts';
import { CAMPAIGN } from '../../support/campaign.ts';
import type { World } from '../support/world.ts';
import { useMirroredLake, type MirroredLake } from './support/lake.ts';

const NEVER = new AbortController().signal;
const NOW = Date.parse('2026-11-10T12:00:00Z');
const HOUR = 3_600_000;
const LOG = join('store', 'events', '_delta_log');

let lake: MirroredLake;
let world: World;
let folder: string;
let mirror: string;
let nowMs = NOW;

const runtime = (): Runtime => ({ ...world.runtime, now: () => nowMs });
const settings = (): ReturnType<World['config']> =>
  world.config({ mirror: { to: mirror }, lake: { keepHours: 24, delta: true } });
const push = (options: PushOptions = {}): ReturnType<typeof pushMirror> =>
  pushMirror(settings(), runtime(), NEVER, options);

useMirroredLake((given) => {
  ({ lake, world, folder, mirror } = given);
  nowMs = NOW;
});

describe('the log of a table', () => {
  const entries = async (folder: string): Promise<string[]> => {
    const names = (await readdir(join(folder, LOG))).toSorted();
    return Promise.all(names.map(async (name) => `${name} ${await readFile(join(folder, LOG, name), 'utf8')}`));
  };
  const steps: string[] = [];
  const onStep = (step: string): void => void steps.push(step);
  const logged = (): string[] => steps.filter((step) => step.includes(LOG)).map((step) => step.replace(/store.*0(?=\d)/, '')); // oxfmt-ignore
  beforeEach(async () => {
    await publishLake(settings(), runtime());
    steps.splice(0);
  });

  it('follows its files and comes before the head, and is restored as it was', CAMPAIGN, async () => {
    await push({ onStep });
    const last = steps.findLastIndex((step) => step.includes(LOG));
    expect(steps.findLastIndex((step) => step.startsWith('data'))).toBeLessThan(steps.findIndex((step) => step.startsWith('log'))); // oxfmt-ignore
    expect(last).toBeLessThan(steps.indexOf('head'));
    expect(await checkMirror(settings(), runtime(), NEVER, true)).toMatchObject({ problems: [] });
    const before = await entries(world.dataDir);
    expect(await entries(mirror)).toEqual(before);
    await rm(world.dataDir, { recursive: true });
    const config = settings();
    await restoreMirror(config, config.mirrorAt({ kind: 'folder', path: mirror }), world.dataDir, world.runtime, NEVER);
    expect(await entries(world.dataDir)).toEqual(before);
  });

  it('that is damaged in the mirror is left out of a restore, which writes a new one; so is a state that is gone', async () => {
    await push();
    const [entry = ''] = await readdir(join(mirror, LOG));
    await writeFile(join(mirror, LOG, entry), 'damaged');
    const to = join(folder, 'restored');
    const config = settings();
    const restore = async (): Promise<unknown> => {
      await rm(to, { recursive: true, force: true });
      return restoreMirror(config, config.mirrorAt({ kind: 'folder', path: mirror }), to, world.runtime, NEVER);
    };
    const rows = lake.rows();
    expect(await restore()).toMatchObject({ exitCode: EXIT.ok, rows, withLedger: true, logs: [LOG] });
    const [text = ''] = await entries(to);
    for (const month of ['2026-10', '2026-11']) expect(text).toContain(`tenant_id=demo/month=${month}/${month}.1.parquet`); // oxfmt-ignore
    await rm(join(mirror, 'state'), { recursive: true });
    expect(await restore()).toMatchObject({ exitCode: EXIT.ok, rows, withLedger: false, logs: [expect.stringMatching(/^state.*logs.json$/)] }); // oxfmt-ignore
    await rm(join(mirror, 'manifest.json'));
    await expect(restore()).rejects.toMatchObject({ reason: 'damaged', where: { object: expect.stringMatching(/^state.*manifest.json$/) } }); // oxfmt-ignore
  });

  it('that has begun again replaces the one in the mirror', CAMPAIGN, async () => {
    await push();
    await rm(join(world.dataDir, LOG), { recursive: true });
    await publishLake(settings(), { ...runtime(), now: () => nowMs + HOUR });
    await push({ onStep });
    expect(logged()).toEqual(['removed 0.json', 'log 0.json']);
    expect(await entries(mirror)).toEqual(await entries(world.dataDir));
  });

  it('that was off for a while replaces the one in the mirror, which had other versions', CAMPAIGN, async () => {
    await push();
    // As after many publishes: the first entries are gone, and a checkpoint says what they said.
    const [first, later] = [0, 16].map((version) => join(mirror, LOG, String(version).padStart(20, '0')));
    await rename(`${first}.json`, `${later}.json`);
    await writeFile(`${later}.checkpoint.parquet`, 'a checkpoint of the mirror');
    for (const delta of [false, true]) {
      nowMs += HOUR;
      await publishLake(world.config({ lake: { keepHours: 24, delta } }), { ...runtime(), now: () => nowMs });
    }
    await push({ onStep });
    expect(logged()).toEqual(['removed 16.json', 'removed 16.checkpoint.parquet', 'log 0.json']);
    expect(await entries(mirror)).toEqual(await entries(world.dataDir));
  });

  it('that is off is removed from the mirror at once, and its files stay for readers that have read it', async () => {
    await push();
    const objects = async (): Promise<string[]> => (await readdir(join(mirror, 'store'), { recursive: true })).toSorted(); // oxfmt-ignore
    const files = (await objects()).filter((name) => name.endsWith('.parquet') && !name.includes('_delta_log'));
    await lake.load(1);
    const off = world.config({ mirror: { to: mirror }, lake: { keepHours: 24, delta: false } });
    await publishLake(off, runtime());
    const { removedFiles } = await pushMirror(off, runtime(), NEVER, { onStep });
    expect(removedFiles).toBeGreaterThan(0);
    expect(steps.indexOf('head')).toBeLessThan(steps.findIndex((step) => step.includes(LOG)));
    expect(await objects()).toEqual(expect.arrayContaining(files));
    expect((await objects()).join(' ')).not.toContain('_delta_log');
    expect(await readFile(join(mirror, 'mirror.json'), 'utf8')).not.toContain('_delta_log');
    expect(await checkMirror(settings(), runtime(), NEVER, true)).toMatchObject({ problems: [] });
  });

  it(
    'that another program has written to is named and not continued, and is uploaded again when its folder was deleted',
    CAMPAIGN,
    async () => {
      const log = join(mirror, LOG);
      await push();
      await writeFile(
        join(log, `${'1'.padStart(20, '0')}.json`),
        '{"commitInfo":{"operation":"DELETE"}}\n{"remove":{"path":"x","dataChange":true}}\n',
      );
      const named = 'store/events/_delta_log/00000000000000000001.json';
      expect(await checkMirror(settings(), runtime(), NEVER, false)).toMatchObject({
        problems: [{ object: named, problem: 'foreign' }],
        exitCode: EXIT.damaged,
      });
      const before = await readFile(join(mirror, 'mirror.json'), 'utf8');
      await lake.load(1);
      await publishLake(settings(), runtime());
      await expect(push()).rejects.toMatchObject({ exitCode: EXIT.mirror, where: { object: named } });
      expect(await readFile(join(mirror, 'mirror.json'), 'utf8')).toBe(before);
      await rm(log, { recursive: true });
      await push();
      expect(await checkMirror(settings(), runtime(), NEVER, true)).toMatchObject({ problems: [] });
    },
  );
});
