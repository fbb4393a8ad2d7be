/** `dictionary`: documents every table, view and macro of the published catalogue. Sends no calls. */
import { Command, Option } from 'commander';
import { didYouMean } from '../kernel/closest.ts';
import { ConfigError } from '../kernel/errors.ts';
import { FORMER_MART, formerMarts } from '../query/definitions.ts';
import { listReports } from '../query/report.ts';
import { dictionaryLines, type DictionaryRow } from '../output/dictionary.ts';
import { FORMATS, type Format } from '../output/rows.ts';
import { answer } from './answer.ts';
import { act, type Session, type Shell } from './shell.ts';

interface DictionaryOptions {
  readonly format: Format;
}

/**
 * One row per column, and one row per macro. A column of a typed view without a comment in the catalogue is described by
 * the JSON path that it comes from. Of a divided lake, the views over all shards are listed, as a lake that is not divided has them: kinds
 * and comments of columns are in the catalogue of each shard.
 */
const DICTIONARY = `
with in_shards as (
  select table_name as name, column_name, any_value(comment) as comment from duckdb_columns()
  where not internal and schema_name = 'main' and database_name <> current_database()
  group by all
),
tables_in_shards as (
  select distinct table_name as name from duckdb_tables()
  where not internal and schema_name = 'main' and database_name <> current_database()
),
holders as (
  -- The table that a typed view reads, as a column: a join on an expression of both sides would compare all with all.
  select
    view_name as name, case when view_name in (from tables_in_shards) then 'table' else 'view' end as kind, comment,
    split_part(view_name, '_', 1) || 's' as origin
  from duckdb_views()
  where not internal and schema_name = 'main' and database_name = current_database() and not starts_with(comment, $former)
  union all
  select table_name, 'table', comment, null from duckdb_tables()
  where not internal and schema_name = 'main' and database_name = current_database()
  union all
  select function_name || '(' || array_to_string(parameters, ', ') || ')', 'macro', comment, null from duckdb_functions()
  where not internal and function_type in ('macro', 'table_macro') and schema_name = 'main' and database_name = current_database()
),
members as (
  select
    table_name as name, column_index, columns.column_name, data_type, coalesce(columns.comment, in_shards.comment) as comment
  from duckdb_columns() as columns
  left join in_shards on in_shards.name = table_name and in_shards.column_name = columns.column_name
  where not internal and schema_name = 'main' and database_name = current_database()
),
paths as (
  select
    view_name as name, column_name, sum(rows) as rows,
    any_value(json_column || case path when '$' then '' else ': ' || path end order by rows desc) as source
  from properties
  where column_name is not null
  group by all
),
sizes as (
  select name, sum(rows) as rows
  from (
    select view_name as name, tenant_id, table_name, type, round(max(rows / nullif(share, 0))) as rows
    from properties
    group by all
  )
  group by name
)
-- A column that a typed view takes over from its table keeps the meaning that it has there.
select
  holders.name, holders.kind, holders.comment as holds, members.column_name, members.data_type as type,
  coalesce(members.comment, paths.source, inherited.comment) as column_holds,
  case when sizes.rows > 0 then round(paths.rows / sizes.rows, 6) end as share
from holders
left join members using (name)
left join paths on paths.name = holders.name and paths.column_name = members.column_name
left join sizes on sizes.name = holders.name
left join members as inherited on inherited.name = holders.origin and inherited.column_name = members.column_name
where $name is null or holders.name glob $name or split_part(holders.name, '(', 1) glob $name
order by holders.kind desc, holders.name, members.column_index`;

export function dictionaryCommand(shell: Shell): Command {
  return new Command('dictionary')
    .argument('[name]', 'a table or view, or a pattern such as event_* (default: all)')
    .addOption(
      new Option('--format <format>', 'md is a document, the other formats are rows').choices(FORMATS).default('md'),
    )
    .addHelpText(
      'after',
      `
Examples:
  $ insights-etl dictionary > dictionary.md
  $ insights-etl dictionary event_pass_installed
  $ insights-etl dictionary 'metric_*' --format csv`,
    )
    .action((name: string | undefined, { format }: DictionaryOptions, command: Command) =>
      act(shell, command, {}, async (session) => {
        const values = { name: name ?? null, former: FORMER_MART };
        const rows = await readDictionary(session, values);
        if (rows.length === 0) throw await unknownName(session, values);
        if (session.json || format !== 'md') return answer(session, DICTIONARY, values, session.json ? 'json' : format);
        for (const line of dictionaryLines(rows)) session.print(`${line}\n`);
        return 0;
      }),
    );
}

interface Values {
  /** How the comments of views under former names begin: those are not listed. */
  readonly former: string;
  readonly name: string | null;
}

/** The rows of the dictionary: all, or those of `values.name`. */
export async function readDictionary(
  session: Session,
  values: Values = { name: null, former: FORMER_MART },
): Promise<DictionaryRow[]> {
  const { openReader } = await import('../query/reader.ts');
  await using reader = await openReader(session.config.dataDir, session.config.engine, session.signal);
  const { batches } = await reader.query(DICTIONARY, { ...values });
  const rows: DictionaryRow[] = [];
  const text = (cell: unknown): string | undefined => (typeof cell === 'string' ? cell : undefined);
  for await (const batch of batches())
    for (const [holder, kind, holds, column, type, columnHolds, share] of batch)
      rows.push({
        name: text(holder) ?? '',
        kind: text(kind) ?? '',
        holds: text(holds),
        column: text(column),
        type: text(type),
        columnHolds: text(columnHolds),
        share: typeof share === 'number' ? share : undefined,
      });
  return rows;
}

async function unknownName(session: Session, values: Values): Promise<ConfigError> {
  const all = await readDictionary(session, { ...values, name: null });
  const present = (await formerMarts()).get((values.name ?? '').replace(/^mart_/, ''));
  const report = (await listReports()).find(({ name }) => name === values.name);
  if (report)
    return new ConfigError(`"${report.name}" is a report, not a table or view.`, {
      hint: `\`insights-etl query ${report.name} --help\` explains it.`,
    });
  const known = [...new Set(all.map((row) => row.name.split('(')[0] ?? ''))];
  return new ConfigError(`The lake has no table or view "${values.name}".`, {
    hint: `${didYouMean(present === undefined ? (values.name ?? '') : `mart_${present}`, known)}\`insights-etl dictionary\` shows all ${known.length}.`,
  });
}
