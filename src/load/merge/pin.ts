/**
 * The tenant id that a tenant's rows must carry, set by a person. It is pinned as first seen, so a first answer with
 * another tenant's rows pins the wrong one: then the lake holds what it must not, and the quarantine what is wanted.
 *
 * Rows of the lake that carry another id than the new one move into the quarantine, with a text that says the same as
 * the source's did (ids in lower case, instants to the microsecond); `replayQuarantined` brings in those that are wanted.
 */
import { join } from 'node:path';
import { TABLES, TABLE_NAMES } from '../../model/tables.ts';
import type { Table, TableName } from '../../model/tables.ts';
import { lakeName } from '../../transform/lake.ts';
import { sqlText } from '../../kernel/sql.ts';
import { count, text } from '../ledger/engine.ts';
import type { Ledger } from '../ledger/ledger.ts';
import { applyStage } from './merge.ts';
import { updateProfile } from '../ledger/profile.ts';
import { hourNumberSql, tableFilterSql, parquetSql } from '../ledger/sql.ts';
import { createStage, MOVED_OUT } from './merge-tables.ts';
import { dropStage } from './staging.ts';

/** Pins the id and puts foreign rows of the lake into quarantine; returns how many. Again with the same id, it changes nothing. */
export async function pinTenantId(ledger: Ledger, tenant: string, id: string, run: string): Promise<number> {
  await updateProfile(ledger, tenant, { pinnedTenantId: id });
  return ledger.exclusive(async () => {
    let moved = 0;
    for (const table of TABLE_NAMES) {
      const files = await ledger.rawRows(
        `select period, file from partitions where ${tableFilterSql(tenant, table)} and superseded_at is null order by period`,
      );
      for (const row of files) {
        const file = join(ledger.dataDir, text(row, 'file') ?? '');
        const batch = `${run}-${TABLES[table].lakeName}-${text(row, 'period') ?? ''}`;
        try {
          moved += await expelForeign(ledger, { tenant, table }, { file, id, run: batch });
        } finally {
          await dropStage(ledger);
        }
      }
    }
    return moved;
  });
}

async function expelForeign(
  ledger: Ledger,
  { tenant, table }: { readonly tenant: string; readonly table: TableName },
  { file, id, run }: { readonly file: string; readonly id: string; readonly run: string },
): Promise<number> {
  const foreign = `from ${parquetSql([file])} where source_tenant_id <> ${sqlText(id)}`;
  const rows = await ledger.rawRows(`select ${hourNumberSql()} // 24 as day, count(*) as n ${foreign} group by 1`);
  if (rows.length === 0) return 0;
  const definition = ledger.settings.tables[table];
  const idName = lakeName(definition, definition.id);
  await createStage(ledger, definition);
  await ledger.run(
    `insert into ${MOVED_OUT} (hour, id, minute)
     select ${hourNumberSql()}, "${idName}", date_trunc('minute', "timestamp") ${foreign}`,
  );
  const moveRows = async (): Promise<string> => {
    await ledger.run(
      `insert into quarantine
       select
         ${sqlText(tenant)}, ${sqlText(table)}, "timestamp", date_trunc('hour', "timestamp"), date_trunc('minute', "timestamp"),
         'lake', ${sqlText(run)}, 'foreign_tenant', "${idName}", ${definition.privacy.length === 0 ? rawSql(definition) : 'null'}, null,
         json_array(json_array(epoch_us(date_trunc('minute', "timestamp"))::varchar,
           (epoch_us(date_trunc('minute', "timestamp")) + 60000000)::varchar))::varchar,
         null
       ${foreign}`,
    );
    return `select distinct make_timestamptz(hour * 3600000000) as hour from ${MOVED_OUT}`;
  };
  const days = new Map(rows.map((row) => [BigInt(text(row, 'day') ?? 0), 0]));
  const stage = { days, quarantined: 0, pin: undefined };
  await applyStage(ledger, { id: run, tenant, table, windows: [], pages: [] }, stage, { run, moveRows });
  return rows.reduce((sum, row) => sum + count(row, 'n'), 0);
}

/** A row of the lake as the array of cells that a page's answer holds. */
function rawSql(table: Table): string {
  const cells = table.columns.map((column) => {
    const name = `"${column.lake}"`;
    if (column.anyJson) return `'[' || ${name}::varchar || ']'`;
    if (column.type === 'datetime') return `strftime(${name}, '%Y-%m-%dT%H:%M:%S.%fZ')`;
    // A text that was no JSON stands in the lake as a JSON string.
    if (column.type === 'dynamic')
      return `case when json_type(${name}) = 'VARCHAR' then ${name} ->> '$' else ${name}::varchar end`;
    return name;
  });
  return `to_json([${cells.join(', ')}])::varchar`;
}
