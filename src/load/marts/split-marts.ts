/**
 * Split marts: reports by UTC day, week and month, in total and by pass type and platform (`mart_<report>_by`). Figures that do not add
 * up are there for each period and combination, so that a dashboard never sums them.
 *
 * When anything of a tenant has changed, its rows are computed again from all rows of the tenant: a new pass type or platform
 * changes the past, too. For a large tenant this takes a while, so it happens once a day.
 *
 * `mart_days.source` records for each mart and tenant: a digest of the rules, one of the content, and the UTC day of the computation.
 */
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import type { Definition, Mart, SplitMart } from '../../query/definitions.ts';
import { TABLE_NAMES } from '../../model/tables.ts';
import { sqlName, sqlText, sqlTexts } from '../../kernel/sql.ts';
import { currentFiles } from '../store/current-files.ts';
import { asCount, asFlag, asList, asOptional, asText } from '../ledger/cells.ts';
import type { Ledger } from '../ledger/ledger.ts';
import { DAY_SOURCES } from './days.ts';
import { nextGeneration, rowRulesOf, rulesOf, withFresh, writeMart } from './mart-files.ts';
import type { Written } from './mart-files.ts';
import { overRows, tenantsSql } from './mart-rows.ts';
import type { RowsSource } from './mart-rows.ts';
import { ALL, GRAINS, inSegments, rulesOfScope } from './split-scope.ts';

/** Tenants with more rows are computed once a day. */
const LARGE = 250_000;

/** Rows and tenants computed together. A single tenant is never divided. */
const TOGETHER = { rows: 100_000, tenants: 200 } as const;

/** All days of a lake. */
const ALWAYS = { from: '0001-01-01', to: '9999-12-31' } as const;

export function splitMartsOf(marts: readonly Mart[]): readonly SplitMart[] {
  return marts.flatMap(({ split }) => (split === undefined ? [] : [split]));
}

/** Brings these marts up to date with the ledger, like `refreshMarts`, which calls it. False if there was nothing to do. */
export async function refreshSplitMarts(
  ledger: Ledger,
  marts: readonly SplitMart[],
  definitions: readonly Definition[],
  least: number,
  signal: AbortSignal | undefined,
): Promise<boolean> {
  try {
    const stale = await planTenants(ledger, marts, digestOf(ledger, marts, definitions));
    const due = marts.filter(({ name }) => stale.has(name));
    if (due.length === 0) return false;
    const source = { files: await currentFiles(ledger), definitions };
    await withFresh(ledger, async () => {
      const fresh = await computeTenants(ledger, due, source, signal);
      if (signal?.aborted !== true) await writeSplitMarts(ledger, due, fresh, await nextGeneration(ledger, least));
      return fresh;
    });
    return true;
  } finally {
    await ledger.run('drop table if exists temp.split_due; drop table if exists temp.split_valid');
  }
}

/** Changes whenever the same rows could give another result. */
function digestOf(ledger: Ledger, marts: readonly SplitMart[], definitions: readonly Definition[]): string {
  const texts = marts.map((mart) => [mart.name, mart.dimensions, mart.sql('')]);
  return createHash('sha256')
    .update(JSON.stringify([rulesOfScope(), texts, definitions, rowRulesOf(ledger)]))
    .digest('hex')
    .slice(0, 16);
}

/**
 * Creates the temporary tables `split_valid` (mart, tenant), with what needs no computation, and `split_due` (mart, tenant, source, day,
 * rows). Returns the names of the marts whose file must change.
 */
