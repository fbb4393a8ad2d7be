/**
 * Openings: the state of all passes at the start of a day. A report about what is active depends on all earlier days. Over an
 * opening and the rows after it, it gives the same result (`queries/openings/rows.sql`). So a run reads the days that it changed and
 * a few rows of each pass that changed on them, and not the whole lake. All other passes count with their totals
 * (`queries/openings/totals.sql`, opening-rows.ts).
 *
 * Three days should have one: a Monday at least nine days before the newest day (reports that look a week ahead change with it), the
 * first day of the month then, and that of the month before. Making one takes longer than reading the days of a week, and late rows make each opening after them worthless. So a run
 * makes an opening only if it changes days after it and none before it: where late rows arrive every night, the newer two would be
 * made every night and never be read. For each of the three days the newest valid opening up to it is kept. The oldest of the three is
 * made in any case if there is none, so a run always has a start that is not the first day. What is kept follows from the ledger
 * alone, and results do not depend on it.
 *
 * Late rows cost at most a few months of reading. For rows that are older still, the reports read the lake once, in parts. A short
 * history has no openings, because reading it takes no longer.
 */
import { DAYS_AFTER, reaches } from '../../query/definitions.ts';
import type { Mart, Opening } from '../../query/definitions.ts';
import { DAY, formatDay, parseInstant } from '../../kernel/instant.ts';
import { sqlText, sqlTexts } from '../../kernel/sql.ts';
import { asCount, asOptional, asText } from '../ledger/cells.ts';
import { OPENINGS } from '../../model/data-dir.ts';
import type { LakeSettings, Ledger } from '../ledger/ledger.ts';
import { DAY_SOURCES } from './days.ts';
import { overRows, tenantsSql } from './mart-rows.ts';
import type { RowsSource } from './mart-rows.ts';
import { removeRead, totalsOfOpening, withoutOpening } from './opening-rows.ts';
import { sharePeriods } from './shared-periods.ts';

/** The tables that openings are computed from. */
export const OPENING_TABLES = ['Events', 'Metrics'] as const;

/**
 * Rows that are read together (a day is never divided), pass events that one statement makes an opening from, and rows that an opening
 * must replace if it replaces fewer than 60 days. Measured with 1,000,000 rows of 30 days, of which half of the pass events would be in an
 * opening: a run with one more hour takes 7 s of marts with openings and 5 s without.
 */
const TOGETHER = { rows: 3_000_000, passEvents: 300_000, beforeOpening: 1_000_000 } as const;
const LONG_DAYS = 60;
const togetherIn = ({ settings }: Ledger): NonNullable<LakeSettings['together']> => settings.together ?? TOGETHER;

/** A select of mart, tenant, day, source: openings of the given days (a select of tenant, day) that are worth keeping, as they would be now. */
function openingSourcesSql(ledger: Ledger, digest: string, days: string): string {
  const tables = sqlTexts(OPENING_TABLES);
  return `
    select ${sqlText(OPENINGS)} as mart, tenant, opened.day, ${sqlText(digest)} || ' ' || sum(hash(table_name, day_sources.day, content)) as source
    from (${days}) as opened
    join (select tenant, min(day) as first_day from ${DAY_SOURCES} where table_name in (${tables}) group by tenant) using (tenant)
    join ${DAY_SOURCES} using (tenant)
    where opened.day > first_day and table_name in (${tables}) and day_sources.day < opened.day
    group by tenant, opened.day
    having sum(rows) >= ${togetherIn(ledger).beforeOpening} or opened.day >= any_value(first_day) + ${LONG_DAYS}`;
}

/** A select of mart, tenant, day, source: the kept openings before which no row has changed. */
function validSql(ledger: Ledger, digest: string): string {
  const kept = `select * from mart_days where mart = ${sqlText(OPENINGS)}`;
  return `select * from (${openingSourcesSql(ledger, digest, `select tenant, day from (${kept})`)}) semi join (${kept}) using (tenant, day, source)`;
}

/** Months before the oldest of the three days: an opening that is older than that is no longer a good start. */
const OLDEST_MONTHS = 3;

/**
 * Adds the openings to the tables that `planDays` has created: those to keep to `mart_expected`, and those of them to make to `mart_due`.
 * `marts` are those whose days show what this run changes. A day that looks ahead changes with later ones.
 */
