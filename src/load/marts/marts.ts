/**
 * Marts: the results of reports by UTC day, kept as small Parquet files, so that a dashboard reads thousands of rows and not the
 * lake. A run computes the days whose result may have changed. If a report depends only on rows of the same day, it is computed
 * from them; otherwise from an opening and the rows after it (`-- mart: past of events` in its header; openings.ts).
 *
 * `mart_days.source` records what each day was made from: files, states of its hours, the report, columns and rules. Files are
 * immutable, like those of the tables: a new generation has the days of the old one that are still valid, and the new days.
 */
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import {
  DAYS_AFTER,
  dailyMarts,
  definitionsDigest,
  reaches,
  readOpening,
  sharedDefinitions,
} from '../../query/definitions.ts';
import type { Definition, Mart } from '../../query/definitions.ts';
import { isComputed, usableFiles } from './custom.ts';
import type { TableName } from '../../model/tables.ts';
import { sqlText, sqlTexts } from '../../kernel/sql.ts';
import { currentFiles } from '../store/current-files.ts';
import { asCount, asList, asOptional, asText } from '../ledger/cells.ts';
import type { Ledger } from '../ledger/ledger.ts';
import { OPENINGS } from '../../model/data-dir.ts';
import { DAY_SOURCES } from './days.ts';
import { nextGeneration, rowRulesOf, rulesOf, withFresh, writeMart } from './mart-files.ts';
import type { Kept, Written } from './mart-files.ts';
import { overRows } from './mart-rows.ts';
import type { RowsSource } from './mart-rows.ts';
import { OPENING_TABLES, computePast, planOpenings } from './openings.ts';
import type { PastOptions } from './openings.ts';
import { sharePeriods } from './shared-periods.ts';
import { refreshSplitMarts, splitMartsOf } from './split-marts.ts';

/** Rows and days computed together, which bounds memory in a first load of years. A single day is never divided. */
const TOGETHER = { rows: 200_000, days: 366 } as const;

/**
 * Brings every mart up to date with the ledger. No file with the number `generation` was ever published. A stop changes
 * nothing. Call it inside the ledger's exclusive turn, after `noteDays`. False if there was nothing to do.
 */
export async function refreshMarts(ledger: Ledger, generation: number, signal?: AbortSignal): Promise<boolean> {
  const setting = ledger.settings.marts ?? false;
  const marts =
    setting === false
      ? []
      : (await dailyMarts(await usableFiles(ledger, 'reports'))).filter(
          ({ name }) => setting === true || setting.includes(name),
        );
  const kept = marts.length === 0 ? [] : [...marts, { name: OPENINGS, comment: 'What the past comes down to' }];
  const split = ledger.settings.splitMarts === true ? splitMartsOf(marts) : [];
  await dropOthers(ledger, [...kept, ...split]);
  if (marts.length === 0) return false;
  const definitions = await sharedDefinitions();
  const results = [await refreshDays(ledger, marts, kept, definitions, generation, signal)];
  if (split.length > 0 && signal?.aborted !== true)
    results.push(await refreshSplitMarts(ledger, split, definitions, generation, signal));
  return results.includes(true);
}

/** Brings the marts whose days are computed one by one up to date. `kept` are these and the openings. False if there was nothing to do. */
async function refreshDays(
  ledger: Ledger,
  marts: readonly Mart[],
  kept: readonly Kept[],
  definitions: readonly Definition[],
  generation: number,
  signal: AbortSignal | undefined,
): Promise<boolean> {
  const shared = definitionsDigest(definitions);
  const opening = await readOpening();
  const digest = digestOf(ledger, [shared, ...opening.rows(''), opening.totals('')], OPENING_TABLES);
  await planDays(ledger, marts, shared);
  await planOpenings(ledger, marts.filter(isFromOpening), digest);
  const differing = await ledger.rows(
    `select mart from (
       select mart from mart_due
       union all select mart from mart_days anti join mart_expected using (mart, tenant, day)
       union all select mart from (select distinct mart from mart_expected)
         where mart not in (select mart from mart_files where superseded_at is null)
       union all select mart from mart_files
         where superseded_at is null and days <> (select count(*) from mart_days where mart_days.mart = mart_files.mart)
     ) group by mart`,
    { mart: asText },
  );
  const names = new Set(differing.map(({ mart }) => mart));
  const stale = kept.filter(({ name }) => names.has(name));
  if (stale.length > 0) {
    const due = marts.filter(({ name }) => names.has(name));
    const source = { files: await currentFiles(ledger), definitions };
    await withFresh(ledger, async () => {
      const { fresh, failed } = await computeDays(ledger, due, names.has(OPENINGS), source, {
        opening,
        digest,
        signal,
      });
      const whole = stale.filter(({ name }) => !failed.has(name));
      if (signal?.aborted !== true && whole.length > 0) await writeMarts(ledger, whole, fresh, generation);
      return fresh;
    });
  }
  await ledger.run('drop table temp.mart_due; drop table temp.mart_expected');
  return stale.length > 0;
}

