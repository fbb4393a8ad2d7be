/** Counts the calls to the source by tenant and status. Keeps no text of a call. */
import type { Runtime } from '../kernel/runtime.ts';

/** Calls by status: `200`, `429` …, or `failed` if no answer came. */
export type CallCounts = Readonly<Record<string, number>>;

export interface Traffic {
  /** Passes calls on and counts them. */
  readonly fetch: typeof globalThis.fetch;
  /** By tenant, since the last `take`. */
  counts(): ReadonlyMap<string, CallCounts>;
  /** Like `counts`, and resets them. */
  take(): ReadonlyMap<string, CallCounts>;
  /** Calls sent in the last minute, by tenant. */
  perMinute(): ReadonlyMap<string, number>;
}

const MINUTE_MS = 60_000;

export function watchTraffic({ fetch, ...clock }: Pick<Runtime, 'fetch' | 'monotonic'>): Traffic {
  let counted = new Map<string, Record<string, number>>();
  const sent = new Map<string, number[]>();
  const count = (tenant: string, status: string): void => {
    const counts = counted.get(tenant) ?? {};
    counted.set(tenant, { ...counts, [status]: (counts[status] ?? 0) + 1 });
  };
  const recent = (tenant: string): number[] => {
    const from = clock.monotonic() - MINUTE_MS;
    const times = (sent.get(tenant) ?? []).filter((at) => at > from);
    sent.set(tenant, times);
    return times;
  };
  return {
    async fetch(input, init) {
      const tenant = tenantOf(input);
      if (tenant === undefined) return fetch(input, init);
      recent(tenant).push(clock.monotonic());
      try {
        const answer = await fetch(input, init);
        count(tenant, String(answer.status));
        return answer;
      } catch (error) {
        count(tenant, 'failed');
        throw error;
      }
    },
    counts: () => counted,
    take() {
      const taken = counted;
      counted = new Map();
      return taken;
    },
    perMinute: () => new Map([...sent.keys()].map((tenant) => [tenant, recent(tenant).length])),
  };
}

function tenantOf(input: Parameters<typeof globalThis.fetch>[0]): string | undefined {
  const url = typeof input === 'string' ? input : input instanceof URL ? input.href : input.url;
  const match = /\/api\/([^/]+)\/insights\/query$/.exec(url);
  return match?.[1] === undefined ? undefined : decodeURIComponent(match[1]);
}