export async function planOpenings(ledger: Ledger, marts: readonly Mart[], digest: string): Promise<void> {
  const names = sqlTexts(['', ...marts.filter((mart) => !reaches(mart, 'all', 'week_after')).map(({ name }) => name)]);
  await ledger.run(
    `insert into mart_expected
     with settled as (
       select tenant, max(day) - ${2 + DAYS_AFTER} as day from ${DAY_SOURCES} where table_name in (${sqlTexts(OPENING_TABLES)}) group by tenant
     ),
     wanted as (
       from (${openingSourcesSql(
         ledger,
         digest,
         `select tenant, unnest([date_trunc('week', day)::date, date_trunc('month', day)::date, (date_trunc('month', day) - interval '1 month')::date]) as day from settled`,
       )})
     ),
     changed as (select tenant, min(day) as first_day from mart_due where mart in (${names}) group by tenant),
     usable as (
       from (${validSql(ledger, digest)})
       union
       select wanted.* from wanted join changed using (tenant) where day <= first_day
     ),
     oldest as (select tenant, min(day) as day from wanted group by tenant),
     starts as (
       select wanted.tenant, wanted.day, max(usable.day) as start
       from wanted left join usable on usable.tenant = wanted.tenant and usable.day <= wanted.day
         and usable.day >= wanted.day - interval ${OLDEST_MONTHS} month
       group by all
     )
     select * from usable semi join (select tenant, start as day from starts) using (tenant, day)
     union
     select wanted.* from wanted semi join oldest using (tenant, day) semi join (select tenant, day from starts where start is null) using (tenant, day);
     insert into mart_due
     select * from mart_expected anti join mart_days using (mart, tenant, day, source) where mart = ${sqlText(OPENINGS)}`,
  );
}

interface Group {
  /** Day of the opening that they start from; undefined: their first day, which has no earlier rows. */
  readonly start: string | undefined;
  readonly tenants: readonly string[];
}

export interface PastOptions {
  readonly opening: Opening;
  readonly digest: string;
  readonly kept: string | undefined;
  readonly signal: AbortSignal | undefined;
}

type Add = (mart: string, select: string) => Promise<void>;
type Define = (sql: string) => Promise<void>;

/**
 * Computes the days that are due (temporary table `mart_due`) of reports that depend on earlier or later days. `add` receives a
 * select with days of a mart. `kept` is the file of openings, `opening` makes the statements for a new one. The signal stops it
 * between two statements.
 */
export async function computePast(
  ledger: Ledger,
  marts: readonly Mart[],
  source: RowsSource,
  options: PastOptions,
  add: Add,
): Promise<void> {
  const { opening, digest, kept, signal } = options;
  for (const { start, tenants: names } of await dueGroups(ledger, marts, digest, kept !== undefined)) {
    const tenants = tenantsSql(names);
    const parts = partsOf(await daysOf(ledger, tenants, start), togetherIn(ledger).rows);
    const openingsDue = await ledger.rows(
      `select distinct day::varchar as day from mart_due where mart = ${sqlText(OPENINGS)} and tenant in ${tenants}`,
      { day: asText },
    );
    let before: 'opening_kept' | 'opening' | undefined;
    try {
      if (start !== undefined && kept !== undefined) {
        before = 'opening_kept';
        await ledger.run(
          `create or replace temp view ${before} as select * exclude (day) from read_parquet(${sqlText(kept)})
           where day = ${sqlText(start)}::date and tenant_id in ${tenants}`,
        );
      }
      for (const [nth, part] of parts.entries()) {
        const next = parts[nth + 1];
        const replaced = before && { relation: before, totals: opening.totals(part.readFrom) };
        const span = { from: part.readFrom, to: part.to, tables: OPENING_TABLES, tenants, wholeCoverage: true };
        await overRows(ledger, source, { ...span, opening: replaced }, async (define) => {
          if (replaced === undefined) await withoutOpening(ledger, define);
          await computeReports(ledger, marts, source, { part, next, signal }, define, add);
          if (signal?.aborted === true) return;
          await define([...opening.rows(part.to), opening.totals(part.to)].join(' '));
          // There may be days without rows before the first part.
          const after = nth === 0 ? (start ?? part.from) : part.from;
          const days = openingsDue.map(({ day }) => day).filter((day) => day > after && day <= part.to);
          await makeOpenings(ledger, options, { days, before, next }, add);
        });
        if (signal?.aborted === true) return;
        before = 'opening';
      }
    } finally {
      await ledger.run('drop view if exists temp.opening_kept; drop table if exists temp.opening');
    }
  }
}

interface PartWork {
  readonly part: DaysPart;
  readonly next: DaysPart | undefined;
  readonly signal: AbortSignal | undefined;
}