/** Removes marts that are no longer configured, and days that no file holds. */
async function dropOthers(ledger: Ledger, marts: readonly Kept[]): Promise<void> {
  const names = ['', ...marts.map(({ name }) => name)];
  const others = `superseded_at is null and mart not in (${sqlTexts(names)})`;
  const lost = 'mart not in (select mart from mart_files where superseded_at is null)';
  const { found } = await ledger.row(
    `select (select count(*) from mart_files where ${others}) + (select count(*) from mart_days where ${lost}) as found`,
    { found: asCount },
  );
  if (found === 0) return;
  await ledger.transaction(async () => {
    await ledger.run(`update mart_files set superseded_at = ${ledger.nowSql()} where ${others}`);
    await ledger.run(`delete from mart_days where ${lost}`);
  });
}

/**
 * Creates the temporary tables `mart_expected` (mart, tenant, day, source), with every day that the marts should have, and
 * `mart_due`, with those that must be computed. `planOpenings` adds the openings.
 */
async function planDays(ledger: Ledger, marts: readonly Mart[], shared: string): Promise<void> {
  const rules = marts.flatMap((mart) => {
    const digest = digestOf(ledger, [shared, mart.sql('', '')], tablesOf(mart));
    return mart.dependsOn.map(({ reach, table }, nth) => ({
      isOnly: mart.dependsOn.length === 1,
      sql: `(${sqlText(mart.name)}, ${nth}, ${sqlText(reach)}, ${sqlText(table)}, ${sqlText(digest)})`,
    }));
  });
  const ruled = (isOnly: boolean): string[] => {
    const values = rules.filter((rule) => rule.isOnly === isOnly).map(({ sql }) => sql);
    const each = `(values ${values.join(', ')}) as rules(mart, nth, reach, table_name, digest)`;
    return values.length === 0 ? [] : [`reaches join ${each} using (table_name, reach)`];
  };
  // Most marts depend on one table. Their days need no groups, which take ten times as long: 7 s for 1,000 tenants and 31 days.
  const expected = [
    ...ruled(true).map(
      (days) => `select mart, tenant, day, concat_ws(' ', rules.digest, source) as source from ${days} where is_known`,
    ),
    ...ruled(false).map(
      (days) =>
        `select mart, tenant, day, concat_ws(' ', any_value(rules.digest), string_agg(source, ' ' order by nth)) as source
         from ${days} group by mart, tenant, day having bool_or(nth = 0 and is_known)`,
    ),
  ];
  await ledger.run(
    `create or replace temp table mart_expected as
     with every_day as (
       -- Days of other tables too: a day without hours of a table still depends on the earlier days of that table.
       select tenant, table_name, day, source, source is not null as is_known, case when source is not null then hash(day, source) end as digest
       from (select distinct tenant, day from ${DAY_SOURCES})
       cross join (select distinct table_name from ${DAY_SOURCES})
       left join ${DAY_SOURCES} using (tenant, table_name, day)
     ),
     reaches as (
       select tenant, table_name, day, is_known, 'day' as reach, source from every_day
       union all
       select tenant, table_name, day, is_known, 'past', concat_ws(' ', source, sum(digest) over (
         partition by tenant, table_name order by day rows between unbounded preceding and 1 preceding))
       from every_day
       union all
       -- Hours after the last day are open, and missing once there is a later day: so that counts, too, as long as it is near.
       select tenant, table_name, day, is_known, 'week_after', concat_ws(' ', source,
         sum(digest) over (partition by tenant, table_name order by day range between unbounded preceding and interval ${DAYS_AFTER} days following),
         least(max(day) filter (where is_known) over (partition by tenant, table_name), day + ${DAYS_AFTER + 1}))
       from every_day
       union all
       select tenant, table_name, day, is_known, 'all', (sum(digest) over (partition by tenant, table_name))::varchar from every_day
     )
     ${expected.join(' union all ')};
     create or replace temp table mart_due as select * from mart_expected anti join mart_days using (mart, tenant, day, source)`,
  );
}

