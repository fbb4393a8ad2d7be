/** Whether a data directory holds exactly what a model of its source says, and nothing else. */
import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { DuckDBInstance } from '@duckdb/node-api';
import { isOpeningsFile } from '../../../support/files.ts';
import { HEAD_MARTS_FOLDER } from '../../../../src/model/data-dir.ts';
import { TABLE_NAMES, TABLES } from '../../../../src/model/tables.ts';
import { formerMarts } from '../../../../src/query/definitions.ts';
import type { SourceModel } from './model.ts';
import { deltaState } from '../../../load/support/delta.ts';

/** Throws an error that names what is lost, doubled, different or left over. Reads what readers read. */
export async function compareWithModel(dataDir: string, model: SourceModel): Promise<void> {
  const faults: string[] = [];
  const instance = await DuckDBInstance.create(join(dataDir, 'insights.duckdb'), {
    access_mode: 'READ_ONLY',
    threads: '1',
  });
  const connection = await instance.connect();
  const rows = async (sql: string): Promise<Record<string, unknown>[]> =>
    (await connection.runAndReadAll(sql)).getRowObjectsJson();
  try {
    await connection.run(`set TimeZone = 'UTC'`);
    for (const name of TABLE_NAMES) {
      const expected = model.expected(name);
      const isUnsure = (key: string): boolean => name === 'Logs' && model.unsure.has(key);
      const [id, more] =
        name === 'Metrics'
          ? ['metric_id', `coalesce(metric_type, '') || ' ' || value::varchar`]
          : ['event_id', `coalesce(event_type, '')`];
      const lake = new Map<string, string>();
      for (const row of await rows(
        `select ${id} || ' ' || strftime("timestamp", '%Y-%m-%dT%H') as key,
           concat_ws(' ', strftime("timestamp", '%Y-%m-%dT%H:%M:%SZ'), ${id}, properties::varchar, ${more}) as content
         from ${TABLES[name].lakeName}`,
      )) {
        const content = String(row['content']);
        if (lake.has(content)) faults.push(`${name}: doubled ${content}`);
        lake.set(content, String(row['key']));
      }
      for (const [content, key] of expected.rows)
        if (!lake.has(content) && !isUnsure(key)) faults.push(`${name}: lost ${content}`);
      for (const [content, key] of lake)
        if (!expected.rows.has(content) && !isUnsure(key)) faults.push(`${name}: too much: ${content}`);
      const [sums] = await rows(
        `select coalesce(sum(duplicate_rows), 0)::integer as duplicates, coalesce(sum(quarantined_rows), 0)::integer as quarantined,
           count(*) filter (where state in ('partial', 'unchecked'))::integer as unproven
         from coverage where table_name = '${TABLES[name].lakeName}'`,
      );
      const exact = name !== 'Logs' || (model.unsure.size === 0 && !model.hasForgotten);
      if (exact && Number(sums?.['duplicates']) !== expected.duplicates)
        faults.push(`${name}: ${String(sums?.['duplicates'])} duplicates, not ${expected.duplicates}`);
      if (exact && Number(sums?.['quarantined']) !== expected.quarantined)
        faults.push(`${name}: ${String(sums?.['quarantined'])} in quarantine, not ${expected.quarantined}`);
      const [timeless] = await rows(
        `select count(*)::integer as n from quarantine
         where table_name = '${TABLES[name].lakeName}' and reason in ('no_timestamp', 'impossible_timestamp')`,
      );
      if (Number(timeless?.['n']) !== expected.timeless)
        faults.push(`${name}: ${String(timeless?.['n'])} without a possible time, not ${expected.timeless}`);
      if (Number(sums?.['unproven']) > 0) faults.push(`${name}: ${String(sums?.['unproven'])} hours unproven`);
    }
  } finally {
    connection.closeSync();
    instance.closeSync();
  }
  faults.push(...(await leftOver(dataDir)));
  if (faults.length > 0) throw new Error(faults.slice(0, 12).join('\n'));
}

/** Unfinished files, landed ones, generations that the manifest does not name, and a head that shows other files. */
async function leftOver(dataDir: string): Promise<string[]> {
  const manifest = await readFile(join(dataDir, 'manifest.json'), 'utf8');
  const published = [...manifest.matchAll(/"file": "(store[^"]+)"/g)].map(([, file]) => file ?? '').sort();
  const names = (await readdir(dataDir, { recursive: true })).sort();
  const files = names.filter((name) => /^store(?!.*_delta_log).*\.parquet$/.test(name));
  // Openings are internal to the store: one file, which no view shows.
  const openings = files.filter(isOpeningsFile);
  const stored = files.filter((name) => !openings.includes(name) || openings.length > 1);
  const faults = names
    .filter(
      (name) =>
        name.endsWith('.tmp') || (name.startsWith('landing') && /\.\w+$/.test(name)) || name.startsWith('work/'),
    )
    .map((name) => `left over: ${name}`);
  if (stored.join() !== published.join()) faults.push(`stored ${stored.join()} but published ${published.join()}`);
  // Every table and mart is a Delta table with the files of the manifest.
  const logs = names
    .filter((name) => name.endsWith('_delta_log'))
    .map((name) => name.split(/[\\/]/).slice(1, -1).join('/'));
  const active: string[] = [];
  for (const table of logs)
    active.push(...(await deltaState(dataDir, table)).files.map(({ path }) => `store/${table}/${path}`));
  if (active.sort().join() !== published.join())
    faults.push(`Delta tables have ${active.join()} but published ${published.join()}`);
  const inodes = async (files: readonly string[]): Promise<string> =>
    (await Promise.all(files.map(async (file) => (await stat(join(dataDir, file))).ino))).sort((a, b) => a - b).join();
  // Former names of marts are further links to files that the head shows under their present names.
  const former = [...(await formerMarts()).keys()].map((name) => join(HEAD_MARTS_FOLDER, `${name}.parquet`));
  const head = names.filter((name) => /^lake\/\w+\/.*\.parquet$/.test(name) && !former.includes(name));
  if ((await inodes(head)) !== (await inodes(published))) faults.push('the head shows other files');
  return faults;
}
