/**
 * Finds the copies among the rows of a batch. Only rows that are equal in every cell are copies: one of them is loaded, and the
 * others are counted. Rows that share an id and differ in any cell are different rows, and all are loaded.
 *
 * The digest covers what the lake does not store (keys that were dropped, the seventh digit of a second), so rows with different
 * digests are no copies either.
 */
import { DIGEST_COLUMN } from '../../model/fingerprint.ts';
import type { Table } from '../../model/tables.ts';
import { lakeName } from '../../transform/lake.ts';
import { asBigInt, asCount } from '../ledger/cells.ts';
import type { Ledger } from '../ledger/ledger.ts';
import {
  DAY_MICROSECONDS,
  contentHashSql,
  hourNumberSql,
  parquetSql,
  storedDigestSql,
  unitNumberSql,
} from '../ledger/sql.ts';
import { sumDays } from './units.ts';
import type { Unit } from './units.ts';
import { createEmpty, EXCESS_COPIES, REPEATED_IDS, STAGED } from './merge-tables.ts';

/** Fills EXCESS_COPIES from STAGED. Returns the other rows that can be loaded by UTC day, as the day's number since 1970. */
export async function findExcessCopies(ledger: Ledger, table: Table): Promise<ReadonlyMap<bigint, number>> {
  const id = lakeName(table, table.id);
  await createEmpty(ledger, REPEATED_IDS);
  await ledger.run(
    `insert into ${REPEATED_IDS}
     select ${hourNumberSql()} as hour, "${id}" as id from ${STAGED} where reason is null group by all having count(*) > 1`,
  );
  const repeated = await ledger.row(`select count(*) as n from ${REPEATED_IDS}`, { n: asCount });
  // The window function sees only repeated ids: over all rows it would take as long as the rest of staging.
  if (repeated.n > 0) {
    await ledger.run(
      `insert into ${EXCESS_COPIES}
       select row_id, hour, id, minute, digest
       from (
         select
           staged.rowid as row_id, repeated.hour, repeated.id, date_trunc('minute', "timestamp") as minute, ${DIGEST_COLUMN} as digest,
           row_number() over (
             partition by repeated.hour, repeated.id, ${contentHashSql(table)}, ${DIGEST_COLUMN}
           ) as place
         from ${STAGED} as staged
         join ${REPEATED_IDS} as repeated on "${id}" = repeated.id and ${hourNumberSql()} = repeated.hour
         where reason is null
       )
       where place > 1`,
    );
  }
  return loadedByDay(ledger);
}

/**
 * For a batch that only adds rows: fills EXCESS_COPIES with the staged rows that are in a current file already. Returns the units
 * with the rows that are left. A batch with windows replaces what lies in them, so no row outside can be equal to a staged one.
 */
export async function findHeldCopies(ledger: Ledger, table: Table, units: readonly Unit[]): Promise<readonly Unit[]> {
  const id = lakeName(table, table.id);
  for (const { oldFile, oldForm } of units) {
    if (oldFile === undefined) continue;
    await ledger.run(
      `insert into ${EXCESS_COPIES}
       select distinct staged.rowid, old.hour, old.id, date_trunc('minute', "timestamp"), ${DIGEST_COLUMN}
       from (
         select ${hourNumberSql()} as hour, "${id}" as id, ${storedDigestSql(oldForm)} as digest, ${contentHashSql(table)} as content
         from ${parquetSql([oldFile])}
         where ${hourNumberSql()} in (select ${hourNumberSql()} from ${STAGED} where reason is null)
       ) as old
       join ${STAGED} as staged
         on "${id}" = old.id and ${hourNumberSql()} = old.hour and ${contentHashSql(table)} = old.content
       where reason is null and coalesce(old.digest = ${DIGEST_COLUMN}, true)
         and staged.rowid not in (select row_id from ${EXCESS_COPIES})`,
    );
  }
  const days = await loadedByDay(ledger);
  return units.map((unit) => ({ ...unit, staged: sumDays(unit.period, days) }));
}

async function loadedByDay(ledger: Ledger): Promise<ReadonlyMap<bigint, number>> {
  const days = await ledger.rows(
    `select ${unitNumberSql('"timestamp"', DAY_MICROSECONDS)} as day, count(*) as n
     from ${STAGED} where reason is null and rowid not in (select row_id from ${EXCESS_COPIES}) group by 1`,
    { day: asBigInt, n: asCount },
  );
  return new Map(days.map(({ day, n }) => [day, n]));
}
