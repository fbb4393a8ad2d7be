/**
 * JSON columns are plain text in new lakes: Parquet's annotation JSON makes strict readers parse each value, and they refuse a single
 * number or text, and two equal keys in an object. Files of earlier versions have the annotation. They are never rewritten for
 * it, and the files of a table are always of one kind, because polars and ClickHouse cannot read both kinds as one table.
 */
import { join } from 'node:path';
import { sqlText } from '../../kernel/sql.ts';
import type { TableName } from '../../model/tables.ts';
import { asText } from '../ledger/cells.ts';
import type { Ledger } from '../ledger/ledger.ts';
import { columnListSql } from '../ledger/sql.ts';

type JsonType = 'JSON' | 'VARCHAR';

/** Found once per process and table. */
const known = new WeakMap<Ledger, Map<TableName, Promise<JsonType>>>();

/** The columns of a file of the lake, with JSON as the table's files have it. */
export async function writtenColumnsSql(ledger: Ledger, name: TableName): Promise<string> {
  const ofLedger = known.get(ledger) ?? new Map<TableName, Promise<JsonType>>();
  known.set(ledger, ofLedger);
  const found = ofLedger.get(name) ?? typeInFiles(ledger, name);
  ofLedger.set(name, found);
  return columnListSql(ledger.settings.tables[name], await found);
}

/** The type in the first of the table's files that can be read, whatever its tenant. */
async function typeInFiles(ledger: Ledger, name: TableName): Promise<JsonType> {
  const files = await ledger.rows(
    `select file from partitions where table_name = ${sqlText(name)} and superseded_at is null order by tenant, period`,
    { file: asText },
  );
  for (const { file } of files) {
    const path = join(ledger.dataDir, file);
    const types = await ledger
      .rows(
        `select coalesce(converted_type, '') as type from parquet_schema(${sqlText(path)}) where name = 'properties'`,
        { type: asText },
      )
      // A damaged or missing file is reported by those who need its rows.
      .catch(() => []);
    if (types[0] !== undefined) return types[0].type === 'JSON' ? 'JSON' : 'VARCHAR';
  }
  return 'VARCHAR';
}
