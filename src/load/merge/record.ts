/**
 * The end of a merge: fingerprints are read back from the written files, then one ledger transaction records everything that
 * the batch changed.
 */
import { HOUR, floorTo } from '../../kernel/instant.ts';
import { DIGEST_COLUMN } from '../../model/fingerprint.ts';
import type { Window } from '../../kernel/instant.ts';
import type { Batch } from '../../model/page.ts';
import { TABLES } from '../../model/tables.ts';
import { countedSql } from '../../transform/stage.ts';
import { lakeName } from '../../transform/lake.ts';
import { sqlText, sqlTexts } from '../../kernel/sql.ts';
import type { Period } from '../../model/period.ts';
import type { Unit } from './units.ts';
import { createEmpty, EXCESS_COPIES, STAGED, STAGED_PAGES, TOUCHED_HOURS } from './merge-tables.ts';
import { judgeBySource } from '../ledger/hours.ts';
import { FILE_FINGERPRINTS, insertPartitions, readBack } from '../store/file-fingerprints.ts';
import type { Generation } from '../store/generation.ts';
import type { Ledger } from '../ledger/ledger.ts';
import { learn } from '../ledger/profile.ts';
import {
  BULK_SQL,
  HOUR_MICROSECONDS,
  ZERO_SQL,
  accountSql,
  fingerprintsSql,
  foldSql,
  insideSql,
  tableFilterSql,
} from '../ledger/sql.ts';

interface MergeRecord {
  readonly batch: Batch;
  readonly run: string;
  readonly keepMissing: readonly Window[];
  /** Periods that have a new generation or became empty. */
  readonly changed: readonly Unit[];
  readonly generations: readonly Generation[];
  readonly pin: string | undefined;
  /**
   * Moves rows between the lake and the quarantine, instead of replacing the quarantine of the windows. Returns a select of
   * the hours whose accounts it changed.
   */
  readonly moveRows: (() => Promise<string>) | undefined;
  readonly onStep: ((step: string) => void | Promise<void>) | undefined;
  readonly readBackMs: (spent: number) => void;
}

/** Makes a batch's new generations current and computes its hours' accounts from the files on disk. */
export async function recordMerge(ledger: Ledger, record: MergeRecord): Promise<void> {
  const { batch, run, changed, generations, pin, keepMissing, onStep } = record;
  const periods = changed.map(({ period }) => period);
  const { runtime } = ledger;
  const startMs = runtime.monotonic();
  await readBack(ledger, batch, generations);
  record.readBackMs(runtime.monotonic() - startMs);
  await onStep?.('read back');
  await ledger.transaction(async () => {
    if (pin !== undefined) await learn(ledger, batch.tenant, { pinnedTenantId: pin });
    await supersede(ledger, batch, periods);
    await insertPartitions(ledger, batch, generations, run);
    await replaceDuplicates(ledger, batch, keepMissing);
    const movedHours = await record.moveRows?.();
    if (movedHours === undefined) await replaceQuarantine(ledger, batch, keepMissing, run);
    await findTouchedHours(ledger, batch, periods, movedHours);
    await updateAccounts(ledger, batch, periods, run);
    if (movedHours !== undefined)
      await judgeBySource(ledger, batch.tenant, batch.table, `select hour from ${TOUCHED_HOURS}`);
    await ledger.run(
      `insert into batches values ($1, ${sqlText(batch.tenant)}, ${sqlText(batch.table)}, ${sqlText(run)}, ${ledger.nowSql()})`,
      [batch.id],
    );
    await onStep?.('recording');
  });
}

async function supersede(ledger: Ledger, batch: Batch, periods: readonly Period[]): Promise<void> {
  if (periods.length === 0) return;
  const names = sqlTexts(periods.map(({ name }) => name));
  await ledger.run(
    `update partitions set superseded_at = ${ledger.nowSql()}
     where ${tableFilterSql(batch.tenant, batch.table)} and superseded_at is null and period in (${names})`,
  );
}

/** Replaces the duplicates of the windows by those just found. */
async function replaceDuplicates(ledger: Ledger, batch: Batch, keepMissing: readonly Window[]): Promise<void> {
  const ofTable = tableFilterSql(batch.tenant, batch.table);
  const id = lakeName(TABLES[batch.table], TABLES[batch.table].id);
  const seenAgain =
    keepMissing.length === 0
      ? ''
      : `and (not ${insideSql(keepMissing, 'minute')} or exists (
           select 1 from ${STAGED} as staged where reason is null and staged."${id}" = duplicates.id
           and date_trunc('minute', staged."timestamp") = duplicates.minute
           and coalesce(staged.${DIGEST_COLUMN} = duplicates.digest, true)))`;
  await ledger.run(
    `delete from duplicates where ${ofTable} and ${insideSql(batch.windows, 'duplicates.minute')} ${seenAgain}`,
  );
  await ledger.run(
    `insert into duplicates
     select ${sqlText(batch.tenant)}, ${sqlText(batch.table)}, make_timestamptz(hour * 3600000000), minute, minute, id, true, digest
     from ${EXCESS_COPIES}`,
  );
}

