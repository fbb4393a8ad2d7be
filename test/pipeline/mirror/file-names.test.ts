/** A lake that is set back writes other rows under names that its mirror may hold already. No push may fail for ever because of it. */
import { cp, mkdtemp, readFile, rename, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest';
import { z } from 'zod';
import { systemFiles } from '../../../src/kernel/files.ts';
import type { Runtime } from '../../../src/kernel/runtime.ts';
import { checkMirror } from '../../../src/pipeline/mirror/inspect.ts';
import { pushMirror, type PushOptions } from '../../../src/pipeline/mirror/push.ts';
import { requestPurge } from '../../../src/pipeline/mirror/record.ts';
import type { World } from '../support/world.ts';
import { openMirroredLake, type MirroredLake } from './support/lake.ts';

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

beforeAll(async () => {
  lake = await openMirroredLake();
  ({ world } = lake);
});
afterAll(() => lake[Symbol.asyncDispose]());
beforeEach(async () => {
  await lake.reset();
  folder = await mkdtemp(join(tmpdir(), 'insights-etl-mirror-'));
  mirror = join(folder, 'mirror');
  nowMs = NOW;
});
afterEach(() => rm(folder, { recursive: true, force: true }));

it('a push replaces what only earlier snapshots needed when their grace period is over, or at once for a purge', async () => {
  for (const count of [2, 2]) {
    await push();
    await lake.load(count);
  }
  await push();
  // An older state of the lake takes over, and goes on with other rows under the names of objects that the mirror holds.
  await lake.reset();
  await push({ takeOver: true });
  const name = 'store/events/tenant_id=demo/month=2026-10/2026-10.2.parquet';
  expect(await superseded()).toContain(name);
  await lake.load(3);
  const until = new Date(nowMs + DAY).toISOString();
  await expect(push()).rejects.toMatchObject({ reason: 'conflict', hint: expect.stringContaining(`until ${until}`) });
  const record = join(world.dataDir, 'mirrored.json');
  const [mirrorThen, recordThen] = [join(folder, 'mirror-then'), join(folder, 'record-then')];
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
});
