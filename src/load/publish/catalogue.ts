/**
 * `insights.duckdb`, the file that analysts open. It has views over exactly the files of the snapshot, and small tables. Views name
 * files by absolute path with the hive keys in it, so that a filter on tenant or month skips files without opening them. A
 * session that sets the variable `insights_folder` reads the files of a data directory that has moved since it was published. The
 * file is written in the work folder and moved here: a reader that has the old one open still sees the old snapshot. DuckDB
 * itself may make a folder `insights.duckdb.tmp`, where readers spill.
 */
import { join } from 'node:path';
import { commitFile } from '../../kernel/files.ts';
import { TABLE_NAMES } from '../../model/tables.ts';
import type { TableName } from '../../model/tables.ts';
import { lakeColumns } from '../../transform/lake.ts';
import { sqlName, sqlText } from '../../kernel/sql.ts';
import { columnWords, type ColumnWords } from '../../query/column-words.ts';
import { FORMER_MART, createSql, definitionsDigest, formerMarts, sharedDefinitions } from '../../query/definitions.ts';
import type { Definition } from '../../query/definitions.ts';
import { asText } from '../ledger/cells.ts';
import { COVERAGE_SQL, HISTORY_LIMITS_SQL } from '../ledger/coverage.ts';
import type { Ledger } from '../ledger/ledger.ts';
import { currentFiles, movedSql, rowsOf } from '../store/current-files.ts';
import type { CurrentFile } from '../store/current-files.ts';
import { CATALOGUE_FILE, PUBLISHED_MARTS_SQL, WAL, unfinishedPath } from '../../model/data-dir.ts';
import { commentColumns } from './comments.ts';
import { martWords } from './mart-words.ts';
import { PROPERTIES_SQL, pathSql } from './properties.ts';
import { buildCatalogue } from './reuse.ts';
import type { Layer, View } from './reuse.ts';
import { nameTypes, typedViews } from './typed-views.ts';
import type { TypedView } from './typed-views.ts';

/** Changes with the structure of the catalogue, so that an upgraded program publishes again. */
export const CATALOGUE_VERSION = '12';

/** Names that a tenant's schema cannot have. */
const RESERVED_SCHEMAS = ['main', 'information_schema', 'pg_catalog', 'temp', 'system'];

export const DESCRIPTIONS: Readonly<Record<TableName, string>> = {
  Events: 'Page views, API requests and business events; one row per event id and hour',
  Logs: 'Errors and traces; one row per log id and hour. The source keeps 45 days, the lake keeps all it has read',
  Metrics: 'Hourly snapshots of state; one row per metric id and hour',
};

/** The columns that come from the path of a file. */
export const PATH_COLUMNS = [
  { name: 'tenant_id', type: 'VARCHAR', comment: "The tenant's id in the API's path; prunes" },
  { name: 'month', type: 'VARCHAR', comment: 'UTC month of the timestamp, yyyy-mm; prunes' },
] as const;

const SMALL_TABLES: readonly { name: string; comment: string; sql: (dataDir: string) => string }[] = [
  {
    name: 'coverage',
    comment:
      'One row per tenant, table and hour. state: verified (source = lake + duplicates + quarantined), partial, open (hour not over), expired (lost at the source unread), unchecked; grade: content, checksum, count, none',
    sql: () => COVERAGE_SQL,
  },
  {
    name: 'history_limits',
    comment:
      'One row per tenant and table of which only a backfill was loaded: rows before compared_from were never compared, so figures that depend on the past are unverified until a run',
    sql: () => HISTORY_LIMITS_SQL,
  },
  {
    name: 'runs',
    comment: 'One row per run up to this snapshot; a run that changes nothing publishes nothing',
    sql: () => 'select run, started_at, finished_at, outcome, stats from runs order by started_at',
  },
  {
    name: 'quarantine',
    comment: 'Rows that could not be loaded, without their text: that stays in the ledger',
    sql: () =>
      `select tenant as tenant_id, lower(table_name) as table_name, placed_at, hour, page, run, reason, id from quarantine order by all`,
  },
  {
    name: 'lake_files',
    comment: "The snapshot's Parquet files",
    sql: (dataDir) =>
      `select tenant as tenant_id, lower(table_name) as table_name, period, generation, ${sqlText(`${dataDir}/`)} || file as file,
         rows, bytes, sha256, min_ts as min_timestamp, max_ts as max_timestamp, promotion, privacy
       from partitions where superseded_at is null order by all`,
  },
  {
    name: 'properties',
    comment:
      'What the JSON of each type holds: one row per path, with its inferred type, the kinds seen, rows and share of the rows of the type, and where a typed view shows it. No values. is_estimate: counted in a sample of a big day',
    sql: () => PROPERTIES_SQL,
  },
  {
    name: 'property_drift',
    comment:
      'Changes in the shape of the JSON. change: new_type, new_path, new_kind (of a known path), stopped; changed_at: the first row with it, or the last; run: which found it',
    sql: () =>
      `select tenant as tenant_id, lower(table_name) as table_name, type, json_column, ${pathSql('pointer')} as path, pointer as json_pointer,
         change, kind, changed_at, run, found_at
       from property_drift order by changed_at, tenant_id, table_name, type, json_pointer`,
  },
  {
    name: 'check_results',
    comment:
      'What the checks said, one row per run, check and tenant of which the run changed days; the last of each check and tenant, and 90 days',
    sql: () =>
      `select run, check_name, severity, tenant as tenant_id, days, failures, seconds, error, checked_at
       from check_results order by checked_at, check_name, tenant_id`,
  },
  {
    name: 'check_failures',
    comment: 'What is wrong as far as the checks know, one row per check, tenant and UTC day that has failures',
    sql: () =>
      `select check_name, severity, tenant as tenant_id, day, failures, run, found_at
       from check_failures order by check_name, tenant_id, day`,
  },
];

