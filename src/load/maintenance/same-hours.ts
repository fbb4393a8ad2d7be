/** A file that was rewritten without asking the source must hold, hour by hour, what the ledger says. */
import { DamagedError } from '../../kernel/errors.ts';
import type { TableName } from '../../model/tables.ts';
import { asCount } from '../ledger/cells.ts';
import type { Ledger } from '../ledger/ledger.ts';
import type { Period } from '../../model/period.ts';
import { instantSql, tableFilterSql } from '../ledger/sql.ts';
import { FILE_FINGERPRINTS } from '../store/file-fingerprints.ts';

/** Compares FILE_FINGERPRINTS with the accounts of the period's hours. Throws DamagedError when they differ. */
export async function requireSameHours(
  ledger: Ledger,
  { tenant, table }: { readonly tenant: string; readonly table: TableName },
  period: Period,
): Promise<void> {
  const { differing } = await ledger.row(
    `select count(*) as differing
     from (select hour, fp from ${FILE_FINGERPRINTS}) as written
     full join (
       select hour, lake from hours
       where ${tableFilterSql(tenant, table)} and lake.n > 0 and hour >= ${instantSql(period.from)} and hour < ${instantSql(period.to)}
     ) as held on held.hour = written.hour
     where written.fp is distinct from held.lake`,
    { differing: asCount },
  );
  if (differing === 0) return;
  throw new DamagedError(`The files of ${table} in ${period.name} do not hold what the ledger says`, {
    hint: 'Run `insights-etl verify --deep`: it finds the file, and the next run fetches its rows again.',
    where: { tenant, table, period: period.name },
  });
}