/** Changes whenever the same rows of the tables could give another result. */
function digestOf(ledger: Ledger, texts: readonly string[], tables: readonly TableName[]): string {
  return createHash('sha256')
    .update([...texts, ...rowRulesOf(ledger, tables).flat()].join('\n'))
    .digest('hex')
    .slice(0, 16);
}

/**
 * Creates the temporary tables `fresh_<mart>` with the days that are due, including new openings if `openings` is set. Returns
 * the marts that have such a table.
 */
async function computeDays(
  ledger: Ledger,
  marts: readonly Mart[],
  openings: boolean,
  source: RowsSource,
  options: Omit<PastOptions, 'kept'>,
): Promise<{ readonly fresh: ReadonlySet<string>; readonly failed: ReadonlySet<string> }> {
  const { signal } = options;
  const [fresh, failed] = [new Set<string>(), new Set<string>()];
  const add = async (mart: string, select: string): Promise<void> => {
    const due = `semi join (select tenant as tenant_id, day from mart_due where mart = ${sqlText(mart)}) using (tenant_id, day)`;
    const into = fresh.has(mart)
      ? `insert into fresh_${mart} by name`
      : `create or replace temp table fresh_${mart} as`;
    const statement = `${into} select * from (${select}) ${due}`;
    // Each thread holds its own groups, and an opening has several per pass.
    if (mart === OPENINGS) await ledger.onOneThread(() => ledger.run(statement));
    else await ledger.run(statement);
    fresh.add(mart);
  };
  // Once one report needs an opening, all reports over the same tables are computed with it, because the rows are read anyway.
  const isPastDue = openings || marts.some((mart) => reaches(mart, 'past', 'week_after', 'all'));
  const past = isPastDue ? marts.filter(isFromOpening) : [];
  const fromTheirDays = marts.filter((mart) => !past.includes(mart));
  for (const { from, to, names } of await dueRanges(ledger, fromTheirDays)) {
    if (signal?.aborted === true) return { fresh, failed };
    const due = fromTheirDays.filter(({ name }) => names.includes(name) && !failed.has(name));
    const tenants = `(select distinct tenant from mart_due where day >= ${sqlText(from)} and day < ${sqlText(to)})`;
    const tables = [...new Set(due.flatMap(tablesOf))];
    await overRows(ledger, source, { from, to, tables, tenants }, async (define) => {
      const compute = async (mart: Mart): Promise<void> => {
        const sql = mart.sql(from, to);
        await define(sql);
        await add(mart.name, sql);
      };
      // First, because they may ask for other periods than those that our own reports share.
      for (const mart of due.filter(({ isCustom }) => isCustom)) {
        if (signal?.aborted === true) return;
        if (!(await isComputed(ledger, mart.name, () => compute(mart)))) failed.add(mart.name);
      }
      const own = due.filter(({ isCustom }) => !isCustom);
      const sql = own.map((mart) => mart.sql(from, to)).join('\n');
      await sharePeriods(ledger, source.definitions, define, { sql, tables, bounds: [{ from, to }] });
      for (const mart of own) {
        if (signal?.aborted === true) return;
        await compute(mart);
      }
    });
  }
  if (isPastDue) {
    const [openingsFile] = await ledger.rows(
      'select file from mart_files where mart = $1 and superseded_at is null',
      { file: asText },
      [OPENINGS],
    );
    const kept = openingsFile && join(ledger.dataDir, openingsFile.file);
    await computePast(ledger, past, source, { ...options, kept }, add);
  }
  return { fresh, failed };
}

