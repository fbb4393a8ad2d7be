/** Rows without a possible time: they are in no hour and no file, only in quarantine, where all of a table are replaced together. */
import { BEGINNING } from '../../kernel/instant.ts';
import { digestSql } from '../../model/fingerprint.ts';
import { TIMELESS_REASONS } from '../../model/outside.ts';
import type { TableName } from '../../model/tables.ts';
import { sqlText, sqlTextOrNull, sqlTexts } from '../../kernel/sql.ts';
import type { Ledger } from '../ledger/ledger.ts';
import { learn, profileOf } from '../ledger/profile.ts';
import { BULK_SQL, instantSql, tableFilterSql } from '../ledger/sql.ts';

export interface TimelessRow {
  readonly id: string | undefined;
  /** As the source wrote it; undefined for a row without one. */
  readonly timestamp: string | undefined;
  readonly digest: string | undefined;
  /** The row as JSON text. */
  readonly raw: string;
}

export interface TimelessRows {
  readonly rows: readonly TimelessRow[];
  /** Names of the cells of `raw`. */
  readonly columns: readonly string[];
  /** The source's key of all of them (`OutsideRows`), which later runs compare with. */
  readonly key: string;
  readonly run: string;
}

/** Replaces the table's quarantined rows without a possible time, in one transaction. */
export async function replaceTimeless(
  ledger: Ledger,
  tenant: string,
  table: TableName,
  { rows, columns, key, run }: TimelessRows,
): Promise<void> {
  const [noTimestamp, impossible] = TIMELESS_REASONS.map(sqlText);
  const isPrivate = ledger.settings.tables[table].privacy.length > 0;
  const first = instantSql(BEGINNING);
  await ledger.exclusive(() =>
    ledger.transaction(async () => {
      await ledger.run(
        `delete from quarantine where ${tableFilterSql(tenant, table)} and reason in (${sqlTexts(TIMELESS_REASONS)})`,
      );
      await ledger.run(
        `insert into quarantine by name
         select
           ${sqlText(tenant)} as tenant, ${sqlText(table)} as table_name, coalesce(try_cast(r[2] as timestamptz), ${first}) as placed_at,
           'timeless' as page, ${sqlText(run)} as run, case when r[2] is null then ${noTimestamp} else ${impossible} end as reason,
           lower(r[1]) as id, ${isPrivate ? 'null::varchar' : 'r[4]'} as raw, ${sqlTextOrNull(JSON.stringify(columns))} as cells,
           ${digestSql('r[3]')} as digest
         from ${BULK_SQL}`,
        [JSON.stringify(rows.map(({ id, timestamp, digest, raw }) => [id, timestamp, digest, raw].map(orNull)))],
      );
      const { timeless } = await profileOf(ledger, tenant);
      await learn(ledger, tenant, { timeless: { ...timeless, [table]: key } });
    }),
  );
}

/** DuckDB refuses JSON with half of a surrogate pair; in UTF-8 it becomes U+FFFD. */
function orNull(text: string | undefined): string | null {
  return text === undefined ? null : Buffer.from(text).toString();
}
