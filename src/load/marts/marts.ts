/**
 * Marts: what reports say of each UTC day, kept as small Parquet files, so that a dashboard reads thousands of rows and not
 * the lake. A run computes the days whose result it changed: over their own rows where a report stands on them alone, else over
 * an opening and the rows after it (`-- mart: past of events` in its head; openings.ts).
 *
 * Each day is known by what it was made of (`mart_days.source`): files, states of its hours, the report, columns and rules.
 * Files are immutable, like those of the tables: a new generation holds the old one's days that still stand and the fresh ones.
 */
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { dailyMarts, definitionsDigest, openingsSql, sharedDefinitions } from '../../query/definitions.ts';
import type { Mart } from '../../query/definitions.ts';
import { TEMPORARY, commitFile } from '../../kernel/files.ts';
import { privacyKey } from '../../model/privacy.ts';
import { promotionKey } from '../../model/promoted.ts';
import { findLakeTable } from '../../model/tables.ts';
import type { TableName } from '../../model/tables.ts';
import { sqlText } from '../../kernel/sql.ts';
import { currentFiles } from '../store/current-files.ts';
import { OutOfMemoryError, count, text } from '../ledger/engine.ts';
import { sha256Of } from '../store/generation.ts';
import type { Ledger } from '../ledger/ledger.ts';
import { MARTS_FOLDER, OPENINGS } from '../../model/data-dir.ts';
import { overRows } from './mart-rows.ts';
import type { RowsSource } from './mart-rows.ts';
import { OPENING_TABLES, computePast, openingDaysSql } from './openings.ts';
import type { PastOptions } from './openings.ts';

/** Rows and days computed together: bounds memory over a first load of years. One day is never divided. */
const TOGETHER = { rows: 200_000, days: 366 } as const;

/**
 * Brings every mart up to what the ledger holds; `generation` is new to readers. A stop leaves all as it
 * was. Inside the ledger's exclusive turn, after `noteDays`.
 */
export async function refreshMarts(ledger: Ledger, generation: number, signal?: AbortSignal): Promise<void> {
  const asked = ledger.settings.marts ?? false;
  const marts =
    asked === false ? [] : (await dailyMarts()).filter(({ name }) => asked === true || asked.includes(name));
  const kept = marts.length === 0 ? [] : [...marts, { name: OPENINGS, comment: 'What the past comes down to' }];
  await dropOthers(ledger, kept);
  if (marts.length === 0) return;
  const definitions = await sharedDefinitions();
  const shared = definitionsDigest(definitions);
  const opening = await openingsSql();
  const digest = digestOf(ledger, [shared, ...opening('')], OPENING_TABLES);
  await wantDays(ledger, marts, shared, digest);
  const differing = await ledger.rawRows(
    `select mart from (
       select mart from mart_due
       union all select mart from mart_days anti join mart_wanted using (mart, tenant, day)
       union all select mart from (select distinct mart from mart_wanted)
         where mart not in (select mart from mart_files where superseded_at is null)
       union all select mart from mart_files
         where superseded_at is null and days <> (select count(*) from mart_days where mart_days.mart = mart_files.mart)
     ) group by mart`,
  );
  const names = new Set(differing.map((row) => text(row, 'mart')));
  const stale = kept.filter(({ name }) => names.has(name));
  if (stale.length > 0) {
    const due = marts.filter(({ name }) => names.has(name));
    const source = { files: await currentFiles(ledger), definitions };
    const compute = async (): Promise<void> => {
      const fresh = await computeDays(ledger, due, names.has(OPENINGS), source, { opening, digest, signal });
      if (signal?.aborted !== true) await writeMarts(ledger, stale, fresh, generation);
      await ledger.run(['select 1', ...[...fresh].map((name) => `drop table temp.fresh_${name}`)].join(';\n'));
    };
    await ledger.sparing(compute).catch((error: unknown) => {
      if (!(error instanceof OutOfMemoryError)) throw error;
      return compute();
    });
  }
  await ledger.run('drop table temp.mart_due; drop table temp.mart_wanted');
}

