/** The Delta tables of a lake, as the ledger says they should be. */
import { createHash } from 'node:crypto';
import { basename, dirname, join, relative } from 'node:path';
import { sqlText, sqlTexts } from '../../../kernel/sql.ts';
import { MARTS_FOLDER, PUBLISHED_MARTS_SQL, STORE_FOLDER } from '../../../model/data-dir.ts';
import { promotionKey } from '../../../model/promoted.ts';
import { TABLE_NAMES } from '../../../model/tables.ts';
import type { Table } from '../../../model/tables.ts';
import { columnWords } from '../../../query/column-words.ts';
import { lakeColumns } from '../../../transform/lake.ts';
import { asCount, asFlag, asOptional, asTable, asText } from '../../ledger/cells.ts';
import type { Ledger } from '../../ledger/ledger.ts';
import { martWords } from '../mart-words.ts';
import { DESCRIPTIONS, PATH_COLUMNS } from '../catalogue.ts';
import type { Change } from './commit.ts';
import type { DeltaColumn } from './schema.ts';

export interface DeltaTable {
  readonly name: string;
  /** Relative to the data directory. */
  readonly folder: string;
  readonly description: string;
  readonly partitionColumns: readonly string[];
  /** Digest of the paths of its files. */
  readonly files: string;
  /** The file of a mart, which is all that it has, and its line in an entry. */
  readonly only?: { readonly path: string; readonly line: string };
  readonly columns: () => Promise<readonly DeltaColumn[]>;
  /** Selects its files: path, partitions, size, modified, stats. */
  readonly filesSql: string;
  /** Selects the files that left it and still exist: path, removed. */
  readonly formerSql: string;
  readonly coverage: Readonly<Record<string, unknown>>;
}

const NO_FILES = '-';

/** A digest of paths, in the same form as the one that `tableFiles` computes. */
export function filesDigest(paths: Iterable<string>): string {
  const sorted = [...paths].toSorted((a, b) => (a < b ? -1 : 1));
  return sorted.length === 0 ? NO_FILES : createHash('sha256').update(sorted.join('\n')).digest('hex');
}

export async function deltaTables(ledger: Ledger): Promise<readonly DeltaTable[]> {
  return [...(await rowTables(ledger)), ...(await martTables(ledger))];
}

async function rowTables(ledger: Ledger): Promise<DeltaTable[]> {
  const pathSql = (table: Table): string => `substr(file, ${join(STORE_FOLDER, table.lakeName).length + 2})`;
  const eachTable = TABLE_NAMES.map((name) => {
    const table = ledger.settings.tables[name];
    return `select table_name, ${pathSql(table)} as path, promotion is distinct from ${sqlText(promotionKey(table.promoted))} as is_older
      from partitions where table_name = ${sqlText(name)} and superseded_at is null`;
  });
  const digests = await ledger.rows(
    `select table_name as "table", sha256(string_agg(path, chr(10) order by path)) as files, bool_or(is_older) as has_older
     from (${eachTable.join(' union all ')}) group by all`,
    { table: asTable, files: asText, has_older: asFlag },
  );
  const states = await ledger.rows(
    'select table_name as "table", state, count(*) as hours from hours group by all order by all',
    { table: asTable, state: asText, hours: asCount },
  );
  return TABLE_NAMES.map((name) => {
    const table = ledger.settings.tables[name];
    const where = `table_name = ${sqlText(name)}`;
    const path = pathSql(table);
    const digest = digests.find((row) => row.table === name);
    const hours = states.filter((row) => row.table === name).map((row) => [row.state, row.hours] as const);
    return {
      name: table.lakeName,
      folder: join(STORE_FOLDER, table.lakeName),
      description: DESCRIPTIONS[name],
      partitionColumns: PATH_COLUMNS.map((column) => column.name),
      files: digest?.files ?? NO_FILES,
      columns: async () => [
        ...PATH_COLUMNS,
        ...(digest?.has_older === true ? await columnsBesideOlder(ledger, table) : lakeColumns(table)),
      ],
      filesSql: `select ${path} as path, map {'tenant_id': tenant, 'month': substr(period, 1, 7)} as partitions, bytes as size,
          epoch_ms(created_at) as modified, ${STATS_SQL} as stats
        from partitions where ${where} and superseded_at is null`,
      formerSql: `select ${path} as path, epoch_ms(superseded_at) as removed
        from partitions where ${where} and superseded_at is not null and removed_at is null`,
      coverage: { hours: Object.fromEntries(hours) },
    };
  });
}

