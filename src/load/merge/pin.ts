/**
 * Sets the pinned tenant id of a tenant by hand. A merge pins the first id that it sees, so a first answer with another
 * tenant's rows pins the wrong one: the lake then holds foreign rows, and the tenant's own rows are in quarantine.
 *
 * Rows of the lake with another id than the new one move into the quarantine. Their text is written from the lake's columns
 * and is equivalent to the source's (ids in lower case, instants to the microsecond). Afterwards `replayQuarantined` loads
 * the tenant's own rows.
 */
import { join } from 'node:path';
import { TABLES, TABLE_NAMES } from '../../model/tables.ts';
import type { Table, TableName } from '../../model/tables.ts';
import { lakeName } from '../../transform/lake.ts';
import { sqlText } from '../../kernel/sql.ts';
import { DIGEST_CELL, DIGEST_COLUMN } from '../../model/fingerprint.ts';
import { asBigInt, asCount, asOptional, asText } from '../ledger/cells.ts';
import type { Ledger } from '../ledger/ledger.ts';
import { applyStage } from './merge.ts';
import { updateProfile } from '../ledger/profile.ts';
import { contentHashSql, dayOfHourSql, digestedSql, hourNumberSql, tableFilterSql } from '../ledger/sql.ts';
import type { StoredRows } from '../ledger/sql.ts';
import { createStage, MOVED_OUT } from './merge-tables.ts';
import { dropStage } from './staging.ts';

/**
 * Pins the id and moves foreign rows of the lake into the quarantine; returns their number. Calling it again with the same
 * id changes nothing.
 */
export async function pinTenantId(ledger: Ledger, tenant: string, id: string, run: string): Promise<number> {
  await updateProfile(ledger, tenant, { pinnedTenantId: id });
  return ledger.exclusive(async () => {
    let quarantined = 0;
    for (const table of TABLE_NAMES) {
      const partitions = await ledger.rows(
        `select period, file, digests from partitions where ${tableFilterSql(tenant, table)} and superseded_at is null order by period`,
        { period: asText, file: asText, digests: asOptional(asText) },
      );
      for (const { period, file, digests } of partitions) {
        try {
          quarantined += await quarantineForeign(ledger, {
            tenant,
            table,
            file: { path: join(ledger.dataDir, file), digests },
            id,
            batchId: `${run}-${TABLES[table].lakeName}-${period}`,
          });
        } finally {
          await dropStage(ledger);
        }
      }
    }
    return quarantined;
  });
}

interface Partition {
  readonly tenant: string;
  readonly table: TableName;
  readonly file: StoredRows;
  /** The tenant id that its rows must have. */
  readonly id: string;
  readonly batchId: string;
}

/** Moves the foreign rows of one file into the quarantine, as a batch without staged rows; returns their number. */
async function quarantineForeign(ledger: Ledger, { tenant, table, file, id, batchId }: Partition): Promise<number> {
  const foreign = `from ${digestedSql([file])} where source_tenant_id <> ${sqlText(id)}`;
  const days = await ledger.rows(
    `select ${dayOfHourSql(hourNumberSql())} as day, count(*) as rows ${foreign} group by day`,
    {
      day: asBigInt,
      rows: asCount,
    },
  );
  if (days.length === 0) return 0;
  const definition = ledger.settings.tables[table];
  const idName = lakeName(definition, definition.id);
  await createStage(ledger, definition);
  await ledger.run(
    `insert into ${MOVED_OUT} (hour, id, content)
     select ${hourNumberSql()}, "${idName}", ${contentHashSql(definition)} ${foreign}`,
  );
  const moveRows = async (): Promise<string> => {
    await ledger.run(
      `insert into quarantine
       select
         ${sqlText(tenant)}, ${sqlText(table)}, "timestamp", date_trunc('hour', "timestamp"), date_trunc('minute', "timestamp"),
         'lake', ${sqlText(batchId)}, 'foreign_tenant', "${idName}", ${definition.privacy.length === 0 ? rawSql(definition) : 'null'}, ${sqlText(JSON.stringify(cellNames(definition)))},
         json_array(json_array(epoch_us(date_trunc('minute', "timestamp"))::varchar,
           (epoch_us(date_trunc('minute', "timestamp")) + 60000000)::varchar))::varchar,
         null, ${DIGEST_COLUMN}
       ${foreign}`,
    );
    return `select distinct make_timestamptz(hour * 3600000000) as hour from ${MOVED_OUT}`;
  };
  await applyStage(
    ledger,
    { id: batchId, tenant, table, windows: [], pages: [] },
    { days: new Map(days.map(({ day }) => [day, 0])), quarantined: 0, pin: undefined },
    { run: batchId, moveRows },
  );
  return days.reduce((sum, { rows }) => sum + rows, 0);
}

/** The cells of `rawSql`. */
function cellNames(table: Table): readonly string[] {
  return [...table.columns.map(({ name }) => name), DIGEST_CELL];
}

/** A row of the lake as JSON text: the array of cells that a page's answer would hold. */
function rawSql(table: Table): string {
  const cells = table.columns.map((column) => {
    const name = `"${column.lake}"`;
    if (column.anyJson) return `'[' || ${name}::varchar || ']'`;
    if (column.type === 'datetime') return `strftime(${name}, '%Y-%m-%dT%H:%M:%S.%fZ')`;
    // Text that was not JSON is a JSON string in the lake.
    if (column.type === 'dynamic')
      return `case when json_type(${name}) = 'VARCHAR' then ${name} ->> '$' else ${name}::varchar end`;
    return name;
  });
  return `to_json([${cells.join(', ')}, printf('%015x', ${DIGEST_COLUMN})])::varchar`;
}
