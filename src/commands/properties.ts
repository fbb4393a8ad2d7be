/** `properties`: what the JSON of each type holds, as the published catalogue knows it. Asks the source nothing. */
import { Command } from 'commander';
import { closest } from '../kernel/closest.ts';
import { ConfigError } from '../kernel/errors.ts';
import { answer } from './answer.ts';
import { act, type Session, type Shell } from './shell.ts';

interface Wanted {
  readonly table?: string;
  readonly tenant?: string;
  readonly drift?: boolean;
}

const MINE = `(tenant_id = $tenant or $tenant is null) and (table_name = lower($table) or $table is null)`;

const TYPES = `
select
  tenant_id, table_name, type, any_value(view_name) as view,
  (max(rows) filter (where path = '$' and json_column = 'properties'))::bigint as with_properties,
  count(*) filter (where path <> '$') as paths, count(column_name) as columns,
  strftime(min(first_seen_at), '%Y-%m-%d') as first_seen, strftime(max(last_seen_at), '%Y-%m-%d') as last_seen
from properties
where ${MINE}
group by tenant_id, table_name, type
order by tenant_id, table_name, type`;

/** A type by its own spelling or by any that the view unites, or a view by its name. */
const PATHS = `
select
  tenant_id, table_name, type, case json_column when 'properties' then path else json_column || ' ' || path end as path,
  inferred_type, array_to_string(kinds, ', ') as kinds, rows, share, is_estimate,
  strftime(first_seen_at, '%Y-%m-%d') as first_seen, strftime(last_seen_at, '%Y-%m-%d') as last_seen, column_name
from properties
where ${MINE}
  and (replace(lower(type), '.', ':') = replace(lower($type), '.', ':') or view_name = $type)
  and (path <> '$' or json_column <> 'properties')
order by tenant_id, table_name, type, json_column, json_pointer`;

const DRIFT = `
select
  tenant_id, table_name, type, change,
  case when change = 'new_type' then '' when json_column = 'properties' then path else json_column || ' ' || path end as path,
  kind, strftime(changed_at, '%Y-%m-%dT%H:%M:%SZ') as since, run
from property_drift
where ${MINE}
  and (replace(lower(type), '.', ':') = replace(lower($type), '.', ':') or $type is null)
order by changed_at desc, tenant_id, table_name, type, json_pointer, change, kind`;

export function propertiesCommand(shell: Shell): Command {
  return new Command('properties')
    .description('What the JSON of each type holds: paths, inferred types, rows, first and last seen; no values')
    .argument('[type]', 'paths of this type, or of the type of this view; none = all types')
    .option('--table <name>', 'one table alone: Events, Logs or Metrics')
    .option('--tenant <id>', 'one tenant alone')
    .option('--drift', 'what has changed: new types and paths, new kinds of a path, paths that stopped')
    .addHelpText(
      'after',
      `
Examples:
  $ insights-etl properties
  $ insights-etl properties Pass:Installed
  $ insights-etl properties event_pass_installed --tenant demo --json
  $ insights-etl properties --drift`,
    )
    .action((type: string | undefined, { table, tenant, drift }: Wanted, command: Command) =>
      act(shell, command, {}, async (session) => {
        await requireCatalogue(session);
        const format = session.json ? 'json' : 'table';
        const of = { table: table ?? null, tenant: tenant ?? null };
        if (drift === true) return answer(session, DRIFT, { ...of, type: type ?? null }, format);
        if (type === undefined) return answer(session, TYPES, of, format);
        await requireType(session, type);
        return answer(session, PATHS, { ...of, type }, format);
      }),
    );
}

async function requireCatalogue(session: Session): Promise<void> {
  const { openReader, textRows } = await import('../query/reader.ts');
  await using reader = await openReader(session.config.dataDir, session.config.engine, session.signal);
  const tables = await textRows(
    reader,
    `select 1 from duckdb_tables() where table_name in ('properties', 'property_drift')`,
  );
  if (tables.length === 2) return;
  throw new ConfigError('The catalogue was published by an older version, and does not say what the JSON holds.', {
    hint: '`insights-etl run` publishes it anew.',
  });
}

async function requireType(session: Session, type: string): Promise<void> {
  const { openReader, textRows } = await import('../query/reader.ts');
  await using reader = await openReader(session.config.dataDir, session.config.engine, session.signal);
  const known = await textRows(reader, 'select distinct type, view_name from properties order by all');
  const plain = (word = ''): string => word.toLowerCase().replaceAll('.', ':');
  if (known.some(([name, view]) => plain(name) === plain(type) || view === type)) return;
  const meant = closest(type, known.flat());
  throw new ConfigError(`No row of type "${type}" is in the lake.`, {
    hint: `${meant === undefined ? '' : `Did you mean "${meant}"? `}\`insights-etl properties\` lists the types.`,
  });
}
