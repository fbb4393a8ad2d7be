import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { openLimiter } from '../../../src/extract/source/limiter.ts';
import type { Limiter } from '../../../src/extract/source/limiter.ts';
import { SlidingMinute } from '../../../src/extract/source/sliding-minute.ts';
import { fakeClock, settle } from '../support/clock.ts';
import type { FakeClock } from '../support/clock.ts';
import { scratchFolders } from '../support/scratch.ts';

const scratch = scratchFolders();

async function open(clock: FakeClock, folder: string, callsPerMinute: number): Promise<Limiter> {
  return openLimiter({ callsPerMinute, file: join(folder, 'calls', 'demo.log'), runtime: clock });
}

/** The largest number of instants in any closed minute. */
function fullestMinute(instants: readonly number[]): number {
  const sorted = [...instants].sort((a, b) => a - b);
  return Math.max(0, ...sorted.map((from, k) => sorted.slice(k).filter((at) => at <= from + 60_000).length));
}

describe('invariant 4: no sliding minute at the server holds more calls than the limit', () => {
  test('no matter when the server counts a call between its start and end, and with any latency', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 12 }),
        fc.array(
          fc.record({
            latency: fc.integer({ min: 0, max: 200_000 }),
            arrival: fc.double({ min: 0, max: 1, noNaN: true }),
            idle: fc.integer({ min: 0, max: 9000 }),
          }),
          { maxLength: 60 },
        ),
        (limit, calls) => {
          const minute = new SlidingMinute(limit);
          const arrivals: number[] = [];
          let inFlight: { readonly call: object; readonly endMs: number }[] = [];
          let nowMs = 0;
          for (const { latency, arrival, idle } of calls) {
            nowMs += idle;
            for (;;) {
              const done = inFlight.filter(({ endMs }) => endMs <= nowMs);
              for (const { call, endMs } of done) minute.end(call, endMs);
              inFlight = inFlight.filter(({ endMs }) => endMs > nowMs);
              const wait = minute.waitMs(nowMs);
              if (wait <= 0) break;
              nowMs = Math.min(nowMs + wait, ...inFlight.map(({ endMs }) => endMs));
            }
            inFlight.push({ call: minute.start(), endMs: nowMs + latency });
            arrivals.push(nowMs + latency * arrival);
          }
          expect(fullestMinute(arrivals)).toBeLessThanOrEqual(limit);
        },
      ),
      { seed: 4, numRuns: 300 },
    );
  });

  test('calls that are answered at once are sent at the full rate', async () => {
    const clock = fakeClock();
    const limiter = await open(clock, await scratch(), 10);
    const starts: number[] = [];
    const all = Promise.all(
      Array.from({ length: 25 }, async () => {
        const release = await limiter.acquire();
        starts.push(clock.monotonic());
        release();
      }),
    );
    await clock.advance(200_000);
    await all;
    expect(starts.filter((at) => at === 0)).toHaveLength(10);
    expect(starts.filter((at) => at <= 60_100)).toHaveLength(20);
    expect(fullestMinute(starts)).toBe(10);
    expect(clock.sleeps.length).toBeGreaterThan(0);
    await limiter.close();
  });

  test('also across consecutive runs, one of them killed with a call in flight', async () => {
    const clock = fakeClock();
    const folder = await scratch();
    const first = await open(clock, folder, 3);
    (await first.acquire())();
    await first.acquire();
    // Not closed, because the process was killed.
    await settle();
    await clock.advance(10_000);
    const second = await open(clock, folder, 3);
    (await second.acquire())();
    const waiting = second.acquire();
    await clock.advance(50_000);
    expect(clock.sleeps.at(-1)).toBe(50_100);
    await clock.advance(200);
    (await waiting)();
    // The open call of the killed run counts as ending when the second run started, ten seconds after the first.
    const next = second.acquire();
    await settle();
    expect(clock.sleeps.at(-1)).toBeCloseTo(9900, -2);
    await clock.advance(10_000);
    (await next)();
    await second.close();
    await first.close();
  });

  test('a clock that is set back between two runs makes the second run wait, not exceed the limit', async () => {
    const clock = fakeClock();
    const folder = await scratch();
    const first = await open(clock, folder, 1);
    (await first.acquire())();
    await first.close();
    clock.setWall(clock.now() - 3_600_000);
    const second = await open(clock, folder, 1);
    const waiting = second.acquire();
    await settle();
    expect(clock.sleeps.at(-1)).toBe(60_100);
    await clock.advance(60_100);
    (await waiting)();
    await second.close();
  });

  test('old calls are dropped from the file', async () => {
    const clock = fakeClock();
    const folder = await scratch();
    for (let run = 0; run < 3; run++) {
      const limiter = await open(clock, folder, 60);
      for (let k = 0; k < 20; k++) (await limiter.acquire())();
      await limiter.close();
      await clock.advance(600_000);
    }
    expect((await readFile(join(folder, 'calls', 'demo.log'), 'utf8')).split('\n')).toHaveLength(41);
  });
});

describe('every wait can be aborted', () => {
  test('the caller that sleeps and the callers behind it; the next one is served', async () => {
    const clock = fakeClock();
    const limiter = await open(clock, await scratch(), 1);
    (await limiter.acquire())();
    const stop = new AbortController();
    const sleeping = limiter.acquire(stop.signal);
    const queued = limiter.acquire(stop.signal);
    const patient = limiter.acquire();
    await settle();
    stop.abort(new Error('stop'));
    await expect(sleeping).rejects.toThrow('stop');
    await expect(queued).rejects.toThrow('stop');
    await clock.advance(60_100);
    (await patient)();
    await limiter.close();
  });

  test('a caller that waits for calls in flight, whose end is unknown', async () => {
    const clock = fakeClock();
    const limiter = await open(clock, await scratch(), 1);
    const release = await limiter.acquire();
    const stop = new AbortController();
    const waiting = limiter.acquire(stop.signal);
    await settle();
    stop.abort(new Error('stop'));
    await expect(waiting).rejects.toThrow('stop');
    release();
    await limiter.close();
  });
});

describe('a 429', () => {
  test('sends nothing before the wait is over, then a tenth fewer calls, and recovers slowly', () => {
    const minute = new SlidingMinute(60);
    minute.throttle(0, 5000);
    expect(minute.waitMs(0)).toBe(5000);
    // Other calls in flight that get a 429 at the same time do not lower the limit again.
    minute.throttle(100, 7000);
    expect(minute.waitMs(100)).toBe(7000);
    expect(minute.limitAt(7100)).toBe(54);
    expect(minute.limitAt(60_000)).toBe(56);
    expect(minute.limitAt(600_000)).toBe(60);
  });

  test('never lowers it below a quarter of the limit, nor to zero', () => {
    const minute = new SlidingMinute(8);
    for (let k = 0; k < 50; k++) minute.throttle(k * 10, 1);
    expect(minute.limitAt(500)).toBe(2);
    const one = new SlidingMinute(1);
    one.throttle(0, 1);
    expect(one.limitAt(1)).toBe(1);
  });

  test('pauses calls even without a limit', () => {
    const minute = new SlidingMinute(0);
    expect(minute.waitMs(0)).toBe(0);
    minute.throttle(0, 300);
    expect(minute.waitMs(100)).toBe(200);
  });
});