/** Rows and range of time: the log holds no other value of a row. Bounds are whole milliseconds, which readers expect. */
const STATS_SQL = `json_object(
  'numRecords', rows,
  'minValues', json_object('timestamp', strftime(min_ts, '%Y-%m-%dT%H:%M:%S.%gZ')),
  'maxValues', json_object('timestamp', strftime(max_ts + interval 999 microseconds, '%Y-%m-%dT%H:%M:%S.%gZ')),
  'nullCount', json_object('timestamp', 0))::varchar`;

/**
 * The columns of a table of rows. A promoted column that files of an older set have with another type is left out until `rebuild` has
 * rewritten them, because readers would fail.
 */
async function columnsBesideOlder(ledger: Ledger, table: Table): Promise<readonly DeltaColumn[]> {
  const older = await ledger.rows(
    `select min(file) as file from partitions
     where table_name = $1 and superseded_at is null and promotion is distinct from $2 group by promotion`,
    { file: asText },
    [table.name, promotionKey(table.promoted)],
  );
  const columns = lakeColumns(table);
  const others = new Set<string>();
  const found = await typesIn(ledger, older.map(({ file }) => file)); // oxfmt-ignore
  for (const types of found.values())
    for (const { name, type } of columns) if (type !== 'JSON' && (types.get(name) ?? type) !== type) others.add(name);
  return columns.filter(({ name }) => !others.has(name));
}

/** The types of the columns of files, by file and name. One query: each takes a while, however little it reads. */
async function typesIn(
  ledger: Ledger,
  files: readonly string[],
): Promise<ReadonlyMap<string, ReadonlyMap<string, string>>> {
  const found = new Map<string, Map<string, string>>();
  if (files.length === 0) return found;
  const rows = await ledger.rows(
    `select file_name as file, name, coalesce(duckdb_type, converted_type, '') as type, coalesce(num_children, 0) as children
     from parquet_schema([${files.map((file) => sqlText(join(ledger.dataDir, file))).join(', ')}])`,
    { file: asText, name: asText, type: asText, children: asCount },
  );
  // Each file begins with its root. An element is followed by those inside of it.
  const elements = rows[Symbol.iterator]();
  for (const { file, children } of elements) {
    const types = new Map<string, string>();
    for (let nth = 0; nth < children; nth++) {
      const { name, type } = nextColumn(elements);
      types.set(name, type);
    }
    found.set(relative(ledger.dataDir, file), types);
  }
  return found;
}

interface SchemaElement {
  readonly name: string;
  /** DuckDB's type of a value; the kind of a group, such as LIST, which may be empty. */
  readonly type: string;
  readonly children: number;
}

interface Column {
  readonly name: string;
  readonly type: string;
  readonly inside: readonly Column[];
}

/** The next element with all that it contains. A list has one repeated group, which has one element. */
function nextColumn(elements: Iterator<SchemaElement>): Column {
  const { value, done } = elements.next();
  if (done === true) throw new Error('A Parquet schema ends before its last column');
  const { name, type, children } = value;
  const inside = Array.from({ length: children }, () => nextColumn(elements));
  return { name, inside, type: type === 'LIST' ? `${inside[0]?.inside[0]?.type ?? ''}[]` : type };
}

