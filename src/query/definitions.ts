/**
 * What reports share, and what the pipeline derives from files of `queries/`.
 *
 * A shared definition is a file `queries/views/<name>.sql` with one select. It is a view, or with `-- arguments: a, b` a macro. With
 * `-- returns: <type>` the file has an expression and not a select, and the macro gives one value.
 * The published catalogue contains them for every tool that opens it; the reader creates those that a catalogue lacks.
 */
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { QUERIES_FOLDER } from '../kernel/queries-folder.ts';
import { sqlName } from '../kernel/sql.ts';
import { findLakeTable } from '../model/tables.ts';
import type { TableName } from '../model/tables.ts';
import { NO_CUSTOM, type Custom } from './custom.ts';
import { dimensionsOf } from './dimensions.ts';
import { formerNamesOf, readSqlFile, severityOf, sqlFiles, withValues } from './sql-file.ts';
import type { Severity, SqlFile } from './sql-file.ts';

export interface Definition {
  readonly name: string;
  /** What `create`, `drop` and `comment on` call it. */
  readonly kind: 'view' | 'macro' | 'macro table';
  /** The arguments of a macro; undefined for a view. */
  readonly arguments: string | undefined;
  /** Title, description and grain from its header, in one text. */
  readonly comment: string;
  readonly select: string;
  /** Names of the definitions that it reads. */
  readonly uses: readonly string[];
}

/** All shared definitions, each after those that it uses. */
export async function sharedDefinitions(): Promise<readonly Definition[]> {
  const files = await sqlFiles('views');
  const names = files.map(({ name }) => name);
  const remaining = new Map(files.map((file) => [file.name, definitionOf(file, names)]));
  const ordered: Definition[] = [];
  const take = (name: string): void => {
    const definition = remaining.get(name);
    if (!definition) return;
    remaining.delete(name);
    for (const used of definition.uses) take(used);
    ordered.push(definition);
  };
  for (const name of names) take(name);
  return ordered;
}

function definitionOf(file: SqlFile, names: readonly string[]): Definition {
  const { name, statement, entry, entries } = file;
  const [parameters] = entries('arguments');
  return {
    name,
    kind: parameters === undefined ? 'view' : entries('returns').length > 0 ? 'macro' : 'macro table',
    arguments: parameters,
    comment: `${entry('title')}: ${entry('description')} Grain: ${entry('grain')}.`,
    select: statement,
    uses: names.filter((other) => other !== name && readsFrom(statement, other)),
  };
}

const REACHES = ['day', 'past', 'week_after', 'all'] as const;

/** The days after a day that `week_after` reaches. */
export const DAYS_AFTER = 7;

/**
 * Which rows of a table one day of a report depends on: those of the day, also those before it, also those of the week after it, or all.
 */
type Reach = (typeof REACHES)[number];

/** A report whose results are kept by day. */
export interface Mart {
  /** The report's name. */
  readonly name: string;
  /** Names of the report in earlier versions, under which readers still find the mart. */
  readonly formerNames: readonly string[];
  /** True if the report is the operator's. */
  readonly isCustom: boolean;
  /** From its header, such as `-- mart: past of events, day of metrics`. The days of the mart are those of the first table. */
  readonly dependsOn: readonly { readonly reach: Reach; readonly table: TableName }[];
  readonly comment: string;
  /**
   * A select of tenant_id, day and the report's columns by UTC day, `from` to `to` (yyyy-mm-dd, exclusive; undefined: no bound).
   * Other parameters have their defaults.
   */
  readonly sql: (from?: string, to?: string) => string;
  /** How the report is kept by week and month, and by pass type and platform. Undefined for one of the operator. */
  readonly split: SplitMart | undefined;
}

export interface SplitMart {
  /** Name of the mart. */
  readonly name: string;
  readonly comment: string;
  /** What its figures are split by, of pass_type and platform. */
  readonly dimensions: readonly string[];
  /** True if the report itself has a row for each platform. */
  readonly hasPlatforms: boolean;
  /** A select of tenant_id, period and the report's columns by UTC day, week or month. */
  readonly sql: (grain: string) => string;
}

/** Whether a day of the mart depends on rows of other days, in one of these ways. */
export function reaches({ dependsOn }: Mart, ...ways: readonly Exclude<Reach, 'day'>[]): boolean {
  return dependsOn.some(({ reach }) => reach !== 'day' && ways.includes(reach));
}

/** The reports in `queries/kpi/`, and those of the operator, with `mart` in their header. */
export async function dailyMarts(custom: Custom = NO_CUSTOM): Promise<readonly Mart[]> {
  const files = await sqlFiles('kpi');
  return [...files, ...custom.files].flatMap((file): Mart[] => {
    const [dependencies] = file.entries('mart');
    if (dependencies === undefined) return [];
    const comment = `${file.entry('title')} by UTC day: ${file.entry('description')}`;
    const sql = (from = 'null', to = 'null'): string =>
      `select tenant_id, period::date as day, * exclude (tenant_id, period)
         from (${withValues(file, { from, to, grain: 'day', zone: 'UTC' })})`;
    const dependsOn = parseDependencies(file.name, dependencies);
    const isCustom = custom.files.includes(file);
    const split = isCustom ? undefined : splitMartOf(file);
    return [{ name: file.name, formerNames: formerNamesOf(file), isCustom, dependsOn, comment, sql, split }];
  });
}