/** Reports that have no mart any more, all of them where the setting is off; days of which no file speaks. */
async function dropOthers(ledger: Ledger, marts: readonly Kept[]): Promise<void> {
  const kept = marts.map(({ name }) => sqlText(name));
  const others = `superseded_at is null and mart not in (${["''", ...kept].join(', ')})`;
  const lost = 'mart not in (select mart from mart_files where superseded_at is null)';
  const [held] = await ledger.rawRows(
    `select (select count(*) from mart_files where ${others}) + (select count(*) from mart_days where ${lost}) as n`,
  );
  if (count(held, 'n') === 0) return;
  await ledger.transaction(async () => {
    await ledger.run(`update mart_files set superseded_at = ${ledger.nowSql()} where ${others}`);
    await ledger.run(`delete from mart_days where ${lost}`);
  });
}

/** Temp tables `mart_wanted` (mart, tenant, day, source), one row per day that there should be, and `mart_due`, those that differ. */
async function wantDays(ledger: Ledger, marts: readonly Mart[], shared: string, openings: string): Promise<void> {
  const rules = marts.flatMap((mart) => {
    const tables = tablesOf(mart);
    const digest = digestOf(ledger, [shared, mart.sql('', '')], tables);
    return mart.stands.map(
      ({ reach }, nth) => `(${sqlText(mart.name)}, ${nth}, ${sqlText(reach)}, ${sqlText(tables[nth] ?? '')}, ${sqlText(digest)})`,
    ); // prettier-ignore
  });
  await ledger.run(
    `create or replace temp table mart_wanted as
     with reaches as (
       select tenant, table_name, day, 'day' as reach, source from day_sources
       union all
       select tenant, table_name, day, 'past', concat_ws(' ', source, sum(hash(day, content)) over (
         partition by tenant, table_name order by day rows between unbounded preceding and 1 preceding))
       from day_sources
       union all
       select tenant, table_name, day, 'all', (sum(hash(day, source)) over (partition by tenant, table_name))::varchar from day_sources
     )
     select rules.mart, tenant, day, concat_ws(' ', any_value(rules.digest), string_agg(source, ' ' order by nth)) as source
     from reaches
     join (values ${rules.join(', ')}) as rules(mart, nth, reach, table_name, digest) using (table_name, reach)
     group by rules.mart, tenant, day having min(nth) = 0
     union all from (${openingDaysSql(openings)});
     create or replace temp table mart_due as select * from mart_wanted anti join mart_days using (mart, tenant, day, source)`,
  );
}

/** Differs whenever the same rows of the tables would be told otherwise. */
function digestOf(ledger: Ledger, texts: readonly string[], tables: readonly TableName[]): string {
  const rules = tables.map((name) => ledger.settings.tables[name]);
  const parts = rules.flatMap(({ promoted, privacy }) => [promotionKey(promoted), privacyKey(privacy) ?? '']);
  return createHash('sha256')
    .update([...texts, ...parts].join('\n'))
    .digest('hex')
    .slice(0, 16);
}

/**
 * Makes temp tables `fresh_<mart>` with the days that are due, and with `openings` those; returns the marts that have one.
 * Reports that stand on their day alone are computed from it, the others from an opening on.
 */
async function computeDays(
  ledger: Ledger,
  marts: readonly Mart[],
  openings: boolean,
  source: RowsSource,
  options: Omit<PastOptions, 'kept'>,
): Promise<ReadonlySet<string>> {
  const { signal } = options;
  const fresh = new Set<string>();
  const add = async (mart: string, select: string): Promise<void> => {
    const due = `semi join (select tenant as tenant_id, day from mart_due where mart = ${sqlText(mart)}) using (tenant_id, day)`;
    const into = fresh.has(mart) ? `insert into fresh_${mart}` : `create or replace temp table fresh_${mart} as`;
    const statement = `${into} select * from (${select}) ${due}`;
    // Each thread holds groups of its own, and an opening has some per pass.
    if (mart === OPENINGS) await ledger.onOneThread(() => ledger.run(statement));
    else await ledger.run(statement);
    fresh.add(mart);
  };
  // A day that is due for one is due for the others of its tables: they read the rows together.
  const isPastDue = openings || marts.some((mart) => !standsOnItsDay(mart));
  const past = isPastDue ? marts.filter(standsOnOpenings) : [];
  const ofTheirDay = marts.filter((mart) => !past.includes(mart));
  for (const { from, to, names, rows } of await dueRanges(ledger, ofTheirDay)) {
    if (signal?.aborted === true) return fresh;
    const mine = ofTheirDay.filter(({ name }) => names.includes(name));
    const tenants = `(select distinct tenant from mart_due where day >= ${sqlText(from)} and day < ${sqlText(to)})`;
    const tables = [...new Set(mine.flatMap(tablesOf))];
    await overRows(ledger, source, { from, to, tables, tenants, rows }, async (define) => {
      for (const mart of mine) {
        if (signal?.aborted === true) return;
        const sql = mart.sql(from, to);
        await define(sql);
        await add(mart.name, sql);
      }
    });
  }
  if (isPastDue) {
    const [row] = await ledger.rawRows('select file from mart_files where mart = $1 and superseded_at is null', [
      OPENINGS,
    ]);
    const file = text(row ?? {}, 'file');
    const kept = file === undefined ? undefined : join(ledger.dataDir, file);
    await computePast(ledger, past, source, { ...options, kept }, add);
  }
  return fresh;
}

