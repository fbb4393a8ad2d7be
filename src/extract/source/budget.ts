/**
 * How much a run may ask of one tenant's source: calls, minutes, and no call in quiet hours. Asked before each call, so that
 * a call is sent whole or not at all; counts of a comparison weigh as much as pages.
 */
import { BudgetError } from '../../kernel/errors.ts';
import { quietUntil } from '../../model/quiet.ts';
import type { Quiet } from '../../model/quiet.ts';
import type { Runtime } from '../../kernel/runtime.ts';
import { startDeadline } from './deadline.ts';

export interface Budget {
  /** Calls that may still be sent; Infinity without a limit. */
  readonly left: number;
  /** Takes one call; throws BudgetError where none may be sent. */
  take(): void;
  /** Gives back a call that was not sent after all. */
  giveBack(): void;
  /** Throws BudgetError where no call may be sent in `afterMs`: a wait that ends behind the budget is not begun. */
  check(afterMs: number): void;
  /** The same for a wait of all calls of the tenant: where it ends behind the budget, that is over. */
  paused(afterMs: number): void;
}

export interface BudgetOptions {
  readonly tenant: string;
  /** Calls, repetitions included; undefined = any number. */
  readonly maxCalls?: number | undefined;
  readonly time?:
    | {
        readonly maxMinutes: number;
        /** The monotonic clock at its beginning. */
        readonly sinceMs: number;
      }
    | undefined;
  readonly quiet?: Quiet | undefined;
  readonly runtime: Pick<Runtime, 'now' | 'monotonic'>;
}

export function openBudget({ tenant, maxCalls = Infinity, time, quiet, runtime }: BudgetOptions): Budget {
  const end = time && startDeadline(runtime, time.maxMinutes * 60_000, time.sinceMs);
  let used = 0;
  let over: unknown;
  const spent = (message: string, limit: BudgetError['limit'], hint: string): BudgetError =>
    new BudgetError(message, { limit, hint, where: { tenant } });
  const check = (afterMs: number): void => {
    const atMs = runtime.now() + afterMs;
    const until = quietUntil(quiet, atMs);
    if (until !== undefined)
      throw spent(
        `Quiet hours of tenant "${tenant}" until ${new Date(until).toISOString().slice(0, 16)}Z: no call is sent.`,
        'quiet',
        'Run again after them; `quiet` in the configuration sets them.',
      );
    if (time && end && end.leftMs() <= afterMs)
      throw spent(
        `The ${time.maxMinutes} minutes of this run are over.`,
        'minutes',
        'The next run goes on from here; `budget.maxMinutes` sets them.',
      );
  };
  return {
    get left() {
      return maxCalls - used;
    },
    take() {
      if (over !== undefined) throw over;
      check(0);
      if (used >= maxCalls)
        throw spent(
          `The ${maxCalls} calls of this run for tenant "${tenant}" are used up.`,
          'calls',
          'The next run goes on from here; `budget.maxCalls` sets them.',
        );
      used++;
    },
    giveBack() {
      used--;
    },
    check,
    paused(afterMs) {
      try {
        check(afterMs);
      } catch (error) {
        over = error;
        throw error;
      }
    },
  };
}
