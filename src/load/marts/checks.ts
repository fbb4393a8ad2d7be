/**
 * Checks: the selects of `queries/checks/`, run over what a run changed. Every row that one returns is a failure. The results are
 * kept in the ledger.
 *
 * Each day is checked by itself, so a run reads only the days that it changed, and earlier results for other days remain valid.
 * The selects do not know this: they see each day of a tenant as a tenant of its own.
 */
import type { CheckResult } from '../../model/report.ts';
import { createHash } from 'node:crypto';
import { createSql, definitionsDigest, definitionsIn, sharedDefinitions } from '../../query/definitions.ts';
import type { Check, Definition } from '../../query/definitions.ts';
import { DAY_SOURCES } from './days.ts';
import { DiskError, InsightsError } from '../../kernel/errors.ts';
import { TABLE_NAMES, TABLES } from '../../model/tables.ts';
import type { TableName } from '../../model/tables.ts';
import { sqlText, sqlTextOrNull, sqlTexts } from '../../kernel/sql.ts';
import { currentFiles, rowsOf } from '../store/current-files.ts';
import { COVERAGE_SQL, HISTORY_LIMITS_SQL } from '../ledger/coverage.ts';
import type { CurrentFile } from '../store/current-files.ts';
import { asCount, asOneOf, asOptional, asTable, asText } from '../ledger/cells.ts';
import type { Ledger } from '../ledger/ledger.ts';
import type { Patiently } from '../ledger/engine.ts';

/** Rows and days checked together, which bounds memory in a first load of years. A single day is never divided. */
const TOGETHER = { rows: 1_000_000, days: 1_000 } as const;

/** Up to this many rows, copying them once is faster than opening their files for each check. */
const MOST_COPIED = 20_000;

/** Limits for older results. The latest result of each check and tenant is always kept. */
const KEPT = { age: 'interval 90 days', rows: 10_000 } as const;

interface Outcome {
  seconds: number;
  error: string | undefined;
}

export interface ChecksOptions {
  readonly checks: readonly Check[];
  readonly signal?: AbortSignal | undefined;
  /** How to run a statement that may need much memory. A lack of it after that is the result of the check. */
  readonly patiently?: Patiently | undefined;
}

/**
 * Runs the checks over the days that changed since the last time and records their results. After a stop, the next run checks
 * all these days again. Call it inside the ledger's exclusive turn, after `noteDays`. It may run on a lane, beside work on marts.
 */
export async function runChecks(
  ledger: Ledger,
  run: string,
  { checks: all, signal, patiently = (step) => step() }: ChecksOptions,
): Promise<readonly CheckResult[]> {
  if (ledger.settings.checks !== true) {
    await forgetAll(ledger);
    return [];
  }
  const definitions = await sharedDefinitions();
  await planDays(ledger, all, definitions);
  try {
    const { due, gone } = await ledger.row(
      `select (select count(*) from check_due) as due,
         (select count(*) from (select tenant, day from check_days anti join check_expected using (tenant, day))) as gone`,
      { due: asCount, gone: asCount },
    );
    if (due + gone === 0) return [];
    const outcomes = new Map<string, Outcome>(all.map(({ name }) => [name, { seconds: 0, error: undefined }]));
    await ledger.run(
      'create or replace temp table check_found (check_name varchar, tenant varchar, day date, failures bigint)',
    );
    const files = await currentFiles(ledger);
    for (const { part, rows } of await dueParts(ledger)) {
      if (signal?.aborted === true) return [];
      await checkPart(ledger, { part, rows, files, checks: all, definitions, patiently }, outcomes);
      await ledger.release();
    }
    return await keepResults(ledger, run, all, outcomes);
  } finally {
    await ledger.run(
      ['check_expected', 'check_due', 'check_part', 'check_found']
        .map((name) => `drop table if exists temp.${name}`)
        .join(';\n'),
    );
  }
}

async function forgetAll(ledger: Ledger): Promise<void> {
  const tables = ['check_days', 'check_failures', 'check_results'];
  const { rows } = await ledger.row(
    `select ${tables.map((name) => `(select count(*) from ${name})`).join(' + ')} as rows`,
    { rows: asCount },
  );
  if (rows > 0) await ledger.transaction(() => ledger.run(tables.map((name) => `delete from ${name}`).join(';\n')));
}

