import { SlidingMinute } from '../../../src/extract/source/sliding-minute.ts';
import type { Limiter } from '../../../src/extract/source/limiter.ts';

/** A limiter that never delays a call, for tests of what is sent and not of when. */
export function unlimited(): Limiter {
  const minute = new SlidingMinute(0);
  return {
    acquire: async (signal) => {
      signal?.throwIfAborted();
      return () => {};
    },
    throttle: (afterMs) => minute.throttle(0, afterMs),
    waitedMs: 0,
    close: async () => {},
  };
}
