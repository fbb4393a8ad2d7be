/** The curve of survival: of the passes first installed in a range, how many were active some days later. */
import { numberOf } from './figures.ts';
import type { Row } from './types.ts';

export interface Age {
  readonly days: number;
  /** Of the cohorts that have reached this age. */
  readonly passes: number;
  readonly active: number;
  readonly share: number;
}

/** Each pass belongs to one cohort, so cohorts add up over periods. A cohort that has not reached an age has no figure there. */
export function agesOf(rows: readonly Row[], columns: readonly string[]): Age[] {
  const ages = columns.flatMap((column) => {
    const [, days] = /^alive_d(\d+)$/.exec(column) ?? [];
    return days === undefined ? [] : [{ days: Number(days), column }];
  });
  return [{ days: 0, column: 'cohort' }, ...ages].flatMap(({ days, column }) => {
    const old = rows.filter((row) => numberOf(row, column) !== null);
    const passes = old.reduce((sum, row) => sum + (numberOf(row, 'cohort') ?? 0), 0);
    const active = old.reduce((sum, row) => sum + (numberOf(row, column) ?? 0), 0);
    return passes === 0 ? [] : [{ days, passes, active, share: active / passes }];
  });
}

export const AGE_COLUMNS = ['age_days', 'passes', 'active_passes', 'active_share', 'before_share'];

/** The curve as rows of a table. */
export function ageRows(now: readonly Age[], before: readonly Age[]): Row[] {
  return now.map(({ days, passes, active, share }) => ({
    age_days: days,
    passes,
    active_passes: active,
    active_share: share,
    before_share: before.find((age) => age.days === days)?.share ?? null,
  }));
}