async function planTenants(ledger: Ledger, marts: readonly SplitMart[], digest: string): Promise<ReadonlySet<string>> {
  await ledger.run(
    `create or replace temp table split_due as
     with listed as (select unnest([${marts.map(({ name }) => sqlText(name)).join(', ')}]) as mart),
     tenants as (
       select tenant, min(day) as day, sum(rows)::bigint as rows, sum(hash(table_name, day, source))::varchar as content,
         strftime(${ledger.nowSql()}, '%Y-%m-%d') as today
       from ${DAY_SOURCES} group by tenant
     )
     select mart, tenant, day, rows, concat_ws(' ', ${sqlText(digest)}, content, today) as source from listed cross join tenants;
     create or replace temp table split_valid as
     select mart, tenant from split_due join (select mart, tenant, source as kept from mart_days) using (mart, tenant)
     where string_split(kept, ' ')[1] = string_split(source, ' ')[1]
       and (string_split(kept, ' ')[2] = string_split(source, ' ')[2] or (rows > ${ledger.settings.dailyAbove ?? LARGE} and string_split(kept, ' ')[3] = string_split(source, ' ')[3]));
     create or replace temp table split_gone as
     select mart, tenant from mart_days anti join split_due using (mart, tenant) where mart in (${sqlTexts(marts.map(({ name }) => name))});
     delete from split_due where (mart, tenant) in (select (mart, tenant) from split_valid)`,
  );
  const rows = await ledger.rows('select mart from split_due union select mart from split_gone', { mart: asText });
  await ledger.run('drop table temp.split_gone');
  return new Set(rows.map(({ mart }) => mart));
}

/** Creates the temporary tables `fresh_<mart>` with the tenants that are due. Returns the marts that have one. */
async function computeTenants(
  ledger: Ledger,
  marts: readonly SplitMart[],
  source: RowsSource,
  signal: AbortSignal | undefined,
): Promise<ReadonlySet<string>> {
  const fresh = new Set<string>();
  const isStopped = (): boolean => signal?.aborted === true;
  const lists = [...new Map(marts.map(({ dimensions }) => [dimensions.join(' '), dimensions])).values()];
  for (const tenants of await dueParts(ledger)) {
    if (isStopped()) return fresh;
    const span = { ...ALWAYS, tables: TABLE_NAMES, tenants: tenantsSql(tenants), wholeCoverage: true };
    await overRows(ledger, source, span, async (define) => {
      await inSegments(ledger, { definitions: source.definitions, define, lists }, async (list, defineOwn) => {
        for (const mart of marts.filter((each) => isOf(each, list))) {
          if (isStopped()) return;
          for (const [nth, grain] of GRAINS.entries()) {
            const sql = mart.sql(grain);
            await defineOwn(sql);
            const into = nth === 0 ? 'create or replace temp table split_rows as' : 'insert into split_rows';
            await ledger.run(`${into} select ${sqlText(grain)} as grain, * from (${sql})`);
          }
          await keepRows(ledger, mart, fresh.has(mart.name));
          fresh.add(mart.name);
        }
      });
    });
  }
  return fresh;
}

function isOf({ dimensions }: SplitMart, list: readonly string[]): boolean {
  return dimensions.join(' ') === list.join(' ');
}

/** Adds the rows of `split_rows` to those of a mart. A combination in which nothing ever happened has no rows, as with `by=`. */
async function keepRows(ledger: Ledger, mart: SplitMart, isMade: boolean): Promise<void> {
  const columns = await ledger.rows(
    `select column_name as name, data_type in ('TINYINT', 'SMALLINT', 'INTEGER', 'BIGINT', 'HUGEINT', 'FLOAT', 'DOUBLE') or data_type like 'DECIMAL%' as is_number
     from duckdb_columns() where table_name = 'split_rows' and database_name = 'temp' order by column_index`,
    { name: asText, is_number: asFlag },
  );
  const end = columns.findIndex(({ name }) => ['is_cut', 'verified_share'].includes(name));
  const figures = columns.slice(0, end === -1 ? undefined : end).filter(({ is_number: isNumber }) => isNumber);
  const occurs = figures.map(({ name }) => `coalesce(rows.${sqlName(name)} <> 0, false)`).join(' or ');
  const keys = ['tenant_id', 'grain', 'period', ...(mart.hasPlatforms ? ['platform'] : [])];
  const rest = columns.filter(({ name }) => !keys.includes(name)).map(({ name }) => `, rows.${sqlName(name)}`);
  await ledger.run(
    `${isMade ? `insert into fresh_${mart.name} by name` : `create or replace temp table fresh_${mart.name} as`}
     select segments.tenant_id, rows.grain, rows.period::date as period, segments.pass_type,
       ${mart.hasPlatforms ? 'rows' : 'segments'}.platform ${rest.join('')}
     from split_rows as rows inner join split_segments as segments on segments.segment = rows.tenant_id
     semi join split_due as due on due.mart = ${sqlText(mart.name)} and due.tenant = segments.tenant_id
     ${occurs === '' ? '' : `qualify (segments.pass_type = '${ALL}' and segments.platform = '${ALL}') or bool_or(${occurs}) over (partition by rows.grain, rows.tenant_id)`};
     drop table temp.split_rows`,
  );
}

