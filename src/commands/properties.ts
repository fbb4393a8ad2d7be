/** `properties`: the JSON paths of each type, from the published catalogue. Sends no calls. */
import { Command } from 'commander';
import { didYouMean } from '../kernel/closest.ts';
import { ConfigError } from '../kernel/errors.ts';
import { TABLES, TABLE_NAMES } from '../model/tables.ts';
import { answer } from './answer.ts';
import { tableNamed } from './select.ts';
import { act, type Session, type Shell } from './shell.ts';

interface PropertiesOptions {
  readonly table?: string;
  readonly tenant?: string;
  readonly drift?: boolean;
}

const SELECTED = `(tenant_id = $tenant or $tenant is null) and (table_name = $table or $table is null)`;

const TYPES = `
select
  tenant_id, table_name, type, any_value(view_name) as view,
  (max(rows) filter (where path = '$' and json_column = 'properties'))::bigint as with_properties,
  count(*) filter (where path <> '$') as paths, count(column_name) as columns,
  strftime(min(first_seen_at), '%Y-%m-%d') as first_seen, strftime(max(last_seen_at), '%Y-%m-%d') as last_seen
from properties
where ${SELECTED}
group by tenant_id, table_name, type
order by tenant_id, table_name, type`;

/** `$type` is a type in any of the spellings that its view unites, or the name of the view. */
const PATHS = `
select
  tenant_id, table_name, type, case json_column when 'properties' then path else json_column || ' ' || path end as path,
  inferred_type, array_to_string(kinds, ', ') as kinds, rows, round(share, 6) as share, is_estimate,
  strftime(first_seen_at, '%Y-%m-%d') as first_seen, strftime(last_seen_at, '%Y-%m-%d') as last_seen, column_name
from properties
where ${SELECTED}
  and (replace(lower(type), '.', ':') = replace(lower($type), '.', ':') or view_name = $type)
  and (path <> '$' or json_column <> 'properties')
order by tenant_id, table_name, type, json_column, json_pointer`;

const DRIFT = `
select
  tenant_id, table_name, type, change,
  case when change = 'new_type' then '' when json_column = 'properties' then path else json_column || ' ' || path end as path,
  kind, strftime(changed_at, '%Y-%m-%dT%H:%M:%SZ') as since, run
from property_drift
where ${SELECTED}
  and (replace(lower(type), '.', ':') = replace(lower($type), '.', ':') or $type is null)
order by changed_at desc, tenant_id, table_name, type, json_pointer, change, kind`;

export function propertiesCommand(shell: Shell): Command {
  return new Command('properties')
    .argument('[type]', 'a type, or the view of one, to list its paths (default: list the types)')
    .option('--table <name>', `only this table: ${TABLE_NAMES.join(', ')}`)
    .option('--tenant <id>', 'only this tenant')
    .option('--drift', 'list what has changed: new types, new paths, new kinds of values, paths that stopped')
    .addHelpText(
      'after',
      `
Examples:
  $ insights-etl properties
  $ insights-etl properties Pass:Installed
  $ insights-etl properties event_pass_installed --tenant demo --json
  $ insights-etl properties --drift`,
    )
    .action((type: string | undefined, { table, tenant, drift }: PropertiesOptions, command: Command) =>
      act(shell, command, {}, async (session) => {
        const selected = {
          table: table === undefined ? null : TABLES[tableNamed(table)].lakeName,
          tenant: tenant ?? null,
        };
        await requireCatalogue(session);
        const format = session.json ? 'json' : 'table';
        if (drift === true) return answer(session, DRIFT, { ...selected, type: type ?? null }, format);
        if (type === undefined) return answer(session, TYPES, selected, format);
        await requireType(session, type);
        return answer(session, PATHS, { ...selected, type }, format);
      }),
    );
}

async function requireCatalogue(session: Session): Promise<void> {
  const { openReader, textRows } = await import('../query/reader.ts');
  await using reader = await openReader(session.config.dataDir, session.config.engine, session.signal);
  const tables = await textRows(
    reader,
    `select distinct table_name from duckdb_tables() where table_name in ('properties', 'property_drift')`,
  );
  if (tables.length === 2) return;
  throw new ConfigError('The catalogue was published by an older version and does not describe the JSON.', {
    hint: 'Run `insights-etl run`, which publishes it again.',
  });
}

async function requireType(session: Session, type: string): Promise<void> {
  const { openReader, textRows } = await import('../query/reader.ts');
  await using reader = await openReader(session.config.dataDir, session.config.engine, session.signal);
  const known = await textRows(reader, 'select distinct type, view_name from properties order by all');
  const normalised = (word = ''): string => word.toLowerCase().replaceAll('.', ':');
  if (known.some(([name, view]) => normalised(name) === normalised(type) || view === type)) return;
  throw new ConfigError(`The lake has no rows of type "${type}".`, {
    hint: `${didYouMean(type, known.flat())}\`insights-etl properties\` lists the types.`,
  });
}
