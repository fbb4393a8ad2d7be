/** What `status` in another shell shows of a run that is going on, before anything is published. */
import { mkdir, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { expect, it } from 'vitest';
import type { StatusReport } from '../../src/model/report.ts';
import { runningSummary } from '../../src/output/running.ts';
import { statusNow } from '../../src/pipeline/status.ts';
import { openWorld } from './support/world.ts';

const SOURCE = { rows: 300, days: 2, seed: 5, now: '2026-11-01T00:30:00Z', frozen: true } as const;

it('during a first load, status shows since when it runs, its tables and how far they are', async () => {
  await using world = await openWorld(SOURCE);
  const now = (): Promise<StatusReport> => statusNow(world.config(), world.runtime);
  await expect(now()).rejects.toMatchObject({ exitCode: 2 });
  const state = { isOver: false };
  const run = world.run({ tables: ['Events'] }).finally(() => {
    state.isOver = true;
  });
  let seen: StatusReport | undefined;
  while (!state.isOver && seen === undefined) {
    const status = await now().catch(() => undefined);
    if (status?.running?.tables.some(({ plannedRows }) => plannedRows > 0) === true) seen = status;
    await setTimeout(5);
  }
  const { run: id, startedAt } = await run;
  expect(seen).toMatchObject({
    tables: [],
    running: { run: id, startedAt, tables: [{ tenant: 'demo', table: 'Events' }] },
  });
  const after = await now();
  expect(after.running).toBeUndefined();
  expect(after.tables).toHaveLength(1);
  expect(await readdir(join(world.dataDir, 'work'))).toEqual([]);

  // A killed run leaves its file. It is ignored as soon as it is not written any more.
  await mkdir(join(world.dataDir, 'work'), { recursive: true });
  const left = (updatedMs: number): Promise<void> =>
    writeFile(
      join(world.dataDir, 'work/progress.json'),
      JSON.stringify({ run: 'r', startedAt, updatedMs, tables: [] }),
    );
  await left(world.runtime.now());
  expect((await now()).running).toMatchObject({ run: 'r' });
  await left(world.runtime.now() - 60_000);
  expect((await now()).running).toBeUndefined();
});

it('a table that is being fetched has a rate and a time left', () => {
  const at = { tenant: 'demo', bytes: 2_000_000 };
  const text = runningSummary(
    {
      run: 'r1',
      startedAt: '2026-11-01T00:00:00.000Z',
      tables: [
        { ...at, table: 'Logs', phase: 'done', rows: 300, plannedRows: 300 },
        {
          ...at,
          table: 'Events',
          phase: 'fetch',
          rows: 5000,
          plannedRows: 20_000,
          rowsPerSecond: 50,
          secondsLeft: 300,
        },
      ],
    },
    Date.parse('2026-11-01T00:02:00Z'),
    { colour: false },
  );
  expect(text).toContain('going on for 2 min 0 s, since 2026-11-01T00:00:00Z');
  expect(text).toMatch(/demo +Events +fetching +5,000 +20,000 +2\.0 MB +50 +5 min 0 s/);
});