function standsOnItsDay({ stands }: Mart): boolean {
  return stands.every(({ reach }) => reach === 'day');
}

function standsOnOpenings(mart: Mart): boolean {
  return tablesOf(mart).every((table) => OPENING_TABLES.some((name) => name === table));
}

function tablesOf({ name, stands }: Mart): TableName[] {
  return stands.map(({ table }) => {
    const found = findLakeTable(table);
    if (!found) throw new Error(`${name} is a mart of no table: ${table}`);
    return found;
  });
}

interface Range {
  /** yyyy-mm-dd, `to` exclusive. */
  readonly from: string;
  readonly to: string;
  readonly names: readonly string[];
  readonly rows: number;
}

/** Days that are due, in parts of days that follow each other. */
async function dueRanges(ledger: Ledger, marts: readonly Mart[]): Promise<Range[]> {
  const names = ["''", ...marts.map(({ name }) => sqlText(name))].join(', ');
  const rows = await ledger.rawRows(
    `with sizes as (select hour::date as day, sum(lake.n)::bigint as rows from hours group by all),
     days as (select day, list_sort(list(distinct mart)) as names from mart_due where mart in (${names}) group by day),
     numbered as (
       select day, names, coalesce(rows, 0) as rows, day - row_number() over (partition by names order by day)::integer as island
       from days left join sizes using (day)
     ),
     parts as (
       select *, sum(rows) over before // ${TOGETHER.rows} as part, row_number() over before // ${TOGETHER.days} as stretch
       from numbered
       window before as (partition by names, island order by day)
     )
     select min(day)::varchar as lo, (max(day) + 1)::varchar as hi, array_to_string(names, ' ') as names, sum(rows)::bigint as rows
     from parts group by names, island, part, stretch order by lo`,
  );
  return rows.map((row) => ({
    from: text(row, 'lo') ?? '',
    to: text(row, 'hi') ?? '',
    names: (text(row, 'names') ?? '').split(' '),
    rows: count(row, 'rows'),
  }));
}

/** A file among the marts. */
type Kept = Pick<Mart, 'name' | 'comment'>;

interface Written {
  readonly mart: Kept;
  readonly file: string;
  readonly rows: number;
  readonly bytes: number;
  readonly sha256: string;
}

