/** Purging a tenant leaves no byte of it and does not change the other tenants. */
import { readdir } from 'node:fs/promises';
import { afterEach, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { systemFiles } from '../../../src/kernel/files.ts';
import { tenantsOnDisk } from '../../../src/load/maintenance/list-data-dir.ts';
import { purgeTenant } from '../../../src/pipeline/maintenance/purge.ts';
import { openStage } from '../../support/shell.ts';
import { diskFault, watchedFiles, type Operation } from '../../campaigns/soak/support/disk.ts';
import { bytesBelow, openWorld, type World } from '../support/world.ts';
import { CAMPAIGN, LONG } from '../../support/campaign.ts';

const RemoveReport = z.object({ rows: z.number(), files: z.number(), dryRun: z.literal(true) });

let world: World;
afterEach(() => world[Symbol.asyncDispose]());

const NOW = '2026-11-01T00:30:00Z';

describe('tenant remove --purge', () => {
  it('leaves neither the name nor an id of the tenant in any file, and every row of the others', LONG, async () => {
    const source = { rows: 600, days: 2, now: NOW, frozen: true, tenants: ['canary-shop', 'lyon'] };
    world = await openWorld(source, { lake: { marts: true } });
    await world.run({}, { landing: { keep: true } });
    const ids = await world.sql(`select event_id from events where tenant_id = 'canary-shop' limit 50`);
    const canaries = ['canary-shop', ...ids.map((row) => String(row['event_id']))];
    const lyon = `select count(*)::int as n, sum(hash(event_id))::varchar as h from events where tenant_id = 'lyon'`;
    const before = await world.sql(lyon);
    // Kept pages hold ids as plain text; Parquet is compressed, so there the folder's name shows the tenant.
    const held = await bytesBelow(world.dataDir);
    expect(canaries.filter((canary) => held.includes(canary)).length).toBeGreaterThan(20);
    const left = world.config({ tenants: [{ id: 'lyon', apiKey: { env: 'KEY_LYON' } }] });
    expect((await purgeTenant(left, 'canary-shop', world.runtime)).rows).toBeGreaterThan(100);
    const bytes = await bytesBelow(world.dataDir);
    const names = (await readdir(world.dataDir, { recursive: true })).join('\n');
    expect(canaries.filter((canary) => bytes.includes(canary) || names.includes(canary))).toEqual([]);
    expect(await world.sql(lyon)).toEqual(before);
    expect(await world.sql('select distinct tenant_id from mart_passes_created')).toEqual([{ tenant_id: 'lyon' }]);
    const again = await world.run({ tenants: ['lyon'] });
    expect([again.exitCode, again.tables.some(({ changed }) => changed)]).toEqual([0, false]);
  });

  it('fails when the disk fails at any step, and leaves nothing when it is run again', LONG, async () => {
    world = await openWorld({ rows: 60, days: 1, now: NOW, frozen: true, tenants: ['canary-shop', 'lyon'] });
    await world.run({ tables: ['Events'] });
    const left = world.config({ tenants: [{ id: 'lyon', apiKey: { env: 'KEY_LYON' } }] });
    for (const kind of ['rename purges', 'rm store', 'rename state.duckdb', 'readFile last-run.json']) {
      const before = (operation: Operation): void => {
        if (kind === `${operation.name} ${operation.path.split('/')[0] ?? ''}`) throw diskFault('EACCES', operation);
      };
      const files = watchedFiles(world.dataDir, { before });
      const purged = purgeTenant(left, 'canary-shop', { ...world.runtime, files });
      await expect(purged).rejects.toMatchObject({ failure: 'disk' });
      const named = await tenantsOnDisk(systemFiles, world.dataDir);
      expect([...named].filter((tenant) => !['canary-shop', 'lyon'].includes(tenant))).toEqual([]);
    }
    await purgeTenant(left, 'canary-shop', world.runtime);
    const names = (await readdir(world.dataDir, { recursive: true })).join('\n');
    expect(`${names}\n${await bytesBelow(world.dataDir)}`).not.toContain('canary-shop');
    expect((await world.run({ tenants: ['lyon'], tables: ['Events'] })).exitCode).toBe(0);
  });

  it('is not over while the tenant is still in what is written elsewhere, such as the dashboard', async () => {
    world = await openWorld({ rows: 40, days: 1, now: NOW, frozen: true, tenants: ['canary-shop', 'lyon'] });
    await world.run({ tables: ['Events'] });
    const left = world.config({ tenants: [{ id: 'lyon', apiKey: { env: 'KEY_LYON' } }] });
    const failing = { removeElsewhere: () => Promise.reject(new Error('cut off')) };
    await expect(purgeTenant(left, 'canary-shop', world.runtime, failing)).rejects.toThrow('cut off');
    let removals = 0;
    const removeElsewhere = (): Promise<void> => Promise.resolve(void removals++);
    expect(await purgeTenant(left, 'canary-shop', world.runtime, { removeElsewhere })).toMatchObject({ found: true });
    expect(removals).toBe(1);
    await expect(purgeTenant(left, 'canary-shop', world.runtime)).rejects.toThrow('holds nothing of a tenant');
  });

  it('is refused for a configured tenant, for a pattern, and without --purge', async () => {
    world = await openWorld({ rows: 50, days: 1, now: NOW, frozen: true, tenants: ['lyon'] });
    await using stage = await openStage();
    const env = { INSIGHTS_TENANT: 'lyon', INSIGHTS_API_KEY: 'k' };
    const asked = [['lyon', '--purge'], ['ly*', '--purge'], ['nice']].map(
      async (words) => (await stage.run(['tenant', 'remove', ...words], env)).err.split('\n')[0],
    );
    expect(await Promise.all(asked)).toEqual([
      'error: Tenant "lyon" is still configured, so the next run would load it again.',
      'error: "ly*" is not a tenant id.',
      expect.stringContaining('--purge'),
    ]);
  });

  it(
    'deletes nothing for a name without data, or with --dry-run, and `tenant list` shows what there is',
    CAMPAIGN,
    async () => {
      world = await openWorld({ rows: 60, days: 1, now: NOW, frozen: true, tenants: ['007', 'beta', 'lyon'] });
      await world.run({ tables: ['Events'] });
      await using stage = await openStage();
      const env = { INSIGHTS_TENANT: 'lyon', INSIGHTS_API_KEY: 'k' };
      const tenant = (...words: string[]): ReturnType<typeof stage.run> =>
        stage.run(['tenant', ...words, '--data-dir', world.dataDir], env);
      const before = await world.published();
      const unknown = await tenant('remove', 'betta', '--purge');
      expect([unknown.code, unknown.err]).toEqual([2, expect.stringContaining('Did you mean "beta"?')]);
      const dry = await tenant('remove', 'beta', '--dry-run', '--json');
      const { rows, files } = RemoveReport.parse(JSON.parse(dry.out));
      expect(rows).toBeGreaterThan(10);
      expect(await world.published()).toEqual(before);
      expect((await tenant('list')).out).toMatch(
        new RegExp(`^tenant +configured +rows.*\n007 +no .*\nbeta +no +${rows} +${files} .*\nlyon +yes +\\d+ `),
      );
      const missing = await stage.run(['tenant', 'remove', 'beta', '--purge', '--data-dir', 'none'], env);
      expect([missing.code, await readdir(stage.folder)]).toEqual([2, []]);
      expect((await tenant('remove', 'beta', '--purge', '--json')).out).toContain(`"rows":${rows}`);
      expect((await tenant('remove', 'beta', '--purge')).code).toBe(2);
      expect((await tenant('remove', '007', '--purge')).code).toBe(0);
      const left = await readdir(world.dataDir, { recursive: true });
      expect(left.filter((path) => /^purges|beta|tenant_id=_?007/.test(path))).toEqual([]);
    },
  );
});
