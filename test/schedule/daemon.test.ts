import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { pino } from 'pino';
import { z } from 'zod';
import type { Due, Planned } from '../../src/schedule/agenda.ts';
import { runDaemon } from '../../src/schedule/daemon.ts';
import { ConfigError, EXIT, LockedError, SourceError } from '../../src/kernel/errors.ts';
import type { Runtime } from '../../src/kernel/runtime.ts';
import { Collector, openStage, type Stage } from '../support/shell.ts';

const SCHEDULE = { cron: '0 3 * * *', timeZone: 'UTC' };
const EVENTS: Planned = { tenant: 'demo', table: 'Events', schedule: SCHEDULE };
const ALL = [EVENTS];
const HOUR_MS = 3_600_000;

let stage: Stage;
beforeEach(async () => {
  stage = await openStage();
});
afterEach(() => stage[Symbol.asyncDispose]());

/** A clock that jumps to the end of each sleep and records the sleeps. */
function clock(start: string, log = new Collector()) {
  let now = Date.parse(start);
  const sleeps: number[] = [];
  const runtime: Runtime = {
    now: () => now,
    monotonic: () => now,
    sleep: async (ms, signal) => {
      signal?.throwIfAborted();
      sleeps.push(ms);
      now += ms;
    },
    random: () => 0.5,
    fetch: globalThis.fetch,
    log: pino({ base: null }, log),
  };
  return { runtime, sleeps, iso: () => new Date(now).toISOString(), pass: (ms: number) => (now += ms) };
}

/** The last completed slot of each table, as recorded on disk. */
async function recorded(): Promise<unknown> {
  const text = await readFile(join(stage.folder, 'schedule.json'), 'utf8');
  return z.object({ slots: z.record(z.string(), z.string()) }).parse(JSON.parse(text)).slots;
}

describe('the schedule loop', () => {
  it('runs at each slot, one run at a time, and not when it first starts', async () => {
    const { runtime, iso, pass } = clock('2026-03-01T12:00:00Z');
    const stop = new AbortController();
    const runs: string[] = [];
    let running = 0;
    const run = async (): Promise<number> => {
      expect(++running).toBe(1);
      runs.push(iso());
      // The second run takes longer than a day: the slot that comes in the meantime starts no second run.
      pass(runs.length === 2 ? 30 * HOUR_MS : 1000);
      if (runs.length === 4) stop.abort();
      running--;
      return EXIT.ok;
    };
    await runDaemon({ planned: ALL, jitterMs: 0, dataDir: stage.folder, once: false, run }, runtime, stop.signal);
    expect(runs).toEqual([
      '2026-03-02T03:00:00.000Z',
      '2026-03-03T03:00:00.000Z',
      '2026-03-04T09:00:00.000Z',
      '2026-03-05T03:00:00.000Z',
    ]);
  });

  it('reads the clock at least every hour, so that no timer overflows', async () => {
    const { runtime, sleeps } = clock('2026-03-01T12:00:00Z');
    const stop = new AbortController();
    const run = async (): Promise<number> => {
      stop.abort();
      return EXIT.ok;
    };
    const yearly = { cron: '0 0 1 1 *', timeZone: 'UTC' };
    await runDaemon(
      { planned: [{ ...EVENTS, schedule: yearly }], jitterMs: 0, dataDir: stage.folder, once: false, run },
      runtime,
      stop.signal,
    );
    expect(Math.max(...sleeps)).toBe(HOUR_MS);
  });

  it('catches up with one run on the slots missed while it was down', async () => {
    await stage.write('schedule.json', '{"lastSlot":"2026-03-01T03:00:00.000Z"}');
    const { runtime, iso } = clock('2026-03-04T12:00:00Z');
    const stop = new AbortController();
    const runs: string[] = [];
    const run = async (): Promise<number> => {
      runs.push(iso());
      if (runs.length === 2) stop.abort();
      return EXIT.ok;
    };
    await runDaemon({ planned: ALL, jitterMs: 0, dataDir: stage.folder, once: false, run }, runtime, stop.signal);
    expect(runs).toEqual(['2026-03-04T12:00:00.000Z', '2026-03-05T03:00:00.000Z']);
  });

  it('logs a failed run without its stack, and tries again at the next slot', async () => {
    const log = new Collector();
    const { runtime } = clock('2026-03-01T12:00:00Z', log);
    const stop = new AbortController();
    let runs = 0;
    const run = async (): Promise<number> => {
      if (++runs === 1) throw new SourceError('The service does not answer.', { hint: 'Look at its status page.' });
      stop.abort();
      return EXIT.ok;
    };
    await runDaemon({ planned: ALL, jitterMs: 0, dataDir: stage.folder, once: false, run }, runtime, stop.signal);
    expect(runs).toBe(2);
    const lines = log.text
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as unknown);
    expect(lines).toContainEqual(
      expect.objectContaining({
        level: 50,
        failure: 'source',
        hint: 'Look at its status page.',
        msg: 'The service does not answer.',
      }),
    );
    expect(lines).toContainEqual(expect.objectContaining({ msg: 'run ended', exitCode: EXIT.source }));
  });

  it('a stop while it waits ends it at once with 0', async () => {
    const { runtime } = clock('2026-03-01T12:00:00Z');
    const stop = new AbortController();
    stop.abort();
    const run = async (): Promise<number> => EXIT.unexpected;
    expect(
      await runDaemon({ planned: ALL, jitterMs: 0, dataDir: stage.folder, once: false, run }, runtime, stop.signal),
    ).toBe(EXIT.ok);
  });

  it('a stopped run leaves its slot due and gives the exit code', async () => {
    const { runtime } = clock('2026-03-01T12:00:00Z');
    const stop = new AbortController();
    const run = async (): Promise<number> => {
      stop.abort();
      return EXIT.stopped;
    };
    const code = await runDaemon(
      { planned: ALL, jitterMs: 0, dataDir: stage.folder, once: false, run },
      runtime,
      stop.signal,
    );
    expect(code).toBe(EXIT.stopped);
    expect(await recorded()).toEqual({ 'demo Events': '2026-03-01T12:00:00.000Z' });
  });
});