async function martTables(ledger: Ledger): Promise<DeltaTable[]> {
  const marts = await ledger.rows(
    `select mart, file, rows, bytes, comment, days, first_day::varchar as first, last_day::varchar as last
     from mart_files where ${PUBLISHED_MARTS_SQL} order by mart`,
    { mart: asText, file: asText, rows: asCount, bytes: asCount, comment: asText, days: asCount, first: asOptional(asText), last: asOptional(asText) },
  ); // oxfmt-ignore
  let described: Promise<Describe> | undefined;
  return marts.map(({ mart, file, rows, bytes, comment, days, first, last }) => {
    const path = basename(file);
    const stats = JSON.stringify({ numRecords: rows });
    const add = {
      path,
      partitionValues: {},
      size: bytes,
      modificationTime: Math.trunc(ledger.runtime.now()),
      dataChange: true,
      stats,
    };
    return {
      name: `mart_${mart}`,
      folder: dirname(file),
      description: comment,
      partitionColumns: [],
      files: filesDigest([path]),
      only: { path, line: JSON.stringify({ add }) },
      columns: async () => (await (described ??= describeMarts(ledger, marts.map((each) => each.file))))(mart, file),
      filesSql: `select ${sqlText(path)} as path, map {}::map(varchar, varchar) as partitions, ${bytes}::bigint as size,
          ${add.modificationTime}::bigint as modified, ${sqlText(stats)} as stats`,
      formerSql: `select parse_filename(file) as path, epoch_ms(superseded_at) as removed
        from mart_files where mart = ${sqlText(mart)} and superseded_at is not null and starts_with(file, ${sqlText(`${dirname(file)}/`)})`,
      coverage: { days, first: first ?? null, last: last ?? null },
    };
  }); // oxfmt-ignore
}

type Describe = (mart: string, file: string) => readonly DeltaColumn[];

async function describeMarts(ledger: Ledger, files: readonly string[]): Promise<Describe> {
  const types = await typesIn(ledger, files);
  const wordsOf = await martWords(ledger, await columnWords());
  return (mart, file) =>
    [...(types.get(file) ?? [])].map(([name, type]) => ({ name, type, comment: wordsOf(mart, name) }));
}

/** What changed in a table since it had these paths, as lines of an entry. Undefined: it had none. */
export async function changeSince(
  ledger: Ledger,
  { filesSql, only }: DeltaTable,
  held: ReadonlySet<string> = new Set(),
): Promise<Change> {
  if (only !== undefined)
    return {
      // Always whole, so that the next publish needs only the newest entry to know the files of the table.
      isWhole: true,
      adds: [only.line],
      removes: [...held].filter((path) => path !== only.path).toSorted(),
    };
  const paths = await ledger.rows(`select path from (${filesSql})`, { path: asText });
  const now = new Set(paths.map(({ path }) => path));
  const added = [...now].filter((path) => !held.has(path));
  const chosen = added.length === now.size ? '' : `where path in (${sqlTexts(added)})`;
  const lines = await ledger.rows(
    `select json_object('add', json_object('path', path, 'partitionValues', partitions, 'size', size, 'modificationTime', modified,
       'dataChange', true, 'stats', stats))::varchar as line
     from (${filesSql}) ${chosen} order by path`,
    { line: asText },
  );
  return {
    isWhole: added.length === now.size,
    adds: lines.map(({ line }) => line),
    removes: [...held].filter((path) => !now.has(path)).toSorted(),
  };
}

/** Folders below the store that may have a log: those of the tables, and of marts, also of marts that are no longer kept. */
export async function logFolders({ dataDir, files, settings }: Ledger): Promise<readonly string[]> {
  const marts = await files.readdir(join(dataDir, MARTS_FOLDER), { withFileTypes: true }).catch(() => []);
  return [
    ...TABLE_NAMES.map((name) => join(STORE_FOLDER, settings.tables[name].lakeName)),
    ...marts.filter((entry) => entry.isDirectory()).map(({ name }) => join(MARTS_FOLDER, name)),
  ];
}
