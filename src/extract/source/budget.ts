/**
 * Limits what a run may ask of one tenant's source: a number of calls, a number of minutes, and no calls in quiet hours.
 * Checked before each call; a call that has been sent is not cut off. A call that counts rows costs as much as one that
 * fetches a page.
 */
import { BudgetError } from '../../kernel/errors.ts';
import { quietUntil } from '../../model/quiet.ts';
import type { Quiet } from '../../model/quiet.ts';
import type { Runtime } from '../../kernel/runtime.ts';
import { startDeadline } from './deadline.ts';

export interface Budget {
  /** Calls left, without those that are reserved; Infinity without a limit. */
  readonly left: number;
  /** Keeps this many calls for later; replaces an earlier reservation. */
  reserve(calls: number): void;
  /** Takes one call. Throws BudgetError when none may be sent. */
  take(): void;
  /** Returns a call that was not sent. */
  giveBack(): void;
  /** Throws BudgetError when no call could be sent after waiting `afterMs`, so that the caller does not wait in vain. */
  checkAfter(afterMs: number): void;
  /** Like `checkAfter`, for a wait of all the tenant's calls: after a BudgetError, `take` throws it too. */
  pause(afterMs: number): void;
}

export interface BudgetOptions {
  readonly tenant: string;
  /** Calls, retries included; undefined = no limit. */
  readonly maxCalls?: number | undefined;
  readonly time?:
    | {
        readonly maxMinutes: number;
        /** The monotonic clock at the start of the run. */
        readonly sinceMs: number;
      }
    | undefined;
  readonly quiet?: Quiet | undefined;
  readonly runtime: Pick<Runtime, 'now' | 'monotonic'>;
}

/** A smaller budget for each table than this is spent on pages only: no call is kept for comparing the tables after it. */
const LEAST_CALLS_OF_TABLE = 4;

/**
 * Calls to keep while a table is loaded, so that each of the tables after it can still be compared: a run then knows what is left
 * of every table, and a small budget does not keep the last one from ever being compared.
 */
export function reservedCalls(maxCalls: number, tables: number, tablesAfter: number): number {
  return Number.isFinite(maxCalls) && maxCalls >= LEAST_CALLS_OF_TABLE * tables ? tablesAfter : 0;
}

export function openBudget({ tenant, maxCalls = Infinity, time, quiet, runtime }: BudgetOptions): Budget {
  const deadline = time && startDeadline(runtime, time.maxMinutes * 60_000, time.sinceMs);
  let used = 0;
  let reserved = 0;
  let pausedBeyond: unknown;
  const exhausted = (message: string, limit: BudgetError['limit'], hint: string): BudgetError =>
    new BudgetError(message, { limit, hint, where: { tenant } });
  const checkAfter = (afterMs: number): void => {
    const atMs = runtime.now() + afterMs;
    const until = quietUntil(quiet, atMs);
    if (until !== undefined)
      throw exhausted(
        `Tenant "${tenant}" has quiet hours until ${new Date(until).toISOString().slice(0, 16)}Z, so no call is sent.`,
        'quiet',
        'Run again after that time. Quiet hours are set by `quiet` in the configuration.',
      );
    if (deadline && deadline.leftMs() <= afterMs)
      throw exhausted(
        `The run has reached its time limit (${time?.maxMinutes} min).`,
        'minutes',
        'The next run continues from here. The limit is set by `budget.maxMinutes`.',
      );
  };
  return {
    get left() {
      return maxCalls - reserved - used;
    },
    reserve(calls) {
      reserved = calls;
    },
    take() {
      if (pausedBeyond !== undefined) throw pausedBeyond;
      checkAfter(0);
      if (used >= maxCalls - reserved)
        throw exhausted(
          `The run has reached its limit of calls for tenant "${tenant}" (${maxCalls}).`,
          'calls',
          'The next run continues from here. The limit is set by `budget.maxCalls`.',
        );
      used++;
    },
    giveBack() {
      used--;
    },
    checkAfter,
    pause(afterMs) {
      try {
        checkAfter(afterMs);
      } catch (error) {
        pausedBeyond = error;
        throw error;
      }
    },
  };
}
