/**
 * The end of a merge: fingerprints read back from the written files, then one ledger transaction in which all of the
 * batch becomes true at once.
 */
import { join } from 'node:path';
import { HOUR, floorTo } from '../../kernel/instant.ts';
import type { Window } from '../../kernel/instant.ts';
import type { Batch } from '../../model/page.ts';
import { TABLES } from '../../model/tables.ts';
import { countedSql } from '../../transform/stage.ts';
import { lakeName } from '../../transform/lake.ts';
import { sqlText } from '../../kernel/sql.ts';
import type { Unit } from './compare.ts';
import { count } from '../ledger/engine.ts';
import {
  createEmpty,
  EXCESS_COPIES,
  KEPT_ORIGINALS,
  MOVED_OUT,
  STAGED,
  STAGED_PAGES,
  TOUCHED_HOURS,
} from './merge-tables.ts';
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
  hourEndSql,
  insideSql,
  tableFilterSql,
  parquetSql,
} from '../ledger/sql.ts';

interface MergeRecord {
  readonly batch: Batch;
  readonly run: string;
  readonly keepMissing: readonly Window[];
  /** Periods with a new generation, or with none any more. */
  readonly changed: readonly Unit[];
  readonly generations: readonly Generation[];
  readonly pin: string | undefined;
  /**
   * Moves rows out of or into the quarantine, in place of replacing that of the windows; returns a select of the hours
   * whose accounts it touched.
   */
  readonly moveRows: (() => Promise<string>) | undefined;
  readonly onStep: ((step: string) => void | Promise<void>) | undefined;
  readonly readBackMs: (spent: number) => void;
}

/** Makes a batch's new generations current, and its hours' accounts what the files on disk say. */
export async function recordMerge(ledger: Ledger, record: MergeRecord): Promise<void> {
  const { batch, run, changed, generations, pin, keepMissing, onStep } = record;
  const { runtime } = ledger;
  const startMs = runtime.monotonic();
  await readBack(ledger, batch, generations);
  record.readBackMs(runtime.monotonic() - startMs);
  await onStep?.('read back');
  await ledger.transaction(async () => {
    if (pin !== undefined) await learn(ledger, batch.tenant, { pinnedTenantId: pin });
    await supersede(ledger, batch, changed);
    await insertPartitions(ledger, batch, generations, run);
    await replaceDuplicates(ledger, batch, changed, generations, keepMissing);
    const moved = await record.moveRows?.();
    if (moved === undefined) await replaceQuarantine(ledger, batch, keepMissing, run);
    await touchHours(ledger, batch, changed, moved, run);
    if (moved !== undefined)
      await judgeBySource(ledger, batch.tenant, batch.table, `select hour from ${TOUCHED_HOURS}`);
    await ledger.run(
      `insert into batches values ($1, ${sqlText(batch.tenant)}, ${sqlText(batch.table)}, ${sqlText(run)}, ${ledger.nowSql()})`,
      [batch.id],
    );
    await onStep?.('recording');
  });
}

async function supersede(ledger: Ledger, batch: Batch, changed: readonly Unit[]): Promise<void> {
  if (changed.length === 0) return;
  const names = changed.map(({ period }) => sqlText(period.name)).join(', ');
  await ledger.run(
    `update partitions set superseded_at = ${ledger.nowSql()}
     where ${tableFilterSql(batch.tenant, batch.table)} and superseded_at is null and period in (${names})`,
  );
}

/**
 * The duplicates of the windows are those just seen. Outside the windows, in the same hours, a copy that was left out
 * may have lost the row it was a copy of: it is then forgotten, so that the hour's account shows the missing row and
 * the next reconcile asks for it.
 */
async function replaceDuplicates(
  ledger: Ledger,
  batch: Batch,
  changed: readonly Unit[],
  generations: readonly Generation[],
  keepMissing: readonly Window[],
): Promise<void> {
  const mine = tableFilterSql(batch.tenant, batch.table);
  const id = lakeName(TABLES[batch.table], TABLES[batch.table].id);
  const inWindows = insideSql(batch.windows, 'duplicates.minute');
  const seenAgain =
    keepMissing.length === 0
      ? ''
      : `and (not ${insideSql(keepMissing, 'minute')} or exists (
           select 1 from ${STAGED} as staged where reason is null and staged."${id}" = duplicates.id
           and staged."timestamp" >= duplicates.hour and staged."timestamp" < ${hourEndSql('duplicates.hour')}))`;
  await ledger.run(`delete from duplicates where ${mine} and ${inWindows} ${seenAgain}`);
  await ledger.run(
    `insert into duplicates
     select ${sqlText(batch.tenant)}, ${sqlText(batch.table)}, make_timestamptz(hour * 3600000000), minute, kept_minute, id, same_content
     from (
       select hour, minute, kept_minute, id, same_content from ${EXCESS_COPIES}
       union all by name
       select hour, minute, kept_minute, id, same_content from ${MOVED_OUT} where kept_minute is not null
     )`,
  );
  if (changed.length === 0) return;
  const periods = changed.map(({ period }) => period);
  const orphaned = `${mine} and ${insideSql(periods, 'duplicates.hour')} and not ${inWindows}`;
  const [row] = await ledger.rawRows(`select count(*) as n from duplicates where ${orphaned}`);
  if (count(row, 'n') === 0) return;
  const files = generations.map(({ file }) => join(ledger.dataDir, file));
  const kept =
    files.length === 0
      ? `select null::varchar as id, null::timestamptz as moment where false`
      : `select "${id}" as id, "timestamp" as moment from ${parquetSql(files)}`;
  // A row that leaves for the quarantine, or has, is still in the account: its copies are copies of it.
  const expelled = `select id, minute as moment from ${MOVED_OUT} where kept_minute is null
    union all select id, minute as moment from quarantine where ${mine} and ${insideSql(periods, 'hour')}`;
  await createEmpty(ledger, KEPT_ORIGINALS);
  await ledger.run(
    `insert into ${KEPT_ORIGINALS} by name
     select duplicates.hour, duplicates.id, any_value(date_trunc('minute', kept.moment)) as minute
     from duplicates
     join (${kept} union all ${expelled}) as kept
       on kept.id = duplicates.id and kept.moment >= duplicates.hour and kept.moment < ${hourEndSql('duplicates.hour')}
     where ${orphaned}
     group by all`,
  );
  await ledger.run(
    `delete from duplicates where ${orphaned}
     and not exists (
       select 1 from ${KEPT_ORIGINALS} as original where original.hour = duplicates.hour and original.id = duplicates.id)`,
  );
  await ledger.run(
    `update duplicates set kept_minute = original.minute from ${KEPT_ORIGINALS} as original
     where ${orphaned} and original.hour = duplicates.hour and original.id = duplicates.id`,
  );
}

