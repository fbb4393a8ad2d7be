/**
 * Statements that split the lake by dimensions for one connection. Temporary views take the place of the published ones: in them,
 * each row has a segment (a tenant and a value of each dimension) in place of its tenant. Reports group by tenant and know of no
 * dimension, so every report can be split without a word in its SQL, and a filter is a condition in one place.
 */
import { sqlName, sqlText, sqlTexts } from '../kernel/sql.ts';
import { NIL_ID } from '../model/tables.ts';
import type { Definition } from './definitions.ts';
import type { Split } from './dimensions.ts';
import { coverageMacros } from './split-coverage.ts';

/** The tenant of a total over all tenants. */
const ALL_TENANTS = '(all)';

/** A promoted column that the configuration adds, and whether it holds lists. */
export interface PromotedColumn {
  readonly name: string;
  readonly isList: boolean;
}

/** A dimension of one table: its value in a row, as one text, or as a list of texts if a row can have several. */
interface Value {
  readonly name: string;
  readonly sql: string;
  readonly isList: boolean;
}

export interface Surroundings {
  /** Name of the catalogue. */
  readonly catalogue: string;
  readonly promoted: { readonly events: readonly PromotedColumn[]; readonly logs: readonly PromotedColumn[] };
  /** Tables that the report reads, whose segments have rows in its result. */
  readonly tables: readonly string[];
  /** The shared definitions. */
  readonly definitions: readonly Definition[];
}

const EVENT = `replace(lower(event_type), '.', ':')`;
/** Orders events of one instant, as `step` of event_facts. */
const STEP = `case ${EVENT}
    when 'pass:created' then 1
    when 'pass:installed' then if(coalesce(active_registrations > 0, true), 3, 2)
    when 'pass:uninstalled' then if(coalesce(active_registrations > 0, false), 5, 6)
    else 4 end`;

/** The statements, in their order. */
export function splitStatements(split: Split, around: Surroundings): readonly string[] {
  const names = [...new Set([...split.by, ...Object.keys(split.filters)])].filter((name) => name !== 'tenant');
  const segments = around.tables
    .filter((table) => ['events', 'logs', 'metrics'].includes(table))
    .map((table) => `select tenant_id from temp.${table}`);
  return [
    ...(split.total ? ['create temp table split_beginnings as select * from beginnings(null, null)'] : []),
    ...(names.length === 0 ? [] : [passesSql(names, split, around), platformsSql(split, around)]),
    eventsSql(names, split, around),
    logsSql(names, split, around),
    metricsSql(names, split, around),
    split.by.length === 0
      ? `create temp table split_segments as select distinct ${segmentSql(split)} as tenant, ${segmentSql(split)} as segment
           from ${published(around, 'coverage')} where ${tenantIs(split)}`
      : `create temp table split_segments as select distinct tenant_id as segment, tenant_id ->> 0 as tenant
           from (${segments.join(' union all ')}) as found`,
    `create temp table split_coverage as ${split.total ? totalCoverageSql(split, around) : coverageSql(split, around)}`,
    `create temp view split_limits as ${ofSplit('history_limits', split, around)}`,
    `create temp view coverage as ${perSegment('split_coverage')}`,
    `create temp view history_limits as ${perSegment('split_limits')}`,
    `create temp view lake_files as ${perSegment(`(${ofSplit('lake_files', split, around)})`)}`,
    // Without dimensions, a segment is a tenant.
    ...(split.by.length === 0 ? [] : coverageMacros(around.definitions)),
  ];
}

/** The rows of a published table for the tenants of the split. */
function ofSplit(table: string, split: Split, around: Surroundings): string {
  const tenant = split.total ? `replace (${sqlText(ALL_TENANTS)} as tenant_id)` : '';
  return `select * ${tenant} from ${published(around, table)} where ${tenantIs(split)}`;
}

function published({ catalogue }: Surroundings, table: string): string {
  return `${sqlName(catalogue)}.main.${table}`;
}

function tenantIs({ filters }: Split, column = 'tenant_id'): string {
  const { tenant } = filters;
  return tenant === undefined ? 'true' : `${column} in (${sqlTexts(tenant)})`;
}

function segmentSql({ by, total }: Split): string {
  const tenant = total ? sqlText(ALL_TENANTS) : 'tenant_id';
  return by.length === 0
    ? tenant
    : `to_json([${[tenant, ...by.map((_, index) => `split_${index}`)].join(', ')}]::varchar[])::varchar`;
}