async function replaceQuarantine(
  ledger: Ledger,
  batch: Batch,
  keepMissing: readonly Window[],
  run: string,
): Promise<void> {
  const ofTable = tableFilterSql(batch.tenant, batch.table);
  const id = lakeName(TABLES[batch.table], TABLES[batch.table].id);
  const seenAgain =
    keepMissing.length === 0
      ? ''
      : `and (not ${insideSql(keepMissing, 'placed_at')}
           or raw in (select raw from ${STAGED} where reason is not null)
           or (raw is null and exists (
             select 1 from ${STAGED} as staged where reason is not null and staged."${id}" is not distinct from quarantine.id
             and date_trunc('minute', staged."timestamp") = quarantine.minute)))`;
  await ledger.run(`delete from quarantine where ${ofTable} and ${insideSql(batch.windows, 'placed_at')} ${seenAgain}`);
  const counted = countedSql();
  await ledger.run(
    `insert into quarantine
     select
       ${sqlText(batch.tenant)}, ${sqlText(batch.table)},
       case when ${counted} then "timestamp" else starts_at end,
       case when ${counted} then date_trunc('hour', "timestamp") end,
       case when ${counted} then date_trunc('minute', "timestamp") end,
       page, ${sqlText(run)}, reason, "${id}", raw, cells, windows, null, ${DIGEST_COLUMN}
     from ${STAGED}
     join ${STAGED_PAGES} using (landed)
     where reason is not null`,
  );
}

/** Fills TOUCHED_HOURS: all hours of the windows, of the rewritten periods and of `movedHours`, a select of hours. */
async function findTouchedHours(
  ledger: Ledger,
  batch: Batch,
  periods: readonly Window[],
  movedHours: string | undefined,
): Promise<void> {
  const ofTable = tableFilterSql(batch.tenant, batch.table);
  await createEmpty(ledger, TOUCHED_HOURS);
  await ledger.run(
    `insert into ${TOUCHED_HOURS} by name
     select hour, max(covered_to) as covered_to
     from (
       select make_timestamptz(hour) as hour, make_timestamptz(least(hour + ${HOUR_MICROSECONDS}, hi)) as covered_to
       from (select unnest(range(r[1]::bigint, r[2]::bigint, ${HOUR_MICROSECONDS})) as hour, r[2]::bigint as hi from ${BULK_SQL})
       union all select hour, hour from ${FILE_FINGERPRINTS}
       ${movedHours === undefined ? '' : `union all select hour, hour from (${movedHours})`}
       union all select hour, hour from hours where ${ofTable} and ${insideSql(periods, 'hour')}
     )
     group by hour`,
    [JSON.stringify(batch.windows.map(({ from, to }) => [String(floorTo(from, HOUR) / 10n), String(to / 10n)]))],
  );
}

/**
 * Recomputes the accounts of TOUCHED_HOURS. The lake's part changes only in the rewritten periods. An hour whose account
 * changes is unchecked until it is compared with the source again. An hour whose rows only moved from one part of its
 * account to another keeps its state.
 */
async function updateAccounts(
  ledger: Ledger,
  { tenant, table }: Pick<Batch, 'tenant' | 'table'>,
  periods: readonly Window[],
  run: string,
): Promise<void> {
  const ofTable = tableFilterSql(tenant, table);
  const lake = `case when ${insideSql(periods, 'touched.hour')} then coalesce(files.fp, ${ZERO_SQL}) end`;
  const changedAccount = `${accountSql('hours')} is distinct from ${accountSql('now', 'coalesce(now.lake, hours.lake)')}`;
  await ledger.run(
    `merge into hours using (
       select
         touched.hour, touched.covered_to, ${lake} as lake,
         coalesce(copies.fp, ${ZERO_SQL}) as duplicates, coalesce(bad.fp, ${ZERO_SQL}) as quarantined
       from ${TOUCHED_HOURS} as touched
       left join (select hour, ${foldSql('fp')} as fp from ${FILE_FINGERPRINTS} group by hour) as files on files.hour = touched.hour
       left join (${fingerprintsSql(`duplicates where ${ofTable}`, 'id', 'digest', { hour: 'hour' })}) as copies on copies.hour = touched.hour
       left join (${fingerprintsSql(`quarantine where ${ofTable} and hour is not null`, 'id', 'digest', { hour: 'hour' })}) as bad on bad.hour = touched.hour
     ) as now
     on ${tableFilterSql(tenant, table, 'hours')} and hours.hour = now.hour
     when matched then update set
       lake = coalesce(now.lake, hours.lake),
       duplicates = now.duplicates,
       quarantined = now.quarantined,
       covered_to = greatest(hours.covered_to, now.covered_to),
       state = case when ${changedAccount} then 'unchecked' else hours.state end,
       run = case when ${changedAccount} then ${sqlText(run)} else hours.run end
     when not matched then insert values (
       ${sqlText(tenant)}, ${sqlText(table)}, now.hour, null, coalesce(now.lake, ${ZERO_SQL}), now.duplicates,
       now.quarantined, now.covered_to, 'unchecked', 'none', null, null, ${sqlText(run)}
     )`,
  );
}
