/** A small lake with its source, to be mirrored: two months with a file each. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach } from 'vitest';
import type { Sandbox } from '../../../../sandbox/sandbox.ts';
import { lineOf } from '../../../campaigns/soak/support/model.ts';
import { openSource } from '../../../campaigns/soak/support/source.ts';
import { openWorld, type World } from '../../support/world.ts';

export const EVENTS = { tables: ['Events'] as const };

export interface MirroredLake extends AsyncDisposable {
  readonly source: Sandbox;
  readonly world: World;
  /** Rows of the source. */
  rows(): number;
  /** New rows at the source, and a run that publishes them. */
  load(count: number): Promise<void>;
  /** The source and the lake as they were at first. */
  reset(): Promise<void>;
}

export async function openMirroredLake(): Promise<MirroredLake> {
  const source = await openSource();
  await source.apply({ action: 'clock', set: '2026-11-10T12:00:00Z' });
  let n = 0;
  const insert = async (count: number): Promise<void> => {
    const rows = Array.from({ length: count }, () => {
      const id = `00000000-0000-4000-8000-${n.toString(16).padStart(12, '0')}`;
      return lineOf('Events', { id, timestamp: `2026-1${n++ % 2}-06T06:10:00Z`, properties: '{"a":1}' });
    });
    await source.apply({ action: 'rows', table: 'Events', tenant: 'demo', rows });
  };
  await insert(6);
  const world = await openWorld(source, { lake: { keepHours: 24 } });
  await world.run(EVENTS);
  const putBack = await world.keep();
  return {
    source,
    world,
    rows: () => n,
    async load(count) {
      await insert(count);
      await world.run(EVENTS);
    },
    async reset() {
      await source.apply({ action: 'erase', table: 'Events', tenant: 'demo' });
      n = 0;
      await insert(6);
      await putBack();
    },
    async [Symbol.asyncDispose]() {
      await world[Symbol.asyncDispose]();
      await source.close();
    },
  };
}

export interface MirrorTest {
  readonly lake: MirroredLake;
  readonly world: World;
  /** Removed after the test. */
  readonly folder: string;
  /** A folder that does not exist yet. */
  readonly mirror: string;
}

/** One lake for the tests of a file. Each test gets it as it was at first, and a place for a mirror. */
export function useMirroredLake(begin: (test: MirrorTest) => void): void {
  let lake: MirroredLake;
  let folder: string;
  beforeAll(async () => {
    lake = await openMirroredLake();
  });
  afterAll(() => lake[Symbol.asyncDispose]());
  beforeEach(async () => {
    await lake.reset();
    folder = await mkdtemp(join(tmpdir(), 'insights-etl-mirror-'));
    begin({ lake, world: lake.world, folder, mirror: join(folder, 'mirror') });
  });
  afterEach(() => rm(folder, { recursive: true, force: true }));
}