const SNAPSHOT_TABLE = {
  name: 'snapshot',
  comment: 'The snapshot that this catalogue shows',
  sql: () => 'select null::bigint as snapshot, null::timestamptz as published_at, null::varchar as definitions',
};

/**
 * Column comments of typed views, those with the most rows first. A comment takes half a millisecond, and the table `properties` has
 * the same facts for all views.
 */
const MOST_COMMENTS = 1_000;

/**
 * Tenants up to which the columns of their own views have comments: those of the views in `main`. Measured with 1,000 tenants: they take
 * 10 of the 13 s for these views, and 250 MB, because each comment is another version of its view until the end.
 */
const MOST_COMMENTED_TENANTS = 50;

/** Writes the catalogue of everything current in the ledger. Call it inside the ledger's exclusive turn. */
export async function writeCatalogue(ledger: Ledger, snapshot: number): Promise<void> {
  const path = join(ledger.dataDir, CATALOGUE_FILE);
  const temporary = unfinishedPath(ledger.dataDir, CATALOGUE_FILE);
  await ledger.files.rm(temporary, { force: true });
  await ledger.files.rm(temporary + WAL, { force: true });
  const files = await currentFiles(ledger);
  const definitions = await sharedDefinitions();
  const taken = [
    ...TABLE_NAMES.map((name) => ledger.settings.tables[name].lakeName),
    ...[...SMALL_TABLES, SNAPSHOT_TABLE].map(({ name }) => name),
  ];
  await nameTypes(ledger, [...taken, ...definitions.map(({ name }) => name)]);
  const typed = await typedViews(ledger);
  const marts = await martViews(ledger);
  const schemas = await tenantSchemas(ledger);
  const words = await columnWords();
  const shared = sharedLayer(ledger, definitions, words);
  await buildCatalogue(ledger, temporary, shared, createTyped(typed, MOST_COMMENTS), async () => {
    await ledger.run(fillTables(ledger, snapshot, definitionsDigest(definitions)).join(';\n'));
    await ledger.run(['use catalogue.main', ...lakeViews(ledger, files), ...marts].join(';\n'));
    for (const comments of await martComments(ledger, words)) await ledger.run(comments);
    for (const { tenant, schema } of schemas) {
      const name = `catalogue.${sqlName(schema)}`;
      const ownFiles = files.filter((file) => file.tenant === tenant);
      const views = lakeViews(ledger, ownFiles, schemas.length <= MOST_COMMENTED_TENANTS);
      await ledger.run([`create schema ${name}`, `use ${name}`, ...views].join(';\n'));
    }
  });
  await ledger.run('drop table temp.shown_columns');
  await commitFile(temporary, path, ledger.files);
}

interface TenantSchema {
  readonly tenant: string;
  readonly schema: string;
}

async function tenantSchemas(ledger: Ledger): Promise<readonly TenantSchema[]> {
  const tenants = await ledger.rows(
    'select distinct tenant from (select tenant from hours union all select tenant from partitions) order by 1',
    { tenant: asText },
  );
  const taken = new Set(RESERVED_SCHEMAS);
  return tenants.map(({ tenant }) => {
    // Schema names ignore case, so the second of two tenants may need another name.
    let schema = tenant;
    while (taken.has(schema.toLowerCase())) schema += '_';
    taken.add(schema.toLowerCase());
    return { tenant, schema };
  });
}

/*
 * DuckDB binds a view when it is created, which opens every file under it. So all views that read the tables' views are first
 * created over empty ones with the same columns, and `lakeViews` replaces those. Names inside views are not qualified, so that
 * they also work for a reader who attaches the catalogue under another name.
 */