function splitMartOf(file: SqlFile): SplitMart {
  const { allowed, rowsBy } = dimensionsOf(file);
  return {
    name: `${file.name}_by`,
    comment: `${file.entry('title')} by UTC day, week and month, in total and by pass type and platform: ${file.entry('description')}`,
    dimensions: ['pass_type', 'platform'].filter((name) => allowed.includes(name)),
    hasPlatforms: rowsBy.includes('platform'),
    sql: (grain) => withValues(file, { grain, zone: 'UTC' }),
  };
}

/** Begins the comment of a view that shows a mart under a former name; the present name follows. */
export const FORMER_MART = 'The former name of ';

/** Former names of marts, and the names that they have now. */
export async function formerMarts(): Promise<ReadonlyMap<string, string>> {
  const files = (await sqlFiles('kpi')).filter(({ entries }) => entries('mart').length > 0);
  return new Map(files.flatMap((file) => formerNamesOf(file).map((former) => [former, file.name] as const)));
}

function parseDependencies(report: string, text: string): Mart['dependsOn'] {
  return text.split(', ').map((dependency) => {
    const [word, table] = dependency.split(' of ');
    const reach = REACHES.find((known) => known === word);
    const name = findLakeTable(table);
    if (reach === undefined || name === undefined)
      throw new Error(`The header of ${report} has an unknown mart dependency: ${dependency}`);
    return { reach, table: name };
  });
}

/** Makes selects over the shared definitions about what was before a day (yyyy-mm-dd). */
export interface Opening {
  /** The rows that decide what later rows mean, in one select for each of `parts` parts of the passes. */
  readonly rows: (before: string, parts?: number) => readonly string[];
  /** What the passes that are read add up to, with the columns of `CARRIED`. */
  readonly totals: (before: string) => string;
}

const OPENING_FILES = {
  rows: join(QUERIES_FOLDER, 'openings', 'rows.sql'),
  totals: join(QUERIES_FOLDER, 'openings', 'totals.sql'),
};

/** The view of totals of passes that are not read. It is empty in a lake. */
export const CARRIED = 'carried';

/** The files of `queries/openings/`. */
export async function readOpening(): Promise<Opening> {
  const rows = await readSqlFile(OPENING_FILES.rows);
  const totals = await readSqlFile(OPENING_FILES.totals);
  return {
    rows: (before, parts = 1) =>
      Array.from({ length: parts }, (_, part) =>
        withValues(rows, { before, part: String(part), parts: String(parts) }),
      ),
    totals: (before) => withValues(totals, { before }),
  };
}

/** A select over the lake in which every returned row is a failure. */
export interface Check {
  /** The file's name without `.sql`. */
  readonly name: string;
  readonly severity: Severity;
  /** Over all tenants and days. */
  readonly sql: string;
}

/** The checks in `queries/checks/`, and those of the operator. */
export async function lakeChecks(custom: Custom = NO_CUSTOM): Promise<readonly Check[]> {
  const files = await sqlFiles('checks');
  return [...files, ...custom.files].map((file) => ({
    name: file.name,
    severity: severityOf(file) ?? 'error',
    sql: withValues(file, {}),
  }));
}

/** The texts of the reports, checks and openings that ship with the program. */
export async function shippedTexts(): Promise<readonly string[]> {
  const files = [
    ...(await sqlFiles('kpi')),
    ...(await sqlFiles('checks')),
    ...(await Promise.all(Object.values(OPENING_FILES).map(readSqlFile))),
  ];
  return files.flatMap(({ name, sql }) => [name, sql]);
}

/** True if a statement of `queries/` reads a view or calls a macro. The name by itself may also be a column or part of a text. */
export function readsFrom(sql: string, name: string): boolean {
  return new RegExp(`\\b(?:from|join)\\s+"?${name}\\b|\\b${name}\\(`, 'i').test(sql);
}

/** The tables of the lake that a statement reads, directly or through shared definitions. */
export async function tablesReadBy(sql: string): Promise<readonly string[]> {
  const definitions = definitionsIn(sql, await sharedDefinitions());
  const statements = [sql, ...definitions.map(({ select }) => select)];
  return ['events', 'logs', 'metrics'].filter((table) => statements.some((statement) => readsFrom(statement, table)));
}

/** The definitions that a statement reads, directly or through others, each after those that it uses. */
export function definitionsIn(sql: string, definitions: readonly Definition[]): readonly Definition[] {
  const named = new Set(definitions.filter(({ name }) => readsFrom(sql, name)).map(({ name }) => name));
  for (const { name, uses } of definitions.toReversed()) if (named.has(name)) for (const used of uses) named.add(used);
  return definitions.filter(({ name }) => named.has(name));
}

/** A digest of all definitions. A catalogue records the one that it was made with. */
export function definitionsDigest(definitions: readonly Definition[]): string {
  return createHash('sha256').update(JSON.stringify(definitions)).digest('hex').slice(0, 16);
}

/** The statement that creates a definition; `create` is for example `create or replace temp`. */
export function createSql(definition: Definition, create: string): string {
  const { kind, arguments: parameters = '', select } = definition;
  const name = sqlName(definition.name);
  if (kind === 'view') return `${create} view ${name} as\n${select}`;
  return `${create} macro ${name}(${parameters}) as ${kind === 'macro' ? `(${select}\n)` : `table\n${select}`}`;
}
