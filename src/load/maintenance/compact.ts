/**
 * Merges the files of small days into one file per closed month, as a merge writes it if it expects few rows (units.ts). A query opens
 * every file that its view lists, so five years of small days cost more than their rows. Nothing is fetched and no row changes. A late row
 * rewrites its whole month, which is cheap because only small months are compacted.
 */
import { join } from 'node:path';
import type { Instant } from '../../kernel/instant.ts';
import { asCount, asFlag, asList, asOptional, asTable, asText } from '../ledger/cells.ts';
import type { RowOf } from '../ledger/cells.ts';
import { heldRows } from '../store/form.ts';
import { commitGeneration, copyRows } from '../store/generation.ts';
import type { Ledger } from '../ledger/ledger.ts';
import { CLOSED_AFTER, periodOf } from '../../model/period.ts';
import { instantSql, parquetSql } from '../ledger/sql.ts';
import { lastGeneration, replaceFiles } from './rearrange.ts';

/** Bytes of a day's file, on average, below which a closed month is compacted. */
export const SMALL_BYTES = 1_000_000;

export interface CompactOptions {
  readonly run: string;
  /** The source's clock. Months that ended at least 35 days earlier are closed. */
  readonly at: Instant;
  /** A month is compacted when its files have fewer bytes than this on average. @default SMALL_BYTES */
  readonly smallBytes?: number;
  /** When aborted, the months that remain are left to the next run. */
  readonly signal?: AbortSignal;
  readonly onStep?: (step: string) => void | Promise<void>;
}

const CLOSED_MONTH = {
  tenant: asText,
  table_name: asTable,
  month: asText,
  rows: asCount,
  files: asList(asText),
  days: asList(asText),
  promotions: asList(asOptional(asText)),
  privacies: asList(asOptional(asText)),
  digests: asList(asOptional(asText)),
};

/** Compacts every closed month whose hours are all settled. */
export async function compactMonths(
  ledger: Ledger,
  { run, at, smallBytes = SMALL_BYTES, signal, onStep }: CompactOptions,
): Promise<{ readonly months: number; readonly files: number }> {
  return ledger.onAllThreads(async () => {
    const months = `from partitions
       where superseded_at is null and length(period) = 10
       group by tenant, table_name, period[:7]
       having count(*) > 1 and avg(bytes) < ${Math.trunc(smallBytes)} and max(to_ts) <= ${instantSql(at - CLOSED_AFTER)}`;
    // Planning the lists takes longer than most runs need to see that there are none.
    const { any } = await ledger.row(`select exists (select 1 ${months}) as any`, { any: asFlag });
    if (!any) return { months: 0, files: 0 };
    const small = await ledger.rows(
      `select
         tenant, table_name, period[:7] as month, sum(rows)::bigint as rows,
         list(file order by period) as files, list(period order by period) as days,
         list(promotion order by period) as promotions, list(privacy order by period) as privacies,
         list(digests order by period) as digests
       ${months}
       order by tenant, table_name, month`,
      CLOSED_MONTH,
    );
    const unsettled = await unsettledMonths(ledger);
    const closed = small.filter(({ tenant, table_name: table, month }) => !unsettled.has(keyOf(tenant, table, month)));
    let [done, files] = [0, 0];
    for (const month of closed) {
      if (signal?.aborted === true) break;
      await compactMonth(ledger, month, run, onStep);
      done += 1;
      files += month.files.length;
    }
    return { months: done, files };
  });
}

/** The months of a tenant and table that have an hour without proof. */
async function unsettledMonths(ledger: Ledger): Promise<ReadonlySet<string>> {
  const months = await ledger.rows(
    `select distinct tenant, table_name, strftime(hour, '%Y-%m') as month
     from hours where state not in ('verified', 'expired')`,
    { tenant: asText, table_name: asText, month: asText },
  );
  return new Set(months.map(({ tenant, table_name: table, month }) => keyOf(tenant, table, month)));
}

const keyOf = (...parts: readonly string[]): string => parts.join('\n');

async function compactMonth(
  ledger: Ledger,
  { tenant, table_name: table, month, rows, files, days, promotions, privacies, digests }: RowOf<typeof CLOSED_MONTH>,
  run: string,
  onStep: CompactOptions['onStep'],
): Promise<void> {
  const period = periodOf(month);
  if (!period) throw new Error(`not a month: ${month}`);
  const key = { tenant, table };
  const held = files.map((file, index) => ({
    path: join(ledger.dataDir, file),
    form: { promotion: promotions[index], privacy: privacies[index], digests: digests[index] },
  }));
  // Files without digests are read in another way.
  const groups = [
    held.filter(({ form }) => form.digests !== undefined),
    held.filter(({ form }) => form.digests === undefined),
  ];
  const generation = (await lastGeneration(ledger, key, period)) + 1;
  const copied = await copyRows(ledger, key, period, generation, {
    sources: groups.flatMap((group) =>
      group.length === 0
        ? []
        : heldRows(
            ledger.settings.tables[table],
            `from ${parquetSql(group.map(({ path }) => path))} where true`,
            group.map(({ form }) => form),
          ),
    ),
    inOrder: false,
    rows,
  });
  const generations = [await commitGeneration(ledger, copied)];
  await replaceFiles(ledger, key, { month: period, old: days, generations, run, onStep });
}