describe('clocks and other processes', () => {
  const once = (runtime: Runtime, run: () => Promise<number>, signal = new AbortController().signal): Promise<number> =>
    runDaemon({ planned: ALL, jitterMs: 0, dataDir: stage.folder, once: true, run }, runtime, signal);

  it('a slot recorded under a clock that was years ahead does not stop the schedule for years', async () => {
    await stage.write('schedule.json', '{"slots":{"demo Events":"2031-03-01T03:00:00.000Z"}}');
    const { runtime, iso } = clock('2026-03-01T12:00:00Z');
    const stop = new AbortController();
    let ran = '';
    const run = async (): Promise<number> => {
      ran = iso();
      stop.abort();
      return EXIT.ok;
    };
    await runDaemon({ planned: ALL, jitterMs: 0, dataDir: stage.folder, once: false, run }, runtime, stop.signal);
    expect(ran).toBe('2026-03-02T03:00:00.000Z');
  });

  it('while another process holds the directory, the slot stays due and is retried every minute', async () => {
    const { runtime, iso } = clock('2026-03-01T12:00:00Z');
    const stop = new AbortController();
    const runs: string[] = [];
    const run = async (): Promise<number> => {
      runs.push(iso());
      if (runs.length < 3) throw new LockedError('Held by process 7.');
      stop.abort();
      return EXIT.ok;
    };
    await runDaemon({ planned: ALL, jitterMs: 0, dataDir: stage.folder, once: false, run }, runtime, stop.signal);
    expect(runs).toEqual(['2026-03-02T03:00:00.000Z', '2026-03-02T03:01:00.000Z', '2026-03-02T03:02:00.000Z']);
  });

  it('--once on a locked directory throws the error of the run, and the next call runs the slot', async () => {
    const { runtime } = clock('2026-03-01T12:00:00Z');
    const locked = async (): Promise<number> => Promise.reject(new LockedError('Held by process 7.'));
    await expect(once(runtime, locked)).rejects.toThrow('Held by process 7.');
    expect(await once(runtime, async () => EXIT.partial)).toBe(EXIT.partial);
    expect(await once(runtime, async () => EXIT.unexpected)).toBe(EXIT.ok);
  });

  it('tables with their own schedules run separately, and together when their slots coincide', async () => {
    const { runtime, iso } = clock('2026-03-01T12:00:00Z');
    const stop = new AbortController();
    const planned: Planned[] = [
      EVENTS,
      { tenant: 'demo', table: 'Logs', schedule: { cron: '0 3,15 * * *', timeZone: 'UTC' } },
    ];
    const runs: string[] = [];
    const run = async (due: readonly Due[]): Promise<number> => {
      runs.push(`${iso().slice(5, 16)} ${due.map(({ table }) => table).join('+')}`);
      if (runs.length === 3) stop.abort();
      return EXIT.ok;
    };
    await runDaemon({ planned, jitterMs: 0, dataDir: stage.folder, once: false, run }, runtime, stop.signal);
    expect(runs).toEqual(['03-01T15:00 Logs', '03-02T03:00 Events+Logs', '03-02T15:00 Logs']);
  });

  it('a record of an earlier version, with one slot for all tables, is still used', async () => {
    await stage.write('schedule.json', '{"lastSlot":"2026-03-01T03:00:00.000Z"}');
    const { runtime } = clock('2026-03-01T12:00:00Z');
    expect(await once(runtime, async () => EXIT.unexpected)).toBe(EXIT.ok);
  });
});

describe('--once', () => {
  it('runs what is due, records it, and a second call finds nothing due', async () => {
    const { runtime } = clock('2026-03-01T12:00:00Z');
    let runs = 0;
    const run = async (): Promise<number> => {
      runs++;
      return EXIT.partial;
    };
    const daemon = { planned: ALL, jitterMs: 0, dataDir: stage.folder, once: true, run };
    const { signal } = new AbortController();
    expect(await runDaemon(daemon, runtime, signal)).toBe(EXIT.partial);
    expect(await runDaemon(daemon, runtime, signal)).toBe(EXIT.ok);
    expect(runs).toBe(1);
    expect(await recorded()).toEqual({ 'demo Events': '2026-03-01T03:00:00.000Z' });
  });

  it('throws what the run threw, and its slot is done', async () => {
    const { runtime } = clock('2026-03-01T12:00:00Z');
    const refused = new ConfigError('refused');
    const run = (): Promise<number> => Promise.reject(refused);
    const daemon = { planned: ALL, jitterMs: 0, dataDir: stage.folder, once: true, run };
    const { signal } = new AbortController();
    await expect(runDaemon(daemon, runtime, signal)).rejects.toBe(refused);
    expect(await runDaemon(daemon, runtime, signal)).toBe(EXIT.ok);
  });

  it('an unreadable record costs one extra run and no more', async () => {
    await stage.write('schedule.json', 'garbage');
    const { runtime } = clock('2026-03-01T12:00:00Z');
    let runs = 0;
    const run = async (): Promise<number> => {
      runs++;
      return EXIT.ok;
    };
    const daemon = { planned: ALL, jitterMs: 0, dataDir: stage.folder, once: true, run };
    await runDaemon(daemon, runtime, new AbortController().signal);
    await runDaemon(daemon, runtime, new AbortController().signal);
    expect(runs).toBe(1);
  });
});