/** The dimensions of each pass: those of its first creation or installation, or the last value that one of its events names. */
function passesSql(names: readonly string[], split: Split, around: Surroundings): string {
  const first = (column: string, where: string): string =>
    `first(${column} order by timestamp, ${STEP}, ${column}) filter (where ${where} and ${column} is not null)`;
  const last = (column: string): string =>
    `last(${column} order by timestamp, ${STEP}, store_id, ${column}) filter (where ${column} is not null)`;
  const installed = `${EVENT} = 'pass:installed'`;
  const known: Readonly<Record<string, string>> = {
    pass_type: last('pass_type'),
    store: first('store_id', `${EVENT} in ('pass:created', 'pass:installed')`),
    medium: first('medium', installed),
    origin: first('origin_host', installed),
    tag: first(`nullif(list_filter(tags, lambda tag: tag <> ''), [])`, installed),
    ...Object.fromEntries(around.promoted.events.map(({ name }) => [name, last(sqlName(name))])),
  };
  const columns = names.flatMap((name) => {
    const value = known[name];
    return value === undefined ? [] : [`${value} as ${sqlName(`of_${name}`)}`];
  });
  return `create temp table split_passes as
    select tenant_id, pass_id${columns.map((column) => `, ${column}`).join('')}
    from ${published(around, 'events')}
    where ${tenantIs(split)} and starts_with(${EVENT}, 'pass:') and pass_id is not null
    group by tenant_id, pass_id`;
}

/** What a join with the passes adds to events. */
function ofPassColumns(names: readonly string[], { promoted }: Surroundings): string[] {
  const ofPass = ['pass_type', 'store', 'medium', 'origin', 'tag', ...promoted.events.map(({ name }) => name)];
  return [
    ...names.filter((name) => ofPass.includes(name)).map((name) => sqlName(`of_${name}`)),
    'is_of_pass',
    'split_platforms',
  ];
}

function platformsSql(split: Split, around: Surroundings): string {
  return `create temp table split_platforms as
    select tenant_id, list(distinct ${PLATFORM}) as platforms
    from ${published(around, 'events')}
    where ${tenantIs(split)} and ${EVENT} in ('pass:installed', 'pass:uninstalled')
    group by tenant_id`;
}

const PLATFORM = `coalesce(nullif(lower(trim(device)), ''), '(unknown)')`;

function eventsSql(names: readonly string[], split: Split, around: Surroundings): string {
  const base = `select events.*${names.length === 0 ? '' : `, passes.* exclude (tenant_id, pass_id), passes.pass_id is not null as is_of_pass, platforms.platforms as split_platforms`}
    from ${published(around, 'events')} as events
    ${
      names.length === 0
        ? ''
        : `left join split_passes as passes on passes.tenant_id = events.tenant_id and passes.pass_id = events.pass_id
           left join split_platforms as platforms on platforms.tenant_id = events.tenant_id`
    }
    where ${tenantIs(split, 'events.tenant_id')}`;
  const ofPass = (name: string, own: string): string => `if(is_of_pass, ${sqlName(`of_${name}`)}, ${own})`;
  const values: readonly Value[] = [
    ...[
      ['pass_type', 'pass_type'],
      ['store', 'store_id'],
      ['medium', 'medium'],
      ['origin', 'origin_host'],
    ].map(([name = '', own = '']) => text(name, ofPass(name, own))),
    list('tag', `list_filter(${ofPass('tag', 'tags')}, lambda tag: tag <> '')`),
    text('campaign', 'campaign'),
    text('event_type', 'event_type'),
    // Only an installation or a removal has a platform. Every other event counts on each platform of its tenant.
    {
      name: 'platform',
      isList: true,
      sql: `if(${EVENT} in ('pass:installed', 'pass:uninstalled'), [${PLATFORM}], coalesce(split_platforms, ['(unknown)']))`,
    },
    ...around.promoted.events.map(({ name, isList }) =>
      isList ? list(name, ofPass(name, sqlName(name))) : text(name, `${ofPass(name, sqlName(name))}::varchar`),
    ),
  ];
  // Ids are unique within a tenant only.
  const ids = split.total
    ? [
        `tenant_id || ' ' || pass_id as pass_id`,
        `if(event_id = ${sqlText(NIL_ID)}, event_id, tenant_id || ' ' || event_id) as event_id`,
      ]
    : [];
  return viewSql('events', base, values, names, split, ids, around);
}

function logsSql(names: readonly string[], split: Split, around: Surroundings): string {
  const values = [
    text('event_type', 'event_type'),
    ...around.promoted.logs.map(({ name, isList }) =>
      isList ? list(name, sqlName(name)) : text(name, `${sqlName(name)}::varchar`),
    ),
  ];
  const base = `select * from ${published(around, 'logs')} where ${tenantIs(split)}`;
  return viewSql('logs', base, values, names, split, [], around);
}

