/**
 * Splits the file of a month that has more rows than were expected into one file per day, so that later rows rewrite only their day.
 * The reverse of compaction: nothing is fetched and no row changes.
 */
import { join } from 'node:path';
import type { Instant } from '../../kernel/instant.ts';
import { DAY } from '../../kernel/instant.ts';
import { sqlName } from '../../kernel/sql.ts';
import type { Batch } from '../../model/page.ts';
import { CLOSED_AFTER, dayPeriod, periodOf } from '../../model/period.ts';
import type { Period } from '../../model/period.ts';
import { asBigInt, asCount, asText } from '../ledger/cells.ts';
import type { RowOf } from '../ledger/cells.ts';
import { monthLimits } from '../ledger/ledger.ts';
import type { Ledger } from '../ledger/ledger.ts';
import { DAY_MICROSECONDS, insideSql, instantSql, parquetSql, tableFilterSql, unitNumberSql } from '../ledger/sql.ts';
import { DAY_COLUMN, copyGroups } from '../store/arrange.ts';
import { FORM_SHAPE, heldRows } from '../store/form.ts';
import { clearDays, commitGeneration, copyDays, copyRows } from '../store/generation.ts';
import type { Copied, Generation } from '../store/generation.ts';
import { SMALL_BYTES } from './compact.ts';
import { lastGeneration, replaceFiles } from './rearrange.ts';

export interface SplitOptions {
  readonly run: string;
  /** The source's clock. A closed month is split only if its file is larger than any that compaction writes. */
  readonly at: Instant;
  /** As in compaction. */
  readonly smallBytes?: number;
  readonly onStep?: (step: string) => void | Promise<void>;
}

type Key = Pick<Batch, 'tenant' | 'table'>;

const LARGE_MONTH = { month: asText, file: asText, ...FORM_SHAPE };

/** Splits the months of a table that have grown large. Returns how many. */
export async function splitMonths(
  ledger: Ledger,
  key: Key,
  { run, at, smallBytes = SMALL_BYTES, onStep }: SplitOptions,
): Promise<number> {
  return ledger.exclusive(async () => {
    const large = await ledger.rows(
      `select period as month, file, promotion, privacy, digests from partitions
       where ${tableFilterSql(key.tenant, key.table)} and superseded_at is null and length(period) = 7
         and rows > ${monthLimits(ledger.settings).rows}
         and (to_ts > ${instantSql(at - CLOSED_AFTER)} or bytes >= ${Math.trunc(31 * smallBytes)})
       order by period`,
      LARGE_MONTH,
    );
    for (const month of large) await splitMonth(ledger, key, month, run, onStep);
    return large.length;
  });
}

interface DayRows {
  readonly period: Period;
  readonly rows: number;
}

async function splitMonth(
  ledger: Ledger,
  key: Key,
  { month, file, ...form }: RowOf<typeof LARGE_MONTH>,
  run: string,
  onStep: SplitOptions['onStep'],
): Promise<void> {
  const period = periodOf(month);
  if (!period) throw new Error(`not a month: ${month}`);
  const generation = (await lastGeneration(ledger, key, period)) + 1;
  const path = join(ledger.dataDir, file);
  const held = (days: readonly DayRows[]): string => {
    const windows = days.map((day) => day.period);
    return heldRows(ledger.settings.tables[key.table], `from ${parquetSql([path])} where ${insideSql(windows)}`, [
      form,
    ]);
  };
  const copy = async (days: readonly DayRows[]): Promise<Copied[]> => {
    const [only, ...others] = days;
    if (only && others.length === 0)
      return [
        await copyRows(ledger, key, only.period, generation, { sources: [held(days)], inOrder: true, rows: only.rows }),
      ];
    const day = `${unitNumberSql('"timestamp"', DAY_MICROSECONDS)} as ${sqlName(DAY_COLUMN)}`;
    const source = `from (select *, ${day} ${held(days)})`;
    const periods = days.map((each) => ({ period: each.period, generation }));
    // The file of a month is sorted by type first.
    return copyDays(ledger, key, { days: periods, source, inOrder: false }, ledger);
  };
  const generations: Generation[] = [];
  for (const days of copyGroups(await daysOf(ledger, key, period), ({ rows }) => rows)) {
    for (const copied of await copy(days)) generations.push(await commitGeneration(ledger, copied));
    await onStep?.(`copied ${generations.length} days`);
  }
  await clearDays(ledger);
  await replaceFiles(ledger, key, { month: period, old: [month], generations, run, onStep });
}

/** The days of the month that have rows, in order. */
async function daysOf(ledger: Ledger, { tenant, table }: Key, month: Period): Promise<DayRows[]> {
  const days = await ledger.rows(
    `select ${unitNumberSql('hour', DAY_MICROSECONDS)} as day, sum(lake.n)::bigint as rows from hours
     where ${tableFilterSql(tenant, table)} and ${insideSql([month], 'hour')} and lake.n > 0
     group by day order by day`,
    { day: asBigInt, rows: asCount },
  );
  return days.map(({ day, rows }) => ({ period: dayPeriod(day * DAY), rows }));
}
