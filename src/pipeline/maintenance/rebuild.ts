/** `rebuild`: rewrites files of the lake under today's rules, from the rows that they hold and without a call to the source. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { Config } from '../../config/config.ts';
import { onDisk, systemFiles } from '../../kernel/files.ts';
import type { Files } from '../../kernel/files.ts';
import { publish } from '../../load/publish/publish.ts';
import { forgetTexts, rebuild, rebuildDue } from '../../load/maintenance/rebuild.ts';
import { recover } from '../../load/maintenance/recover.ts';
import { rewriteLedger } from '../../load/ledger/rewrite-ledger.ts';
import type { Runtime } from '../../kernel/runtime.ts';
import { KEPT_FOLDER } from '../../model/data-dir.ts';
import { TABLE_NAMES } from '../../model/tables.ts';
import { openExisting } from './existing.ts';
import type { RebuildReport } from '../../model/report.ts';
import { createPublishPace } from '../publish-pace.ts';
import type { RunRequest } from '../request.ts';

type Selection = Pick<RunRequest, 'tenants' | 'tables' | 'from' | 'to'>;

interface Circumstances {
  readonly dryRun: boolean;
  readonly runtime: Runtime;
  readonly signal: AbortSignal;
}

/**
 * Rewrites every selected file that has other promoted columns or privacy rules than today's, and publishes. `dryRun` only
 * counts them. Throws what `openLedger` throws, DamagedError for a file that differs from the ledger, StoppedError.
 */
export async function rebuildLake(
  config: Config,
  request: Selection,
  { dryRun, runtime, signal }: Circumstances,
): Promise<RebuildReport> {
  const startedMs = runtime.monotonic();
  const done = await rebuildOpened(config, request, { dryRun, runtime, signal });
  // Deleted texts are still in free blocks of the ledger's file.
  const files = runtime.files ?? systemFiles;
  if (done.forgotten > 0) await onDisk(config.dataDir, () => rewriteLedger(config.dataDir, files));
  return { dryRun, ...done, seconds: dryRun ? 0 : (runtime.monotonic() - startedMs) / 1000, exitCode: 0 };
}

async function rebuildOpened(
  config: Config,
  request: Selection,
  { dryRun, runtime, signal }: Circumstances,
): Promise<Pick<RebuildReport, 'tables' | 'forgotten' | 'published'>> {
  await using ledger = await openExisting(config, runtime);
  if (dryRun) return { tables: await rebuildDue(ledger, request), forgotten: 0, published: false };
  await recover(ledger);
  const run = 'rebuild';
  const pace = createPublishPace(runtime);
  let published = false;
  const publishNow = async (head: boolean): Promise<void> => {
    const { changed } = await pace.timed(() => publish(ledger, { run, head }));
    published ||= changed;
  };
  const forgotten = await forgetTexts(ledger, request);
  await removeKept(config, request, ledger.files);
  let tables: RebuildReport['tables'];
  try {
    tables = await rebuild(ledger, {
      ...request,
      run,
      signal,
      onPartition: async () => {
        if (pace.waitMs() <= 0) await publishNow(false);
      },
    });
  } finally {
    // Files that are done are published even when the others failed.
    await publishNow(true);
  }
  for (const { tenant, table, files, rows } of tables)
    runtime.log.info({ event: 'rebuild.end', tenant, table, files, rows }, 'files rewritten');
  return { tables, forgotten, published };
}

/** Deletes the kept pages of tables with privacy rules: they were kept before there were rules. */
async function removeKept(
  { dataDir, lakeTables }: Config,
  { tenants, tables = TABLE_NAMES }: Selection,
  files: Files,
): Promise<void> {
  const kept = join(dataDir, KEPT_FOLDER);
  if (!existsSync(kept)) return;
  for (const tenant of tenants ?? (await files.readdir(kept)))
    for (const table of tables)
      if (lakeTables[table].privacy.length > 0)
        await files.rm(join(kept, tenant, table), { recursive: true, force: true });
}
