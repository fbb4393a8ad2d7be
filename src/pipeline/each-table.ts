/** The loop over tenants and tables that all commands share, and where failures stay within their table or tenant. */
import pLimit from 'p-limit';
import type { Config, TableConfig, TenantConfig } from '../config/config.ts';
import { InsightsError, StoppedError } from '../kernel/errors.ts';
import type { Failure } from '../kernel/errors.ts';
import type { Guards, LakeSettings } from '../load/ledger/ledger.ts';
import type { TableName } from '../model/tables.ts';
import { reported } from './failure.ts';
import type { TableReport } from '../model/report.ts';
import type { CommandWork, RunRequest, TableWork } from './table-work.ts';
import { openSource } from './tenant.ts';

/** Tenants side by side; each has its own limiter, and the engine does one merge at a time. */
const TENANTS_AT_ONCE = 8;

/** Tenants in parallel, a tenant's tables in order of urgency; errors end up in the reports. */
export async function eachTable(common: CommandWork, step: (work: TableWork) => Promise<void>): Promise<TableReport[]> {
  const { config, request, runtime, signal } = common;
  const limit = pLimit(TENANTS_AT_ONCE);
  let disk: InsightsError | undefined;
  const ofTenant = async (tenant: TenantConfig): Promise<TableReport[]> => {
    const reports: TableReport[] = [];
    await using source = await openSource(config, tenant, runtime, common.sinceMs);
    const { stats } = source.client;
    let stop: unknown;
    let told: unknown;
    for (const [table, settings] of byUrgency(tenant)) {
      if (request.tables && !request.tables.includes(table)) continue;
      const report = emptyReport(tenant.id, table);
      reports.push(report);
      const before = { ...stats };
      try {
        if (signal.aborted) throw signal.reason ?? new StoppedError('Stopped.');
        if (stop ?? disk) throw stop ?? disk;
        await step({ ...common, client: source.client, tenant: tenant.id, table, settings, report });
      } catch (error) {
        const { failure } = (report.error = reported(error));
        report.outcome = OUTCOMES[failure] ?? 'failed';
        // A missing or refused credential is so for every table; a full disk is full for every tenant.
        if (failure === 'auth' || failure === 'config') stop = error;
        if (failure === 'disk' && error instanceof InsightsError) disk = error;
        if (failure === 'budget')
          runtime.log.warn(
            { event: 'table.unfinished', tenant: tenant.id, table, ...report.error.where, left: report.left },
            'the budget did not suffice',
          );
        else if (error !== told)
          runtime.log.error(
            { event: 'table.failed', tenant: tenant.id, table, ...report.error, stack: stackOf(error) },
            'table failed',
          );
        told = error;
      }
      report.calls = stats.calls - before.calls;
      report.retries = stats.retries - before.retries;
      report.waitedMs = Math.round(stats.waitedMs - before.waitedMs);
    }
    return reports;
  };
  const wanted = config.tenants.filter(({ id }) => request.tenants?.includes(id) ?? true);
  const isAiling = ({ id }: TenantConfig): boolean => common.ailing?.has(id) ?? false;
  const order = [...wanted.filter((tenant) => !isAiling(tenant)), ...wanted.filter(isAiling)];
  const reports = (await Promise.all(order.map((tenant) => limit(() => ofTenant(tenant))))).flat();
  // Told in the order of the configuration.
  return wanted.flatMap(({ id }) => reports.filter(({ tenant }) => tenant === id));
}

const OUTCOMES: Partial<Record<Failure, TableReport['outcome']>> = {
  massLoss: 'refused',
  stopped: 'stopped',
  budget: 'unfinished',
};

/** The tables that the source forgets first come first: with them a small budget is spent. */
function byUrgency({ tables }: TenantConfig): [TableName, TableConfig][] {
  const days = ([, { retentionDays = Infinity }]: [TableName, TableConfig]): number => retentionDays;
  return [...tables].sort((a, b) => (days(a) === days(b) ? 0 : days(a) - days(b)));
}

/** Where our own code threw; the message may quote what it worked on, so it is left out. */
function stackOf(error: unknown): string | undefined {
  if (error instanceof InsightsError || !(error instanceof Error)) return undefined;
  return error.stack
    ?.split('\n')
    .filter((line) => /^\s+at /.test(line))
    .join('\n');
}

function emptyReport(tenant: string, table: TableName): TableReport {
  return {
    tenant,
    table,
    outcome: 'failed',
    grade: 'checksum',
    calls: 0,
    retries: 0,
    waitedMs: 0,
    planned: 0,
    pages: 0,
    splits: 0,
    rowsFetched: 0,
    bytes: 0,
    inserted: 0,
    replaced: 0,
    removed: 0,
    duplicates: 0,
    quarantined: 0,
    hours: { verified: 0, partial: 0, open: 0, expired: 0 },
    changed: false,
    seconds: {},
  };
}

export function lakeSettings(config: Config, request: Pick<RunRequest, 'allowDeletes'> = {}): LakeSettings {
  const { engine, lake } = config;
  const guards = ({ quarantine, deletes }: Guards): Guards => ({
    quarantine,
    deletes: request.allowDeletes === true ? { ...deletes, maxShare: 1 } : deletes,
  });
  return {
    threads: engine.threads,
    memoryLimit: engine.memoryLimit,
    keepHours: lake.keepHours,
    ...guards(config),
    guards: new Map(config.tenants.map((tenant) => [tenant.id, guards(tenant.guards)])),
    tables: config.lakeTables,
    marts: lake.marts,
    checks: lake.checks,
    ...(config.privacyKey ? { privacyKey: config.privacyKey } : {}),
  };
}
