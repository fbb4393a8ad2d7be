import { fromEpochMs, type Instant } from './instant.ts';

/**
 * The sandbox's own time. It starts at a given instant (or at the machine's time) and runs on from there, so that a
 * run with `--now` sees the same data, the same `ago()` and the same retention edge whenever it is repeated.
 * The rate limit does not use it: a limit is about the real minute a client waits.
 */
export interface SandboxClock {
  now(): Instant;
  /** Moves the clock by ticks of 100 ns, also backwards. */
  advance(ticks: bigint): void;
  set(instant: Instant): void;
}

/** `frozen` stops it between `advance` and `set`; `realNowMs` is where it reads the machine's time (milliseconds). */
export function createClock(options: { start?: Instant; frozen?: boolean; realNowMs?: () => number }): SandboxClock {
  const realNowMs = options.realNowMs ?? Date.now;
  const real = (): Instant => (options.frozen ? 0n : fromEpochMs(realNowMs()));
  const start = options.start ?? fromEpochMs(realNowMs());
  let offset = start - real();
  return {
    now: () => real() + offset,
    advance(ticks) {
      offset += ticks;
    },
    set(instant) {
      offset = instant - real();
    },
  };
}
