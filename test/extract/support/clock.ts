import { openNetwork } from '../../../src/kernel/network.ts';
import { pino } from 'pino';
import type { Runtime } from '../../../src/kernel/runtime.ts';

export interface FakeClock extends Runtime {
  /** Moves time on and wakes sleepers in order. Lets the work of each finish before the next one wakes. */
  advance(ms: number): Promise<void>;
  /** Sets only the wall clock. */
  setWall(ms: number): void;
  /** The lengths of all sleeps so far. */
  readonly sleeps: readonly number[];
}

/** A runtime whose time moves only by `advance`; `fetch` is the real one. */
export function fakeClock(startMs = 1_900_000_000_000): FakeClock {
  let mono = 0;
  let wall = startMs;
  const sleeps: number[] = [];
  let sleepers: { readonly at: number; wake(): void }[] = [];
  return {
    sleeps,
    now: () => wall,
    monotonic: () => mono,
    random: () => 0.5,
    fetch: openNetwork({}).fetch,
    log: pino({ level: 'silent' }),
    setWall(ms) {
      wall = ms;
    },
    sleep(ms, signal) {
      sleeps.push(ms);
      return new Promise((resolve, reject) => {
        signal?.addEventListener(
          'abort',
          () => reject(signal.reason instanceof Error ? signal.reason : new Error('aborted')),
          { once: true },
        );
        if (ms <= 0) resolve();
        else sleepers.push({ at: mono + ms, wake: resolve });
      });
    },
    async advance(ms) {
      const until = mono + ms;
      for (;;) {
        await settle();
        const next = sleepers.filter((sleeper) => sleeper.at <= until).sort((a, b) => a.at - b.at)[0];
        if (!next) break;
        sleepers = sleepers.filter((sleeper) => sleeper !== next);
        wall += next.at - mono;
        mono = next.at;
        next.wake();
      }
      wall += until - mono;
      mono = until;
      await settle();
    },
  };
}

/** A runtime whose sleeps end at once and move its time on by their length. */
export function hastyClock(): Runtime & { readonly sleeps: readonly number[] } {
  let slept = 0;
  const sleeps: number[] = [];
  return {
    sleeps,
    now: () => Date.now() + slept,
    monotonic: () => performance.now() + slept,
    random: () => 0.5,
    fetch: openNetwork({}).fetch,
    log: pino({ level: 'silent' }),
    async sleep(ms, signal) {
      signal?.throwIfAborted();
      sleeps.push(ms);
      slept += ms;
    },
  };
}

/** Waits until pending file operations and promises are done, even on a busy machine. */
export async function settle(): Promise<void> {
  for (let quiet = 0; quiet < 4;) {
    await new Promise((resolve) => setImmediate(resolve));
    const writing = process.getActiveResourcesInfo().some((resource) => resource.startsWith('FSReq'));
    quiet = writing ? 0 : quiet + 1;
  }
}
