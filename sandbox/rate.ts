/**
 * The documented limit: a number of calls in any sliding minute, counted per tenant. A rejected call does not count, as in
 * gateways that limit accepted calls; otherwise a client that retries at once would never recover.
 */
export interface RateLimit {
  /** Admits a call (undefined), or returns the milliseconds until the next one will be admitted. */
  admit(tenant: string): number | undefined;
}

const WINDOW_MS = 60_000;

/** `callsPerMinute` 0 means no limit. `nowMs` must be a monotonic clock. */
export function createRateLimit(callsPerMinute: number, nowMs: () => number): RateLimit {
  const admitted = new Map<string, number[]>();
  return {
    admit(tenant) {
      if (callsPerMinute === 0) return undefined;
      const now = nowMs();
      const recent = (admitted.get(tenant) ?? []).filter((at) => at > now - WINDOW_MS);
      admitted.set(tenant, recent);
      const oldest = recent[0];
      if (oldest !== undefined && recent.length >= callsPerMinute) return oldest + WINDOW_MS - now;
      recent.push(now);
      return undefined;
    },
  };
}