/** The day on which a check sees a file in `lake_files`: the first day of a month's file. */
const SHOWN_ON_SQL = `if(length(period) = 7, min_ts::date::varchar, period)`;

/** Creates the temporary tables `check_expected` (tenant, day, source), with every day, and `check_due`, with the days to check. */
async function planDays(ledger: Ledger, checks: readonly Check[], definitions: readonly Definition[]): Promise<void> {
  const rules = createHash('sha256')
    .update(JSON.stringify([checks, definitionsDigest(definitions)]))
    .digest('hex')
    .slice(0, 16);
  await ledger.run(
    `create or replace temp table check_expected as
     with shown as (
       select tenant, ${SHOWN_ON_SQL}::date as day, sum(hash(file))::varchar as files from partitions where superseded_at is null group by all
     )
     select tenant, day, md5(concat(${sqlText(rules)}, string_agg(table_name || ' ' || source, ' ' order by table_name), any_value(files))) as source,
       sum(rows)::bigint as rows
     from ${DAY_SOURCES} left join shown using (tenant, day) group by tenant, day`,
  );
  await ledger.run(
    `create or replace temp table check_due as
     select tenant, day, source, ${labelSql('tenant', 'day::varchar')} as label, rows,
       concat_ws('-', sum(rows) over before // ${TOGETHER.rows}, row_number() over before // ${TOGETHER.days}) as part
     from check_expected anti join check_days using (tenant, day, source)
     window before as (order by tenant, day)`,
  );
}

/** The name under which a check sees a day of a tenant: the tenant's name, a space and the ten characters of the day. */
function labelSql(tenant: string, day: string): string {
  return `${tenant} || ' ' || ${day}`;
}

async function dueParts(ledger: Ledger): Promise<{ part: string; rows: number }[]> {
  return ledger.rows('select part, sum(rows)::bigint as rows from check_due group by part order by part', {
    part: asText,
    rows: asCount,
  });
}

interface Part {
  readonly part: string;
  readonly rows: number;
  readonly files: readonly CurrentFile[];
  readonly checks: readonly Check[];
  readonly definitions: readonly Definition[];
  readonly patiently: Patiently;
}

/** Adds the failures in the days of a part to `check_found`. A check that cannot run is recorded with the reason and does not stop the others. */
async function checkPart(ledger: Ledger, given: Part, outcomes: ReadonlyMap<string, Outcome>): Promise<void> {
  const { checks, rows, patiently } = given;
  const needed = definitionsIn(checks.map(({ sql }) => sql).join('\n'), given.definitions);
  // Each thread holds its own groups, so over many rows one thread lowers the peak memory of a run.
  const sparingly = (run: () => Promise<void>): Promise<void> => (rows > MOST_COPIED ? ledger.onOneThread(run) : run());
  try {
    const viewsError = await attempt(ledger, patiently, () => createViews(ledger, given, needed));
    if (viewsError === undefined) await sparingly(() => shareRepeatedIds(ledger, needed, patiently));
    for (const { name, sql } of checks) {
      const outcome = outcomes.get(name);
      if (outcome === undefined) continue;
      const startedMs = ledger.runtime.monotonic();
      const statement = `insert into check_found
        select ${sqlText(name)}, left(tenant_id, length(tenant_id) - 11), right(tenant_id, 10)::date, count(*) from (${sql}) group by all`;
      outcome.error ??= viewsError ?? (await attempt(ledger, patiently, () => sparingly(() => ledger.run(statement))));
      outcome.seconds += (ledger.runtime.monotonic() - startedMs) / 1000;
    }
  } finally {
    await ledger.run(dropSql(needed, rows));
  }
}

/** Runs `work` and returns why it failed, without any row content. A disk error is thrown, because it concerns the whole run. */
async function attempt(
  ledger: Ledger,
  patiently: Patiently,
  work: () => Promise<unknown>,
): Promise<string | undefined> {
  try {
    await patiently(work);
    return undefined;
  } catch (error) {
    if (error instanceof DiskError) throw error;
    const why = error instanceof InsightsError ? error.message : 'unexpected';
    ledger.runtime.log.warn({ event: 'check.refused', why }, 'a check could not run');
    return why;
  }
}

