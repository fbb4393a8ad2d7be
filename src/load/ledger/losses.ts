/** Hours that the source deleted before they were proven: what the lake lacks of them cannot be loaded any more. */
import type { Instant } from '../../kernel/instant.ts';
import type { TableName } from '../../model/tables.ts';
import { asCount, asInstant, asTable, asText } from './cells.ts';
import type { Ledger } from './ledger.ts';

export interface Loss {
  readonly tenant: string;
  readonly table: TableName;
  readonly hours: number;
  /** The first and the last of these hours. */
  readonly first: Instant;
  readonly last: Instant;
}

/** The hours that a run found expired. An hour is reported by one run only. */
export async function lossesOf(ledger: Ledger, run: string): Promise<readonly Loss[]> {
  const rows = await ledger.exclusive(() =>
    ledger.rows(
      `select tenant, table_name, count(*) as hours, epoch_us(min(hour))::varchar as first, epoch_us(max(hour))::varchar as last
       from hours where state = 'expired' and run = $1 group by tenant, table_name order by tenant, table_name`,
      { tenant: asText, table_name: asTable, hours: asCount, first: asInstant, last: asInstant },
      [run],
    ),
  );
  return rows.map(({ table_name: table, ...loss }) => ({ ...loss, table }));
}
