/** How often a long job publishes before its end. */
import type { Runtime } from '../kernel/runtime.ts';

/** A load of less than a minute publishes once. */
const AT_MOST_EVERY_MS = 60_000;

/** Publishing may take a tenth of the time: with hundreds of types it takes seconds, and the load waits for it. */
const LEAST_SHARE_OF_WORK = 9;

interface PublishPace {
  /** Milliseconds until the next publish is due; not positive when it is. */
  readonly waitMs: () => number;
  /** Runs a publish and measures it. */
  readonly timed: <T>(publish: () => Promise<T>) => Promise<T>;
}

/** The pace of one job, which begins with this call. */
export function createPublishPace({ monotonic }: Pick<Runtime, 'monotonic'>): PublishPace {
  let endedMs = monotonic();
  let pauseMs: number = AT_MOST_EVERY_MS;
  return {
    waitMs: () => pauseMs - (monotonic() - endedMs),
    timed: async (publish) => {
      const startedMs = monotonic();
      try {
        return await publish();
      } finally {
        endedMs = monotonic();
        pauseMs = Math.max(AT_MOST_EVERY_MS, LEAST_SHARE_OF_WORK * (endedMs - startedMs));
      }
    },
  };
}
