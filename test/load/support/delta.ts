/** A reader of Delta tables that shares no code with the writer: it replays the log as the protocol says and reads the files. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { queryOn } from './catalogue.ts';

interface Add {
  readonly path: string;
  readonly partitionValues: Readonly<Record<string, string>>;
  readonly size: number;
  readonly modificationTime: number;
  readonly stats: string;
}

interface MetaData {
  readonly id: string;
  readonly name: string;
  readonly description: string;
  readonly schemaString: string;
  readonly partitionColumns: readonly string[];
  readonly configuration: Readonly<Record<string, string>>;
}

interface Action {
  readonly add?: Add;
  readonly remove?: { readonly path: string };
  readonly metaData?: MetaData;
  readonly protocol?: { readonly minReaderVersion: number; readonly minWriterVersion: number };
  readonly txn?: { readonly appId: string; readonly version: number };
  readonly commitInfo?: Readonly<Record<string, unknown>>;
}

export interface DeltaState {
  readonly version: number;
  readonly metaData: MetaData;
  readonly protocol: { readonly minReaderVersion: number; readonly minWriterVersion: number };
  readonly snapshot: number;
  readonly files: readonly Add[];
}

export const logOf = (dir: string, table: string): string => join(dir, 'store', table, '_delta_log');

/** The names in a log, the versions of its entries, and the newest of them. */
export function versionsOf(dir: string, table: string): { names: string[]; versions: number[]; newest: number } {
  const names = existsSync(logOf(dir, table)) ? readdirSync(logOf(dir, table)).toSorted() : [];
  const versions = names.filter((name) => /^\d{20}\.json$/.test(name)).map((name) => Number(name.slice(0, 20)));
  return { names, versions, newest: versions.at(-1) ?? -1 };
}

export function entryOf(dir: string, table: string, version: number): Action[] {
  const text = readFileSync(join(logOf(dir, table), `${String(version).padStart(20, '0')}.json`), 'utf8');
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the assertions of the tests find anything else
  return text.trimEnd().split('\n').map((line) => JSON.parse(line) as Action); // oxfmt-ignore
}

export async function deltaState(
  dir: string,
  table: string,
  version = versionsOf(dir, table).newest,
): Promise<DeltaState> {
  const { names, versions } = versionsOf(dir, table);
  const checkpoints = names.flatMap((name) => /^(\d{20})\.checkpoint\.parquet$/.exec(name)?.[1] ?? []).map(Number);
  const base = checkpoints.findLast((each) => each <= version);
  const path = join(logOf(dir, table), `${String(base).padStart(20, '0')}.checkpoint.parquet`);
  const held =
    base === undefined
      ? []
      : await queryOn(
          ':memory:',
          `select to_json(checkpoint)::varchar as line from (select * replace (
             {'path': add.path, 'partitionValues': to_json(add.partitionValues), 'size': add.size,
              'modificationTime': add.modificationTime, 'stats': add.stats} as add,
             {'id': "metaData".id, 'name': "metaData".name, 'description': "metaData".description, 'schemaString': "metaData"."schemaString",
              'partitionColumns': "metaData"."partitionColumns", 'configuration': to_json("metaData".configuration)} as "metaData"
           ) from read_parquet('${path}')) as checkpoint`,
        );
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- as above
  const actions = held.map(({ line }) => JSON.parse(String(line)) as Action);
  for (let each = (base ?? -1) + 1; each <= version; each++) {
    if (!versions.includes(each)) throw new Error(`entry ${each} of ${table} is missing`);
    actions.push(...entryOf(dir, table, each));
  }
  let [metaData, protocol, snapshot]: [DeltaState['metaData'] | undefined, DeltaState['protocol'] | undefined, number] =
    [undefined, undefined, 0];
  const files = new Map<string, Add>();
  for (const action of actions) {
    if (action.metaData?.id) metaData = action.metaData;
    if (action.protocol?.minReaderVersion) protocol = action.protocol;
    if (action.txn?.appId) snapshot = action.txn.version;
    if (action.remove?.path) files.delete(action.remove.path);
    if (action.add?.path) files.set(action.add.path, action.add);
  }
  if (metaData === undefined || protocol === undefined) throw new Error(`${table} has no metadata`);
  return { version, metaData, protocol, snapshot, files: [...files.values()] };
}

export function columnsOf({ metaData }: DeltaState): { name: string; type: unknown; metadata: { comment?: string } }[] {
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- as above
  return (JSON.parse(metaData.schemaString) as { fields: { name: string; type: unknown; metadata: { comment?: string } }[] }).fields; // oxfmt-ignore
}

/** The rows of a table at a version. A column that a file lacks is null. */
export async function deltaRows(dir: string, table: string, version?: number): Promise<Record<string, unknown>[]> {
  const state = await deltaState(dir, table, version);
  if (state.files.length === 0) return [];
  const columns = columnsOf(state).filter(({ name }) => !state.metaData.partitionColumns.includes(name));
  const typed = columns.map(({ name, type }) => `null::${type === 'string' ? 'varchar' : type === 'long' ? 'bigint' : type === 'timestamp' ? 'timestamptz' : type === 'double' ? 'double' : type === 'date' ? 'date' : type === 'boolean' ? 'boolean' : 'varchar[]'} as "${name}"`); // oxfmt-ignore
  const selects = state.files.map(({ path, partitionValues }) => {
    const given = Object.entries(partitionValues).map(([name, value]) => `'${value}' as "${name}", `);
    return `select ${given.join('')}* from read_parquet('${join(dir, 'store', table, decodeURIComponent(path))}', hive_partitioning = false)`;
  });
  const names = [...state.metaData.partitionColumns, ...columns.map(({ name }) => name)].map((name) => `"${name}"`);
  return queryOn(
    ':memory:',
    `select ${names.join(', ')} from (${selects.join(' union all by name ')} union all by name (select ${typed.join(', ')} limit 0)) order by all`,
  );
}
