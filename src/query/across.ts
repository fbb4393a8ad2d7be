/**
 * Reads a lake that is divided into shards as one: the published catalogue of each shard is attached read-only, and a view over all of
 * them has the name that its table or view has in each. Nothing is written and no shard is locked, so a run of a shard may publish
 * meanwhile: an open reader keeps the snapshots that it has attached.
 */
import { join } from 'node:path';
import type { DuckDBConnection, Json } from '@duckdb/node-api';
import { sqlName, sqlText } from '../kernel/sql.ts';
import { CATALOGUE_FILE, folderVariable } from '../model/data-dir.ts';
import { commonTypeSql } from '../model/type-spelling.ts';
import { showShard } from '../model/shard.ts';
import type { ShardPlace } from './shards.ts';

/** What a statement needs when it names it: created once, after what it reads. */
export interface Lazy {
  readonly name: string;
  /** The names of others in this text are created first. */
  readonly reads: string;
  readonly create: readonly string[];
  /** Not for a statement that lists the catalogue: there is one for each tenant, and each opens files. */
  readonly onlyIfNamed?: boolean;
}

interface Relation {
  readonly database: string;
  readonly schema: string;
  readonly name: string;
  readonly comment: string | undefined;
}

/** Attaches the catalogues. Returns the views over all shards. `homes`: where each data directory is now. */
export async function attachShards(
  connection: DuckDBConnection,
  shards: readonly ShardPlace[],
  homes: readonly string[],
  definitions: readonly string[],
): Promise<readonly Lazy[]> {
  for (const [nth, shard] of shards.entries())
    await connection.run(
      `attach ${sqlText(join(shard.dataDir, CATALOGUE_FILE))} as ${databaseOf(shard)} (read_only);
       set variable ${folderVariable(shard)} = ${sqlText(homes[nth] ?? shard.dataDir)}`,
    );
  const result = await connection.runAndReadAll(
    `select database_name, schema_name, view_name, comment from duckdb_views() where not internal
     union all select database_name, schema_name, table_name, comment from duckdb_tables()
     order by database_name, view_name`,
  );
  const inOrder = new Map(shards.map((shard, nth) => [`shard ${showShard(shard)}`, nth]));
  const relations = result
    .getRowsJson()
    .map(([database, schema, name, comment]): Relation => ({
      database: textOf(database) ?? '',
      schema: textOf(schema) ?? '',
      name: textOf(name) ?? '',
      comment: textOf(comment),
    }))
    .filter(({ database }) => inOrder.has(database))
    .toSorted((a, b) => (inOrder.get(a.database) ?? 0) - (inOrder.get(b.database) ?? 0));
  const shared = new Set(definitions);
  const main = relations.filter(({ schema, name }) => schema === 'main' && !shared.has(name));
  const tenants = relations.filter(({ schema }) => schema !== 'main');
  const described = main.filter(({ name }) => name === 'properties').map(({ database }) => database);
  const sameTypes = viewsByType(main, await typesOf(connection, described));
  const views = groupBy(main, ({ name }) => name).map(([name, own]) => [name, sameTypes(own)] as const);
  return [...views.map(unionOf), ...groupBy(tenants, ({ schema }) => schema).map(schemaOf)];
}

/** The tenants that each attached shard has published. */
export async function tenantsIn(
  connection: DuckDBConnection,
  shards: readonly ShardPlace[],
): Promise<readonly (ShardPlace & { readonly tenants: readonly string[] })[]> {
  const held = [];
  for (const shard of shards) {
    const [files, hours] = ['lake_files', 'coverage'].map((table) => `${databaseOf(shard)}.main.${table}`);
    const result = await connection.runAndReadAll(
      `select distinct tenant_id from ${files} union select distinct tenant_id from ${hours}`,
    );
    held.push({ ...shard, tenants: result.getRowsJson().flatMap(([tenant]) => textOf(tenant) ?? []) });
  }
  return held;
}

/** The types that each typed view shows, by its database and name. */
type Types = ReadonlyMap<string, ReadonlySet<string>>;

