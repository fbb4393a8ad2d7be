/**
 * Checks: the selects of `queries/checks/` over what a run changed; a row that one returns is a failure. Their results are kept.
 *
 * Each day is judged by itself, so a run looks at the days that it changed and not at the lake, and what is known of the others
 * stands. The selects know nothing of that: every day of a tenant is shown to them as a tenant of its own.
 */
import type { CheckResult } from '../../model/report.ts';
import { createHash } from 'node:crypto';
import { createSql, definitionsDigest, definitionsIn, lakeChecks, sharedDefinitions } from '../../query/definitions.ts';
import type { Check, Definition } from '../../query/definitions.ts';
import { DiskError, InsightsError } from '../../kernel/errors.ts';
import { TABLE_NAMES, TABLES } from '../../model/tables.ts';
import { sqlText } from '../../kernel/sql.ts';
import { currentFiles, rowsOf } from '../store/current-files.ts';
import { COVERAGE_SQL } from '../ledger/coverage.ts';
import type { CurrentFile } from '../store/current-files.ts';
import { count, text } from '../ledger/engine.ts';
import type { Ledger } from '../ledger/ledger.ts';

/** Rows and days looked at together: bounds memory over a first load of years. One day is never divided. */
const TOGETHER = { rows: 200_000, days: 1_000 } as const;

/** Rows up to which one copy of them costs less than opening their files for each check. */
const COPIED = 20_000;

/** Of each check and tenant the last result is kept for good, the others so long, and so many. */
const KEPT = { age: 'interval 90 days', rows: 10_000 } as const;

interface Outcome {
  seconds: number;
  error: string | undefined;
}

/**
 * Runs the checks over the days that changed since they last ran, and keeps what they say; a stop leaves them all to the next
 * run. Inside the ledger's exclusive turn, after `noteDays`.
 */
export async function runChecks(
  ledger: Ledger,
  run: string,
  { checks, signal }: { readonly checks?: readonly Check[] | undefined; readonly signal?: AbortSignal | undefined },
): Promise<readonly CheckResult[]> {
  if (ledger.settings.checks !== true) {
    await forgetAll(ledger);
    return [];
  }
  const all = checks ?? (await lakeChecks());
  const definitions = await sharedDefinitions();
  await wantDays(ledger, all, definitions);
  try {
    const [held] = await ledger.rawRows(
      `select (select count(*) from check_due) as due,
         (select count(*) from (select tenant, day from check_days anti join check_wanted using (tenant, day))) as gone`,
    );
    if (count(held, 'due') + count(held, 'gone') === 0) return [];
    const outcomes = new Map<string, Outcome>(all.map(({ name }) => [name, { seconds: 0, error: undefined }]));
    await ledger.run(
      'create or replace temp table check_found (check_name varchar, tenant varchar, day date, failures bigint)',
    );
    const files = await currentFiles(ledger);
    for (const { part, rows } of await dueParts(ledger)) {
      if (signal?.aborted === true) return [];
      await lookAt(ledger, { part, rows, files, checks: all, definitions }, outcomes);
      await ledger.release();
    }
    return await keepResults(ledger, run, all, outcomes);
  } finally {
    await ledger.run(
      ['check_wanted', 'check_due', 'check_part', 'check_found'].map((name) => `drop table if exists temp.${name}`).join(';\n'), // prettier-ignore
    );
  }
}

async function forgetAll(ledger: Ledger): Promise<void> {
  const tables = ['check_days', 'check_failures', 'check_results'];
  const [held] = await ledger.rawRows(
    `select ${tables.map((name) => `(select count(*) from ${name})`).join(' + ')} as n`,
  );
  if (count(held, 'n') > 0)
    await ledger.transaction(() => ledger.run(tables.map((name) => `delete from ${name}`).join(';\n')));
}

/** Temp tables `check_wanted` (tenant, day, source) of every day, and `check_due`, those to look at, in parts. */
async function wantDays(ledger: Ledger, checks: readonly Check[], definitions: readonly Definition[]): Promise<void> {
  const rules = createHash('sha256')
    .update(JSON.stringify([checks, definitionsDigest(definitions)]))
    .digest('hex')
    .slice(0, 16);
  await ledger.run(
    `create or replace temp table check_wanted as
     select tenant, day, md5(${sqlText(rules)} || string_agg(table_name || ' ' || source, ' ' order by table_name)) as source,
       sum(rows)::bigint as rows
     from day_sources group by tenant, day`,
  );
  await ledger.run(
    `create or replace temp table check_due as
     select tenant, day, source, ${labelSql('tenant', 'day::varchar')} as label, rows,
       concat_ws('-', sum(rows) over before // ${TOGETHER.rows}, row_number() over before // ${TOGETHER.days}) as part
     from check_wanted anti join check_days using (tenant, day, source)
     window before as (order by tenant, day)`,
  );
}

