/** `quarantine` and `tenant pin`: what a person decides about rows that could not be loaded. The source is asked nothing. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { Config } from '../../config/config.ts';
import { ConfigError } from '../../kernel/errors.ts';
import { LEDGER_FILE } from '../../model/data-dir.ts';
import { openLedger } from '../../load/ledger/ledger.ts';
import type { Ledger } from '../../load/ledger/ledger.ts';
import { pinTenantId } from '../../load/merge/pin.ts';
import { publish } from '../../load/publish/publish.ts';
import { countQuarantine, dropQuarantined, quarantinedRows } from '../../load/merge/quarantine.ts';
import { replayQuarantined } from '../../load/merge/replay.ts';
import type { QuarantineFilter } from '../../load/merge/quarantine.ts';
import type { DropCount, QuarantineCount, QuarantinedRow, ReplayCount } from '../../model/report.ts';
import { recover } from '../../load/maintenance/recover.ts';
import type { Runtime } from '../../kernel/runtime.ts';
import { lakeSettings } from '../lake-settings.ts';

export type { DropCount, QuarantineCount, QuarantineFilter, QuarantinedRow, ReplayCount };

export interface ReplayReport {
  readonly tables: readonly ReplayCount[];
  /** Readers see something new. */
  readonly published: boolean;
}

export interface PinReport extends ReplayReport {
  readonly tenant: string;
  /** What rows must carry from now on. */
  readonly pinned: string;
  /** Rows of the lake that carried another id, now in quarantine. */
  readonly expelled: number;
}

/** Counts by tenant, table, day and reason. Throws ConfigError where nothing was ever loaded, and as `openLedger`. */
export async function listQuarantine(
  config: Config,
  filter: QuarantineFilter,
  runtime: Runtime,
): Promise<QuarantineCount[]> {
  await using ledger = await openExisting(config, runtime);
  return countQuarantine(ledger, filter);
}

/** Rows with their text, for the eyes of the operator who asks for them. Throws as `listQuarantine`. */
export async function showQuarantine(
  config: Config,
  filter: QuarantineFilter,
  limit: number,
  runtime: Runtime,
): Promise<QuarantinedRow[]> {
  await using ledger = await openExisting(config, runtime);
  return quarantinedRows(ledger, filter, limit);
}

/** Judges rows again, loads those that now pass, and publishes. Throws as `listQuarantine`. */
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

/** Gives rows up, and publishes what readers see of it. Throws as `listQuarantine`. */
export async function dropQuarantine(config: Config, filter: QuarantineFilter, runtime: Runtime): Promise<DropCount[]> {
  await using ledger = await openExisting(config, runtime);
  await recover(ledger);
  const dropped = await dropQuarantined(ledger, filter);
  await publish(ledger, { run: runId('drop', runtime), head: true });
  return dropped;
}

/**
 * Says which tenant id a tenant's rows carry: rows of the lake with another go into quarantine, rows there with this one
 * into the lake. Also before a first load. Cut off, it is finished by asking for it again. Throws as `openLedger`.
 */
export async function pinTenant(config: Config, tenant: string, id: string, runtime: Runtime): Promise<PinReport> {
  await using ledger = await openLedger(config.dataDir, lakeSettings(config), runtime);
  await recover(ledger);
  const run = runId('pin', runtime);
  const expelled = await pinTenantId(ledger, tenant, id, run);
  const tables = await replayQuarantined(ledger, { tenants: [tenant], reasons: ['foreign_tenant'] }, run);
  const moved = expelled > 0 || tables.length > 0;
  const published = moved && (await publish(ledger, { run, head: true })).changed;
  return { tenant, pinned: id, expelled, tables, published };
}

async function openExisting(config: Config, runtime: Runtime): Promise<Ledger> {
  if (!existsSync(join(config.dataDir, LEDGER_FILE)))
    throw new ConfigError('Nothing was loaded into this data directory yet.', {
      hint: 'Run `insights-etl run` first, or give the right --data-dir.',
      where: { folder: config.dataDir },
    });
  return openLedger(config.dataDir, lakeSettings(config), runtime);
}

/** Batches of it are named after it, so it must be another one each time. */
function runId(what: string, runtime: Runtime): string {
  return `${what}-${new Date(runtime.now()).toISOString().replaceAll(/[-:.]/g, '')}`;
}
