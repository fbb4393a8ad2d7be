/**
 * `insights.duckdb`: what an analyst opens. Views over exactly the snapshot's files, by absolute path and with the
 * hive keys in the paths, so that tenant and month prune before a file is opened; small tables beside them. Built
 * aside and put in place by rename: a reader that has the old one open goes on seeing the old snapshot.
 */
import { join } from 'node:path';
import { TEMPORARY, commitFile } from '../../kernel/files.ts';
import { TABLE_NAMES } from '../../model/tables.ts';
import type { TableName } from '../../model/tables.ts';
import { lakeColumns } from '../../transform/lake.ts';
import { sqlName, sqlText } from '../../kernel/sql.ts';
import { createSql, definitionsDigest, sharedDefinitions } from '../../query/definitions.ts';
import type { Definition } from '../../query/definitions.ts';
import { text } from '../ledger/engine.ts';
import { COVERAGE_SQL } from '../ledger/coverage.ts';
import type { Ledger } from '../ledger/ledger.ts';
import { currentFiles, rowsOf } from '../store/current-files.ts';
import type { CurrentFile } from '../store/current-files.ts';
import { CATALOGUE_FILE, PUBLISHED_MARTS_SQL } from '../../model/data-dir.ts';
import { PROPERTIES_SQL, pathSql } from './properties.ts';
import { nameTypes, typedViews } from './typed-views.ts';
import type { TypedView } from './typed-views.ts';

/** Changes whenever the catalogue's shape does, so that an upgraded program publishes anew. */
export const CATALOGUE_VERSION = '6';

const RESERVED = ['main', 'information_schema', 'pg_catalog', 'temp', 'system'];

const DESCRIPTIONS: Readonly<Record<TableName, string>> = {
  Events: 'Page views, API requests and business events; one row per event id and hour',
  Logs: 'Errors and traces; one row per log id and hour. The source keeps 45 days, the lake keeps all it has read',
  Metrics: 'Hourly snapshots of state; one row per metric id and hour',
};