/** A day of a tenant under the name of a tenant: that name, a blank and the ten characters of the day. */
function labelSql(tenant: string, day: string): string {
  return `${tenant} || ' ' || ${day}`;
}

async function dueParts(ledger: Ledger): Promise<{ part: string; rows: number }[]> {
  const rows = await ledger.rawRows(
    'select part, sum(rows)::bigint as rows from check_due group by part order by part',
  );
  return rows.map((row) => ({ part: text(row, 'part') ?? '', rows: count(row, 'rows') }));
}

interface Part {
  readonly part: string;
  readonly rows: number;
  readonly files: readonly CurrentFile[];
  readonly checks: readonly Check[];
  readonly definitions: readonly Definition[];
}

/** Adds to `check_found` what the checks return for the days of a part. One that cannot run says why, and spares the others. */
async function lookAt(ledger: Ledger, given: Part, outcomes: ReadonlyMap<string, Outcome>): Promise<void> {
  const { checks, rows } = given;
  const needed = definitionsIn(checks.map(({ sql }) => sql).join('\n'), given.definitions);
  try {
    const refused = await attempt(ledger, () => takeDays(ledger, given, needed));
    for (const { name, sql } of checks) {
      const outcome = outcomes.get(name);
      if (outcome === undefined) continue;
      const startedMs = ledger.runtime.monotonic();
      const statement = `insert into check_found
        select ${sqlText(name)}, left(tenant_id, length(tenant_id) - 11), right(tenant_id, 10)::date, count(*) from (${sql}) group by all`;
      // Each thread holds groups of its own: over many rows one thread is the peak of a run the less.
      const run = (): Promise<void> => ledger.run(statement);
      const runSparingly = (): Promise<void> => (rows > COPIED ? ledger.onOneThread(run) : run());
      outcome.error ??= refused ?? (await attempt(ledger, runSparingly));
      outcome.seconds += (ledger.runtime.monotonic() - startedMs) / 1000;
    }
  } finally {
    await ledger.run(dropTaken(needed, rows));
  }
}

/** Why it cannot be done, in words without content; the disk's refusals are the run's own affair. */
async function attempt(ledger: Ledger, work: () => Promise<unknown>): Promise<string | undefined> {
  try {
    await work();
    return undefined;
  } catch (error) {
    if (error instanceof DiskError) throw error;
    const why = error instanceof InsightsError ? error.message : 'unexpected';
    ledger.runtime.log.warn({ event: 'check.refused', why }, 'a check could not run');
    return why;
  }
}

/** What the selects read, under its own names, each day of a tenant as a tenant. */
async function takeDays(
  ledger: Ledger,
  { part, rows, files }: Part,
  definitions: readonly Definition[],
): Promise<void> {
  await ledger.run(
    `create or replace temp table check_part as select tenant, day, label from check_due where part = ${sqlText(part)}`,
  );
  const mine = await ledger.rawRows(
    `select distinct table_name, tenant, period from partitions
     join check_part using (tenant)
     where superseded_at is null and from_ts < check_part.day + 1 and to_ts > check_part.day`,
  );
  const keyOf = (...parts: readonly unknown[]): string => parts.join('/');
  const taken = new Set(mine.map((row) => keyOf(text(row, 'table_name'), text(row, 'tenant'), text(row, 'period'))));
  const kind = rows > COPIED ? 'view' : 'table';
  // A row belongs to the day of its file, wherever its own time lies; a month's file tells no day.
  const name = 'parse_filename(filename)';
  const day = `case when ${name}[8] = '-' then ${name}[:10] else strftime("timestamp", '%Y-%m-%d') end`;
  for (const table of TABLE_NAMES) {
    const span = files.filter((file) => file.table === table && taken.has(keyOf(table, file.tenant, file.period)));
    const { lakeName } = ledger.settings.tables[table];
    await ledger.run(
      `create or replace temp ${kind} ${lakeName} as
       select * exclude (filename) replace (${labelSql('tenant_id', day)} as tenant_id)
       from (${rowsOf(ledger.settings.tables[table], span, ['filename'])})
       where ${labelSql('tenant_id', day)} in (select label from check_part)`,
    );
  }
  await ledger.run(
    `create or replace temp view snapshot as select ${ledger.nowSql()} as published_at;
     create or replace temp table coverage as
       select * replace (${labelSql('tenant_id', 'hour::date::varchar')} as tenant_id) from (${COVERAGE_SQL})
       where ${labelSql('tenant_id', 'hour::date::varchar')} in (select label from check_part);
     create or replace temp table lake_files as
       select label as tenant_id, lower(table_name) as table_name, period, file, rows, bytes, min_ts as min_timestamp, max_ts as max_timestamp
       from partitions join check_part using (tenant)
       where superseded_at is null and check_part.day::varchar = if(length(period) = 7, min_ts::date::varchar, period)`,
  );
  for (const definition of definitions) await ledger.run(createSql(definition, 'create or replace temp'));
}

