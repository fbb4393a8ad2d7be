/**
 * Marts: what reports say of each UTC day, kept as small Parquet files, so that a dashboard reads thousands of rows and not
 * the lake. Only reports whose day depends on the rows of that day alone have one (`-- mart: events` in their head), so a run
 * computes the days that it changed, over their files, in a time that does not grow with the lake.
 *
 * Each day is known by what it was made of (`mart_days.source`): files, states of its hours, the report, columns and rules.
 * Files are immutable, like those of the tables: a new generation holds the old one's days that still stand and the fresh ones.
 */
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { dailyMarts, createSql, definitionsDigest, sharedDefinitions } from '../definitions.ts';
import type { Definition, Mart } from '../definitions.ts';
import { TEMPORARY, commitFile } from '../files.ts';
import { privacyKey } from '../privacy.ts';
import { promotionKey } from '../promoted.ts';
import { TABLES, TABLE_NAMES } from '../tables.ts';
import type { TableName } from '../tables.ts';
import { sqlText } from '../transform/lake.ts';
import { COVERAGE_SQL, currentFiles, rowsOf } from './catalogue.ts';
import type { CurrentFile } from './catalogue.ts';
import { count, text } from './engine.ts';
import { sha256Of } from './generation.ts';
import type { Ledger } from './ledger.ts';
import { MARTS_FOLDER } from './layout.ts';

/** Rows and days computed together: bounds memory over a first load of years. One day is never divided. */
const TOGETHER = { rows: 200_000, days: 366 } as const;

/** Rows from which memory matters more than a second thread. */
const LARGE = 50_000;

/**
 * Brings every mart up to what the ledger holds; `generation` is new to readers. A stop between two parts of the days leaves
 * all as it was. Inside the ledger's exclusive turn, after `noteDays`.
 */
export async function refreshMarts(ledger: Ledger, generation: number, signal?: AbortSignal): Promise<void> {
  const marts = ledger.settings.marts === true ? await dailyMarts() : [];
  await dropOthers(ledger, marts);
  if (marts.length === 0) return;
  await wantDays(ledger, marts);
  const due = await ledger.rows(
    `select mart from (
       select mart from mart_due
       union all select mart from mart_days anti join mart_wanted using (mart, tenant, day)
       union all select mart from (select distinct mart from mart_wanted)
         where mart not in (select mart from mart_files where superseded_at is null)
       union all select mart from mart_files
         where superseded_at is null and days <> (select count(*) from mart_days where mart_days.mart = mart_files.mart)
     ) group by mart`,
  );
  const names = new Set(due.map((row) => text(row, 'mart')));
  const stale = marts.filter(({ name }) => names.has(name));
  if (stale.length > 0) {
    const fresh = await computeDays(ledger, stale, signal);
    if (signal?.aborted !== true) await writeMarts(ledger, stale, fresh, generation);
    await ledger.run(['select 1', ...[...fresh].map((name) => `drop table temp.fresh_${name}`)].join(';\n'));
  }
  await ledger.run('drop table temp.mart_due; drop table temp.mart_wanted');
}

/** Reports that have no mart any more, all of them where the setting is off; days of which no file speaks. */
async function dropOthers(ledger: Ledger, marts: readonly Mart[]): Promise<void> {
  const kept = marts.map(({ name }) => sqlText(name));
  const others = `superseded_at is null and mart not in (${["''", ...kept].join(', ')})`;
  const lost = 'mart not in (select mart from mart_files where superseded_at is null)';
  const [held] = await ledger.rows(
    `select (select count(*) from mart_files where ${others}) + (select count(*) from mart_days where ${lost}) as n`,
  );
  if (count(held, 'n') === 0) return;
  await ledger.transaction(async () => {
    await ledger.run(`update mart_files set superseded_at = ${ledger.nowSql()} where ${others}`);
    await ledger.run(`delete from mart_days where ${lost}`);
  });
}

