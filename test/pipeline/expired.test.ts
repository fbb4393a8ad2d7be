/** Hours that the source deletes before they are read: the deadline is shown in time, and the loss is reported once. */
import { pino } from 'pino';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { EXIT } from '../../src/kernel/errors.ts';
import { DAY, fromEpochMs } from '../../src/kernel/instant.ts';
import { runSummary } from '../../src/output/summary.ts';
import { verifyLake } from '../../src/pipeline/maintenance/inspect.ts';
import { lakeStatus } from '../../src/pipeline/status.ts';
import { loadOnce, type LoadedWorlds, type World } from './support/world.ts';
import { CAMPAIGN } from '../support/campaign.ts';

const NOW = '2026-11-01T00:30:00Z';
const LOGS = { tables: ['Logs'] } as const;
/** When the source has deleted a day that no run has seen. */
const LATER = { now: () => Date.parse(NOW) + 46 * 86_400_000 };

let loaded: LoadedWorlds;
let world: World;
beforeAll(async () => {
  loaded = await loadOnce({ rows: 300, days: 2, now: NOW, frozen: true }, LOGS);
});
afterAll(() => loaded[Symbol.asyncDispose]());
beforeEach(async () => {
  world = await loaded.next();
});
afterEach(() => world[Symbol.asyncDispose]());

/** `nextExpiry` of Logs at an instant. */
async function nextExpiry(now = NOW): Promise<string | undefined> {
  const status = await lakeStatus(world.config(), { ...world.runtime, now: () => Date.parse(now) });
  return status.tables.find(({ table }) => table === 'Logs')?.nextExpiry;
}

describe('hours that the source deleted unread', () => {
  it('are reported by the run that finds them: exit code, summary, log and report', async () => {
    await world.sandbox.apply({ action: 'clock', advance: '46d' });
    const lines: string[] = [];
    const log = pino({ level: 'warn' }, { write: (line: string) => void lines.push(line) });
    const report = await world.run(LOGS, {}, { log, ...LATER });
    expect(report.exitCode).toBe(EXIT.expired);
    // Of the 46 days the source keeps 45: from the hour that was open to the one before the edge.
    const loss = { tenant: 'demo', table: 'Logs', hours: 24, first: '2026-11-01T00:00:00.0000000Z', last: '2026-11-01T23:00:00.0000000Z' } as const; // oxfmt-ignore
    expect(report.expired).toEqual([loss]);
    expect(lines.map((line): unknown => JSON.parse(line))).toContainEqual(
      expect.objectContaining({ event: 'hours.expired', run: report.run, ...loss }),
    );
    expect(runSummary(report, { colour: false })).toContain(
      '\nLost: the source deleted these hours before they were proven. What the lake lacks of them cannot be loaded any more.\n' +
        'demo Logs: 24 hours expired, from 2026-11-01T00h to 2026-11-01T23h UTC\n',
    );
    const again = await world.run(LOGS, {}, LATER);
    expect(again).toMatchObject({ exitCode: EXIT.ok, expired: [] });
    expect(again.tables[0]?.hours.expired).toBe(24);
  });

  it('are reported by `verify` if that finds them first, and then by no run', CAMPAIGN, async () => {
    await world.sandbox.apply({ action: 'clock', advance: '46d' });
    const runtime = { ...world.runtime, ...LATER };
    const verdict = await verifyLake(world.config(), LOGS, runtime, new AbortController().signal);
    expect(verdict.expired).toMatchObject([{ table: 'Logs', hours: 24 }]);
    expect(verdict.exitCode).toBe(EXIT.expired);
    expect((await world.run(LOGS, {}, LATER)).expired).toEqual([]);
  });

  it('are called expired only when the clock of this machine agrees with the one of the source', CAMPAIGN, async () => {
    // Either the source is ahead, or this machine is slow.
    await world.sandbox.apply({ action: 'clock', advance: '46d' });
    const early = await world.run(LOGS, {}, { now: () => Date.parse(NOW) });
    expect(early).toMatchObject({ exitCode: EXIT.ok, expired: [] });
    // This machine is ahead.
    await world.sandbox.apply({ action: 'clock', set: NOW });
    expect(await world.run(LOGS, {}, LATER)).toMatchObject({ exitCode: EXIT.ok, expired: [] });
    await world.sandbox.apply({ action: 'clock', advance: '46d' });
    expect((await world.run(LOGS, {}, LATER)).expired).toMatchObject([{ hours: 24 }]);
  });
});

describe('the next expiry', () => {
  it('is that of the time after the last comparison, if all before it is proven', async () => {
    // The hour that was open is not proven.
    expect(await nextExpiry()).toBe('2026-12-16T00:00:00.0000000Z');
    // A day and a half before the loss begins, and after it has begun.
    expect(await nextExpiry('2026-12-14T12:00:00Z')).toBe('2026-12-16T00:00:00.0000000Z');
    expect(await nextExpiry('2026-12-20T00:00:00Z')).toBe('2026-12-16T00:00:00.0000000Z');
  });

  it('is that of a gap between two loaded ranges, as far as the source still has it', CAMPAIGN, async () => {
    await world.sandbox.apply({ action: 'clock', advance: '10d' });
    for (const day of ['2026-11-01', '2026-11-08']) {
      const from = fromEpochMs(Date.parse(day));
      await world.run({ ...LOGS, from, to: from + DAY });
    }
    expect(await nextExpiry('2026-11-11T00:30:00Z')).toBe('2026-12-17T00:00:00.0000000Z');
    // The source is deleting the gap: the oldest hour that it still has is lost next.
    expect(await nextExpiry('2026-12-20T00:00:00Z')).toBe('2026-12-20T00:00:00.0000000Z');
    // The whole gap is lost, and the time after the last comparison is next.
    expect(await nextExpiry('2026-12-24T00:00:00Z')).toBe('2026-12-24T00:00:00.0000000Z');
  });
});
