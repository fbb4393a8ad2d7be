/**
 * How the report of a table comes about. The steps of a run record facts as they happen, and `addTo` is the only function
 * that folds them into the report, so a step that fails leaves everything that was done before it in the report.
 */
import type { Failure } from '../kernel/errors.ts';
import { formatInstant } from '../kernel/instant.ts';
import type { Instant } from '../kernel/instant.ts';
import type { MergeResult } from '../load/merge/merge.ts';
import { BEST_GRADE } from '../model/coverage.ts';
import type { Grade, HourCounts } from '../model/coverage.ts';
import type { OutsideCounts } from '../model/outside.ts';
import type { Left, Phase, ProgressEvent, ReportedError, TableReport } from '../model/report.ts';
import type { TableName } from '../model/tables.ts';

/** Something that a step did or found out. */
export type TableFact =
  | { readonly kind: 'phase'; readonly phase: Phase }
  | { readonly kind: 'timed'; readonly step: string; readonly seconds: number }
  | {
      readonly kind: 'compared';
      readonly grade: Grade;
      readonly at: Instant;
      /** The range that was compared; from the first row on without `from`. */
      readonly from: Instant | undefined;
      readonly to: Instant;
      readonly olderHours: number;
      readonly outside: OutsideCounts | undefined;
    }
  | { readonly kind: 'planned'; readonly pages: number; readonly rows: number; readonly bytes: number }
  /** Pages of an earlier run's batch that are still to be fetched. */
  | { readonly kind: 'resumed'; readonly pages: number }
  | { readonly kind: 'page'; readonly rows: number; readonly bytes: number }
  | { readonly kind: 'split'; readonly splits: number }
  /** Rows without a possible time that were fetched into quarantine. */
  | { readonly kind: 'timeless'; readonly rows: number }
  | { readonly kind: 'merged'; readonly result: MergeResult }
  /** The state of the hours by now; a later fact replaces an earlier one. */
  | { readonly kind: 'hours'; readonly hours: HourCounts }
  /** The budget ended before the table was done. */
  | { readonly kind: 'left'; readonly left: Left }
  | { readonly kind: 'done'; readonly outcome: 'verified' | 'partial' }
  | { readonly kind: 'failed'; readonly error: ReportedError }
  | { readonly kind: 'calls'; readonly calls: number; readonly retries: number; readonly waitedMs: number };

export const NO_HOURS: HourCounts = { verified: 0, partial: 0, open: 0, expired: 0 };

/** The report of a table that nothing was done for yet. Its outcome holds until the table is done. */
export function emptyReport(tenant: string, table: TableName): TableReport {
  return {
    tenant,
    table,
    outcome: 'failed',
    grade: BEST_GRADE,
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
    hours: NO_HOURS,
    olderHours: 0,
    changed: false,
    seconds: {},
  };
}

export function addTo(report: TableReport, fact: TableFact): TableReport {
  switch (fact.kind) {
    case 'timed':
      return { ...report, seconds: addSeconds(report.seconds, { [fact.step]: fact.seconds }) };
    case 'compared':
      return {
        ...report,
        grade: fact.grade,
        sourceAt: formatInstant(fact.at),
        compared: {
          ...(fact.from === undefined ? {} : { from: formatInstant(fact.from) }),
          to: formatInstant(fact.to),
        },
        olderHours: fact.olderHours,
        ...(fact.outside ? { outside: countsOf(fact.outside) } : {}),
      };
    case 'planned':
    case 'resumed':
      return { ...report, planned: report.planned + fact.pages };
    case 'page':
      return {
        ...report,
        pages: report.pages + 1,
        rowsFetched: report.rowsFetched + fact.rows,
        bytes: report.bytes + fact.bytes,
      };
    case 'split':
      return { ...report, splits: report.splits + fact.splits };
    case 'timeless':
      return {
        ...report,
        rowsFetched: report.rowsFetched + fact.rows,
        quarantined: report.quarantined + fact.rows,
      };
    case 'merged':
      return addMerge(report, fact.result);
    case 'hours': {
      const { verified, partial, open, expired } = fact.hours;
      return { ...report, hours: { verified, partial, open, expired } };
    }
    case 'left':
      return { ...report, left: fact.left };
    case 'done':
      return { ...report, outcome: fact.outcome };
    case 'failed':
      return { ...report, error: fact.error, outcome: OUTCOMES[fact.error.failure] ?? 'failed' };
    case 'calls':
      return { ...report, calls: fact.calls, retries: fact.retries, waitedMs: fact.waitedMs };
    case 'phase':
      break;
  }
  return report;
}

function countsOf({ noTimestamp, impossible, future }: OutsideCounts): OutsideCounts {
  return { noTimestamp, impossible, future };
}

const OUTCOMES: Partial<Record<Failure, TableReport['outcome']>> = {
  massLoss: 'refused',
  stopped: 'stopped',
  budget: 'unfinished',
};

function addMerge(report: TableReport, result: MergeResult): TableReport {
  const seconds = Object.entries(result.ms).map(([step, ms]): [string, number] => [step, ms / 1000]);
  return {
    ...report,
    inserted: report.inserted + result.inserted,
    replaced: report.replaced + result.replaced,
    removed: report.removed + result.removed,
    duplicates: report.duplicates + result.duplicates,
    quarantined: report.quarantined + result.quarantined,
    changed: report.changed || result.days > 0,
    seconds: addSeconds(report.seconds, Object.fromEntries(seconds)),
  };
}

function addSeconds(
  total: TableReport['seconds'],
  more: Readonly<Record<string, number>>,
): Readonly<Record<string, number>> {
  const sum = { ...total };
  for (const [step, seconds] of Object.entries(more)) sum[step] = (sum[step] ?? 0) + seconds;
  return sum;
}

/** The facts that are shown while a run goes on. */
export function progressOf(tenant: string, table: TableName, fact: TableFact): ProgressEvent | undefined {
  const { kind } = fact;
  if (kind === 'phase') return { kind: 'table', tenant, table, phase: fact.phase };
  if (kind === 'failed') return { kind: 'table', tenant, table, phase: 'failed' };
  if (kind === 'done') return { kind: 'table', tenant, table, phase: 'done' };
  if (kind === 'planned') return { kind, tenant, table, pages: fact.pages, rows: fact.rows, bytes: fact.bytes };
  if (kind === 'page') return { kind, tenant, table, rows: fact.rows, bytes: fact.bytes };
  if (kind === 'merged') return { kind, tenant, table, rows: fact.result.inserted };
  return undefined;
}
