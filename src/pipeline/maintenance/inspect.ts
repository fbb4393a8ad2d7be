/** `verify` and `repair`: compare the lake with its ledger and the source, rebuild the ledger. */
import type { Config } from '../../config/config.ts';
import { onDisk } from '../../kernel/files.ts';
import { HOUR, formatInstant } from '../../kernel/instant.ts';
import { countHours } from '../../load/ledger/reach.ts';
import { lossesOf } from '../../load/ledger/losses.ts';
import { openLake, requireShards } from '../open-lake.ts';
import type { LakeSettings } from '../../load/ledger/ledger.ts';
import { checkDelta } from '../../load/publish/delta/sync.ts';
import { publish } from '../../load/publish/publish.ts';
import { repair } from '../../load/maintenance/repair.ts';
import type { VerifyReport } from '../../model/report.ts';
import type { RepairReport } from '../../model/maintenance-report.ts';
import { verifyFiles, verifyMarts } from '../../load/maintenance/verify.ts';
import type { Runtime } from '../../kernel/runtime.ts';
import { exitCodeOf, reportedLoss } from '../failure.ts';
import { eachTable } from '../each-table.ts';
import { lakeSettings } from '../lake-settings.ts';
import { openExisting, requireLake } from './existing.ts';
import type { RunRequest } from '../request.ts';
import { overTo } from '../table-work.ts';
import type { TableWork } from '../table-work.ts';
import { compareTable, recordView } from '../sync-table.ts';

type TableVerdict = VerifyReport['tables'][number];

/**
 * Compares the lake with its ledger and the source, without fetching rows. Checks that every file exists and has its size;
 * `deep` also reads each file (sha256, and the fingerprints of every hour) and compares the whole range with the source.
 * Differences are recorded, so that the next run fetches those hours again. Exit code: damaged for a faulty file, partial for
 * an hour that does not balance.
 */
export async function verifyLake(
  config: Config,
  request: RunRequest,
  runtime: Runtime,
  signal: AbortSignal,
): Promise<VerifyReport> {
  const deep = request.deep === true;
  await using ledger = await openExisting(config, runtime, { privacyKey: 'unused' });
  const check = async (work: TableWork): Promise<TableVerdict> => {
    const { tenant, table } = work;
    const files = await verifyFiles(ledger, { tenants: [tenant], tables: [table], deep, signal });
    const { view, ...compared } = await compareTable(work);
    await recordView(work, view, compared, { onlyCompares: true });
    // The running hour goes on: what came since the last run is no difference yet.
    const over = overTo(view, runtime.now());
    return {
      tenant,
      table,
      filesRead: deep ? files.files : 0,
      filesDamaged: files.faults.map(({ file, fault }) => ({ file, problem: fault })),
      hours: await countHours(ledger, tenant, table),
      differing: compared.found.stale
        .filter(({ from }) => from + HOUR <= over)
        .map(({ from, rows, heldRows }) => ({
          hour: formatInstant(from),
          source: rows,
          lake: heldRows,
        })),
    };
  };
  // The ledger records which command found an hour expired.
  const run = `verify-${new Date(runtime.now()).toISOString()}`;
  const outcomes = await eachTable({ config, request, ledger, run, runtime, signal }, check);
  const expired = (await lossesOf(ledger, run)).map(reportedLoss);
  const marts = await verifyMarts(ledger, deep);
  const before = await ledger.exclusive(() => checkDelta(ledger));
  // Computes faulty marts again, which needs no call to the source, and starts logs again that cannot be read.
  await publish(ledger, { run: 'verify', head: true });
  const after = await ledger.exclusive(() => checkDelta(ledger));
  if (after.faults.length > 0)
    await publish(ledger, {
      run: 'verify',
      head: true,
      restartLogs: new Set(after.faults.map(({ table }) => table)),
    });
  // A run that was killed may have left other faults, which are none once everything is published.
  const unreadable = before.faults.filter(({ fault }) => fault === 'damaged');
  const logs = new Map([...unreadable, ...after.faults].map((each) => [each.table, each]));
  const delta = { logs: after.tables, faults: [...logs.values()].toSorted((a, b) => (a.table < b.table ? -1 : 1)) };
  const tables = outcomes.map(({ report: { tenant, table, hours, compared, error }, result }): TableVerdict => {
    const unchecked = { tenant, table, filesRead: 0, filesDamaged: [], hours, differing: [] };
    return { ...(result ?? unchecked), ...(compared ? { compared } : {}), ...(error ? { error } : {}) };
  });
  const failures = [
    ...tables.flatMap(({ error }) => (error ? [error.failure] : [])),
    ...(marts.faults.length + delta.faults.length > 0 || tables.some(({ filesDamaged }) => filesDamaged.length > 0)
      ? (['damaged'] as const)
      : []),
    ...(tables.some(({ differing }) => differing.length > 0) ? (['partial'] as const) : []),
    ...(expired.length > 0 ? (['expired'] as const) : []),
  ];
  return {
    deep,
    tables,
    expired,
    marts: {
      filesRead: deep ? marts.files : 0,
      filesDamaged: marts.faults.map(({ file, fault }) => ({ file, problem: fault })),
    },
    delta: { ...delta, faults: delta.faults.map(({ table, fault }) => ({ table, problem: fault })) },
    exitCode: exitCodeOf(failures),
  };
}

/**
 * Rebuilds the ledger from the Parquet files and publishes what they hold: the old catalogue may name files that are gone, such
 * as marts, which are computed again. The next run compares every hour with the source.
 */
export async function repairLake(config: Config, runtime: Runtime): Promise<RepairReport> {
  await requireShards(config);
  await requireLake(config.dataDir, runtime);
  const settings: LakeSettings = { ...lakeSettings(config), privacyKey: 'unused' };
  const result = await onDisk(config.dataDir, () => repair(config.dataDir, settings, runtime));
  // An empty lake is not published: if its disk is not mounted, that would replace the catalogue of a full one.
  if (result.files === 0) return result;
  await using ledger = await openLake(config, settings, runtime);
  await publish(ledger, { run: 'repair', head: true });
  return result;
}
