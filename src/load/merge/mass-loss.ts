/** Refuses a batch that would remove too many rows of a day. */
import { MassLossError } from '../../kernel/errors.ts';
import { sqlTexts } from '../../kernel/sql.ts';
import { DAY } from '../../kernel/instant.ts';
import { isMassLoss } from '../../model/mass-loss.ts';
import type { Batch } from '../../model/page.ts';
import { dayPeriod } from '../../model/period.ts';
import { asCount, asText } from '../ledger/cells.ts';
import { guardsOf } from '../ledger/ledger.ts';
import type { Ledger } from '../ledger/ledger.ts';
import { tableFilterSql } from '../ledger/sql.ts';
import type { Comparison } from './compare.ts';

/** Throws MassLossError. Each day is judged by itself, because the loss of a whole day is a small share of a file of a month. */
export async function refuseMassLoss(
  ledger: Ledger,
  { tenant, table }: Batch,
  compared: Iterable<Comparison>,
): Promise<void> {
  const lost = [...compared].flatMap(({ removedByDay }) => [...removedByDay]);
  if (lost.length === 0) return;
  const days = lost.map(([day, removed]) => ({ day: dayPeriod(day * DAY).name, removed }));
  const held = await ledger.rows(
    `select strftime(hour, '%Y-%m-%d') as day, sum(lake.n)::bigint as rows from hours
     where ${tableFilterSql(tenant, table)} and strftime(hour, '%Y-%m-%d') in (${sqlTexts(days.map(({ day }) => day))})
     group by day`,
    { day: asText, rows: asCount },
  );
  const rowsOf = new Map(held.map(({ day, rows }) => [day, rows]));
  for (const { day, removed } of days) {
    const rows = rowsOf.get(day) ?? 0;
    if (!isMassLoss(removed, rows, guardsOf(ledger.settings, tenant).deletes)) continue;
    throw new MassLossError(
      `${removed} of ${rows} rows of ${table} in ${day} vanished at the source: nothing was changed`,
      {
        hint: 'Check the source. If the rows were deleted there on purpose, run again with --allow-deletes.',
        where: { tenant, table, period: day, removed, held: rows },
      },
    );
  }
}
