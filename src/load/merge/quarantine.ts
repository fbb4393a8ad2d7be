/**
 * The rows that could not be loaded: listed, shown, given up, and judged again by the rules and the pinned tenant id of
 * today. A row that now passes goes through the ordinary merge as one more row of its hour: nothing that is held is
 * replaced, the earliest of several copies stays, and the account of the hour only moves from one part to another.
 */
import type { DropCount, QuarantineCount, QuarantinedRow, ReplayCount } from '../../model/report.ts';
import { z } from 'zod';
import type { LandedPage } from '../../model/page.ts';
import { TABLES } from '../../model/tables.ts';
import type { TableName } from '../../model/tables.ts';
import { lakeName } from '../../transform/lake.ts';
import { sqlText } from '../../kernel/sql.ts';
import { countedSql, stageSql } from '../../transform/stage.ts';
import type { Instant } from '../../kernel/instant.ts';
import { count, tableOf, text } from '../ledger/engine.ts';
import type { Row } from '../ledger/engine.ts';
import { instantSql, tableFilterSql } from '../ledger/sql.ts';
import type { Ledger } from '../ledger/ledger.ts';
import { applyStage } from './merge.ts';
import { createStage, createEmpty, REPLAYED_ROWS, STAGE, STAGED, STAGED_PAGES } from './merge-tables.ts';
import { profileOf } from '../ledger/profile.ts';
import { dropStage, leaveOutCopies } from './staging.ts';

/** What of the quarantine is meant; everything left out means "all". */
export interface QuarantineFilter {
  /** Tenants by name, `*` and `?` allowed. */
  readonly tenants?: readonly string[];
  readonly tables?: readonly TableName[];
  readonly reasons?: readonly string[];
  /** Rows placed in time before this instant. */
  readonly before?: Instant;
}

const COUNTED = countedSql();

/** Counts by tenant, table, day and reason. */
export async function countQuarantine(ledger: Ledger, filter: QuarantineFilter): Promise<QuarantineCount[]> {
  const rows = await ledger.exclusive(() =>
    ledger.rawRows(
      `select tenant, table_name, strftime(placed_at, '%Y-%m-%d') as day, reason, count(*) as n, count(dropped_at) as dropped
       from quarantine where ${meant(filter)} group by all order by all`,
    ),
  );
  return rows.map((row) => ({
    ...placeOf(row),
    day: text(row, 'day') ?? '',
    reason: text(row, 'reason') ?? '',
    rows: count(row, 'n'),
    dropped: count(row, 'dropped'),
  }));
}

/** Rows with their text, oldest first: the only place from which it is ever given out. */
export async function quarantinedRows(
  ledger: Ledger,
  filter: QuarantineFilter,
  limit: number,
): Promise<QuarantinedRow[]> {
  const rows = await ledger.exclusive(() =>
    ledger.rawRows(
      `select tenant, table_name, strftime(placed_at, '%Y-%m-%dT%H:%M:%S.%fZ') as at, reason, id, page, run, raw
       from quarantine where ${meant(filter)}
       order by tenant, table_name, placed_at, reason, id, raw limit ${Math.trunc(limit)}`,
    ),
  );
  return rows.map((row) => ({
    ...placeOf(row),
    at: text(row, 'at') ?? '',
    reason: text(row, 'reason') ?? '',
    id: text(row, 'id'),
    page: text(row, 'page') ?? '',
    run: text(row, 'run'),
    text: text(row, 'raw'),
  }));
}

/**
 * Gives rows up. A row that is counted in its hour's account stays counted (its text goes, its id stays, because the
 * account is made of ids): a verified hour stays verified, and the next comparison asks for nothing. A row without a known
 * hour is in no account: its entry goes, its hour stays partial.
 */
