/** `quarantine` and `tenant pin`: decisions of the operator about rows that could not be loaded. No call is sent. */
import type { Config } from '../../config/config.ts';
import { openLake } from '../open-lake.ts';
import { pinTenantId } from '../../load/merge/pin.ts';
import { publish } from '../../load/publish/publish.ts';
import { countQuarantine, dropQuarantined, quarantinedRows } from '../../load/merge/quarantine.ts';
import { replayQuarantined } from '../../load/merge/replay.ts';
import type { QuarantineFilter } from '../../load/merge/quarantine.ts';
import type { DropCount, QuarantineCount, QuarantinedRow, ReplayCount } from '../../model/report.ts';
import { recover } from '../../load/maintenance/recover.ts';
import type { Runtime } from '../../kernel/runtime.ts';
import { lakeSettings } from '../lake-settings.ts';
import { openExisting } from './existing.ts';

export type { DropCount, QuarantineCount, QuarantineFilter, QuarantinedRow, ReplayCount };

export interface ReplayReport {
  readonly tables: readonly ReplayCount[];
  /** A new snapshot was published. */
  readonly published: boolean;
}

export interface PinReport extends ReplayReport {
  readonly tenant: string;
  /** The tenant id that rows must carry from now on. */
  readonly pinned: string;
  /** Rows that carried another id and were moved from the lake into quarantine. */
  readonly expelled: number;
}

/** Counts by tenant, table, day and reason. Throws ConfigError when nothing was ever loaded, and what `openLedger` throws. */
export async function listQuarantine(
  config: Config,
  filter: QuarantineFilter,
  runtime: Runtime,
): Promise<QuarantineCount[]> {
  await using ledger = await openExisting(config, runtime);
  return countQuarantine(ledger, filter);
}

/** Rows with their text, for the operator. Throws what `listQuarantine` throws. */
export async function showQuarantine(
  config: Config,
  filter: QuarantineFilter,
  limit: number,
  runtime: Runtime,
): Promise<QuarantinedRow[]> {
  await using ledger = await openExisting(config, runtime);
  return quarantinedRows(ledger, filter, limit);
}

/** Checks rows again, loads those that now pass, and publishes. Throws what `listQuarantine` throws. */
export async function replayQuarantine(
  config: Config,
  filter: QuarantineFilter,
  runtime: Runtime,
): Promise<ReplayReport> {
  await using ledger = await openExisting(config, runtime);
  await recover(ledger);
  const run = runId('replay', runtime);
  const tables = await replayQuarantined(ledger, filter, run);
  return { tables, published: (await publish(ledger, { run, head: true })).changed };
}

/** Drops rows from quarantine and publishes the new accounts. Throws what `listQuarantine` throws. */
export async function dropQuarantine(config: Config, filter: QuarantineFilter, runtime: Runtime): Promise<DropCount[]> {
  await using ledger = await openExisting(config, runtime);
  await recover(ledger);
  const dropped = await dropQuarantined(ledger, filter);
  await publish(ledger, { run: runId('drop', runtime), head: true });
  return dropped;
}

/**
 * Sets the tenant id that a tenant's rows must carry. Rows of the lake with another id move into quarantine, quarantined rows
 * with this id into the lake. Possible before the first load too. If it was cut off, the same command completes it. Throws what
 * `openLedger` throws.
 */
export async function pinTenant(config: Config, tenant: string, id: string, runtime: Runtime): Promise<PinReport> {
  await using ledger = await openLake(config, lakeSettings(config), runtime);
  await recover(ledger);
  const run = runId('pin', runtime);
  const expelled = await pinTenantId(ledger, tenant, id, run);
  const tables = await replayQuarantined(ledger, { tenants: [tenant], reasons: ['foreign_tenant'] }, run);
  const moved = expelled > 0 || tables.length > 0;
  const published = moved && (await publish(ledger, { run, head: true })).changed;
  return { tenant, pinned: id, expelled, tables, published };
}

/** Unique for each call: batches get their ids from it. */
function runId(what: string, runtime: Runtime): string {
  return `${what}-${new Date(runtime.now()).toISOString().replaceAll(/[-:.]/g, '')}`;
}