/** Reports of the operator may depend on any row. */
function isFromOpening(mart: Mart): boolean {
  return !mart.isCustom && tablesOf(mart).every((table) => OPENING_TABLES.some((name) => name === table));
}

function tablesOf({ dependsOn }: Mart): TableName[] {
  return dependsOn.map(({ table }) => table);
}

interface Range {
  /** yyyy-mm-dd, `to` exclusive. */
  readonly from: string;
  readonly to: string;
  readonly names: readonly string[];
}

/** The days that are due, in ranges of consecutive days. */
async function dueRanges(ledger: Ledger, marts: readonly Mart[]): Promise<Range[]> {
  const names = sqlTexts(marts.map(({ name }) => name));
  const tables = sqlTexts(['', ...marts.flatMap(tablesOf)]);
  const ranges = await ledger.rows(
    `with sizes as (select day, sum(rows)::bigint as rows from ${DAY_SOURCES} where table_name in (${tables}) group by day),
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
     select min(day)::varchar as first_day, (max(day) + 1)::varchar as end_day, names
     from parts group by names, island, part, stretch order by first_day`,
    { first_day: asText, end_day: asText, names: asList(asText) },
  );
  return ranges.map(({ first_day: from, end_day: to, names: due }) => ({ from, to, names: due }));
}

/** Writes new generations with the days that are still valid and the new ones. One transaction makes them current. */
async function writeMarts(
  ledger: Ledger,
  marts: readonly Kept[],
  fresh: ReadonlySet<string>,
  least: number,
): Promise<void> {
  const generation = await nextGeneration(ledger, least);
  const old = await ledger.rows(
    `select mart, any_value(file) as file from mart_days
     semi join mart_expected using (mart, tenant, day, source)
     join (select mart, file from mart_files where superseded_at is null) using (mart)
     group by mart`,
    { mart: asText, file: asText },
  );
  const written: Written[] = [];
  for (const mart of marts) {
    const validIn = old.find((row) => row.mart === mart.name);
    const sources = [
      ...(validIn ? [validRowsSql(mart, join(ledger.dataDir, validIn.file))] : []),
      ...(fresh.has(mart.name) ? [`select * from fresh_${mart.name}`] : []),
    ];
    const rows =
      sources.join(' union all by name ') || 'select null::varchar as tenant_id, null::date as day where false';
    const { first, last } = await ledger.row(
      `select min(day)::varchar as first, max(day)::varchar as last from mart_expected where mart = ${sqlText(mart.name)}`,
      { first: asOptional(asText), last: asOptional(asText) },
    );
    const origin = { grain: 'day', zone: 'UTC', first_day: first, last_day: last };
    // Sorting the openings would take more memory than making them.
    const order = mart.name === OPENINGS ? {} : { order: 'tenant_id, day' };
    written.push(await writeMart(ledger, mart, { rows, ...order, generation, origin }));
  }
  const names = sqlTexts(marts.map(({ name }) => name));
  const values = written.map(
    ({ mart, file, rows, bytes, sha256 }) =>
      `(${sqlText(mart.name)}, ${sqlText(file)}, ${rows}, ${bytes}, ${sqlText(sha256)}, ${sqlText(mart.comment)})`,
  );
  await ledger.transaction(async () => {
    await ledger.run(
      `update mart_files set superseded_at = ${ledger.nowSql()} where mart in (${names}) and superseded_at is null`,
    );
    // Rows of valid days are kept, so that a run writes only the days that it changed.
    await ledger.run(
      `delete from mart_days as kept where mart in (${names}) and not exists (
         select 1 from mart_expected as expected
         where expected.mart = kept.mart and expected.tenant = kept.tenant and expected.day = kept.day and expected.source = kept.source);
       insert into mart_days
         select mart, tenant, day, source from mart_expected anti join mart_days using (mart, tenant, day, source) where mart in (${names})`,
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

function validRowsSql({ name }: Kept, file: string): string {
  const days = `select tenant as tenant_id, day from mart_days semi join mart_expected using (mart, tenant, day, source) where mart = ${sqlText(name)}`;
  return `select * from read_parquet(${sqlText(file)}) semi join (${days}) using (tenant_id, day)`;
}