/** Temp tables `mart_wanted` (mart, tenant, day, source), one row per day that there should be, and `mart_due`, those that differ. */
async function wantDays(ledger: Ledger, marts: readonly Mart[]): Promise<void> {
  const shared = definitionsDigest(await sharedDefinitions());
  const rules = marts.map((mart) => {
    const table = tableOfMart(mart);
    const { promoted, privacy } = ledger.settings.tables[table];
    const parts = [shared, mart.sql('', ''), promotionKey(promoted), privacyKey(privacy) ?? ''];
    return `(${sqlText(mart.name)}, ${sqlText(table)}, ${sqlText(createHash('sha256').update(parts.join('\n')).digest('hex').slice(0, 16))})`;
  });
  await ledger.run(
    `create or replace temp table mart_wanted as
     select rules.mart, tenant, day, concat_ws(' ', rules.digest, source) as source
     from day_sources
     join (values ${rules.join(', ')}) as rules(mart, table_name, digest) using (table_name)`,
  );
  await ledger.run(
    'create or replace temp table mart_due as select * from mart_wanted anti join mart_days using (mart, tenant, day, source)',
  );
}

function tableOfMart({ name, table }: Mart): TableName {
  const found = TABLE_NAMES.find((candidate) => TABLES[candidate].lakeName === table);
  if (!found) throw new Error(`${name} is a mart of no table: ${table}`);
  return found;
}

/** Makes temp tables `fresh_<mart>` with the days that are due; returns the marts that have one. */
async function computeDays(
  ledger: Ledger,
  marts: readonly Mart[],
  signal: AbortSignal | undefined,
): Promise<ReadonlySet<string>> {
  const definitions = await sharedDefinitions();
  const isDefined = new Set<string>();
  // A view on views becomes a table: several reports read each, and a plan through three views costs more than a day's rows.
  // One that reads the lake alone stays a view: a copy of a large day costs more memory than anything else here.
  const define = async (sql: string, rows: number): Promise<void> => {
    for (const definition of definitions) {
      if (isDefined.has(definition.name) || !new RegExp(`\\b${definition.name}\\b`).test(sql)) continue;
      isDefined.add(definition.name);
      await define(definition.select, rows);
      if (!isCopied(definition)) {
        await ledger.run(createSql(definition, 'create or replace temp'));
        continue;
      }
      const copy = `create or replace temp table ${definition.name} as ${definition.select}`;
      // Each thread holds a part of a window's rows: over a large day one thread is the peak of a run the less.
      if (rows > LARGE) await ledger.rowsOnOneThread(copy);
      else await ledger.run(copy);
    }
  };
  const files = await currentFiles(ledger);
  const fresh = new Set<string>();
  try {
    await ledger.run(`create or replace temp view snapshot as select ${ledger.nowSql()} as published_at`);
    for (const { from, to, names, rows } of await dueRanges(ledger)) {
      if (signal?.aborted === true) break;
      const mine = marts.filter(({ name }) => names.includes(name));
      for (const table of new Set(mine.map(tableOfMart))) await takeRows(ledger, table, files, from, to);
      await takeCoverage(ledger, from, to);
      isDefined.clear();
      for (const mart of mine) {
        const sql = mart.sql(from, to);
        await define(sql, rows);
        const made = `select * from (select tenant_id, period::date as day, * exclude (tenant_id, period) from (${sql}))
          semi join (select tenant as tenant_id, day from mart_due where mart = ${sqlText(mart.name)}) using (tenant_id, day)`;
        const into = fresh.has(mart.name) ? 'insert into' : 'create or replace temp table';
        await ledger.run(`${into} fresh_${mart.name} ${fresh.has(mart.name) ? '' : 'as'} ${made}`);
        fresh.add(mart.name);
      }
      // The next part makes its tables anew; what these held must not stay until then.
      await ledger.run(dropTaken(definitions));
      await ledger.release();
    }
  } finally {
    await ledger.run(`${dropTaken(definitions)};\ndrop view if exists temp.snapshot`);
  }
  return fresh;
}

function isCopied({ arguments: of, uses }: Definition): boolean {
  return of === undefined && uses.length > 0;
}

