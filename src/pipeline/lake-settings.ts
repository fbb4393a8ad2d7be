/** The part of the configuration that the ledger and the stages of load need. */
import type { Config } from '../config/config.ts';
import type { Guards, LakeSettings } from '../load/ledger/ledger.ts';
import type { TableRequest } from './request.ts';

export function lakeSettings(config: Config, request: Pick<TableRequest, 'allowDeletes'> = {}): LakeSettings {
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
    splitMarts: lake.splitMarts,
    delta: lake.delta,
    checks: lake.checks,
    custom: { reports: config.reports, checks: config.checks },
    ...(config.privacyKey ? { privacyKey: config.privacyKey } : {}),
  };
}
