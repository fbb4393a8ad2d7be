/** The loop over tenants and tables that all commands share. A failure stays within its table or its tenant. */
import pLimit from 'p-limit';
import type { TableConfig, TenantConfig } from '../config/config.ts';
import { reservedCalls } from '../extract/source/budget.ts';
import { InsightsError, StoppedError, TableConfigError } from '../kernel/errors.ts';
import type { ProgressListener, TableReport } from '../model/report.ts';
import type { TableName } from '../model/tables.ts';
import { reported } from './failure.ts';
import { cutOffPurges, undecidedPurge } from './cut-off-purges.ts';
import type { RunRequest } from './request.ts';
import { addTo, emptyReport, progressOf } from './table-report.ts';
import type { TableFact } from './table-report.ts';
import type { CommonWork, TableWork } from './table-work.ts';
import { openSource } from './tenant.ts';

/** Tenants worked on at the same time. Each has its own limiter, and the engine does one merge at a time. */
const TENANTS_AT_ONCE = 8;

export interface Command extends CommonWork {
  readonly request: RunRequest;
  readonly onProgress?: ProgressListener;
  /** When the run began, on the monotonic clock: its budget counts from there. Without it there is no budget. */
  readonly sinceMs?: number;
  /** Tenants that failed in the last run: their turn comes last, so that waiting for them delays no other tenant. */
  readonly failedTenants?: ReadonlySet<string>;
}

export interface TableOutcome<T> {
  readonly report: TableReport;
  /** What the step returned; undefined when it failed. */
  readonly result: T | undefined;
}

/**
 * Does a step for each selected table: tenants in parallel, a tenant's tables in order of urgency. Errors end up in the
 * reports. The outcomes are in the order of the configuration.
 */
export async function eachTable<T>(
  command: Command,
  step: (work: TableWork) => Promise<T>,
): Promise<readonly TableOutcome<T>[]> {
  const { config, request, failedTenants = new Set() } = command;
  const limit = pLimit(TENANTS_AT_ONCE);
  const stops: Stops = {};
  const selected = config.tenants.filter(({ id }) => request.tenants?.includes(id) ?? true);
  const hasFailed = ({ id }: TenantConfig): boolean => failedTenants.has(id);
  const order = [...selected.filter((tenant) => !hasFailed(tenant)), ...selected.filter(hasFailed)];
  const { files, dataDir } = command.ledger;
  const undecided = new Map((await cutOffPurges(files, dataDir)).map((each) => [each.tenant, undecidedPurge(each)]));
  const byTenant = new Map<string, readonly TableOutcome<T>[]>();
  await Promise.all(
    order.map((tenant) =>
      limit(async () => {
        const stop = undecided.get(tenant.id);
        byTenant.set(tenant.id, await eachTableOf(tenant, command, step, stops, stop));
      }),
    ),
  );
  return selected.flatMap(({ id }) => byTenant.get(id) ?? []);
}

/** Errors that end more than one table. */
interface Stops {
  /** A full disk is full for every tenant. */
  disk?: InsightsError;
}

async function eachTableOf<T>(
  tenant: TenantConfig,
  command: Command,
  step: (work: TableWork) => Promise<T>,
  stops: Stops,
  /** Why no table of the tenant may be worked on. */
  stop: unknown,
): Promise<readonly TableOutcome<T>[]> {
  const { config, request, runtime, signal, onProgress } = command;
  await using source = await openSource(config, tenant, runtime, command.sinceMs);
  const { client } = source;
  const outcomes: TableOutcome<T>[] = [];
  let lastError: unknown;
  const tables = byUrgency(tenant).filter(([table]) => request.tables?.includes(table) ?? true);
  for (const [k, [table, settings]] of tables.entries()) {
    const tablesAfter = tables.length - k - 1;
    client.reserve(reservedCalls(tenant.maxCalls ?? Infinity, tables.length, tablesAfter));
    let report = emptyReport(tenant.id, table);
    let result: T | undefined;
    const record = (fact: TableFact): void => {
      report = addTo(report, fact);
      const event = progressOf(tenant.id, table, fact);
      if (event) onProgress?.(event);
    };
    const before = { ...client.stats };
    try {
      if (signal.aborted) throw signal.reason ?? new StoppedError('Stopped.');
      if (stop ?? stops.disk) throw stop ?? stops.disk;
      result = await step({ ...command, client, tenant: tenant.id, table, tablesAfter, settings, record });
    } catch (error) {
      const failed = reported(error);
      record({ kind: 'failed', error: failed });
      // A missing or refused credential fails every table of the tenant, and so does any other general setting.
      const isOfTable = error instanceof TableConfigError;
      if (failed.failure === 'auth' || (failed.failure === 'config' && !isOfTable)) stop = error;
      if (failed.failure === 'disk' && error instanceof InsightsError) stops.disk = error;
      if (failed.failure === 'budget')
        runtime.log.warn(
          { event: 'table.unfinished', tenant: tenant.id, table, ...failed.where, left: report.left },
          'the budget ended before the table was done',
        );
      // An error that stops all tables is logged for the first of them only.
      else if (error !== lastError)
        runtime.log.error(
          { event: 'table.failed', tenant: tenant.id, table, ...failed, stack: stackOf(error) },
          'table failed',
        );
      lastError = error;
    }
    const { stats } = client;
    record({
      kind: 'calls',
      calls: stats.calls - before.calls,
      retries: stats.retries - before.retries,
      waitedMs: Math.round(stats.waitedMs - before.waitedMs),
    });
    outcomes.push({ report, result });
  }
  return outcomes;
}

/** The tables that the source deletes from first come first, so that a small budget is spent on them. */
function byUrgency({ tables }: TenantConfig): [TableName, TableConfig][] {
  const days = ([, { retentionDays = Infinity }]: [TableName, TableConfig]): number => retentionDays;
  return [...tables].sort((a, b) => (days(a) === days(b) ? 0 : days(a) - days(b)));
}

/** Where our own code threw, without the message, which may quote row content. */
function stackOf(error: unknown): string | undefined {
  if (error instanceof InsightsError || !(error instanceof Error)) return undefined;
  return error.stack
    ?.split('\n')
    .filter((line) => /^\s+at /.test(line))
    .join('\n');
}
