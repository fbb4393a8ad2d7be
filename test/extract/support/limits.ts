import { SlidingMinute } from '../../../src/extract/source/sliding-minute.ts';
import type { ClientSettings } from '../../../src/extract/source/client.ts';
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
    close: async () => {},
  };
}

/** The settings that the configuration has by default, without a grace period. */
export const CLIENT_SETTINGS: ClientSettings = {
  timeoutMs: 300_000,
  stallMs: 60_000,
  attempts: 8,
  totalMs: 1_800_000,
  maxBodyBytes: 1_000_000_000,
  graceMs: 0,
};