/** New generations: the days that stand, and the fresh ones. One transaction makes them current. */
async function writeMarts(
  ledger: Ledger,
  marts: readonly Kept[],
  fresh: ReadonlySet<string>,
  least: number,
): Promise<void> {
  const [last] = await ledger.rawRows('select coalesce(max(generation), 0) as n from mart_files');
  // A name is never used twice: a killed run may have shown the one before to readers.
  const generation = Math.max(least, count(last, 'n') + 1);
  const standing = await ledger.rawRows(
    `select mart, any_value(file) as file from mart_days
     semi join mart_wanted using (mart, tenant, day, source)
     join (select mart, file from mart_files where superseded_at is null) using (mart)
     group by mart`,
  );
  await ledger.files.mkdir(join(ledger.dataDir, MARTS_FOLDER), { recursive: true });
  const written: Written[] = [];
  for (const mart of marts) {
    const old = standing.find((row) => text(row, 'mart') === mart.name);
    const sources = [
      ...(old ? [standingSql(mart, join(ledger.dataDir, text(old, 'file') ?? ''))] : []),
      ...(fresh.has(mart.name) ? [`select * from fresh_${mart.name}`] : []),
    ];
    const rows =
      sources.join(' union all by name ') || 'select null::varchar as tenant_id, null::date as day where false';
    written.push(await writeMart(ledger, mart, rows, generation));
  }
  const names = marts.map(({ name }) => sqlText(name)).join(', ');
  const values = written.map(
    ({ mart, file, rows, bytes, sha256 }) =>
      `(${sqlText(mart.name)}, ${sqlText(file)}, ${rows}, ${bytes}, ${sqlText(sha256)}, ${sqlText(mart.comment)})`,
  );
  await ledger.transaction(async () => {
    await ledger.run(
      `update mart_files set superseded_at = ${ledger.nowSql()} where mart in (${names}) and superseded_at is null`,
    );
    // What stands stays: rows written in a run are those of the days that it changed.
    await ledger.run(
      `delete from mart_days as kept where mart in (${names}) and not exists (
         select 1 from mart_wanted as wanted
         where wanted.mart = kept.mart and wanted.tenant = kept.tenant and wanted.day = kept.day and wanted.source = kept.source);
       insert into mart_days
         select mart, tenant, day, source from mart_wanted anti join mart_days using (mart, tenant, day, source) where mart in (${names})`,
    );
    await ledger.run(
      `insert into mart_files
       select made.mart, ${generation}, made.file, made.rows, made.bytes, made.sha256, count(day), min(day), max(day), made.comment,
         ${sqlText(rulesOf(ledger))}, null, null
       from (values ${values.join(', ')}) as made(mart, file, rows, bytes, sha256, comment) left join mart_days using (mart)
       group by all`,
    );
  });
}

function standingSql({ name }: Kept, file: string): string {
  const days = `select tenant as tenant_id, day from mart_days semi join mart_wanted using (mart, tenant, day, source) where mart = ${sqlText(name)}`;
  return `select * from read_parquet(${sqlText(file)}) semi join (${days}) using (tenant_id, day)`;
}

async function writeMart(ledger: Ledger, mart: Kept, rows: string, generation: number): Promise<Written> {
  const file = join(MARTS_FOLDER, `${mart.name}.${generation}.parquet`);
  const path = join(ledger.dataDir, file);
  const temporary = `${path}${TEMPORARY}`;
  const [stats] = await ledger.rawRows(
    `copy (select * from (${rows}) order by tenant_id, day) to ${sqlText(temporary)} (format parquet, compression zstd, return_stats)`,
  );
  await commitFile(temporary, path, ledger.files);
  return {
    mart,
    file,
    rows: count(stats, 'count'),
    bytes: count(stats, 'file_size_bytes'),
    sha256: await sha256Of(path, ledger.files),
  };
}

/** The privacy rules that results are made under. */
function rulesOf({ settings }: Ledger): string {
  return Object.values(settings.tables)
    .map(({ privacy }) => privacyKey(privacy) ?? '')
    .join(' ');
}

/** Removes files that no reader can still need: those superseded so long ago, or made under other privacy rules. */
export async function sweepMarts(ledger: Ledger, keepSeconds: number): Promise<number> {
  const due = `superseded_at is not null and unpublished_at is not null
    and (unpublished_at <= ${ledger.nowSql()} - interval (${keepSeconds}) seconds or privacy <> ${sqlText(rulesOf(ledger))})`;
  const rows = await ledger.rawRows(`select file from mart_files where ${due}`);
  if (rows.length === 0) return 0;
  for (const row of rows) await ledger.files.rm(join(ledger.dataDir, text(row, 'file') ?? ''), { force: true });
  const files = rows.map((row) => sqlText(text(row, 'file') ?? '')).join(', ');
  await ledger.transaction(() => ledger.run(`delete from mart_files where file in (${files})`));
  return rows.length;
}

/** Marts whose file is gone or not what was written: they are made anew, under another name, and the file goes like any that is superseded. */
export async function forgetMarts(ledger: Ledger, files: readonly string[]): Promise<void> {
  const list = files.map(sqlText).join(', ');
  await ledger.transaction(async () => {
    await ledger.run(
      `delete from mart_days where mart in (select mart from mart_files where superseded_at is null and file in (${list}))`,
    );
    await ledger.run(
      `update mart_files set superseded_at = ${ledger.nowSql()} where superseded_at is null and file in (${list})`,
    );
  });
}
