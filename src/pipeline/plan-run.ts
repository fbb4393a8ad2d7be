/** `plan`: what a run would fetch. */
import type { Config } from '../config/config.ts';
import { costOf } from '../extract/plan/batch.ts';
import { reservedCalls } from '../extract/source/budget.ts';
import { openLake } from './open-lake.ts';
import type { Runtime } from '../kernel/runtime.ts';
import { eachTable } from './each-table.ts';
import { olderHours } from './history.ts';
import { lakeSettings } from './lake-settings.ts';
import { exitCodeOf } from './failure.ts';
import { leftOfPages } from './left.ts';
import { pagesOf } from './plan-pages.ts';
import type { RunRequest } from './request.ts';
import type { PlanReport, TablePlan } from '../model/report.ts';
import { compareTable } from './sync-table.ts';
import { isTimelessChanged } from './timeless.ts';
import type { StaleReason } from '../model/coverage.ts';

/** Compares and counts at the source; fetches no page and changes no row. */
export async function planRun(
  config: Config,
  request: RunRequest,
  runtime: Runtime,
  signal: AbortSignal,
): Promise<PlanReport> {
  await using ledger = await openLake(config, lakeSettings(config, request), runtime);
  const fetchedPages = new Map<string, number>();
  /** Tables of a tenant after its first one. */
  const tablesOf = new Map<string, number>();
  const command = { config, request, ledger, run: 'plan', runtime, signal };
  const outcomes = await eachTable(command, async (work): Promise<TablePlan> => {
    const { client, tenant, table, tablesAfter, settings } = work;
    const { view, found, held, begins } = await compareTable(work);
    const pages = (await pagesOf(work, found, held, view.grade)).filter((page) => page.rows !== 0);
    const {
      callsPerMinute = 0,
      maxCalls = Infinity,
      maxMinutes = Infinity,
    } = config.tenants.find(({ id }) => id === tenant) ?? {};
    const { rows, bytes, minutes, ...cost } = costOf(pages, callsPerMinute);
    const { outside } = view;
    const hasTimeless = outside && outside.key !== '' && (await isTimelessChanged(work, outside));
    const calls = cost.calls + (hasTimeless ? 1 : 0);
    const reasons = noReasons();
    for (const { reason } of found.stale) reasons[reason]++;
    // A run spends its budget on the same comparisons and counts, and on the pages of the tables before this one.
    const before = (fetchedPages.get(tenant) ?? 0) + client.stats.calls;
    const inTime = callsPerMinute === 0 ? Infinity : maxMinutes * callsPerMinute;
    const tables = (tablesOf.get(tenant) ?? tablesAfter) + 1;
    tablesOf.set(tenant, Math.max(tables - 1, tablesAfter));
    const inCalls = maxCalls - reservedCalls(maxCalls, tables, tablesAfter);
    const left = leftOfPages(pages, Math.min(inCalls, inTime) - before, found.stale, settings.retentionDays);
    fetchedPages.set(tenant, (fetchedPages.get(tenant) ?? 0) + pages.length - (left?.calls ?? 0));
    return {
      tenant,
      table,
      grade: view.grade,
      olderHours: olderHours(view, begins),
      staleHours: found.stale.length,
      rows,
      bytes,
      pages: pages.length,
      calls,
      minutes,
      reasons,
      ...(left ? { left } : {}),
    };
  });
  const reports = outcomes.map(({ report }) => report);
  return {
    tables: outcomes.map(({ report: { tenant, table, grade, error }, result }) => ({
      ...(result ?? { ...NOTHING, tenant, table, grade }),
      ...(error ? { error } : {}),
    })),
    callsUsed: reports.reduce((sum, { calls }) => sum + calls, 0),
    exitCode: exitCodeOf(reports.flatMap(({ error }) => (error ? [error.failure] : []))),
  };
}

function noReasons(): Record<StaleReason, number> {
  return { new: 0, changed: 0, content: 0, unproven: 0, vanished: 0 };
}

const NOTHING = {
  olderHours: 0,
  staleHours: 0,
  rows: 0,
  bytes: 0,
  pages: 0,
  calls: 0,
  minutes: 0,
  reasons: noReasons(),
} as const;
