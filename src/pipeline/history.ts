/** The share of older history that a run compares in rotation, in the same call as the last `reconcile.depthDays` days. */
import { dueDays } from '../extract/plan/rotation.ts';
import type { SourceView } from '../extract/compare/reconcile.ts';
import type { ClockRange } from '../extract/source/kql.ts';
import { BEGINNING, DAY, HOUR, ceilTo, floorTo, fromEpochMs, parseInstant } from '../kernel/instant.ts';
import type { Instant, Window } from '../kernel/instant.ts';
import { intersection, joinWindows, totalLength } from '../kernel/windows.ts';
import { readProfile } from '../load/ledger/profile.ts';
import { provenDays } from '../load/ledger/reach.ts';
import { DEFAULTS_END } from '../model/outside.ts';
import type { TableWork } from './table-work.ts';

/**
 * What is due before the range of a run; nothing where the range has no depth, because it was chosen or is everything. The time before
 * coverage begins is always due: it has no known row, so that it adds nothing to the answer, but late rows may come there.
 */
export async function dueHistory(
  work: TableWork,
  { lower, early = BEGINNING, depthDays, depthFrom }: ClockRange,
  begins: Instant | undefined,
): Promise<Window[]> {
  const { ledger, tenant, table, settings, runtime } = work;
  const { rotationDays, retentionDays } = settings;
  if (rotationDays === 0 || depthDays === undefined) return [];
  const now = fromEpochMs(runtime.now());
  const depth = floorTo(now - BigInt(depthDays) * DAY, DAY);
  const edge = retentionDays === undefined ? BEGINNING : ceilTo(now - BigInt(retentionDays) * DAY, HOUR);
  const older = {
    from: latest(early, lower === undefined ? edge : latest(edge, ceilTo(lower, HOUR))),
    to: depthFrom !== undefined && depthFrom < depth ? depthFrom : depth,
  };
  if (older.from >= older.to) return [];
  const due = dueDays(await provenDays(ledger, tenant, table, older), now, rotationDays);
  const { wholeFrom } = await readProfile(ledger, tenant);
  const whole = wholeFrom?.[table];
  if (whole === undefined || begins === undefined) return due;
  const before = intersection(older, { from: parseInstant(whole) ?? BEGINNING, to: begins });
  return before ? joinWindows([before, ...due]) : due;
}

/** What a view covers before its range, without the rows with old defaults as their time, which every view covers. */
export function historyOf({ covers, lower }: SourceView): Window[] {
  if (lower === undefined) return [];
  return covers.flatMap((window) => intersection(window, { from: DEFAULTS_END, to: lower }) ?? []);
}

/** Hours of older history that a view covers, since coverage begins. */
export function olderHours(view: SourceView, begins: Instant | undefined): number {
  if (begins === undefined) return 0;
  const covered = historyOf(view).flatMap((window) => intersection(window, { from: begins, to: view.upper }) ?? []);
  return Math.ceil(Number(totalLength(covered)) / Number(HOUR));
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
