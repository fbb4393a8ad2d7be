/**
 * A shard whose deletion was cut off, and whose volume is away when `reshard` goes on. An empty mount point must not be taken for a shard
 * that is deleted: its rows would stay on the volume.
 */
import { existsSync } from 'node:fs';
import { cp, mkdir, readdir, rename, rm, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { systemFiles } from '../../../src/kernel/files.ts';
import { reshardLake } from '../../../src/pipeline/maintenance/reshard.ts';
import { openReader, textRows } from '../../../src/query/reader.ts';
import { shardIndex } from '../../../src/model/shard.ts';
import { campaign, LONG } from '../../support/campaign.ts';
import { withMountPoints } from '../../support/mount-points.ts';
import type { Stage } from '../../support/shell.ts';
import { useTwoShards } from '../../support/two-shards.ts';
import type { World } from '../support/world.ts';

let world: World;
let stage: Stage;
useTwoShards(['lyon', 'paris'], (opened) => {
  ({ world, stage } = opened);
});

const folder = (name: string): string => join(world.dataDir, 'shards', name);
const volume = (): string => join(stage.folder, 'volume');

interface Kind {
  readonly what: string;
  /** The folder that the volume is mounted at, or to which a link leads. */
  readonly at: string;
  readonly isLink?: true;
}

const KINDS: readonly Kind[] = [
  { what: 'a mount point', at: '0-of-2' },
  { what: 'a symbolic link', at: '0-of-2', isLink: true },
  { what: 'a shard whose store is a mount point', at: '0-of-2/store' },
  { what: 'a shard whose store is a symbolic link', at: '0-of-2/store', isLink: true },
];

interface Change {
  readonly to: number;
  readonly isMounted?: boolean;
  readonly killAt?: number | string;
}

/** Changes the number of shards from two. `killAt`: the number of a step that changes files, or the name of a step of `reshard`. */
async function change({ at, isLink }: Kind, { to, isMounted = true, killAt }: Change): Promise<void> {
  let count = 0;
  let isKilled = false;
  const kill = (): never => {
    isKilled = true;
    throw new Error('killed');
  };
  const files = withMountPoints(isMounted && !isLink ? [folder(at)] : [], () => {
    if (isKilled || count++ === killAt) kill();
  });
  await reshardLake(world.config(), { from: 2, to }, { ...world.runtime, files }, (step) => {
    if (step === killAt) kill();
  });
}

/** Puts what is in the folder on a volume. A mount point needs nothing for that but to be treated as one. */
async function useVolume({ at, isLink }: Kind): Promise<void> {
  await rm(volume(), { recursive: true, force: true });
  if (!isLink) return;
  await mkdir(folder(at), { recursive: true });
  await rename(folder(at), volume());
  await symlink(volume(), folder(at));
}

/** What is on the volume, while it is mounted or linked nowhere. */
const away = (): string => join(stage.folder, 'away');

async function unmount({ at, isLink }: Kind): Promise<boolean> {
  await rm(away(), { recursive: true, force: true });
  if (!(await systemFiles.readdir(folder(at)).catch(() => undefined))) return false;
  await rename(isLink ? volume() : folder(at), away());
  if (!isLink) await mkdir(folder(at));
  return true;
}

async function mountAgain({ at, isLink }: Kind): Promise<void> {
  if (!isLink) await rm(folder(at), { recursive: true });
  await rename(away(), isLink ? volume() : folder(at));
}

async function rows(): Promise<string[][]> {
  await using reader = await openReader(world.dataDir, { threads: 1, memoryLimit: '384MB' });
  return await textRows(
    reader,
    'select * from (select tenant_id, count(*), sum(hash(event_id)) from events group by all) order by all',
  );
}

async function filesOn(place: string): Promise<string[]> {
  const entries = await readdir(place, { recursive: true, withFileTypes: true });
  return entries.filter((entry) => !entry.isDirectory()).map(({ name }) => name);
}

/** Nothing is left to do if the mark was deleted before the kill. */
async function goOn(kind: Kind, to: number, isMounted = true): Promise<void> {
  if (existsSync(join(world.dataDir, 'reshard.json'))) await change(kind, { to, isMounted });
}

/** Goes on without the volume. Returns what was refused, and which files of the lake are left on the volume then. */
async function goOnWithout(kind: Kind, to: number): Promise<{ refused?: string; left: readonly string[] }> {
  if (!(await unmount(kind))) return { left: [] };
  try {
    await goOn(kind, to, false);
    // One whose deletion is recorded may still have its tag.
    return { left: (await filesOn(away())).filter((name) => name !== 'reshard.tag') };
  } catch (error) {
    return { refused: error instanceof Error ? error.message : '', left: await filesOn(away()) };
  }
}

/**
 * Kills the change at a step, unmounts the volume and goes on: that is refused, or nothing is left on the volume. When it is mounted
 * again, the same command completes the change. False: there is no such step.
 */
async function survives(kind: Kind, to: number, killAt: number | string, before: string[][]): Promise<boolean> {
  const ended = await change(kind, { to, killAt }).catch(String);
  if (ended === undefined) return false;
  expect(ended).toContain('killed');
  const { refused, left } = await goOnWithout(kind, to);
  if (refused !== undefined) await mountAgain(kind);
  expect([killAt, refused ?? 'was made by this change', refused === undefined ? left : []]).toEqual([
    killAt,
    expect.stringMatching(/was (there when this change began|made by this change)/),
    [],
  ]);
  await goOn(kind, to);
  const names = await readdir(world.dataDir, { recursive: true });
  // The last kill leaves the file of the lock.
  const isOld = (name: string): boolean => /^shards\/\d+-of-/.test(name) && !name.includes(`-of-${to}`);
  const tags = names.filter((name) => name.endsWith('reshard.tag'));
  expect([killAt, names.filter((name) => isOld(name) && !`shards/${kind.at}`.startsWith(name))]).toEqual([killAt, []]);
  expect([killAt, tags]).toEqual([killAt, []]);
  expect(names).not.toContain('reshard.json');
  expect([killAt, await rows()]).toEqual([killAt, before]);
  return true;
}

/** Keeps the lake as it is now. Returns how to put it back. */
async function keep(): Promise<() => Promise<void>> {
  const copy = join(stage.folder, 'kept');
  await rm(copy, { recursive: true, force: true });
  await cp(world.dataDir, copy, { recursive: true });
  return async () => {
    await rm(world.dataDir, { recursive: true, force: true });
    await cp(copy, world.dataDir, { recursive: true });
  };
}

describe('reshard whose deletion of a shard was cut off, without the volume of that shard', () => {
  for (const step of ['removal 0/2', 'emptied 0/2'])
    for (const [nth, kind] of KINDS.entries()) {
      // When all is deleted, nothing is left in the store to wait for.
      if (step === 'emptied 0/2' && kind.at.endsWith('store')) continue;
      const isFirst = step === 'removal 0/2' && nth === 0;
      it(`is refused after "${step}" of ${kind.what}, and completes with it`, campaign(isFirst), async () => {
        const before = await rows();
        await useVolume(kind);
        await expect(change(kind, { to: 3, killAt: step })).rejects.toThrow('killed');
        await unmount(kind);
        await expect(change(kind, { to: 3, isMounted: false })).rejects.toMatchObject({
          failure: 'damaged',
          message: expect.stringContaining('Shard 0/2 was there when this change began'),
        });
        await mountAgain(kind);
        await change(kind, { to: 3 });
        expect(await rows()).toEqual(before);
      });
    }

  it.each(KINDS)('leaves no rows on the volume, at whichever operation it was killed: $what', LONG, async (kind) => {
    const before = await rows();
    await expect(change(kind, { to: 3, killAt: 'switch' })).rejects.toThrow('killed');
    const putBack = await keep();
    let killAt = 0;
    for (; ; killAt++) {
      await putBack();
      await useVolume(kind);
      if (!(await survives(kind, 3, killAt, before))) break;
    }
    expect(killAt).toBeGreaterThan(40);
  });

  it('leaves no rows on the volume of a new shard that was being discarded', LONG, async () => {
    const before = await rows();
    const kind: Kind = { what: 'a new shard', at: `${shardIndex('lyon', 3)}-of-3` };
    await mkdir(folder(kind.at));
    await expect(change(kind, { to: 3, killAt: 'shard 2/3' })).rejects.toThrow('killed');
    const putBack = await keep();
    let killAt = 0;
    for (; ; killAt++) {
      await putBack();
      if (!(await survives(kind, 2, killAt, before))) break;
    }
    expect(killAt).toBeGreaterThan(20);
  });
});