/** The reports over the rows of a part. Days of reports that depend on all days come with the last part. */
async function computeReports(
  ledger: Ledger,
  marts: readonly Mart[],
  { definitions }: RowsSource,
  { part, next, signal }: PartWork,
  define: Define,
  add: Add,
): Promise<void> {
  const due = marts.flatMap((mart) => {
    if (reaches(mart, 'all')) return next === undefined ? [{ mart, sql: mart.sql() }] : [];
    const [from, to] = reaches(mart, 'week_after') ? [part.readFrom, next?.readFrom ?? part.to] : [part.from, part.to];
    if (from >= to) return [];
    const own = `day >= ${sqlText(from)}::date and day < ${sqlText(to)}::date`;
    return [{ mart, sql: `select * from (${mart.sql(from, to)}) where ${own}` }];
  });
  await sharePeriods(ledger, definitions, define, {
    sql: due.map(({ sql }) => sql).join('\n'),
    tables: OPENING_TABLES,
    bounds: [
      { from: part.readFrom, to: part.to },
      ...(due.some(({ mart }) => reaches(mart, 'all')) ? [undefined] : []),
    ],
  });
  for (const { mart, sql } of due) {
    if (signal?.aborted === true) return;
    await define(sql);
    await add(mart.name, sql);
  }
}

interface OpeningsWork {
  readonly days: readonly string[];
  readonly before: string | undefined;
  readonly next: DaysPart | undefined;
}

/** Adds the openings of days, and makes that of the next part, the temporary table `opening`. */
async function makeOpenings(
  ledger: Ledger,
  { opening, signal }: PastOptions,
  { days, before, next }: OpeningsWork,
  add: Add,
): Promise<void> {
  const statements = await statementsOfOpening(ledger);
  const selectsOf = (day: string): string[] => [...opening.rows(day, statements), totalsOfOpening(opening.totals(day))];
  for (const day of days) {
    for (const sql of selectsOf(day)) {
      if (signal?.aborted === true) return;
      await add(OPENINGS, `select ${sqlText(day)}::date as day, * from (${sql})`);
    }
  }
  if (next === undefined) return;
  const selects = selectsOf(next.readFrom);
  if (before === 'opening') await removeRead(ledger, before);
  for (const [nth, sql] of selects.entries()) {
    if (signal?.aborted === true) return;
    const isNew = nth === 0 && before !== 'opening';
    await ledger.run(`${isNew ? 'create or replace temp table opening as' : 'insert into opening by name'} ${sql}`);
  }
}

/** The number of statements that make an opening: in a large lake the groups of passes would not fit into memory at once. */
async function statementsOfOpening(ledger: Ledger): Promise<number> {
  const { events } = await ledger.row('select count(*) as events from pass_events', { events: asCount });
  return Math.max(1, Math.ceil(events / togetherIn(ledger).passEvents));
}

/** Tenants with days that are due, grouped by the newest valid opening before all of those days. */
async function dueGroups(ledger: Ledger, marts: readonly Mart[], digest: string, isKept: boolean): Promise<Group[]> {
  const all = marts.filter((mart) => reaches(mart, 'all'));
  const names = sqlTexts([...marts.map(({ name }) => name), OPENINGS]);
  const rows = await ledger.rows(
    `with due as (
       select tenant, min(day) filter (where mart not in (${sqlTexts(['', ...all.map(({ name }) => name)])})) as first_day
       from mart_due where mart in (${names}) group by tenant
     ),
     valid as (select tenant, day from (${validSql(ledger, digest)}) where ${isKept})
     select tenant, max(day) filter (where first_day is null or day <= first_day)::varchar as start
     from due left join valid using (tenant)
     group by tenant order by tenant`,
    { tenant: asText, start: asOptional(asText) },
  );
  const groups = new Map<string | undefined, string[]>();
  for (const { tenant, start } of rows) groups.set(start, [...(groups.get(start) ?? []), tenant]);
  return [...groups].map(([start, tenants]) => ({ start, tenants }));
}

interface Day {
  /** yyyy-mm-dd. */
  readonly day: string;
  readonly rows: number;
}

async function daysOf(ledger: Ledger, tenants: string, start: string | undefined): Promise<Day[]> {
  return ledger.rows(
    `select day::varchar as day, sum(rows)::bigint as rows from ${DAY_SOURCES}
     where tenant in ${tenants} and table_name in (${sqlTexts(OPENING_TABLES)})
       ${start === undefined ? '' : `and day >= ${sqlText(start)}::date`}
     group by day order by day`,
    { day: asText, rows: asCount },
  );
}

/** Days from `from` to `to`, both yyyy-mm-dd, `to` exclusive. */
interface DaysPart {
  readonly from: string;
  readonly to: string;
  /** From here on its rows are read: a report that looks ahead leaves the last days of a part to the next one. */
  readonly readFrom: string;
  readonly rows: number;
}

/** Divides days into parts without gaps. A new part begins where the one before would have more than `most` rows. */
export function partsOf(days: readonly Day[], most: number): DaysPart[] {
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
  const first = parts[0]?.from ?? '';
  return parts.map((part) => {
    const earlier = dayAfter(part.from, -DAYS_AFTER);
    return { ...part, readFrom: earlier > first ? earlier : first };
  });
}

function dayAfter(day: string, days = 1): string {
  return formatDay((parseInstant(day) ?? 0n) + BigInt(days) * DAY);
}