export async function dropQuarantined(ledger: Ledger, filter: QuarantineFilter): Promise<DropCount[]> {
  return ledger.exclusive(() =>
    ledger.transaction(async () => {
      const wanted = `${meant(filter)} and dropped_at is null`;
      const rows = await ledger.rawRows(
        `select tenant, table_name, count(*) filter (where ${COUNTED}) as emptied, count(*) filter (where not ${COUNTED}) as removed
         from quarantine where ${wanted} group by all order by all`,
      );
      await ledger.run(`delete from quarantine where ${wanted} and not ${COUNTED}`);
      await ledger.run(`update quarantine set raw = null, dropped_at = ${ledger.nowSql()} where ${wanted}`);
      return rows.map((row) => ({ ...placeOf(row), emptied: count(row, 'emptied'), removed: count(row, 'removed') }));
    }),
  );
}

/**
 * Judges rows again and loads those that now pass. One merge a tenant, table and day: memory stays flat, and a replay that is
 * cut off goes on where it ended when it is asked for again. Nothing is asked of the source.
 */
export async function replayQuarantined(ledger: Ledger, filter: QuarantineFilter, run: string): Promise<ReplayCount[]> {
  return ledger.exclusive(async () => {
    const days = await ledger.rawRows(
      `select tenant, table_name, strftime(placed_at, '%Y-%m-%d') as day
       from quarantine where ${meant(filter)} and ${REPLAYABLE} group by all order by all`,
    );
    const counts = new Map<string, ReplayCount>();
    for (const [index, row] of days.entries()) {
      const place = placeOf(row);
      const where = `${meant(filter)} and ${REPLAYABLE} and ${tableFilterSql(place.tenant, place.table)}
        and strftime(placed_at, '%Y-%m-%d') = ${sqlText(text(row, 'day') ?? '')}`;
      try {
        const done = await replayDay(ledger, place, where, `${run}-${index + 1}`);
        const key = `${place.tenant} ${place.table}`;
        const sum = counts.get(key) ?? { ...place, judged: 0, loaded: 0, copies: 0, refused: 0 };
        counts.set(key, {
          ...place,
          judged: sum.judged + done.judged,
          loaded: sum.loaded + done.loaded,
          copies: sum.copies + done.copies,
          refused: sum.refused + done.refused,
        });
      } finally {
        await dropStage(ledger);
      }
    }
    return [...counts.values()];
  });
}

/** Without its text, or the windows of its page (an entry of an older version), a row cannot be judged. */
const REPLAYABLE = 'raw is not null and coalesce(windows, minute::varchar) is not null';

interface Place {
  readonly tenant: string;
  readonly table: TableName;
}