/** The small tables, without rows, and the shared views and macros in `main`. */
function sharedLayer(ledger: Ledger, definitions: readonly Definition[], words: ColumnWords): Layer {
  const statements = definitions.flatMap((definition) => [
    createSql(definition, 'create'),
    `comment on ${definition.kind} ${sqlName(definition.name)} is ${sqlText(definition.comment)}`,
  ]);
  // Each publish creates these views again, with their comments.
  const replaced: ReadonlySet<string> = new Set(TABLE_NAMES.map((name) => ledger.settings.tables[name].lakeName));
  return [
    [...emptyTables(), 'use catalogue.main', ...emptyViews(ledger), ...statements].join(';\n'),
    {
      from: words.text,
      statements: () =>
        commentColumns(ledger, (holder, column) => (replaced.has(holder) ? undefined : words.of(holder, column))),
    },
  ];
}

function emptyViews({ settings }: Ledger): string[] {
  return TABLE_NAMES.map((name) => {
    const table = settings.tables[name];
    return `create view ${table.lakeName} as ${rowsOf(table, [])}`;
  });
}

/** Columns get comments as long as `mostComments` suffices. */
function createTyped(views: readonly TypedView[], mostComments: number): View[] {
  let left = mostComments;
  return views.map((view) => {
    const name = sqlName(view.name);
    const isCommented = view.columns.length <= left;
    if (isCommented) left -= view.columns.length;
    const statements = [
      `create view ${name} as ${view.sql}`,
      `comment on view ${name} is ${sqlText(view.comment)}`,
      ...(isCommented ? view.columns : []).map(
        (column) => `comment on column ${name}.${sqlName(column.name)} is ${sqlText(column.comment())}`,
      ),
    ];
    return { name: view.name, statements: statements.join(';\n') };
  });
}

function emptyTables(): string[] {
  const tables = [...SMALL_TABLES, SNAPSHOT_TABLE];
  return tables.flatMap(({ name, comment, sql }) => [
    `create table catalogue.main.${name} as select * from (${sql('')}) limit 0`,
    `comment on table catalogue.main.${name} is ${sqlText(comment)}`,
  ]);
}

function fillTables(ledger: Ledger, snapshot: number, definitions: string): string[] {
  const now = ledger.nowSql();
  return [
    ...SMALL_TABLES.map(({ name, sql }) => `insert into catalogue.main.${name} ${sql(ledger.dataDir)}`),
    `insert into catalogue.main.snapshot values (${snapshot}, ${now}, ${sqlText(definitions)})`,
  ];
}

/** Statements that replace the empty views of the current schema by views over files. */
function lakeViews(ledger: Ledger, files: readonly CurrentFile[], hasColumnComments = true): string[] {
  return TABLE_NAMES.flatMap((name) => {
    const table = ledger.settings.tables[name];
    const ownFiles = files.filter((file) => file.table === name);
    const columns = [...PATH_COLUMNS, ...lakeColumns(table)];
    return [
      `create or replace view ${table.lakeName} as ${rowsOf(table, ownFiles, { home: ledger })}`,
      `comment on view ${table.lakeName} is ${sqlText(DESCRIPTIONS[name])}`,
      ...(hasColumnComments ? columns : []).map(
        (column) => `comment on column ${table.lakeName}.${sqlName(column.name)} is ${sqlText(column.comment)}`,
      ),
    ];
  });
}

/** Statements that create the views over marts. */
async function martViews(ledger: Ledger): Promise<string[]> {
  const marts = await ledger.rows(
    `select mart, file, comment from mart_files where ${PUBLISHED_MARTS_SQL} order by mart`,
    { mart: asText, file: asText, comment: asText },
  );
  const viewOf = (mart: string): string => `catalogue.main.${sqlName(`mart_${mart}`)}`;
  const create = (mart: string, file: string, comment: string): string[] => [
    `create view ${viewOf(mart)} as select * from read_parquet(${movedSql(ledger)} || ${sqlText(`/${file}`)})`,
    `comment on view ${viewOf(mart)} is ${sqlText(comment)}`,
  ];
  const formerly = [...(await formerMarts())].flatMap(([former, name]) => {
    const mart = marts.find((candidate) => candidate.mart === name);
    return mart === undefined ? [] : create(former, mart.file, `${FORMER_MART}mart_${name}`);
  });
  return [...marts.flatMap(({ mart, file, comment }) => create(mart, file, comment)), ...formerly];
}

/** Statements that comment the columns of marts. */
async function martComments(ledger: Ledger, words: ColumnWords): Promise<readonly string[]> {
  const wordsOf = await martWords(ledger, words);
  const prefix = 'mart_';
  return commentColumns(ledger, (holder, column) => wordsOf(holder.slice(prefix.length), column), prefix);
}