function metricsSql(names: readonly string[], split: Split, around: Surroundings): string {
  const values: readonly Value[] = [
    text('pass_type', 'pass_type'),
    {
      name: 'platform',
      isList: true,
      sql: `case when value_number is null then map_keys(try_cast(value as map(varchar, double))) else [] end`,
    },
  ];
  const base = `select * from ${published(around, 'metrics')} where ${tenantIs(split)}`;
  // The series of two tenants are different ones.
  const ids = split.total ? [`json_object('tenant', tenant_id, 'properties', properties) as properties`] : [];
  return viewSql('metrics', base, values, names, split, ids, around);
}

function text(name: string, sql: string): Value {
  return { name, sql: `coalesce(nullif(${sql}, ''), '(none)')`, isList: false };
}

function list(name: string, sql: string): Value {
  return { name, sql: `coalesce(nullif(list_distinct(${sql}::varchar[]), []), ['(none)'])`, isList: true };
}

/** A table in which each row has its segment as its tenant, once for each segment that it belongs to. */
function viewSql(
  table: string,
  base: string,
  values: readonly Value[],
  names: readonly string[],
  split: Split,
  replaced: readonly string[],
  around: Surroundings,
): string {
  const create = `create temp view ${table} as`;
  // A table that does not know a dimension has nothing to say about it.
  const chosen = names.map((name) => values.find((value) => value.name === name));
  if (chosen.some((value) => value === undefined))
    return `${create} select * from ${published(around, table)} where false`;
  let rows = base;
  const conditions: string[] = [];
  const added = table === 'events' && names.length > 0 ? ofPassColumns(names, around) : [];
  for (const { name, sql, isList } of chosen.filter((value) => value !== undefined)) {
    const index = split.by.indexOf(name);
    const column = index === -1 ? sqlName(`split_${name}`) : `split_${index}`;
    const wanted = split.filters[name];
    added.push(column);
    // The numbers of a metric are split with it, also by a filter.
    const isUnnested = isList && (index !== -1 || table === 'metrics');
    rows = `select *, ${isUnnested ? `unnest(${sql})` : sql} as ${column} from (${rows}) as valued`;
    if (table === 'metrics' && name === 'platform')
      rows = `select * replace (
          to_json(map {${column}: map_extract(try_cast(value as map(varchar, double)), ${column})[1]}) as value,
          lower(${column}) as ${column}
        ) from (${rows}) as valued`;
    if (wanted !== undefined)
      conditions.push(
        isList && !isUnnested ? `list_has_any(${column}, [${sqlTexts(wanted)}])` : `${column} in (${sqlTexts(wanted)})`,
      );
  }
  const where = conditions.length === 0 ? '' : `where ${conditions.join(' and ')}`;
  const replacements = [`${segmentSql(split)} as tenant_id`, ...replaced].join(', ');
  const exclude = added.length === 0 ? '' : `exclude (${added.join(', ')})`;
  return `${create} select * ${exclude} replace (${replacements}) from (${rows}) as valued ${where}`;
}

function perSegment(rows: string): string {
  return `select rows.* replace (segments.segment as tenant_id)
    from ${rows} as rows inner join split_segments as segments on segments.tenant = rows.tenant_id`;
}

function coverageSql(split: Split, around: Surroundings): string {
  return `select tenant_id, table_name, hour, state from ${published(around, 'coverage')} where ${tenantIs(split)}`;
}

/** The worst state of each hour among the tenants that have begun by then. An hour that one of them lacks has no row. */
function totalCoverageSql(split: Split, around: Surroundings): string {
  return `with
    begun as (select tenant_id, table_name, first_hour, last_hour from split_beginnings where ${tenantIs(split)}),
    hours as (select distinct table_name, hour from ${published(around, 'coverage')} where ${tenantIs(split)}),
    cells as (
      select hours.table_name, hours.hour,
        coalesce(coverage.state, case when hours.hour > begun.last_hour then 'open' when hours.hour >= begun.first_hour then 'missing' end) as state
      from hours inner join begun on begun.table_name = hours.table_name
      left join ${published(around, 'coverage')} as coverage
        on coverage.tenant_id = begun.tenant_id and coverage.table_name = hours.table_name and coverage.hour = hours.hour
    )
    select ${sqlText(ALL_TENANTS)} as tenant_id, table_name, hour,
      case when bool_or(state not in ('verified', 'open')) then 'partial' when bool_or(state = 'open') then 'open' else 'verified' end as state
    from cells where state is not null
    group by table_name, hour having not bool_or(state = 'missing')`;
}
