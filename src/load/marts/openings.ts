/**
 * Openings: what the past comes down to at the start of a day. A report of what is active stands on all days before; over an
 * opening and the rows after it, it says the same (`queries/openings.sql`), so a run reads the days that it changed and a few
 * rows per pass, and not the lake.
 *
 * Kept are the opening of the day before the newest, and those of that day's month and of the month before: late rows are then
 * at most two months of reading. Rows still older make the reports go through the lake once, in parts.
 */
import type { Mart, Opening } from '../../query/definitions.ts';
import { DAY, formatDay, parseInstant } from '../../kernel/instant.ts';
import { sqlText } from '../../kernel/sql.ts';
import { count, text } from '../ledger/engine.ts';
import { OPENINGS } from '../../model/data-dir.ts';
import type { LakeSettings, Ledger } from '../ledger/ledger.ts';
import { overRows } from './mart-rows.ts';
import type { RowsSource } from './mart-rows.ts';

/** The tables that they are made of. */
export const OPENING_TABLES = ['Events', 'Metrics'] as const;

/** Rows that are read together, of which one day is never divided, and events of passes that an opening is made of together. */
const TOGETHER = { rows: 3_000_000, passEvents: 300_000 } as const;
const togetherIn = ({ settings }: Ledger): NonNullable<LakeSettings['together']> => settings.together ?? TOGETHER;

/** Select of mart, tenant, day, source: the openings to keep. `known` adds others, which are of use as long as their past is what it was. */
export function openingDaysSql(digest: string, known = 'select null::varchar, null::date where false'): string {
  const tables = OPENING_TABLES.map(sqlText).join(', ');
  return `
    with ends as (
      select tenant, min(day) as first_day, max(day) - 1 as newest from day_sources where table_name in (${tables}) group by tenant
    ),
    wanted(tenant, day) as (
      select tenant, unnest([newest, date_trunc('month', newest)::date, (date_trunc('month', newest) - interval '1 month')::date]) from ends
      union ${known}
    )
    select ${sqlText(OPENINGS)} as mart, tenant, wanted.day, ${sqlText(digest)} || ' ' || sum(hash(table_name, day_sources.day, content)) as source
    from wanted join ends using (tenant) join day_sources using (tenant)
    where wanted.day > first_day and table_name in (${tables}) and day_sources.day < wanted.day
    group by tenant, wanted.day`;
}

interface Group {
  /** Day of the opening that they begin with; undefined: the first of their days, before which there is nothing. */
  readonly start: string | undefined;
  readonly tenants: readonly string[];
}

export interface PastOptions {
  readonly opening: Opening;
  readonly digest: string;
  readonly kept: string | undefined;
  readonly signal: AbortSignal | undefined;
}

/**
 * Computes what is due (temp table `mart_due`) of reports some of which stand on more than their day; `add` takes a select of a
 * mart's days. `kept` is the file of openings, `opening` the statement that makes one (`openingsSql`). The signal ends it between two statements.
 */
export async function computePast(
  ledger: Ledger,
  marts: readonly Mart[],
  source: RowsSource,
  { opening, digest, kept, signal }: PastOptions,
  add: (mart: string, select: string) => Promise<void>,
): Promise<void> {
  const isStopped = (): boolean => signal?.aborted === true;
  for (const group of await dueGroups(ledger, marts, digest, kept !== undefined)) {
    const tenants = `(select unnest([${group.tenants.map(sqlText).join(', ')}]))`;
    const days = await daysOf(ledger, tenants, group.start);
    const parts = partsOf(days, togetherIn(ledger).rows);
    const wanted = await ledger.rawRows(
      `select distinct day::varchar as day from mart_due where mart = ${sqlText(OPENINGS)} and tenant in ${tenants}`,
    );
    try {
      await ledger.run(`create or replace temp table opening as ${startSql(group.start, tenants, kept)}`);
      for (const [nth, part] of parts.entries()) {
        const isLast = nth === parts.length - 1;
        const span = { ...part, tables: OPENING_TABLES, tenants, opening: 'opening', wholeCoverage: isLast };
        await overRows(ledger, source, span, async (define) => {
          for (const mart of marts) {
            if (isStopped()) return;
            const isAll = standsOnAll(mart);
            if (isAll && !isLast) continue;
            const sql = isAll ? mart.sql() : mart.sql(part.from, part.to);
            await define(sql);
            await add(mart.name, sql);
          }
          if (isStopped()) return;
          await define(opening(part.to).join(' '));
          const statements = await statementsOfOpening(ledger);
          for (const row of wanted) {
            const day = text(row, 'day') ?? '';
            if (day <= part.from || day > part.to) continue;
            for (const sql of opening(day, statements)) {
              if (isStopped()) return;
              await add(OPENINGS, `select ${sqlText(day)}::date as day, * from (${sql})`);
            }
          }
          if (isLast) return;
          for (const [k, sql] of opening(part.to, statements).entries()) {
            if (isStopped()) return;
            const into = k === 0 ? 'create or replace temp table opening_after as' : 'insert into opening_after';
            await ledger.run(`${into} ${sql}`);
          }
        });
        if (isStopped()) return;
        if (!isLast) await ledger.run('drop table temp.opening; alter table opening_after rename to opening');
      }
    } finally {
      await ledger.run('drop table if exists temp.opening; drop table if exists temp.opening_after');
    }
  }
}

