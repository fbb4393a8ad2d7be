/** A tenant's client, opened for the length of a command. */
import { join } from 'node:path';
import type { Config, TenantConfig } from '../config/config.ts';
import { openBudget } from '../extract/source/budget.ts';
import { createClient } from '../extract/source/client.ts';
import type { Client } from '../extract/source/client.ts';
import { openLimiter } from '../extract/source/limiter.ts';
import type { Runtime } from '../kernel/runtime.ts';
import { callsFile } from '../model/data-dir.ts';

export interface Source extends AsyncDisposable {
  readonly client: Client;
}

/**
 * Quiet hours apply to every command. The budget of calls and minutes applies to a run, which says when it began: `sinceMs`,
 * on the monotonic clock. The limiter records calls in the data directory, so that the limit also holds across runs.
 */
export async function openSource(
  config: Config,
  tenant: TenantConfig,
  runtime: Runtime,
  sinceMs?: number,
): Promise<Source> {
  const { maxMinutes, http } = tenant;
  const isRun = sinceMs !== undefined;
  const budget = openBudget({
    tenant: tenant.id,
    maxCalls: isRun ? tenant.maxCalls : undefined,
    time: isRun && maxMinutes !== undefined ? { maxMinutes, sinceMs } : undefined,
    quiet: tenant.quiet,
    runtime,
  });
  const limiter = await openLimiter({
    callsPerMinute: tenant.callsPerMinute,
    file: join(config.dataDir, callsFile(tenant.id)),
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
