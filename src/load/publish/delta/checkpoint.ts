/** The rows of a checkpoint: all that the entries up to its version say, in one Parquet file. */
import { sqlText } from '../../../kernel/sql.ts';
import { APP_ID, PROTOCOL, metadataOf } from './commit.ts';
import type { Occasion, Own, TableNow } from './commit.ts';
import type { DeltaTable } from './tables.ts';

const TYPES = {
  protocol: 'struct("minReaderVersion" integer, "minWriterVersion" integer)',
  metadata: `struct(id varchar, "name" varchar, description varchar, format struct(provider varchar, options map(varchar, varchar)),
    "schemaString" varchar, "partitionColumns" varchar[], configuration map(varchar, varchar), "createdTime" bigint)`,
  txn: 'struct("appId" varchar, "version" bigint, "lastUpdated" bigint)',
  add: `struct(path varchar, "partitionValues" map(varchar, varchar), size bigint, "modificationTime" bigint, "dataChange" boolean, stats varchar)`,
  remove: 'struct(path varchar, "deletionTimestamp" bigint, "dataChange" boolean)',
} as const;

/** A select of the rows. The table has the files of the ledger, because the commit before was made from it. */
export function checkpointSql(
  table: DeltaTable,
  now: TableNow,
  own: Pick<Own, 'table' | 'createdTime'>,
  { snapshot, nowMs }: Occasion,
): string {
  const { id, createdTime, configuration } = metadataOf(now, own);
  const settings = Object.entries(configuration).map(([key, value]) => `${sqlText(key)}: ${sqlText(value)}`);
  const metadata = `{'id': ${sqlText(id)}, 'name': ${sqlText(now.name)}, 'description': ${sqlText(now.description)},
    'format': {'provider': 'parquet', 'options': map {}}, 'schemaString': ${sqlText(now.schema)},
    'partitionColumns': [${now.partitionColumns.map(sqlText).join(', ')}], 'configuration': map {${settings.join(', ')}}, 'createdTime': ${createdTime}}`;
  const row = (cells: Partial<Record<'protocol' | 'metaData' | 'txn' | 'add' | 'remove', string>>, from = ''): string =>
    `select (${cells.protocol ?? 'null'})::${TYPES.protocol} as protocol, (${cells.metaData ?? 'null'})::${TYPES.metadata} as "metaData",
       (${cells.txn ?? 'null'})::${TYPES.txn} as txn, (${cells.add ?? 'null'})::${TYPES.add} as add, (${cells.remove ?? 'null'})::${TYPES.remove} as remove ${from}`;
  const { minReaderVersion, minWriterVersion } = PROTOCOL;
  return [
    row({ protocol: `{'minReaderVersion': ${minReaderVersion}, 'minWriterVersion': ${minWriterVersion}}` }),
    row({ metaData: metadata }),
    row({ txn: `{'appId': ${sqlText(APP_ID)}, 'version': ${snapshot}, 'lastUpdated': ${nowMs}}` }),
    row(
      { add: `{'path': path, 'partitionValues': partitions, 'size': size, 'modificationTime': modified, 'dataChange': false, 'stats': stats}` },
      `from (${table.filesSql})`,
    ),
    row({ remove: `{'path': path, 'deletionTimestamp': removed, 'dataChange': false}` }, `from (${table.formerSql})`),
  ].join(' union all ');
} // oxfmt-ignore