/** In how many statements the opening is made: groups of passes in memory are what one of a large lake costs. */
async function statementsOfOpening(ledger: Ledger): Promise<number> {
  const [row] = await ledger.rawRows('select count(*) as n from pass_events');
  return Math.max(1, Math.ceil(count(row, 'n') / togetherIn(ledger).passEvents));
}

function standsOnAll({ stands }: Mart): boolean {
  return stands.some(({ reach }) => reach === 'all');
}

function startSql(start: string | undefined, tenants: string, file: string | undefined): string {
  if (start === undefined || file === undefined) {
    return `select null::varchar as tenant_id, null::timestamptz as timestamp, null::varchar as metric_type where false`;
  }
  return `select * exclude (day) from read_parquet(${sqlText(file)}) where day = ${sqlText(start)}::date and tenant_id in ${tenants}`;
}

/** Tenants of which something is due, by the newest opening that holds and lies before all of it. */
async function dueGroups(ledger: Ledger, marts: readonly Mart[], digest: string, isKept: boolean): Promise<Group[]> {
  const all = marts.filter(standsOnAll);
  const names = [...marts.map(({ name }) => name), OPENINGS].map(sqlText).join(', ');
  const rows = await ledger.rawRows(
    `with due as (
       select tenant, min(day) filter (where mart not in (${["''", ...all.map(({ name }) => sqlText(name))].join(', ')})) as first_day
       from mart_due where mart in (${names}) group by tenant
     ),
     kept as (select * from mart_days where mart = ${sqlText(OPENINGS)} and ${isKept}),
     holding as (
       select tenant, day from (${openingDaysSql(digest, 'select tenant, day from kept')}) semi join kept using (tenant, day, source)
     )
     select tenant, max(day) filter (where first_day is null or day <= first_day)::varchar as start
     from due left join holding using (tenant)
     group by tenant order by tenant`,
  );
  const groups = new Map<string | undefined, string[]>();
  for (const row of rows) {
    const start = text(row, 'start');
    groups.set(start, [...(groups.get(start) ?? []), text(row, 'tenant') ?? '']);
  }
  return [...groups].map(([start, tenants]) => ({ start, tenants }));
}

interface Day {
  /** yyyy-mm-dd. */
  readonly day: string;
  readonly rows: number;
}

async function daysOf(ledger: Ledger, tenants: string, start: string | undefined): Promise<Day[]> {
  const rows = await ledger.rawRows(
    `select day::varchar as day, sum(rows)::bigint as rows from day_sources
     where tenant in ${tenants} and table_name in (${OPENING_TABLES.map(sqlText).join(', ')})
       ${start === undefined ? '' : `and day >= ${sqlText(start)}::date`}
     group by day order by day`,
  );
  return rows.map((row) => ({ day: text(row, 'day') ?? '', rows: count(row, 'rows') }));
}

/** Days in parts without a gap between them: one begins where the one before would hold more than `most` rows. */
export function partsOf(days: readonly Day[], most: number): { from: string; to: string; rows: number }[] {
  const parts: { from: string; to: string; rows: number }[] = [];
  for (const { day, rows } of days) {
    const last = parts.at(-1);
    if (last === undefined || last.rows + rows > most) {
      if (last !== undefined) last.to = day;
      parts.push({ from: day, to: dayAfter(day), rows });
    } else {
      last.to = dayAfter(day);
      last.rows += rows;
    }
  }
  return parts;
}

function dayAfter(day: string): string {
  return formatDay((parseInstant(day) ?? 0n) + DAY);
}