async function replaceQuarantine(
  ledger: Ledger,
  batch: Batch,
  keepMissing: readonly Window[],
  run: string,
): Promise<void> {
  const mine = tableFilterSql(batch.tenant, batch.table);
  const id = lakeName(TABLES[batch.table], TABLES[batch.table].id);
  const seenAgain =
    keepMissing.length === 0
      ? ''
      : `and (not ${insideSql(keepMissing, 'placed_at')}
           or raw in (select raw from ${STAGED} where reason is not null)
           or (raw is null and exists (
             select 1 from ${STAGED} as staged where reason is not null and staged."${id}" is not distinct from quarantine.id
             and date_trunc('minute', staged."timestamp") = quarantine.minute)))`;
  await ledger.run(`delete from quarantine where ${mine} and ${insideSql(batch.windows, 'placed_at')} ${seenAgain}`);
  const counted = countedSql();
  await ledger.run(
    `insert into quarantine
     select
       ${sqlText(batch.tenant)}, ${sqlText(batch.table)},
       case when ${counted} then "timestamp" else starts_at end,
       case when ${counted} then date_trunc('hour', "timestamp") end,
       case when ${counted} then date_trunc('minute', "timestamp") end,
       page, ${sqlText(run)}, reason, "${id}", raw, cells, windows, null
     from ${STAGED}
     join ${STAGED_PAGES} using (landed)
     where reason is not null`,
  );
}

/** Accounts of every hour in the windows, in the rewritten periods and of the rows that moved. */
async function touchHours(
  ledger: Ledger,
  batch: Batch,
  changed: readonly Unit[],
  moved: string | undefined,
  run: string,
): Promise<void> {
  const mine = tableFilterSql(batch.tenant, batch.table);
  const periods = (expression: string): string =>
    insideSql(
      changed.map(({ period }) => period),
      expression,
    );
  await createEmpty(ledger, TOUCHED_HOURS);
  await ledger.run(
    `insert into ${TOUCHED_HOURS} by name
     select hour, max(covered_to) as covered_to
     from (
       select make_timestamptz(hour) as hour, make_timestamptz(least(hour + ${HOUR_MICROSECONDS}, hi)) as covered_to
       from (select unnest(range(r[1]::bigint, r[2]::bigint, ${HOUR_MICROSECONDS})) as hour, r[2]::bigint as hi from ${BULK_SQL})
       union all select hour, hour from ${FILE_FINGERPRINTS}
       ${moved === undefined ? '' : `union all select hour, hour from (${moved})`}
       union all select hour, hour from hours where ${mine} and ${periods('hour')}
     )
     group by hour`,
    [JSON.stringify(batch.windows.map(({ from, to }) => [String(floorTo(from, HOUR) / 10n), String(to / 10n)]))],
  );
  await recountHours(
    ledger,
    batch,
    `case when ${periods('touched.hour')} then coalesce(files.fp, ${ZERO_SQL}) end`,
    run,
  );
}

/**
 * Brings the hours of TOUCHED_HOURS up to date. `lake` is an expression over `touched`
 * and `files` for the files' part; null leaves it as it is. An hour whose account changes is unchecked until the
 * source is compared again; one whose rows only moved from one part of it to another is as proven as before.
 */
async function recountHours(
  ledger: Ledger,
  { tenant, table }: Pick<Batch, 'tenant' | 'table'>,
  lake: string,
  run: string,
): Promise<void> {
  const mine = tableFilterSql(tenant, table);
  const changedAccount = `${accountSql('hours')} is distinct from ${accountSql('now', 'coalesce(now.lake, hours.lake)')}`;
  await ledger.run(
    `merge into hours using (
       select
         touched.hour, touched.covered_to, ${lake} as lake,
         coalesce(copies.fp, ${ZERO_SQL}) as duplicates, coalesce(bad.fp, ${ZERO_SQL}) as quarantined
       from ${TOUCHED_HOURS} as touched
       left join (select hour, ${foldSql('fp')} as fp from ${FILE_FINGERPRINTS} group by hour) as files on files.hour = touched.hour
       left join (${fingerprintsSql(`duplicates where ${mine}`, 'id', { hour: 'hour' })}) as copies on copies.hour = touched.hour
       left join (${fingerprintsSql(`quarantine where ${mine} and hour is not null`, 'id', { hour: 'hour' })}) as bad on bad.hour = touched.hour
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
