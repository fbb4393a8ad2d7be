/** A lake of two shards whose rows are loaded, and a configuration of its tenants. Each test gets it as it was at first. */
import { afterAll, beforeAll, beforeEach } from 'vitest';
import { openWorld, type World } from '../pipeline/support/world.ts';
import { openStage, type Stage } from './shell.ts';

export interface TwoShards {
  readonly world: World;
  readonly stage: Stage;
  /** Writes a configuration of this lake with these tenants. */
  readonly writeConfig: (name: string, tenants: readonly string[]) => Promise<void>;
  /** Puts the lake back as it was at first. */
  readonly putBack: () => Promise<void>;
}

export function useTwoShards(tenants: readonly string[], begin: (opened: TwoShards) => void | Promise<void>): void {
  let world: World;
  let stage: Stage;
  let putBack: () => Promise<void>;
  beforeAll(async () => {
    world = await openWorld({ rows: 20, days: 1, now: '2026-11-01T00:30:00Z', frozen: true, tenants: [...tenants] });
    for (const shard of ['0/2', '1/2']) await world.run({}, { shard });
    putBack = await world.keep();
    stage = await openStage();
    const writeConfig = async (name: string, ids: readonly string[]): Promise<void> => {
      const list = ids.map((id) => `  - { id: ${id}, apiKey: { env: KEY } }\n`).join('');
      const lake = 'lake: { marts: false, checks: false }';
      await stage.write(name, `baseUrl: ${world.sandbox.url}\ndataDir: ${world.dataDir}\n${lake}\ntenants:\n${list}`);
    };
    await writeConfig('insights.yaml', tenants);
    await begin({ world, stage, writeConfig, putBack });
  }, 120_000);
  beforeEach(() => putBack());
  afterAll(async () => {
    await world[Symbol.asyncDispose]();
    await stage[Symbol.asyncDispose]();
  });
}
