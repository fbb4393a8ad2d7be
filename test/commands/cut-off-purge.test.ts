/** A purge that was cut off: the next run completes it, or, if its tenant is configured again, the operator decides. */
import { mkdir, readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { startSandbox, type Sandbox } from '../../sandbox/sandbox.ts';
import { EXIT } from '../../src/kernel/errors.ts';
import { purgeTenant } from '../../src/pipeline/maintenance/purge.ts';
import { watchedFiles } from '../campaigns/soak/support/disk.ts';
import { bytesBelow, openWorld, type World } from '../pipeline/support/world.ts';
import { campaign } from '../support/campaign.ts';
import { openStage, type Stage } from '../support/shell.ts';

const TENANTS = ['bravo', 'lyon'];
const SOURCE = { rows: 60, days: 1, seed: 4, now: '2026-11-01T00:30:00Z', frozen: true, rate: 0, memory: true };
const Doctor = z.object({
  machine: z.array(z.object({ name: z.string(), ok: z.boolean(), detail: z.string(), hint: z.string().optional() })),
});

let sandbox: Sandbox;
let world: World;
let putBack: () => Promise<void>;
let stage: Stage;
beforeAll(async () => {
  sandbox = await startSandbox({ ...SOURCE, tenants: TENANTS });
  world = await openWorld(sandbox);
  await world.run({ tables: ['Events'] });
  putBack = await world.keep();
});
afterAll(async () => {
  await world[Symbol.asyncDispose]();
  await rm(world.dataDir, { recursive: true, force: true });
  await rm(`${world.dataDir}-kept`, { recursive: true, force: true });
  await sandbox.close();
});
beforeEach(async () => {
  await putBack();
  stage = await openStage();
  await config('both.yaml', TENANTS);
  await config('lyon.yaml', ['lyon']);
});
afterEach(() => stage[Symbol.asyncDispose]());

async function config(name: string, tenants: readonly string[]): Promise<void> {
  const listed = tenants.map((id) => `  - { id: ${id}, apiKey: { env: KEY_${id.toUpperCase()} } }\n`).join('');
  const lake = 'lake: { marts: false, splitMarts: false, checks: false }';
  const tables = 'tables: { Logs: { enabled: false }, Metrics: { enabled: false } }';
  await stage.write(name, `baseUrl: ${sandbox.url}\ncallsPerMinute: 0\n${lake}\n${tables}\ntenants:\n${listed}`);
}

/** A command with one of the two configurations. */
async function run(tenants: 'both' | 'lyon', ...words: string[]): ReturnType<Stage['run']> {
  const env = { KEY_BRAVO: sandbox.keyOf('bravo'), KEY_LYON: sandbox.keyOf('lyon') };
  return stage.run([...words, '--config', `${tenants}.yaml`, '--data-dir', world.dataDir], env);
}

/** Purges bravo, and is cut off before an operation. `nth`: of those of this kind. */
async function cutOff(kind: string, nth = 1): Promise<void> {
  let left = nth;
  const before = ({ name, path }: { readonly name: string; readonly path: string }): void => {
    if (kind === `${name} ${path.split('/')[0] ?? ''}` && --left <= 0) throw new Error('killed');
  };
  const files = watchedFiles(world.dataDir, { before });
  const others = world.config({ tenants: [{ id: 'lyon', apiKey: { env: 'KEY_LYON' } }] });
  await expect(purgeTenant(others, 'bravo', { ...world.runtime, files })).rejects.toThrow('killed');
  expect(await readdir(join(world.dataDir, 'purges'))).toEqual(['bravo']);
}

async function doctorSays(tenants: 'both' | 'lyon'): Promise<unknown> {
  const { out } = await run(tenants, 'doctor', '--max-calls', '2', '--json');
  const { machine } = Doctor.parse(JSON.parse(out));
  expect(machine.find(({ name }) => name === 'leftovers')?.detail).not.toContain('purge');
  return machine.find(({ name }) => name === 'purge');
}

const rowsOf = async (tenant: string): Promise<number> =>
  Number((await world.sql(`select count(*)::int as n from events where tenant_id = '${tenant}'`))[0]?.['n']);

/** The commands that a text names, without the flags that `run` adds. */
function commandsIn(text: string): string[][] {
  return [...text.replaceAll(/\s+/g, ' ').matchAll(/`insights-etl ([^`]+)`/g)].map(([, words = '']) =>
    words.split(' '),
  );
}

/** Nothing is deleted yet; the ledger has no row of it; some files are gone; all but the ledger's free blocks; all but the mark. */
const MOMENTS = ['readFile mirrored.json', 'rename insights.duckdb', 'rm store', 'rename state.duckdb', 'rm purges'];

describe('a purge that was cut off', () => {
  it.each(MOMENTS.map((moment) => [moment] as const))(
    'before %s is completed by the next run, which says so',
    campaign(false),
    async (moment) => {
      const lyon = await rowsOf('lyon');
      await cutOff(moment);
      expect(await doctorSays('lyon')).toEqual({
        name: 'purge',
        ok: true,
        detail: 'that of bravo was cut off',
        hint: 'The next `insights-etl run` completes it, and so does `insights-etl tenant remove bravo --purge`.',
      });
      const { code, err } = await run('lyon', 'run');
      expect([code, err]).toEqual([
        EXIT.ok,
        expect.stringMatching(/warning: bravo: completed a purge that was cut off/),
      ]);
      const names = (await readdir(world.dataDir, { recursive: true })).join('\n');
      expect(`${names}\n${await bytesBelow(world.dataDir)}`).not.toContain('bravo');
      expect(await rowsOf('lyon')).toBe(lyon);
      expect(await doctorSays('lyon')).toBeUndefined();
      expect((await run('lyon', 'run')).err).not.toContain('purge');
    },
  );

  it('keeps its tenant out when it is configured again, and the others are loaded', async () => {
    await cutOff('readFile mirrored.json');
    const rows = await rowsOf('bravo');
    const { code, out } = await run('both', 'run');
    expect([code, out]).toEqual([EXIT.config, expect.stringContaining('so nothing of it is loaded until you decide')]);
    expect(out).toMatch(/lyon +Events +verified/);
    expect(commandsIn(out)).toEqual([
      ['tenant', 'remove', 'bravo', '--purge'],
      ['tenant', 'remove', 'bravo', '--keep'],
    ]);
    expect(await rowsOf('bravo')).toBe(rows);
    expect((await run('both', 'run', '--tenant', 'lyon')).code).toBe(EXIT.ok);
    expect((await run('both', 'plan')).code).toBe(EXIT.config);
    expect(await doctorSays('both')).toMatchObject({
      ok: false,
      hint: expect.stringContaining('Decide: `insights-etl'),
    });
    // With one tenant chosen, the other is configured nevertheless.
    const chosen = await run('both', 'doctor', '--tenant', 'lyon', '--max-calls', '2');
    expect([chosen.code, chosen.out]).toEqual([EXIT.config, expect.stringContaining('FAIL  purge: that of bravo')]);
  });

  it.each([
    [MOMENTS[0] ?? '', true],
    [MOMENTS[2] ?? '', false],
  ] as const)('before %s can be given up', campaign(false), async (moment, isWhole) => {
    const rows = await rowsOf('bravo');
    await cutOff(moment);
    const kept = await run('both', 'tenant', 'remove', 'bravo', '--keep');
    const text = isWhole ? `${rows} rows in 1 file are kept` : 'it had deleted all rows of bravo';
    expect([kept.code, kept.out]).toEqual([EXIT.ok, `the purge of bravo is given up; ${text}\nthe next run loads what the source has\n`]); // oxfmt-ignore
    expect(await readdir(world.dataDir)).not.toContain('purges');
    expect((await run('both', 'run')).code).toBe(EXIT.ok);
    expect(await rowsOf('bravo')).toBe(rows);
    expect((await run('both', 'tenant', 'remove', 'bravo', '--keep')).err).toContain('No purge of a tenant "bravo" was cut off'); // oxfmt-ignore
    expect((await run('both', 'tenant', 'remove', 'bravo', '--purge')).err).toContain('is still configured');
  });

  it('can be completed although its tenant is configured, which is then loaded again', campaign(false), async () => {
    const rows = await rowsOf('bravo');
    await cutOff('rm store');
    const purged = await run('both', 'tenant', 'remove', 'bravo', '--purge');
    expect([purged.code, purged.out]).toEqual([EXIT.ok, 'deleted 0 rows in 0 files of bravo\nbravo is configured, so the next run loads it again\n']); // oxfmt-ignore
    expect(await bytesBelow(world.dataDir)).not.toContain('bravo');
    expect((await run('both', 'run')).code).toBe(EXIT.ok);
    expect(await rowsOf('bravo')).toBe(rows);
  });

  it('of an earlier version is not completed by a run, because its tenant may have been loaded since', async () => {
    await mkdir(join(world.dataDir, 'purges'));
    await writeFile(join(world.dataDir, 'purges/bravo'), '');
    const rows = await rowsOf('bravo');
    const { code, err } = await run('lyon', 'run');
    expect([code, err]).toEqual([EXIT.ok, expect.stringContaining('bravo: an earlier version left a purge')]);
    expect(await rowsOf('bravo')).toBe(rows);
    expect(await doctorSays('lyon')).toMatchObject({ ok: true, hint: expect.stringContaining('Decide: ') });
  });

  it(
    'that cannot be completed does not keep others from being loaded, and the exit code reports the failure',
    campaign(false),
    async () => {
      await cutOff('rm store');
      const page = join(stage.folder, 'public');
      await mkdir(page);
      for (const name of ['manifest.json', 'notes.txt']) await writeFile(join(page, name), 'of somebody else');
      const env = { KEY_LYON: sandbox.keyOf('lyon'), INSIGHTS_DASHBOARD_OUT: page };
      const failed = await stage.run(['run', '--config', 'lyon.yaml', '--data-dir', world.dataDir], env);
      expect([failed.code, failed.out]).toEqual([EXIT.config, expect.stringMatching(/lyon +Events +verified/)]);
      expect(failed.err).toContain(
        'a purge that was cut off could not be completed: The folder for the dashboard holds',
      );
      expect(await readdir(join(world.dataDir, 'purges'))).toEqual(['bravo']);
      expect((await run('lyon', 'run')).err).toContain('completed a purge that was cut off');
    },
  );
});