function keyOf({ database, name }: Pick<Relation, 'database' | 'name'>): string {
  return JSON.stringify([database, name]);
}

/** In the common spelling, as within one shard. */
async function typesOf(connection: DuckDBConnection, databases: readonly string[]): Promise<Types> {
  const types = new Map<string, Set<string>>();
  for (const database of databases) {
    const result = await connection.runAndReadAll(
      `select distinct view_name, table_name || ' ' || ${commonTypeSql('type')} from ${sqlName(database)}.main.properties
       where view_name is not null`,
    );
    for (const [name, type] of result.getRowsJson()) {
      const key = keyOf({ database, name: textOf(name) ?? '' });
      types.set(key, (types.get(key) ?? new Set()).add(textOf(type) ?? ''));
    }
  }
  return types;
}

/**
 * Each shard names a type after the spelling that it saw first. So each name shows the views of all shards that have its types. Returns
 * what adds those of other names to those of one.
 */
function viewsByType(all: readonly Relation[], types: Types): (own: readonly Relation[]) => readonly Relation[] {
  const typesIn = (view: Relation): readonly string[] => [...(types.get(keyOf(view)) ?? [])];
  const pairs = all.flatMap((view) => typesIn(view).map((type) => ({ type, view })));
  const views = new Map(groupBy(pairs, ({ type }) => type));
  return (own) => {
    const others = own.flatMap(typesIn).flatMap((type) => views.get(type)?.map(({ view }) => view) ?? []);
    return [...new Set([...own, ...others])];
  };
}

function textOf(cell: Json | undefined): string | undefined {
  return typeof cell === 'string' ? cell : undefined;
}

function databaseOf(shard: ShardPlace): string {
  return sqlName(`shard ${showShard(shard)}`);
}

/** Of the number and the time of the snapshot: each publish of a shard raises the sum. */
const SNAPSHOT = `sum(snapshot)::bigint as snapshot, max(published_at) as published_at, max(definitions) as definitions`;

/** Not temporary: temporary views of the same name may take its place while a report is split. */
function unionOf([name, relations]: readonly [string, readonly Relation[]]): Lazy {
  const parts = relations.map(
    (each) => `select * from ${[each.database, each.schema, each.name].map(sqlName).join('.')}`,
  );
  const all = parts.join('\nunion all by name ');
  const select = name === 'snapshot' ? `select ${SNAPSHOT} from (${all})` : all;
  const comment = unionOfComments(relations.flatMap((relation) => relation.comment ?? []));
  const view = `main.${sqlName(name)}`;
  return {
    name,
    reads: '',
    create: [
      `create or replace view ${view} as ${select}`,
      ...(comment === '' ? [] : [`comment on view ${view} is ${sqlText(comment)}`]),
    ],
  };
}

/** Of a typed view, each shard names the spellings of the type that it has seen: the union names each once. */
export function unionOfComments(comments: readonly string[]): string {
  const parts = comments.map((comment) => /^(\w+ of type )"(.*)"$/s.exec(comment));
  const [first] = parts;
  if (!first || parts.some((part) => part?.[1] !== first[1])) return [...new Set(comments)].join('; ');
  const types = new Set(parts.flatMap((part) => part?.[2]?.split('", "') ?? []));
  return `${first[1] ?? ''}${[...types].map((type) => `"${type}"`).join(', ')}`;
}

/** The schema of a tenant, which only one shard has. */
function schemaOf([schema, relations]: readonly [string, readonly Relation[]]): Lazy {
  const views = relations.map(({ database, name }) => {
    const own = `${sqlName(schema)}.${sqlName(name)}`;
    return `create or replace view ${own} as select * from ${sqlName(database)}.${own}`;
  });
  return {
    name: schema,
    reads: '',
    create: [`create schema if not exists ${sqlName(schema)}`, ...views],
    onlyIfNamed: true,
  };
}

function groupBy<T>(items: readonly T[], key: (item: T) => string): readonly (readonly [string, readonly T[]])[] {
  const groups = new Map<string, T[]>();
  for (const item of items) groups.set(key(item), [...(groups.get(key(item)) ?? []), item]);
  return [...groups];
}
