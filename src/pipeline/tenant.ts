/** One tenant's way to the source, opened for the length of a command. */
import { join } from 'node:path';
import type { Config, TenantConfig } from '../config/config.ts';
import { openBudget } from '../extract/source/budget.ts';
import { createClient } from '../extract/source/client.ts';
import type { Client } from '../extract/source/client.ts';
import { openLimiter } from '../extract/source/limiter.ts';
import type { Runtime } from '../kernel/runtime.ts';

export interface Source extends AsyncDisposable {
  readonly client: Client;
}

/**
 * Quiet hours bind every command; calls and minutes only a run, which says when it began (`sinceMs`, the monotonic clock).
 * The limiter's record of calls lives in the data directory, so that runs that follow each other share the minute.
 */
export async function openSource(
  config: Config,
  tenant: TenantConfig,
  runtime: Runtime,
  sinceMs?: number,
): Promise<Source> {
  const { maxMinutes, http } = tenant;
  const bounded = sinceMs !== undefined;
  const budget = openBudget({
    tenant: tenant.id,
    maxCalls: bounded ? tenant.maxCalls : undefined,
    time: bounded && maxMinutes !== undefined ? { maxMinutes, sinceMs } : undefined,
    quiet: tenant.quiet,
    runtime,
  });
  const limiter = await openLimiter({
    callsPerMinute: tenant.callsPerMinute,
    file: join(config.dataDir, 'calls', `${tenant.id}.log`),
    runtime,
  });
  const client = createClient({
    tenant: tenant.id,
    baseUrl: tenant.baseUrl ?? config.baseUrl,
    credential: tenant.credential,
    limiter,
    budget,
    settings: {
      timeoutMs: http.timeoutSeconds * 1000,
      stallMs: http.stallSeconds * 1000,
      attempts: http.attempts,
      totalMs: http.totalMinutes * 60_000,
      maxBodyBytes: http.maxBodyBytes,
      graceMs: http.graceSeconds * 1000,
    },
    runtime,
  });
  return { client, [Symbol.asyncDispose]: () => limiter.close() };
}
