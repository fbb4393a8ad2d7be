/** `rebuild`: the lake's files under today's rules, from the rows that they hold; asks the source nothing. */
import type { Config } from '../config.ts';
import { openLedger } from '../load/ledger.ts';
import { publish } from '../load/publish.ts';
import { rebuild, rebuildDue } from '../load/rebuild.ts';
import { recover } from '../load/recover.ts';
import type { Runtime } from '../runtime.ts';
import { lakeSettings } from './each-table.ts';
import type { RebuildReport } from './report.ts';
import type { RunRequest } from './table-work.ts';

/** More often would only rewrite the catalogue. */
const PUBLISH_EVERY_MS = 30_000;

/**
 * Writes every selected file that was written under other rules anew, and publishes. `dryRun` only says what is due.
 * Throws what opening a ledger throws, DamagedError for a file that is not what the ledger says, StoppedError.
 */
export async function rebuildLake(
  config: Config,
  request: Pick<RunRequest, 'tenants' | 'tables' | 'from' | 'to'>,
  { dryRun, runtime, signal }: { readonly dryRun: boolean; readonly runtime: Runtime; readonly signal: AbortSignal },
): Promise<RebuildReport> {
  const startedMs = runtime.monotonic();
  await using ledger = await openLedger(config.dataDir, lakeSettings(config), runtime);
  if (dryRun) return { dryRun, tables: await rebuildDue(ledger, request), published: false, seconds: 0, exitCode: 0 };
  await recover(ledger);
  const run = 'rebuild';
  let lastMs = runtime.monotonic();
  let some = false;
  const publishNow = async (head: boolean): Promise<void> => {
    some = (await publish(ledger, { run, head })).changed || some;
    lastMs = runtime.monotonic();
  };
  let tables: RebuildReport['tables'];
  try {
    tables = await rebuild(ledger, {
      ...request,
      run,
      signal,
      onPartition: async () => {
        if (runtime.monotonic() - lastMs >= PUBLISH_EVERY_MS) await publishNow(false);
      },
    });
  } finally {
    // What is done is right by itself: readers get it also when the rest could not be done.
    await publishNow(true);
  }
  for (const { tenant, table, files, rows } of tables)
    runtime.log.info({ event: 'rebuild.end', tenant, table, files, rows }, 'files written anew');
  return { dryRun, tables, published: some, seconds: (runtime.monotonic() - startedMs) / 1000, exitCode: 0 };
}
