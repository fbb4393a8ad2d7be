/** Mirrors of shards that `reshard` has replaced still hold their tenants: `reshard`, a later purge and a later push name them. */
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { z } from 'zod';
import { EXIT } from '../../src/kernel/errors.ts';
import { openWorld, type World } from '../pipeline/support/world.ts';
import { openStage, type Stage } from '../support/shell.ts';

/** Of two shards, the first has lyon and the second has paris. */
const TENANTS = ['lyon', 'paris'];

let world: World;
let stage: Stage;
let mirror: string;
beforeAll(async () => {
  world = await openWorld({ rows: 20, days: 1, now: '2026-11-01T00:30:00Z', frozen: true, tenants: TENANTS });
  await world.run();
  stage = await openStage();
  mirror = join(stage.folder, 'mirror');
  const lake = 'lake: { marts: false, checks: false }';
  await stage.write('insights.yaml', `dataDir: ${world.dataDir}\nmirror: ${mirror}\n${lake}\n`);
}, 120_000);
afterAll(async () => {
  await world[Symbol.asyncDispose]();
  await stage[Symbol.asyncDispose]();
});

async function run(...argv: string[]): Promise<string> {
  const { code, out, err } = await stage.run(argv);
  expect([argv, code, err]).toEqual([argv, EXIT.ok, '']);
  return out;
}

it('of a lake that was not divided, the prefix is named without those of the new shards in it, and by a purge', async () => {
  await run('mirror', 'push');
  expect(await run('reshard', '--from', '1', '--to', '2')).toContain(`  ${mirror} (all but what is below shards/)\n`);
  await run('mirror', 'push', '--shard', '0/2');
  const purged = await run('tenant', 'remove', 'paris', '--purge', '--shard', '1/2');
  expect(purged).toContain(`mirrors of old shards may still hold paris. Delete them`);
  expect(purged).toContain(`:\n  ${mirror}\n`);
  expect(purged).not.toContain('INSIGHTS_MIRROR_TO');
});

it('of a shard, a former mirror is named and forgotten as the configuration names it, which is the place of all shards', async () => {
  const former = join(stage.folder, 'former');
  const env = { INSIGHTS_MIRROR_TO: former };
  expect(await stage.run(['mirror', 'push', '--shard', '0/2'], env)).toMatchObject({ code: EXIT.ok });
  const path = join(world.dataDir, 'shards/0-of-2/mirrored.json');
  const text = await readFile(path, 'utf8');
  // As after a purge.
  await writeFile(path, text.replaceAll(/("to": "[^"]*former\/shards[^"]*",)/g, '$1 "purgeDue": true,'));
  expect(await run('mirror', 'status', '--shard', '0/2')).toContain(`  INSIGHTS_MIRROR_TO=${former}\n`);
  await run('mirror', 'forget', former, '--shard', '0/2');
  expect(await run('mirror', 'status', '--shard', '0/2')).not.toContain(former);
});

it('at a place that a new shard has again, a push asks for --take-over and says why', async () => {
  const { oldMirrors } = z
    .object({ oldMirrors: z.array(z.string()) })
    .parse(JSON.parse(await run('reshard', '--from', '2', '--to', '1', '--json')));
  // The place of the whole lake is in use again.
  expect(oldMirrors.toSorted()).toEqual([join(mirror, 'shards/0-of-2'), join(mirror, 'shards/1-of-2')]);
  const { code, err } = await stage.run(['mirror', 'push']);
  expect([code, err]).toEqual([EXIT.mirrorTaken, expect.stringContaining('was written by an old shard of this lake')]);
  expect(err).toContain('insights-etl mirror push --take-over');
  await run('mirror', 'push', '--take-over');
  await run('mirror', 'push');
  const purged = await run('tenant', 'remove', 'lyon', '--purge');
  expect(purged).toContain(join(mirror, 'shards/0-of-2'));
  expect(purged).not.toContain(`  ${mirror}\n`);
  // Until the operator has deleted them and says so.
  expect(await run('mirror', 'status')).toContain(`:\n  ${join(mirror, 'shards/0-of-2')}\n`);
  for (const old of oldMirrors) await run('mirror', 'forget', old);
  expect(await run('mirror', 'status')).not.toContain('old shards');
});