/** Creates what the selects read, with each day of a tenant as a tenant. */
async function createViews(
  ledger: Ledger,
  { part, rows, files }: Part,
  definitions: readonly Definition[],
): Promise<void> {
  await ledger.run(
    `create or replace temp table check_part as select tenant, day, label from check_due where part = ${sqlText(part)}`,
  );
  const partitions = await ledger.rows(
    `select distinct table_name, tenant, period from partitions
     join check_part using (tenant)
     where superseded_at is null and from_ts < check_part.day + 1 and to_ts > check_part.day`,
    { table_name: asTable, tenant: asText, period: asText },
  );
  const keyOf = (table: TableName, tenant: string, period: string): string => `${table}/${tenant}/${period}`;
  const inPart = new Set(partitions.map(({ table_name: table, tenant, period }) => keyOf(table, tenant, period)));
  const kind = rows > MOST_COPIED ? 'view' : 'table';
  for (const table of TABLE_NAMES) {
    const span = files.filter((file) => file.table === table && inPart.has(keyOf(table, file.tenant, file.period)));
    const { lakeName } = ledger.settings.tables[table];
    await ledger.run(`create or replace temp ${kind} ${lakeName} as ${labelledRows(ledger, table, span)}`);
  }
  await ledger.run(
    `create or replace temp view snapshot as select ${ledger.nowSql()} as published_at;
     create or replace temp view history_limits as ${HISTORY_LIMITS_SQL};
     create or replace temp table coverage as
       select * replace (${labelSql('tenant_id', 'hour::date::varchar')} as tenant_id) from (${COVERAGE_SQL})
       where ${labelSql('tenant_id', 'hour::date::varchar')} in (select label from check_part);
     create or replace temp table lake_files as
       select label as tenant_id, lower(table_name) as table_name, period, file, rows, bytes, min_ts as min_timestamp, max_ts as max_timestamp
       from partitions join check_part using (tenant)
       where superseded_at is null and check_part.day::varchar = ${SHOWN_ON_SQL}`,
  );
  for (const definition of definitions) await ledger.run(createSql(definition, 'create or replace temp'));
}

const REPEATED_IDS = 'repeated_ids';
const SHARED_IDS = `shared_${REPEATED_IDS}`;

/** Two checks ask for the repeated ids of all rows, which takes most of their time: computed once, as a table. */
async function shareRepeatedIds(
  ledger: Ledger,
  definitions: readonly Definition[],
  patiently: Patiently,
): Promise<void> {
  const definition = definitions.find(({ name }) => name === REPEATED_IDS);
  if (definition === undefined) return;
  // If it fails, each of these checks fails by itself and says why.
  await attempt(ledger, patiently, () =>
    ledger.run(
      `create or replace temp table ${SHARED_IDS} as from ${REPEATED_IDS}(null, null);
       create or replace temp macro ${REPEATED_IDS}(${definition.arguments ?? ''}) as table from ${SHARED_IDS}`,
    ),
  );
}

/**
 * The rows of a table in the part, each with the label of its day. A row belongs to the day of its file, even if its timestamp does
 * not; so all rows of a day's file have one label, which the engine makes once for the file. In a file of a month the timestamp gives the day.
 */
function labelledRows({ settings }: Ledger, table: TableName, files: readonly CurrentFile[]): string {
  const rows = (span: readonly CurrentFile[]): string =>
    rowsOf(settings.tables[table], span, { virtual: ['filename'] });
  const isDay = ({ period }: CurrentFile): boolean => period.length === DAY_NAME;
  const [days, months] = [files.filter(isDay), files.filter((file) => !isDay(file))];
  const columns = (day: string): string => `* exclude (filename) replace (${labelSql('tenant_id', day)} as tenant_id)`;
  const ofDays = `select ${columns(`parse_filename(filename)[:${DAY_NAME}]`)} from (${rows(days)})`;
  if (months.length === 0) return ofDays;
  const day = `"timestamp"::date::varchar`;
  const ofMonths = `select ${columns(day)} from (${rows(months)}) where ${labelSql('tenant_id', day)} in (select label from check_part)`;
  return days.length === 0 ? ofMonths : `${ofDays} union all ${ofMonths}`;
}

