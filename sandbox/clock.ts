import { fromEpochMs, type Instant } from './instant.ts';

/**
 * The sandbox's own time. It starts at a given instant (or at the machine's time) and runs on from there, so that every
 * run with the same `--now` sees the same data, the same `ago()` and the same retention edge.
 * The rate limit uses real time instead, because a client really waits for that minute.
 */
export interface SandboxClock {
  now(): Instant;
  /** Moves the clock by ticks of 100 ns, forwards or backwards. */
  advance(ticks: bigint): void;
  set(instant: Instant): void;
}

/** `frozen`: time moves only by `advance` and `set`. `realNowMs`: reads the machine's time in milliseconds. */
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
