/**
 * A reader in a process of its own: `reader.mjs <catalogue|manifest|head> <data directory>` reads all three tables again
 * and again, at least once, and tells each read as a line of JSON, until its input ends. Of several kinds (`catalogue,manifest`) it
 * does one after the other. It knows nothing of the program but its files.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { DuckDBInstance } from '@duckdb/node-api';

const [kinds = '', dataDir] = process.argv.slice(2);
const TABLES = ['events', 'logs', 'metrics'];
const COLUMNS = {
  events: 'event_id, "timestamp", event_type, operation_id, properties::varchar',
  logs: 'event_id, "timestamp", event_type, operation_id, properties::varchar',
  metrics: 'metric_id, "timestamp", metric_type, value::varchar, properties::varchar',
};

/** Rows and an order-independent checksum of what `from` yields. */
export function contentSql(table, from) {
  return `select count(*)::varchar || ' ' || coalesce(sum(hash(${COLUMNS[table]})), 0)::varchar || ' ' || count(distinct ${COLUMNS[table].split(',')[0]})::varchar as content from ${from}`;
}

async function withDatabase(path, options, work) {
  const instance = await DuckDBInstance.create(path, { threads: '1', ...options });
  const connection = await instance.connect();
  try {
    await connection.run(`set TimeZone = 'UTC'`);
    return await work(async (sql) => (await connection.runAndReadAll(sql)).getRowObjectsJson());
  } finally {
    connection.closeSync();
    instance.closeSync();
  }
}

async function contents(rows, fromOf) {
  const found = {};
  for (const table of TABLES) {
    const from = await fromOf(table);
    found[table] = from === undefined ? '0 0 0' : String((await rows(contentSql(table, from)))[0].content);
  }
  return found;
}

/** The files that a manifest names, as what DuckDB reads from. */
export function filesOf(manifest, folder, table) {
  const partitions = Object.values(manifest.tables[table]?.tenants ?? {}).flatMap((tenant) => tenant.partitions);
  if (partitions.length === 0) return undefined;
  return `read_parquet([${partitions.map(({ file }) => `'${join(folder, file)}'`).join(', ')}])`;
}

const READS = {
  catalogue: () =>
    withDatabase(join(dataDir, 'insights.duckdb'), { access_mode: 'READ_ONLY' }, async (rows) => {
      const [{ snapshot }] = await rows('select snapshot::integer as snapshot from snapshot');
      const [{ counted }] = await rows('select coalesce(sum(rows), 0)::varchar as counted from lake_files');
      return { snapshot, counted, contents: await contents(rows, (table) => table) };
    }),
  manifest: async () => {
    const manifest = JSON.parse(await readFile(join(dataDir, 'manifest.json'), 'utf8'));
    return withDatabase(':memory:', {}, async (rows) => ({
      snapshot: manifest.snapshot,
      contents: await contents(rows, (table) => filesOf(manifest, dataDir, table)),
    }));
  },
  head: () =>
    withDatabase(':memory:', {}, async (rows) => ({
      contents: await contents(rows, (table) => `'${dataDir}/lake/${table}/**/*.parquet'`),
    })),
};

const wanted = kinds.split(',').filter((kind) => kind in READS);
if (wanted.length > 0) {
  const ended = new AbortController();
  process.stdin.once('end', () => ended.abort()).resume();
  do {
    for (const kind of wanted) {
      let found;
      try {
        found = await READS[kind]();
      } catch (error) {
        found = { error: String(error.message).split('\n')[0] };
      }
      // Wait until the line is read, so that reads never run ahead of the process that counts them.
      await new Promise((done) => process.stdout.write(`${JSON.stringify({ kind, ...found })}\n`, done));
    }
  } while (!ended.signal.aborted);
}
