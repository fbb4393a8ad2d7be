/** Damaged or lost files of marts: `verify --deep` and `repair` compute them again, and the views keep working. */
import { readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { EXIT } from '../../src/kernel/errors.ts';
import { verifySummary } from '../../src/output/summary.ts';
import { repairLake, verifyLake } from '../../src/pipeline/maintenance/inspect.ts';
import type { VerifyReport } from '../../src/model/report.ts';
import { openWorld, type World } from './support/world.ts';
import { CAMPAIGN, LONG } from '../support/campaign.ts';

const SOURCE = { rows: 200, days: 1, seed: 4, now: '2026-11-01T12:30:00Z', frozen: true, tenants: ['paris'] } as const;
/** Without coverage, since the hours are verified again after a repair. */
const MART_QUERY = 'select tenant_id, day, passes_created from mart_passes_created order by all';

let world: World;
let martRows: unknown;
beforeAll(async () => {
  world = await openWorld(SOURCE, { lake: { marts: true } });
  await world.run();
  martRows = await world.sql(MART_QUERY);
});
afterAll(() => world[Symbol.asyncDispose]());

async function martFile(): Promise<string> {
  const names = await readdir(join(world.dataDir, 'store/marts/passes_created'));
  return join('store/marts/passes_created', names.filter((name) => name.endsWith('.parquet')).toSorted().at(-1) ?? '');
} // oxfmt-ignore

async function verified(deep: boolean): Promise<VerifyReport> {
  return verifyLake(world.config(), { deep }, world.runtime, new AbortController().signal);
}

it('verify --deep reads every mart file, names the damaged one, and computes it again', CAMPAIGN, async () => {
  const intact = await verified(true);
  expect([intact.exitCode, intact.marts.filesRead >= 8, intact.marts.filesDamaged]).toEqual([EXIT.ok, true, []]);
  expect(verifySummary(intact, { colour: false })).toMatch(/\nmarts: \d+ files read, 0 damaged\n/);
  const file = await martFile();
  const bytes = await readFile(join(world.dataDir, file));
  await writeFile(join(world.dataDir, file), bytes.fill(0, 4, 40));
  expect((await verified(false)).exitCode).toBe(EXIT.ok);
  const damaged = await verified(true);
  expect(damaged.exitCode).toBe(EXIT.damaged);
  expect(damaged.marts.filesDamaged).toEqual([{ file, problem: 'sha256' }]);
  expect(verifySummary(damaged, { colour: false })).toContain(`damaged: ${file}: sha256; computed again\n`);
  expect(await world.sql(MART_QUERY)).toEqual(martRows);
  expect((await verified(true)).exitCode).toBe(EXIT.ok);
});

it('after repair the views work again, though a mart file was lost', LONG, async () => {
  await rm(join(world.dataDir, await martFile()));
  await expect(world.sql(MART_QUERY)).rejects.toThrow('No files found');
  expect(await repairLake(world.config(), world.runtime)).toMatchObject({ rows: expect.any(Number), leftOut: 0 });
  expect(await world.sql(MART_QUERY)).toEqual(martRows);
  expect((await world.run()).exitCode).toBe(EXIT.ok);
  expect(await world.sql(MART_QUERY)).toEqual(martRows);
});