/** What a part of the days was computed from. */
function dropTaken(definitions: readonly Definition[]): string {
  const made = definitions.map((definition) => {
    const kind = definition.arguments !== undefined ? 'macro table' : isCopied(definition) ? 'table' : 'view';
    return `drop ${kind} if exists temp.${definition.name}`;
  });
  const taken = ['events', 'logs', 'metrics'].map((name) => `drop view if exists temp.${name}`);
  return [...made, ...taken, 'drop table if exists temp.coverage'].join(';\n');
}

const dueTenants = (from: string, to: string): string =>
  `(select distinct tenant from mart_due where day >= ${sqlText(from)} and day < ${sqlText(to)})`;

/** A temp view of the table's name: rows of the days. Reports read a few columns of it; a copy would cost a day's memory. */
async function takeRows(
  ledger: Ledger,
  name: TableName,
  files: readonly CurrentFile[],
  from: string,
  to: string,
): Promise<void> {
  const table = ledger.settings.tables[name];
  const span = files.filter((file) => file.table === name && file.from < to && file.to > from);
  await ledger.run(
    `create or replace temp view ${table.lakeName} as
     select * from (${rowsOf(table, span)})
     where "timestamp" >= ${sqlText(from)}::timestamptz and "timestamp" < ${sqlText(to)}::timestamptz
       and tenant_id in ${dueTenants(from, to)}`,
  );
}

/** The ends of all coverage are ends for a day too: what lies beyond them is not over. */
async function takeCoverage(ledger: Ledger, from: string, to: string): Promise<void> {
  await ledger.run(
    `create or replace temp table coverage as select * from (${COVERAGE_SQL})
     where tenant_id in ${dueTenants(from, to)}
     window ends as (partition by tenant_id, table_name)
     qualify (hour >= ${sqlText(from)}::timestamptz and hour < ${sqlText(to)}::timestamptz)
       or hour in (min(hour) over ends, max(hour) over ends)`,
  );
}

interface Range {
  /** yyyy-mm-dd, `to` exclusive. */
  readonly from: string;
  readonly to: string;
  readonly names: readonly string[];
  readonly rows: number;
}

/** Days that are due, in parts of days that follow each other. */
async function dueRanges(ledger: Ledger): Promise<Range[]> {
  const rows = await ledger.rows(
    `with sizes as (select hour::date as day, sum(lake.n)::bigint as rows from hours group by all),
     days as (select day, list_sort(list(distinct mart)) as names from mart_due group by day),
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

interface Written {
  readonly mart: Mart;
  readonly file: string;
  readonly rows: number;
  readonly bytes: number;
  readonly sha256: string;
}

/** New generations: the days that stand, and the fresh ones. One transaction makes them current. */
async function writeMarts(
  ledger: Ledger,
  marts: readonly Mart[],
  fresh: ReadonlySet<string>,
  least: number,
): Promise<void> {
  const [last] = await ledger.rows('select coalesce(max(generation), 0) as n from mart_files');
  // A name is never used twice: a killed run may have shown the one before to readers.
  const generation = Math.max(least, count(last, 'n') + 1);
  const standing = await ledger.rows(
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
    await ledger.run(`delete from mart_days where mart in (${names})`);
    await ledger.run(
      `insert into mart_days select mart, tenant, day, source from mart_wanted where mart in (${names})`,
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

function standingSql({ name }: Mart, file: string): string {
  const days = `select tenant as tenant_id, day from mart_days semi join mart_wanted using (mart, tenant, day, source) where mart = ${sqlText(name)}`;
  return `select * from read_parquet(${sqlText(file)}) semi join (${days}) using (tenant_id, day)`;
}

async function writeMart(ledger: Ledger, mart: Mart, rows: string, generation: number): Promise<Written> {
  const file = join(MARTS_FOLDER, `${mart.name}.${generation}.parquet`);
  const path = join(ledger.dataDir, file);
  const temporary = `${path}${TEMPORARY}`;
  const [stats] = await ledger.rows(
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
  const rows = await ledger.rows(`select file from mart_files where ${due}`);
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