/** Tenants that are computed together. */
async function dueParts(ledger: Ledger): Promise<(readonly string[])[]> {
  const parts = await ledger.rows(
    `with due as (select tenant, any_value(rows) as rows from split_due group by tenant),
     numbered as (
       select *, concat_ws('-', sum(rows) over before // ${TOGETHER.rows}, row_number() over before // ${TOGETHER.tenants}) as part
       from due window before as (order by tenant)
     )
     select list(tenant order by tenant) as tenants from numbered group by part order by min(tenant)`,
    { tenants: asList(asText) },
  );
  return parts.map(({ tenants }) => tenants);
}

/** Writes new generations with the rows of the tenants that are valid and the new ones. One transaction makes them current. */
async function writeSplitMarts(
  ledger: Ledger,
  marts: readonly SplitMart[],
  fresh: ReadonlySet<string>,
  generation: number,
): Promise<void> {
  const old = await ledger.rows('select mart, file from mart_files where superseded_at is null', { mart: asText, file: asText }); // oxfmt-ignore
  const written: (Written & { readonly days: Days })[] = [];
  for (const mart of marts) {
    const file = old.find((row) => row.mart === mart.name)?.file;
    const tenants = `select tenant from split_valid where mart = ${sqlText(mart.name)}`;
    const valid = file === undefined ? [] : [`select * from read_parquet(${sqlText(join(ledger.dataDir, file))}) where tenant_id in (${tenants})`]; // oxfmt-ignore
    const rows = [...valid, ...(fresh.has(mart.name) ? [`select * from fresh_${mart.name}`] : [])].join(' union all by name '); // oxfmt-ignore
    const days = await ledger.row(
      `select count(distinct day) as days, min(day)::varchar as first, max(day)::varchar as last
       from (select period as day from (${rows}) where grain = 'day')`,
      { days: asCount, first: asOptional(asText), last: asOptional(asText) },
    );
    const origin = { grain: GRAINS.join(','), zone: 'UTC', first_day: days.first, last_day: days.last };
    const order = 'tenant_id, grain, pass_type, platform, period';
    written.push({ ...(await writeMart(ledger, mart, { rows, order, generation, origin })), days });
  }
  const names = sqlTexts(marts.map(({ name }) => name));
  const dayOf = (day: string | undefined): string => (day === undefined ? 'null' : `${sqlText(day)}::date`);
  const values = written.map(
    ({ mart, file, rows, bytes, sha256, days }) =>
      `(${sqlText(mart.name)}, ${generation}, ${sqlText(file)}, ${rows}, ${bytes}, ${sqlText(sha256)}, ${days.days}, ${dayOf(days.first)}, ${dayOf(days.last)}, ${sqlText(mart.comment)}, ${sqlText(rulesOf(ledger))}, null, null)`,
  );
  await ledger.transaction(() =>
    ledger.run(
      `update mart_files set superseded_at = ${ledger.nowSql()} where mart in (${names}) and superseded_at is null;
       delete from mart_days where mart in (${names}) and (mart, tenant) not in (select (mart, tenant) from split_valid);
       insert into mart_days select mart, tenant, day, source from split_due where mart in (${names});
       insert into mart_files values ${values.join(', ')}`,
    ),
  );
}

interface Days {
  readonly days: number;
  readonly first: string | undefined;
  readonly last: string | undefined;
}
