/** The share of older history that a run compares in rotation, in the same call as the last `reconcile.depthDays` days. */
import type { TableConfig } from '../config/config.ts';
import { dueDays } from '../extract/plan/rotation.ts';
import type { SourceView } from '../extract/compare/reconcile.ts';
import type { ClockRange } from '../extract/source/kql.ts';
import { BEGINNING, DAY, HOUR, ceilTo, floorTo, fromEpochMs } from '../kernel/instant.ts';
import type { Instant, Window } from '../kernel/instant.ts';
import { intersection, totalLength } from '../kernel/windows.ts';
import { provenDays } from '../load/ledger/reach.ts';
import { DEFAULTS_END, FIRST_POSSIBLE } from '../model/outside.ts';
import type { TableWork } from './table-work.ts';

/**
 * What every run compares before its range: the rows with old defaults as their time, and all before coverage begins. No row is known
 * there, so that it adds nothing to the answer, but late rows may come.
 */
export function earlyHistory(
  { start, retentionDays, rotationDays }: TableConfig,
  begins: Instant | undefined,
): Window | undefined {
  const hasDefaults = start === undefined && retentionDays === undefined;
  const from = latest(start ?? FIRST_POSSIBLE, FIRST_POSSIBLE);
  const known = rotationDays === 0 ? undefined : begins;
  const to = latest(known ?? BEGINNING, hasDefaults ? DEFAULTS_END : BEGINNING);
  return from < to ? { from, to } : undefined;
}

/** What is due before the range of a run; nothing where the range has no depth, because it was chosen or is everything. */
export async function dueHistory(
  work: TableWork,
  { lower, early, depthDays, depthFrom }: ClockRange,
): Promise<Window[]> {
  const { ledger, tenant, table, settings, runtime } = work;
  const { rotationDays, retentionDays } = settings;
  if (rotationDays === 0 || depthDays === undefined) return [];
  const now = fromEpochMs(runtime.now());
  const depth = floorTo(now - BigInt(depthDays) * DAY, DAY);
  const edge = retentionDays === undefined ? BEGINNING : ceilTo(now - BigInt(retentionDays) * DAY, HOUR);
  const older = {
    from: latest(early?.to ?? BEGINNING, lower === undefined ? edge : latest(edge, ceilTo(lower, HOUR))),
    to: depthFrom !== undefined && depthFrom < depth ? depthFrom : depth,
  };
  if (older.from >= older.to) return [];
  return dueDays(await provenDays(ledger, tenant, table, older), now, rotationDays);
}

/** What a view covers between the beginning of coverage and its range. */
export function historyOf({ covers, lower }: SourceView, begins: Instant | undefined): Window[] {
  if (lower === undefined || begins === undefined) return [];
  const older = { from: latest(begins, DEFAULTS_END), to: lower };
  return covers.flatMap((window) => intersection(window, older) ?? []);
}

/** Hours of older history that a view covers. */
export function olderHours(view: SourceView, begins: Instant | undefined): number {
  return Math.ceil(Number(totalLength(historyOf(view, begins))) / Number(HOUR));
}

/** The view of the last `depthDays` days, also where it reaches further back than that without a gap. */
export function recentOf(view: SourceView, depthDays: number): SourceView {
  const from = floorTo(view.at - BigInt(depthDays) * DAY, DAY);
  return {
    ...view,
    covers: view.covers.flatMap((window) => intersection(window, { from, to: view.upper }) ?? []),
    cells: new Map([...view.cells].filter(([cell]) => cell >= from)),
  };
}

function latest(a: Instant, b: Instant): Instant {
  return a > b ? a : b;
}
