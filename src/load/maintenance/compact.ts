/**
 * Closed months of small days become one file each: a query binds every file that its view lists, so five years of
 * small days cost more than their rows. Nothing is read from the source and no row changes; a row that turns up later
 * rewrites its month, which is small by choice.
 */
import { join } from 'node:path';
import { z } from 'zod';
import { DAY } from '../../kernel/instant.ts';
import type { Instant } from '../../kernel/instant.ts';
import { sqlText } from '../../kernel/sql.ts';
import { count, tableOf, text } from '../ledger/engine.ts';
import type { Row } from '../ledger/engine.ts';
import { heldRows } from '../store/form.ts';
import { commitGeneration, copyRows } from '../store/generation.ts';
import type { Ledger } from '../ledger/ledger.ts';
import { periodOf } from '../../model/period.ts';
import { dropFileFingerprints, insertPartitions, readBack } from '../store/file-fingerprints.ts';
import { requireSameHours } from './same-hours.ts';
import { instantSql, tableFilterSql, parquetSql } from '../ledger/sql.ts';

export interface CompactOptions {
  readonly run: string;
  /** The source's clock: months that ended a good while before it are closed. */
  readonly at: Instant;
  /** Mean bytes of a month's files below which they are put together. @default 1 MB */
  readonly smallBytes?: number;
  /** Aborted: the months that are left are the next run's. */
  readonly signal?: AbortSignal;
  readonly onStep?: (step: string) => void | Promise<void>;
}

const FORM_TEXT = z
  .string()
  .nullable()
  .transform((value) => value ?? undefined);
const FORMS = z.array(z.object({ promotion: FORM_TEXT, privacy: FORM_TEXT }));

/** Late rows come within days; after this a month is rewritten by hardly anything. */
const CLOSED_AFTER = 35n * DAY;

/** Compacts every closed month whose hours are all settled. */
export async function compactMonths(
  ledger: Ledger,
  { run, at, smallBytes = 1_000_000, signal, onStep }: CompactOptions,
): Promise<{ readonly months: number; readonly files: number }> {
  return ledger.exclusive(async () => {
    const closed = await ledger.rawRows(
      `with unsettled as (
         select distinct tenant, table_name, strftime(hour, '%Y-%m') as month
         from hours where state not in ('verified', 'expired')
       ),
       months as (
         select
           tenant, table_name, period[:7] as month, sum(rows)::bigint as rows, count(*) as n,
           string_agg(file, chr(10) order by period) as files, list(distinct {promotion: promotion, privacy: privacy})::json as forms
         from partitions
         where superseded_at is null and length(period) = 10
         group by all
         having count(*) > 1 and avg(bytes) < ${Math.trunc(smallBytes)} and max(to_ts) <= ${instantSql(at - CLOSED_AFTER)}
       )
       select * from months
       where not exists (
         select 1 from unsettled
         where unsettled.tenant = months.tenant and unsettled.table_name = months.table_name and unsettled.month = months.month)
       order by tenant, table_name, month`,
    );
    const done: Row[] = [];
    for (const row of closed) {
      if (signal?.aborted === true) break;
      await compactMonth(ledger, row, run, onStep);
      done.push(row);
    }
    return { months: done.length, files: done.reduce((sum, row) => sum + count(row, 'n'), 0) };
  });
}

async function compactMonth(ledger: Ledger, month: Row, run: string, onStep: CompactOptions['onStep']): Promise<void> {
  const [tenant, table, name] = [text(month, 'tenant') ?? '', tableOf(month), text(month, 'month') ?? ''];
  const period = periodOf(name);
  if (!period) throw new Error(`not a month: ${name}`);
  const mine = tableFilterSql(tenant, table);
  const files = (text(month, 'files') ?? '').split('\n').map((file) => join(ledger.dataDir, file));
  const forms = FORMS.parse(JSON.parse(text(month, 'forms') ?? '[]'));
  const [last] = await ledger.rawRows(
    `select coalesce(max(generation), 0) as n from partitions where ${mine} and period = ${sqlText(name)}`,
  );
  const copied = await copyRows(ledger, { tenant, table }, period, count(last, 'n') + 1, {
    sources: [heldRows(ledger.settings.tables[table], `from ${parquetSql(files)} where true`, forms)],
    inOrder: false,
    rows: count(month, 'rows'),
  });
  const generation = await commitGeneration(ledger, copied);
  await onStep?.(`month ${name}`);
  await readBack(ledger, { table }, [generation]);
  await requireSameHours(ledger, { tenant, table }, period);
  await ledger.transaction(async () => {
    await ledger.run(
      `update partitions set superseded_at = ${ledger.nowSql()}
       where ${mine} and superseded_at is null and length(period) = 10 and period[:7] = ${sqlText(name)}`,
    );
    await insertPartitions(ledger, { tenant, table }, [generation], run);
  });
  await dropFileFingerprints(ledger);
  await onStep?.(`recorded ${name}`);
}
