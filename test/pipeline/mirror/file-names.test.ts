/** A lake that is set back, or whose tenant was purged, must not write other rows under names that its mirror holds. No push may fail for ever because of it. */
import { cp, readdir, readFile, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { z } from 'zod';
import { systemFiles } from '../../../src/kernel/files.ts';
import type { Runtime } from '../../../src/kernel/runtime.ts';
import { backupLake } from '../../../src/pipeline/maintenance/backup.ts';
import { restoreLake } from '../../../src/pipeline/maintenance/restore.ts';
import { repairLake } from '../../../src/pipeline/maintenance/inspect.ts';
import { purgeTenant } from '../../../src/pipeline/maintenance/purge.ts';
import { checkMirror } from '../../../src/pipeline/mirror/inspect.ts';
import { pushMirror, type PushOptions } from '../../../src/pipeline/mirror/push.ts';
import { requestPurge } from '../../../src/pipeline/mirror/record.ts';
import { CAMPAIGN } from '../../support/campaign.ts';
import type { World } from '../support/world.ts';
import { useMirroredLake, type MirroredLake } from './support/lake.ts';

const NEVER = new AbortController().signal;
const NOW = Date.parse('2026-11-10T12:00:00Z');
const DAY = 24 * 3_600_000;
const HEAD = z.object({ superseded: z.record(z.string(), z.string()) });

let lake: MirroredLake;
let world: World;
let folder: string;
let mirror: string;
let nowMs = NOW;

const runtime = (): Runtime => ({ ...world.runtime, now: () => nowMs });
const settings = (): ReturnType<World['config']> => world.config({ mirror: { to: mirror } });
const push = (options: PushOptions = {}): ReturnType<typeof pushMirror> =>
  pushMirror(settings(), runtime(), NEVER, options);
const superseded = async (): Promise<string[]> =>
  Object.keys(HEAD.parse(JSON.parse(await readFile(join(mirror, 'mirror.json'), 'utf8'))).superseded);

useMirroredLake((given) => {
  ({ lake, world, folder, mirror } = given);
  nowMs = NOW;
});

it(
  'a push replaces what only earlier snapshots needed when their grace period is over, or at once for a purge',
  CAMPAIGN,
  async () => {
    for (const count of [2, 2]) {
      await push();
      await lake.load(count);
    }
    await push();
    // An older state of the lake, put back by means that the program does not know, has other rows under the names of newer files.
    await lake.reset();
    await push({ takeOver: true });
    const name = 'store/events/tenant_id=demo/month=2026-10/2026-10.2.parquet';
    expect(await superseded()).toContain(name);
    const record = join(world.dataDir, 'mirrored.json');
    const [mirrorThen, recordThen] = [join(folder, 'mirror-then'), join(folder, 'record-then')];
    await cp(record, recordThen);
    await lake.reset();
    await cp(recordThen, record);
    await lake.load(3);
    const until = new Date(nowMs + DAY).toISOString();
    await expect(push()).rejects.toMatchObject({ reason: 'conflict', hint: expect.stringContaining(`until ${until}`) });
    await cp(mirror, mirrorThen, { recursive: true });
    await cp(record, recordThen);

    nowMs += DAY;
    await push({ onlyNew: true });
    expect(await checkMirror(settings(), runtime(), NEVER, true)).toMatchObject({ problems: [] });
    expect(await superseded()).not.toContain(name);

    nowMs -= DAY;
    await rm(mirror, { recursive: true });
    await rename(mirrorThen, mirror);
    await rename(recordThen, record);
    await requestPurge(systemFiles, settings());
    await push({ onlyNew: true });
    expect(await checkMirror(settings(), runtime(), NEVER, true)).toMatchObject({ problems: [] });
    expect(await superseded()).toEqual([]);
  },
);

/** The ledger no longer knows the newest names. */
const SET_BACK = {
  async repair() {
    await rm(join(world.dataDir, 'state.duckdb'));
    for (const name of await newestFiles()) await rm(join(world.dataDir, name));
    await repairLake(settings(), runtime());
  },
  async restore() {
    const record = join(world.dataDir, 'mirrored.json');
    await rename(record, join(folder, 'record'));
    await rm(world.dataDir, { recursive: true });
    await restoreLake(settings(), join(folder, 'backup'), world.dataDir, runtime(), NEVER);
    await rename(join(folder, 'record'), record);
  },
  // Whatever stops the push after it, and the next one comes when the tenant is back.
  async purge() {
    const others = world.config({ mirror: { to: mirror }, tenants: [{ id: 'other', apiKey: { env: 'KEY_DEMO' } }] });
    await purgeTenant(others, 'demo', runtime());
  },
  async 'take-over'() {
    await lake.reset();
    await push({ takeOver: true });
  },
};

const newestFiles = async (): Promise<string[]> =>
  (await storeFiles(world.dataDir)).filter((name) => name.endsWith('.3.parquet'));

const storeFiles = async (place: string): Promise<string[]> =>
  (await readdir(join(place, 'store'), { recursive: true }))
    .filter((name) => name.endsWith('.parquet') && !name.includes('_delta_log'))
    .map((name) => join('store', name));

for (const [way, options] of [
  ['repair', {}],
  ['restore', CAMPAIGN],
  ['take-over', CAMPAIGN],
  ['purge', CAMPAIGN],
] as const)
  it(`after ${way}, no file gets the name of another one`, options, async () => {
    await backupLake(settings(), join(folder, 'backup'), runtime(), NEVER);
    await push();
    for (const count of [2, 2]) {
      await lake.load(count);
      await push();
    }
    expect(await newestFiles()).toHaveLength(2);
    const before = new Map<string, Buffer>();
    for (const name of await storeFiles(mirror)) before.set(name, await readFile(join(mirror, name)));
    await SET_BACK[way]();
    await lake.load(4);
    await push();
    const after = await storeFiles(mirror);
    const names = after.filter((name) => before.has(name));
    for (const name of names) expect(before.get(name)).toEqual(await readFile(join(mirror, name)));
    expect(after.filter((name) => !before.has(name))).toHaveLength(2);
    expect(await checkMirror(settings(), runtime(), NEVER, true)).toMatchObject({ problems: [] });
  });
