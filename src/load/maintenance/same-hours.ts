/** Before a file stands for others without a look at the source: it must say of each hour what the ledger says. */
import { DamagedError } from '../../kernel/errors.ts';
import type { TableName } from '../../model/tables.ts';
import { count } from '../ledger/engine.ts';
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
  const [differing] = await ledger.rawRows(
    `select count(*) as n
     from (select hour, fp from ${FILE_FINGERPRINTS}) as written
     full join (
       select hour, lake from hours
       where ${tableFilterSql(tenant, table)} and lake.n > 0 and hour >= ${instantSql(period.from)} and hour < ${instantSql(period.to)}
     ) as held on held.hour = written.hour
     where written.fp is distinct from held.lake`,
  );
  if (count(differing, 'n') === 0) return;
  throw new DamagedError(`The files of ${table} in ${period.name} do not hold what the ledger says`, {
    hint: 'Run `insights-etl verify --deep`: it finds the file, and the next run fetches its rows again.',
    where: { tenant, table, period: period.name },
  });
}