/** Characters of the name of a day's period, yyyy-mm-dd. */
const DAY_NAME = 10;

function dropSql(definitions: readonly Definition[], rows: number): string {
  const kind = rows > MOST_COPIED ? 'view' : 'table';
  return [
    ...definitions.toReversed().map(({ name, kind: made }) => `drop ${made} if exists temp.${name}`),
    ...TABLE_NAMES.map((name) => `drop ${kind} if exists temp.${TABLES[name].lakeName}`),
    'drop view if exists temp.snapshot',
    'drop table if exists temp.coverage',
    'drop view if exists temp.history_limits',
    'drop table if exists temp.lake_files',
    `drop table if exists temp.${SHARED_IDS}`,
  ].join(';\n');
}

/** Replaces, in one transaction, what is known about the checked days, and adds the results of the run. */
async function keepResults(
  ledger: Ledger,
  run: string,
  checks: readonly Check[],
  outcomes: ReadonlyMap<string, Outcome>,
): Promise<readonly CheckResult[]> {
  const rowsOfChecks = checks.map(({ name, severity }) => {
    const { seconds, error } = outcomes.get(name) ?? { seconds: 0, error: undefined };
    return `(${sqlText(name)}, ${sqlText(severity)}, ${seconds}::double, ${sqlTextOrNull(error)}::varchar)`;
  });
  const ran = checks.filter(({ name }) => outcomes.get(name)?.error === undefined);
  const allRan = ran.length === checks.length;
  const namesOf = (listed: readonly Check[]): string => sqlTexts(['', ...listed.map(({ name }) => name)]);
  await ledger.run(
    `create or replace temp view check_list as select * from (values ${rowsOfChecks.join(', ')}) as listed(check_name, severity, seconds, error)`,
  );
  const dayIsIn = (table: 'check_due' | 'check_expected'): string =>
    `exists (select 1 from ${table} where ${table}.tenant = kept.tenant and ${table}.day = kept.day)`;
  const [isDue, isGone] = [dayIsIn('check_due'), `not ${dayIsIn('check_expected')}`];
  await ledger.transaction(async () => {
    await ledger.run(
      `delete from check_failures as kept
         where check_name not in (${namesOf(checks)}) or ${isGone} or (check_name in (${namesOf(ran)}) and ${isDue});
       insert into check_failures
         select check_name, severity, tenant, day, failures, ${sqlText(run)}, ${ledger.nowSql()}
         from check_found join check_list using (check_name) where check_name in (${namesOf(ran)});
       delete from check_days as kept where ${isGone} or ${isDue};
       ${allRan ? 'insert into check_days select tenant, day, source from check_due;' : ''}
       delete from check_results where check_name not in (${namesOf(checks)});
       insert into check_results
         select ${sqlText(run)}, check_name, severity, checked.tenant, checked.days, if(error is null, coalesce(found.failures, 0), null),
           seconds, error, ${ledger.nowSql()}
         from check_list
         cross join (select tenant, count(*) as days from check_due group by tenant) as checked
         left join (select check_name, tenant, sum(failures)::bigint as failures from check_found group by all) as found
           using (check_name, tenant);
       delete from check_results where rowid in (
         select rowid from (
           select rowid, checked_at, row_number() over (partition by tenant, check_name order by checked_at desc, rowid desc) as nth,
             row_number() over (order by checked_at desc, rowid desc) as place
           from check_results)
         where nth > 1 and (checked_at < ${ledger.nowSql()} - ${KEPT.age} or place > ${KEPT.rows}))`,
    );
  });
  const results = await ledger.rows(
    `select check_name, check_list.severity, tenant, days, failures, check_results.error
     from check_results join check_list using (check_name)
     where run = $1 and tenant in (select tenant from check_due) order by check_list.severity, check_name, tenant`,
    {
      check_name: asText,
      severity: asOneOf(['error', 'warning']),
      tenant: asText,
      days: asCount,
      failures: asOptional(asCount),
      error: asOptional(asText),
    },
    [run],
  );
  await ledger.run('drop view temp.check_list');
  return results.map(({ check_name: check, severity, tenant, days, failures = 0, error }) => ({
    check,
    severity,
    tenant,
    days,
    failures,
    ...(error === undefined ? {} : { error }),
  }));
}
