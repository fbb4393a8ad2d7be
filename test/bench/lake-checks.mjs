/** What a data directory must be after kills and stops: the same rows, and nothing left behind. */
import { createReadStream } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { DuckDBInstance } from '@duckdb/node-api';

/** Rows and an order-independent checksum over every column of every table, as one line. */
export async function contentOf(dataDir) {
  const db = await DuckDBInstance.create(join(dataDir, 'insights.duckdb'), { access_mode: 'READ_ONLY' });
  const connection = await db.connect();
  const tables = [];
  for (const table of ['logs', 'events', 'metrics']) {
    const reader = await connection.runAndReadAll(
      `select concat_ws(' ', '${table}', count(*), coalesce(sum(hash(row::varchar)), 0)) from ${table} as row`,
    );
    tables.push(String(reader.getRows()[0][0]));
  }
  connection.closeSync();
  db.closeSync();
  return tables.join(', ');
}

/** The query in the header line of each landed page. */
export async function landedQueries(dataDir) {
  const queries = [];
  for (const name of await readdir(join(dataDir, 'landing'), { recursive: true }).catch(() => [])) {
    if (!name.endsWith('.ndjson')) continue;
    const lines = createInterface({ input: createReadStream(join(dataDir, 'landing', name)) });
    for await (const line of lines) {
      queries.push(JSON.parse(line.slice(1)).query);
      break;
    }
    lines.close();
  }
  return queries;
}

/** Internal to the store: no view shows it. */
const OPENINGS = /marts\/openings\.\d+\.parquet$/;

/** Files that no run should leave: unfinished ones, landed ones, generations that the manifest does not name. */
export async function leftBehind(dataDir) {
  const manifest = await readFile(join(dataDir, 'manifest.json'), 'utf8');
  const names = await readdir(dataDir, { recursive: true });
  return names.filter(
    (name) =>
      name.endsWith('.tmp') ||
      (name.startsWith('landing') && name.endsWith('.ndjson')) ||
      (name.startsWith('store') && name.endsWith('.parquet') && !manifest.includes(name) && !OPENINGS.test(name)),
  );
}
