/** `plan`: what a run would fetch. */
import type { Config } from '../config/config.ts';
import { costOf } from '../extract/plan/batch.ts';
import { openLedger } from '../load/ledger/ledger.ts';
import type { Runtime } from '../kernel/runtime.ts';
import { eachTable, lakeSettings } from './each-table.ts';
import { exitCodeOf } from './failure.ts';
import { leftOfPages } from './left.ts';
import { pagesOf } from './plan-pages.ts';
import type { PlanReport, TablePlan } from '../model/report.ts';
import { compareTable } from './sync-table.ts';
import { ONLY_LOOKING } from './table-work.ts';
import type { RunRequest } from './table-work.ts';

/** What a run would fetch. Compares and counts at the source, fetches no page, changes no row. */
export async function planRun(
  config: Config,
  request: RunRequest,
  runtime: Runtime,
  signal: AbortSignal,
): Promise<PlanReport> {
  await using ledger = await openLedger(config.dataDir, lakeSettings(config, request), runtime);
  const plans: TablePlan[] = [];
  const planned = new Map<string, number>();
  const common = { config, request, ledger, run: 'plan', runtime, signal, ...ONLY_LOOKING };
  const reports = await eachTable(common, async (work) => {
    const { client, tenant, table, settings, report } = work;
    const { found, held } = await compareTable(work);
    const pages = (await pagesOf(work, found, held)).filter((page) => page.rows !== 0);
    const {
      callsPerMinute = 0,
      maxCalls = Infinity,
      maxMinutes = Infinity,
    } = config.tenants.find(({ id }) => id === tenant) ?? {};
    const { calls, rows, bytes, minutes } = costOf(pages, callsPerMinute);
    const reasons = { new: 0, changed: 0, vanished: 0 };
    for (const { reason } of found.stale) reasons[reason]++;
    const { grade } = report;
    // What counting took is taken from a run's budget too; then each table takes what the one before it left.
    const before = (planned.get(tenant) ?? 0) + client.stats.calls;
    planned.set(tenant, (planned.get(tenant) ?? 0) + pages.length);
    const inTime = callsPerMinute === 0 ? Infinity : maxMinutes * callsPerMinute;
    const left = leftOfPages(pages, Math.min(maxCalls, inTime) - before, found.stale, settings.retentionDays);
    plans.push({
      tenant,
      table,
      grade,
      staleHours: found.stale.length,
      rows,
      bytes,
      pages: pages.length,
      calls,
      minutes,
      reasons,
      ...(left ? { left } : {}),
    });
  });
  const inOrder = reports.map(({ tenant, table, grade, error }): TablePlan => {
    const plan = plans.find((other) => other.tenant === tenant && other.table === table);
    return { ...(plan ?? { ...NOTHING, tenant, table, grade }), ...(error ? { error } : {}) };
  });
  return {
    tables: inOrder,
    callsUsed: reports.reduce((sum, { calls }) => sum + calls, 0),
    exitCode: exitCodeOf(reports.flatMap(({ error }) => (error ? [error.failure] : []))),
  };
}

const NOTHING = {
  staleHours: 0,
  rows: 0,
  bytes: 0,
  pages: 0,
  calls: 0,
  minutes: 0,
  reasons: { new: 0, changed: 0, vanished: 0 },
} as const;