async function replayDay(
  ledger: Ledger,
  place: Place,
  where: string,
  batchId: string,
): Promise<Pick<ReplayCount, 'judged' | 'loaded' | 'copies' | 'refused'>> {
  const { tenant, table } = place;
  const id = lakeName(TABLES[table], TABLES[table].id);
  // Rows of pages with the same windows and order of cells are judged together, as one page.
  await createEmpty(ledger, REPLAYED_ROWS);
  await ledger.run(
    `insert into ${REPLAYED_ROWS} by name
     select 'replay-' || dense_rank() over (order by windows, cells) as file, *
     from (
       select placed_at, hour, page, quarantine.run, raw, cells,
         coalesce(windows, json_array(json_array(epoch_us(minute)::varchar, (epoch_us(minute) + 60000000)::varchar))::varchar) as windows
       from quarantine where ${where}
     )`,
  );
  const groups = await ledger.rawRows(
    `select file, windows, cells, count(*) as n from ${REPLAYED_ROWS} group by all order by all`,
  );
  const pages = groups.map(pageOf);
  const { pinnedTenantId } = await profileOf(ledger, tenant);
  const input = {
    table: ledger.settings.tables[table],
    pages,
    pinned: pinnedTenantId,
    into: STAGE,
    lines: `select file, raw as line from ${REPLAYED_ROWS}`,
  };
  await createStage(ledger, input.table);
  for (const sql of stageSql(input)) await ledger.run(sql);
  const days = await leaveOutCopies(ledger, TABLES[table]);
  const [judged] = await ledger.rawRows(`select count(*) as n, count(reason) as refused from ${STAGED}`);
  const moveRows = async (): Promise<string> => {
    const same = `quarantine.placed_at = replayed.placed_at and quarantine.page = replayed.page
      and quarantine.run is not distinct from replayed.run and quarantine.raw = replayed.raw`;
    // The same text in the same page is one row many times: all of them have one outcome.
    const outcome = `(
      select distinct replayed.placed_at, replayed.page, replayed.run, replayed.raw, bad.reason, bad."timestamp", bad."${id}" as id
      from ${REPLAYED_ROWS} as replayed left join (
        select distinct file, raw, reason, "timestamp", "${id}"
        from ${STAGED} join ${STAGED_PAGES} using (landed) where reason is not null
      ) as bad
        on bad.file = replayed.file and bad.raw = replayed.raw
    ) as replayed`;
    const counted = countedSql('replayed.reason');
    await ledger.run(
      `delete from quarantine using ${outcome} where ${tableFilterSql(tenant, table)} and ${same} and replayed.reason is null`,
    );
    await ledger.run(
      `update quarantine set
         reason = replayed.reason, id = replayed.id,
         placed_at = case when ${counted} then replayed."timestamp" else quarantine.placed_at end,
         hour = case when ${counted} then date_trunc('hour', replayed."timestamp") end,
         minute = case when ${counted} then date_trunc('minute', replayed."timestamp") end
       from ${outcome} where ${tableFilterSql(tenant, table)} and ${same}
         and replayed.reason is not null and replayed.reason <> quarantine.reason`,
    );
    return `select hour from ${REPLAYED_ROWS} where hour is not null
      union select date_trunc('hour', "timestamp") as hour from ${STAGED}
      where "timestamp" is not null and (reason is null or ${COUNTED})`;
  };
  const batch = { id: batchId, tenant, table, windows: [], pages: pages.map(({ page }) => page) };
  const stage = { days, quarantined: count(judged, 'refused'), pin: undefined };
  const result = await applyStage(ledger, batch, stage, { run: batchId, moveRows });
  const [all, refused] = [count(judged, 'n'), count(judged, 'refused')];
  return { judged: all, refused, loaded: result.inserted, copies: all - refused - result.inserted };
}

const WINDOWS = z.array(z.tuple([z.string(), z.string()]));
const CELLS = z.array(z.string());

/** Quarantined rows of one page, as a page that is landed. */
function pageOf(row: Row): LandedPage {
  const file = text(row, 'file') ?? '';
  const rows = count(row, 'n');
  const windows = WINDOWS.parse(JSON.parse(text(row, 'windows') ?? '[]')).map(([from, to]) => ({
    from: BigInt(from) * 10n,
    to: BigInt(to) * 10n,
  }));
  const cells = text(row, 'cells');
  return {
    page: { id: file, windows, rows, bytes: 0 },
    file,
    rows,
    bytes: 0,
    largestRow: 0,
    ...(cells === undefined ? {} : { columns: CELLS.parse(JSON.parse(cells)) }),
  };
}

function placeOf(row: Row): Place {
  return { tenant: text(row, 'tenant') ?? '', table: tableOf(row) };
}

/** The filter as a condition. Every word of it is quoted. */
function meant({ tenants, tables, reasons, before }: QuarantineFilter): string {
  const anyOf = (column: string, words: readonly string[] | undefined, operator: string): string =>
    words === undefined
      ? 'true'
      : `(${words.map((word) => `${column} ${operator} ${sqlText(word)}`).join(' or ') || 'false'})`;
  return [
    anyOf('tenant', tenants, 'glob'),
    anyOf('table_name', tables, '='),
    anyOf('reason', reasons, '='),
    before === undefined ? 'true' : `placed_at < ${instantSql(before)}`,
  ].join(' and ');
}
