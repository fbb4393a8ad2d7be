/** How many checks of a run failed. */
import type { CheckResult } from './report.ts';

export interface CheckCounts {
  readonly errors: number;
  readonly warnings: number;
  /** Checks that could not run. */
  readonly notRun: number;
}

/** `failed`: the checks that failed or could not run. */
export function countChecks(failed: readonly CheckResult[]): CheckCounts {
  const finished = failed.filter(({ error }) => error === undefined);
  return {
    errors: finished.filter(({ severity }) => severity === 'error').length,
    warnings: finished.filter(({ severity }) => severity === 'warning').length,
    notRun: failed.length - finished.length,
  };
}