function dropTaken(definitions: readonly Definition[], rows: number): string {
  const kind = rows > COPIED ? 'view' : 'table';
  return [
    ...definitions
      .toReversed()
      .map(({ name, arguments: of }) => `drop ${of === undefined ? 'view' : 'macro table'} if exists temp.${name}`),
    ...TABLE_NAMES.map((name) => `drop ${kind} if exists temp.${TABLES[name].lakeName}`),
    'drop view if exists temp.snapshot',
    'drop table if exists temp.coverage',
    'drop table if exists temp.lake_files',
  ].join(';\n');
}

/** One transaction: what is known of the days looked at is replaced, and the run's results are added. */
async function keepResults(
  ledger: Ledger,
  run: string,
  checks: readonly Check[],
  outcomes: ReadonlyMap<string, Outcome>,
): Promise<readonly CheckResult[]> {
  const listed = checks.map(({ name, severity }) => {
    const { seconds, error } = outcomes.get(name) ?? { seconds: 0, error: undefined };
    return `(${sqlText(name)}, ${sqlText(severity)}, ${seconds}::double, ${error === undefined ? 'null' : sqlText(error)}::varchar)`;
  });
  const ran = checks.filter(({ name }) => outcomes.get(name)?.error === undefined);
  const some = [...outcomes.values()].some(({ error }) => error !== undefined);
  const names = (of: readonly Check[]): string => ["''", ...of.map(({ name }) => sqlText(name))].join(', ');
  await ledger.run(
    `create or replace temp view check_list as select * from (values ${listed.join(', ')}) as listed(check_name, severity, seconds, error)`,
  );
  const due = '(select 1 from check_due where check_due.tenant = kept.tenant and check_due.day = kept.day)';
  const gone = `not exists ${due.replaceAll('check_due', 'check_wanted')}`;
  await ledger.transaction(async () => {
    await ledger.run(
      `delete from check_failures as kept
         where check_name not in (${names(checks)}) or ${gone} or (check_name in (${names(ran)}) and exists ${due});
       insert into check_failures
         select check_name, severity, tenant, day, failures, ${sqlText(run)}, ${ledger.nowSql()}
         from check_found join check_list using (check_name) where check_name in (${names(ran)});
       delete from check_days as kept where ${gone} or exists ${due};
       ${some ? '' : 'insert into check_days select tenant, day, source from check_due;'}
       delete from check_results where check_name not in (${names(checks)});
       insert into check_results
         select ${sqlText(run)}, check_name, severity, looked.tenant, looked.days, if(error is null, coalesce(found.failures, 0), null),
           seconds, error, ${ledger.nowSql()}
         from check_list
         cross join (select tenant, count(*) as days from check_due group by tenant) as looked
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
  const rows = await ledger.rawRows(
    `select check_name, check_list.severity, tenant, days, failures, check_results.error
     from check_results join check_list using (check_name)
     where run = $1 and tenant in (select tenant from check_due) order by check_list.severity, check_name, tenant`,
    [run],
  );
  await ledger.run('drop view temp.check_list');
  return rows.map((row) => {
    const error = text(row, 'error');
    return {
      check: text(row, 'check_name') ?? '',
      severity: text(row, 'severity') === 'warning' ? 'warning' : 'error',
      tenant: text(row, 'tenant') ?? '',
      days: count(row, 'days'),
      failures: count(row, 'failures'),
      ...(error === undefined ? {} : { error }),
    };
  });
}