const SMALL_TABLES: readonly { name: string; comment: string; sql: (dataDir: string) => string }[] = [
  {
    name: 'coverage',
    comment:
      'One row per tenant, table and hour. state: verified (source = lake + duplicates + quarantined), partial, open (hour not over), expired (lost at the source unread), unchecked; grade: checksum, count, none',
    sql: () => COVERAGE_SQL,
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

/** Column comments of typed views: each costs half a millisecond. The table `properties` says the same of all. */
const MOST_COMMENTS = 3_000;

/** Writes the catalogue of everything current in the ledger. Inside the ledger's exclusive turn. */
export async function writeCatalogue(ledger: Ledger, snapshot: number): Promise<void> {
  const path = join(ledger.dataDir, CATALOGUE_FILE);
  const temporary = `${path}${TEMPORARY}`;
  await ledger.files.rm(temporary, { force: true });
  await ledger.files.rm(`${temporary}.wal`, { force: true });
  const files = await currentFiles(ledger);
  const definitions = await sharedDefinitions();
  const taken = [
    ...TABLE_NAMES.map((name) => ledger.settings.tables[name].lakeName),
    ...SMALL_TABLES.map(({ name }) => name),
  ];
  await nameTypes(ledger, [...taken, 'snapshot', ...definitions.map(({ name }) => name)]);
  const typed = await typedViews(ledger);
  const marts = await martViews(ledger);
  const tenants = await ledger.rawRows(
    'select distinct tenant from (select tenant from hours union all select tenant from partitions) order by 1',
  );
  const [own] = await ledger.rawRows('select current_database() as name');
  await ledger.run(`attach ${sqlText(temporary)} as catalogue`);
  try {
    await ledger.run('begin');
    for (const { name, comment, sql } of SMALL_TABLES) {
      await ledger.run(`create table catalogue.main.${name} as ${sql(ledger.dataDir)}`);
      await ledger.run(`comment on table catalogue.main.${name} is ${sqlText(comment)}`);
    }
    await ledger.run(
      `create table catalogue.main.snapshot as
       select ${snapshot}::bigint as snapshot, ${ledger.nowSql()} as published_at, ${sqlText(definitionsDigest(definitions))} as definitions`,
    );
    await ledger.run(`comment on table catalogue.main.snapshot is 'The snapshot that this catalogue shows'`);
    await createSchema(ledger, 'main', files, typed.get('') ?? [], definitions);
    if (marts.length > 0) await ledger.run(marts.join(';\n'));
    const schemas = new Set(RESERVED);
    for (const row of tenants) {
      const tenant = text(row, 'tenant') ?? '';
      // Schema names ignore case and a few are taken: the second of two alike gets a mark.
      let schema = tenant;
      while (schemas.has(schema.toLowerCase())) schema += '_';
      schemas.add(schema.toLowerCase());
      await ledger.run(`create schema catalogue.${sqlName(schema)}`);
      const mine = files.filter((file) => file.tenant === tenant);
      await createSchema(ledger, schema, mine, typed.get(tenant) ?? [], []);
    }
    await ledger.run('commit');
  } catch (error) {
    await ledger.run('rollback').catch(() => undefined);
    throw error;
  } finally {
    await ledger.run(`use ${sqlName(text(own ?? {}, 'name') ?? '')}`);
    await ledger.run('detach catalogue');
  }
  await commitFile(temporary, path, ledger.files);
}

/**
 * The views of a schema. A view is bound when it is created, which looks at every file under it; so what stands on the
 * tables' views is created over empty ones of the same columns, which the real ones then replace. Names inside of views are
 * not qualified: whoever attaches the catalogue under another name can read them too.
 */
async function createSchema(
  ledger: Ledger,
  schema: string,
  files: readonly CurrentFile[],
  typed: readonly TypedView[],
  definitions: readonly Definition[],
): Promise<void> {
  const empty = TABLE_NAMES.map((name) => {
    const table = ledger.settings.tables[name];
    return `create view catalogue.${sqlName(schema)}.${table.lakeName} as ${rowsOf(table, [])}`;
  });
  await ledger.run([...empty, `use catalogue.${sqlName(schema)}`].join(';\n'));
  // Calls of one schema are one call: half the time goes into them.
  const statements: string[] = ['select 1'];
  for (const definition of definitions) {
    const kind = definition.arguments === undefined ? 'view' : 'macro table';
    statements.push(
      createSql(definition, 'create'),
      `comment on ${kind} ${sqlName(definition.name)} is ${sqlText(definition.comment)}`,
    );
  }
  let comments = schema === 'main' ? MOST_COMMENTS : 0;
  for (const view of typed) {
    statements.push(
      `create view ${sqlName(view.name)} as ${view.sql}`,
      `comment on view ${sqlName(view.name)} is ${sqlText(view.comment)}`,
    );
    if (view.columns.length > comments) continue;
    comments -= view.columns.length;
    for (const column of view.columns)
      statements.push(`comment on column ${sqlName(view.name)}.${sqlName(column.name)} is ${sqlText(column.comment)}`);
  }
  await ledger.run(statements.join(';\n'));
  await createViews(ledger, schema, files);
}

/** Statements of the views over marts. */
async function martViews(ledger: Ledger): Promise<string[]> {
  const rows = await ledger.rawRows(
    `select mart, file, comment from mart_files where ${PUBLISHED_MARTS_SQL} order by mart`,
  );
  return rows.flatMap((row) => {
    const view = `catalogue.main.${sqlName(`mart_${text(row, 'mart') ?? ''}`)}`;
    const file = join(ledger.dataDir, text(row, 'file') ?? '');
    return [
      `create view ${view} as select * from read_parquet(${sqlText(file)})`,
      `comment on view ${view} is ${sqlText(text(row, 'comment') ?? '')}`,
    ];
  });
}

async function createViews(ledger: Ledger, schema: string, files: readonly CurrentFile[]): Promise<void> {
  for (const name of TABLE_NAMES) {
    const table = ledger.settings.tables[name];
    const view = `catalogue.${sqlName(schema)}.${table.lakeName}`;
    const mine = files.filter((file) => file.table === name);
    const comments = [
      { name: 'tenant_id', comment: "The tenant's id in the API's path; prunes" },
      { name: 'month', comment: 'UTC month of the timestamp, yyyy-mm; prunes' },
      ...lakeColumns(table),
    ].map((column) => `comment on column ${view}."${column.name}" is ${sqlText(column.comment)}`);
    await ledger.run(
      [
        `create or replace view ${view} as ${rowsOf(table, mine)}`,
        `comment on view ${view} is ${sqlText(DESCRIPTIONS[name])}`,
        ...comments,
      ].join(';\n'),
    );
  }
}
