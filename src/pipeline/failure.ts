/** Errors as reports show them, and the one exit code of many failures. */
import { EXIT, InsightsError } from '../kernel/errors.ts';
import { formatInstant } from '../kernel/instant.ts';
import type { Loss } from '../load/ledger/losses.ts';
import type { Failure } from '../kernel/errors.ts';
import type { ExpiredHours, ReportedError } from '../model/report.ts';

/** What may be shown and stored of an error. An unexpected one shows only its class: its message could quote a row. */
export function reported(error: unknown): ReportedError {
  if (error instanceof InsightsError) {
    return {
      failure: error.failure,
      message: error.message,
      ...(error.hint === undefined ? {} : { hint: error.hint }),
      ...(Object.keys(error.where).length > 0 ? { where: error.where } : {}),
    };
  }
  return {
    failure: 'unexpected',
    message: `Unexpected ${error instanceof Error ? error.name : 'error'}: this is a defect of insights-etl.`,
    hint: 'Run again with --verbose and report the stack.',
  };
}

export function reportedLoss({ tenant, table, hours, first, last }: Loss): ExpiredHours {
  return { tenant, table, hours, first: formatInstant(first), last: formatInstant(last) };
}

/** The failure that most needs a person comes first: it decides the exit code of a run over many tables. */
const BY_URGENCY: readonly Failure[] = [
  'damaged',
  'disk',
  'newerState',
  'shards',
  'locked',
  'unexpected',
  // Reported by one run only, so it must not be hidden by a failure that later runs report again.
  'expired',
  'massLoss',
  'auth',
  'config',
  // Nothing is pushed until a person decides.
  'mirrorTaken',
  'source',
  'mirror',
  'stopped',
  'partial',
  'budget',
];

export function exitCodeOf(failures: readonly Failure[]): number {
  const worst = BY_URGENCY.find((failure) => failures.includes(failure));
  return worst === undefined ? EXIT.ok : EXIT[worst];
}

/** The exit code of a run that has ended with one, and then met another failure. */
export function addFailure(exitCode: number, failure: Failure): number {
  const before = BY_URGENCY.filter((each) => EXIT[each] === exitCode);
  return exitCodeOf([...before, failure]);
}
