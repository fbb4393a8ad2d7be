/**
 * Fingerprints of files of the store, computed from their bytes on disk. They pass through one temporary table: `readBack`
 * fills it, merge and maintenance compare it with the ledger, and `insertPartitions` records what it holds.
 */
import { join } from 'node:path';
import { DamagedError } from '../../kernel/errors.ts';
import { sqlText, sqlTextOrNull } from '../../kernel/sql.ts';
import { fingerprintSql } from '../../model/fingerprint.ts';
import type { Batch } from '../../model/page.ts';
import { TABLES } from '../../model/tables.ts';
import { lakeName } from '../../transform/lake.ts';
import { asCount } from '../ledger/cells.ts';
import type { Ledger } from '../ledger/ledger.ts';
import { BULK_SQL, FINGERPRINT_TYPE, foldSql, hourNumberSql, parquetSql, storedDigestSql } from '../ledger/sql.ts';
import type { Form } from './form.ts';
import type { Generation } from './generation.ts';

/** Temporary table: one row per file and hour in it. Filled by `readBack`, dropped by `dropFileFingerprints`. */
export const FILE_FINGERPRINTS = 'file_fingerprints';

const COLUMNS = `
  file varchar,        -- relative to the data directory
  hour timestamptz,
  fp ${FINGERPRINT_TYPE}, -- fingerprint of the hour's rows
  min_ts timestamptz,  -- first and last instant of the hour's rows
  max_ts timestamptz
`;

/** A file of the store, as far as reading it back needs it. */
export type BackedFile = Pick<Generation, 'file' | 'rows'> & { readonly form: Pick<Form, 'digests'> };

/** Fills FILE_FINGERPRINTS from the files of one table. Throws DamagedError when they hold fewer or more rows than recorded. */
export async function readBack(
  ledger: Ledger,
  { table }: Pick<Batch, 'table'>,
  generations: readonly BackedFile[],
): Promise<void> {
  await ledger.run(`create or replace temp table ${FILE_FINGERPRINTS} (${COLUMNS})`);
  const id = lakeName(TABLES[table], TABLES[table].id);
  for (const digests of new Set(generations.map(({ form }) => form.digests))) {
    const paths = generations
      .filter(({ form }) => form.digests === digests)
      .map(({ file }) => join(ledger.dataDir, file));
    await ledger.run(
      `insert into ${FILE_FINGERPRINTS}
       select file[${ledger.dataDir.length + 2}:], make_timestamptz(hour * 3600000000), {n: n, s0: s0, s1: s1, x: x, c: c}, min_ts, max_ts
       from (
         select
           filename as file, ${hourNumberSql()} as hour, ${fingerprintSql(`"${id}"`, storedDigestSql({ digests }))},
           min("timestamp") as min_ts, max("timestamp") as max_ts
         from ${parquetSql(paths, ', filename = true')}
         group by all
       )`,
    );
  }
  if (generations.length === 0) return;
  const read = await ledger.row(`select coalesce(sum(fp.n), 0)::bigint as rows from ${FILE_FINGERPRINTS}`, {
    rows: asCount,
  });
  const recorded = generations.reduce((sum, { rows }) => sum + rows, 0);
  if (read.rows !== recorded) {
    throw new DamagedError(`Files of ${table} hold ${read.rows} rows, expected ${recorded}`, {
      hint: 'Check the disk, then run again: nothing was recorded.',
    });
  }
}

/** Makes the generations the current ones of their periods, with their fingerprints from FILE_FINGERPRINTS. */
export async function insertPartitions(
  ledger: Ledger,
  { tenant, table }: Pick<Batch, 'tenant' | 'table'>,
  generations: readonly Generation[],
  run: string | null,
): Promise<void> {
  if (generations.length === 0) return;
  await ledger.run(
    `insert into partitions
     select
       ${sqlText(tenant)}, ${sqlText(table)}, r[1], make_timestamptz(r[2]::bigint), make_timestamptz(r[3]::bigint),
       r[4]::integer, r[5], r[6]::bigint, r[7]::bigint, r[8], whole.fp, whole.min_ts, whole.max_ts,
       ${sqlTextOrNull(run)}, ${ledger.nowSql()}, null, null, null, r[9], r[10], r[11]
     from ${BULK_SQL}
     join (
       select file, ${foldSql('fp')} as fp, min(min_ts) as min_ts, max(max_ts) as max_ts
       from ${FILE_FINGERPRINTS} group by file
     ) as whole on whole.file = r[5]`,
    [
      JSON.stringify(
        generations.map(({ period, generation, file, rows, bytes, sha256, form }) => [
          period.name,
          String(period.from / 10n),
          String(period.to / 10n),
          String(generation),
          file,
          String(rows),
          String(bytes),
          sha256,
          form.promotion ?? null,
          form.privacy ?? null,
          form.digests ?? null,
        ]),
      ),
    ],
  );
}

export async function dropFileFingerprints(ledger: Ledger): Promise<void> {
  await ledger.run(`drop table if exists temp.${FILE_FINGERPRINTS}`);
}
