/**
 * What reports share: `queries/views/<name>.sql`, each one select; a view, or with `-- arguments: a, b` a macro. The published
 * catalogue holds them for every tool that opens it, and the reader makes those that a catalogue lacks.
 */
import { QUERIES_FOLDER } from '../kernel/queries-folder.ts';
import { sqlText } from '../kernel/sql.ts';
import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { basename, join } from 'node:path';

export interface Definition {
  readonly name: string;
  /** Of a macro; undefined for a view. */
  readonly arguments: string | undefined;
  /** Title, description and grain from its head, in one text. */
  readonly comment: string;
  /** The select alone. */
  readonly select: string;
  /** Definitions that it stands on. */
  readonly uses: readonly string[];
}

/** All of them, each after those that it uses. */
export async function sharedDefinitions(folder = join(QUERIES_FOLDER, 'views')): Promise<readonly Definition[]> {
  const files = (await readdir(folder).catch(() => [])).filter((file) => file.endsWith('.sql')).sort();
  const bodies = await Promise.all(
    files.map(async (file) => ({ name: basename(file, '.sql'), body: await readFile(join(folder, file), 'utf8') })),
  );
  const names = bodies.map(({ name }) => name);
  const open = new Map(bodies.map(({ name, body }) => [name, parse(name, body, names)]));
  const ordered: Definition[] = [];
  const take = (name: string): void => {
    const definition = open.get(name);
    if (!definition) return;
    open.delete(name);
    for (const used of definition.uses) take(used);
    ordered.push(definition);
  };
  for (const name of names) take(name);
  return ordered;
}

/** How far the rows reach that a day of a report stands on: `all` are those after it too. */
type Reach = (typeof REACHES)[number];

const REACHES = ['day', 'past', 'all'] as const;

/** A report whose results are kept by day. */
export interface Mart {
  /** The report's. */
  readonly name: string;
  /** `-- mart: past of events, day of metrics`: tables in the lake's spelling, first the one that has the days. */
  readonly stands: readonly { readonly reach: Reach; readonly table: string }[];
  readonly comment: string;
  /** tenant_id, day and the report's columns by UTC day, `from` to `to` (exclusive, yyyy-mm-dd; undefined: all), other parameters at their defaults. */
  readonly sql: (from?: string, to?: string) => string;
}

/** The reports in `queries/kpi/` whose head says `mart`. */
export async function dailyMarts(folder = join(QUERIES_FOLDER, 'kpi')): Promise<readonly Mart[]> {
  const files = (await readdir(folder)).filter((file) => file.endsWith('.sql')).sort();
  const marts = await Promise.all(
    files.map(async (file): Promise<Mart[]> => {
      const body = await readFile(join(folder, file), 'utf8');
      const stands = [...headOf(body, 'mart').matchAll(/\b(day|past|all) of (\w+)/g)].map(([, reach, table = '']) => ({
        reach: REACHES.find((known) => known === reach) ?? 'all',
        table,
      }));
      if (stands.length === 0) return [];
      const name = basename(file, '.sql');
      const comment = `${headOf(body, 'title')} by UTC day: ${headOf(body, 'description')}`;
      const sql = (from = 'null', to = 'null'): string =>
        `select tenant_id, period::date as day, * exclude (tenant_id, period)
         from (${filled(body, { from, to, grain: 'day', zone: 'UTC' })})`;
      return [{ name, stands, comment, sql }];
    }),
  );
  return marts.flat();
}

/** Statements that make an opening: one, or so many, each for a part of the passes. `before`: yyyy-mm-dd. */
export type Opening = (before: string, parts?: number) => readonly string[];

/** `queries/openings.sql`, over the shared definitions: the rows before a day (yyyy-mm-dd) that decide what later rows mean. */
export async function openingsSql(): Promise<Opening> {
  const body = await readFile(join(QUERIES_FOLDER, 'openings.sql'), 'utf8');
  return (before, parts = 1) =>
    Array.from({ length: parts }, (_, part) => filled(body, { before, part: String(part), parts: String(parts) }));
}

/** The select with values in place of its parameters. */
function filled(body: string, given: Readonly<Record<string, string>>): string {
  const defaults = new Map(
    [...body.matchAll(/^-- parameter: (\w+):\S+?=(\S+) /gm)].map(([, name, value]) => [name, value]),
  );
  return selectOf(body).replaceAll(/\$([a-z_]+)\b/g, (whole, name: string) => {
    const value = given[name] ?? defaults.get(name);
    if (value === undefined) throw new RangeError(`${whole} is no parameter`);
    return value === 'null' ? 'null' : sqlText(value);
  });
}

/** A select over the lake in which a returned row is a failure. */
export interface Check {
  /** The file's name without `.sql`. */
  readonly name: string;
  readonly severity: 'error' | 'warning';
  /** Over all tenants and days. */
  readonly sql: string;
}

/** The checks in `queries/checks/`. */
export async function lakeChecks(folder = join(QUERIES_FOLDER, 'checks')): Promise<readonly Check[]> {
  const files = (await readdir(folder)).filter((file) => file.endsWith('.sql')).sort();
  return Promise.all(
    files.map(async (file): Promise<Check> => {
      const body = await readFile(join(folder, file), 'utf8');
      const severity = headOf(body, 'severity') === 'warning' ? 'warning' : 'error';
      return { name: basename(file, '.sql'), severity, sql: filled(body, {}) };
    }),
  );
}

/** True where a select of `queries/` reads a view or macro; the word alone may be a column, or a part of a text. */
export function readsFrom(sql: string, name: string): boolean {
  return new RegExp(`\\b(?:from|join)\\s+"?${name}\\b`, 'i').test(sql);
}

/** Those of the definitions, in their order, that a statement names or stands on. */
export function definitionsIn(sql: string, definitions: readonly Definition[]): readonly Definition[] {
  const named = new Set(definitions.filter(({ name }) => readsFrom(sql, name)).map(({ name }) => name));
  for (const { name, uses } of definitions.toReversed()) if (named.has(name)) for (const used of uses) named.add(used);
  return definitions.filter(({ name }) => named.has(name));
}

/** Differs whenever a definition does: what a catalogue says that it was made with. */
export function definitionsDigest(definitions: readonly Definition[]): string {
  return createHash('sha256').update(JSON.stringify(definitions)).digest('hex').slice(0, 16);
}

/** The statement that makes it, e.g. with `create or replace temp`. `name` may be qualified. */
export function createSql(definition: Definition, create: string, name = `"${definition.name}"`): string {
  return definition.arguments === undefined
    ? `${create} view ${name} as\n${definition.select}`
    : `${create} macro ${name}(${definition.arguments}) as table\n${definition.select}`;
}

function parse(name: string, body: string, names: readonly string[]): Definition {
  const head = (key: string): string => headOf(body, key);
  const select = selectOf(body);
  const of = head('arguments');
  return {
    name,
    arguments: of === '' ? undefined : of,
    comment: `${head('title')}: ${head('description')} Grain: ${head('grain')}.`,
    select,
    uses: names.filter((other) => other !== name && readsFrom(select, other)),
  };
}

function headOf(body: string, key: string): string {
  return new RegExp(`^-- ${key}: (.+)$`, 'm').exec(body)?.[1]?.trim() ?? '';
}

function selectOf(body: string): string {
  return body.replaceAll(/^--.*\n/gm, '').trim();
}
