/** A purge that was cut off in a lake of shards: `reshard` says how to end it, and so does a worker that has no tenant left. */
import { readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { EXIT } from '../../src/kernel/errors.ts';
import { purgeTenant } from '../../src/pipeline/maintenance/purge.ts';
import { watchedFiles } from '../campaigns/soak/support/disk.ts';
import type { World } from '../pipeline/support/world.ts';
import type { Stage } from '../support/shell.ts';
import { useTwoShards } from '../support/two-shards.ts';

/** Of two shards, the first has lyon and the second has paris. */
let world: World;
let stage: Stage;
useTwoShards(['lyon', 'paris'], async ({ writeConfig, ...opened }) => {
  ({ world, stage } = opened);
  await writeConfig('lyon.yaml', ['lyon']);
});

const folder = (): string => join(world.dataDir, 'shards/1-of-2');
const run = (command: string): ReturnType<Stage['run']> => stage.run(command.split(' '), { KEY: 'k' });

/** Purges paris, and is cut off when nothing but the mark is left. */
async function cutOff(): Promise<void> {
  const before = ({ name, path }: { readonly name: string; readonly path: string }): void => {
    if (name === 'rm' && path.startsWith('purges')) throw new Error('killed');
  };
  const config = world.config({ shard: '1/2', tenants: [{ id: 'lyon', apiKey: { env: 'KEY_LYON' } }] });
  const runtime = { ...world.runtime, files: watchedFiles(folder(), { before }) };
  await expect(purgeTenant(config, 'paris', runtime)).rejects.toThrow('killed');
  expect(await readdir(join(folder(), 'purges'))).toEqual(['paris']);
}

it.each(['--purge', '--keep'])(
  '`reshard` names its tenant and the way out %s, which works as it is printed',
  async (end) => {
    await cutOff();
    const refused = await run('reshard --from 2 --to 3');
    expect([refused.code, refused.err]).toEqual([
      EXIT.config,
      expect.stringContaining('holds a purge that was cut off'),
    ]);
    const command = `tenant remove paris ${end} --shard 1/2`;
    expect(refused.err.replaceAll(/\s+/g, ' ')).toContain(`\`insights-etl ${command}\``);
    // It is still configured.
    expect(await run(command)).toMatchObject({ code: EXIT.ok });
    expect(await run('reshard --from 2 --to 3')).toMatchObject({ code: EXIT.ok });
  },
);

it('a reshard that has begun nevertheless can be given up first', async () => {
  await cutOff();
  const mark = { from: 2, to: 3, phase: 'copy', done: [], made: [], sources: [0, 1], shards: [] };
  await writeFile(join(world.dataDir, 'reshard.json'), JSON.stringify(mark));
  const refused = await run('reshard --from 2 --to 3');
  expect(refused.err.replaceAll(/\s+/g, ' ')).toContain(
    'Give the change up first: `insights-etl reshard --from 2 --to 2`.',
  );
  expect(await run('reshard --from 2 --to 2')).toMatchObject({ code: EXIT.ok });
  expect(await run('tenant remove paris --purge --shard 1/2')).toMatchObject({ code: EXIT.ok });
  expect(await run('reshard --from 2 --to 3')).toMatchObject({ code: EXIT.ok });
});

it('the run of a shard that has lost its last tenant completes it', async () => {
  await cutOff();
  const doctor = await run('doctor --shard 1/2 --config lyon.yaml --max-calls 1');
  expect(doctor.out.replaceAll(/\s+/g, ' ')).toContain('The next `insights-etl run --shard 1/2` completes it');
  const completed = await run('run --shard 1/2 --config lyon.yaml');
  expect([completed.code, completed.err]).toEqual([EXIT.ok, expect.stringContaining('completed a purge')]);
  expect(await readdir(folder())).not.toContain('purges');
  expect((await run('run --shard 1/2 --config lyon.yaml')).out).toBe(
    'shard 1/2 has no tenant; 1 tenant in other shards\n',
  );
});
