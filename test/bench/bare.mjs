/**
 * What DuckDB needs for the same landed lines without any of our work: into one sorted file, and into the files that our lake has (typed,
 * promoted columns, sorted, one for each day). Nothing is checked, compared or recorded.
 */
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { DuckDBInstance } from '@duckdb/node-api';
import { build } from 'rolldown';

const root = fileURLToPath(new URL('../..', import.meta.url));

/** Select statements of our promoted columns, from the program's own source. */
async function programSql(folder) {
  const file = join(folder, 'sql.mjs');
  const entry = join(folder, 'sql.ts');
  await writeFile(
    entry,
    `export { promotedSql } from ${JSON.stringify(join(root, 'src/transform/promote.ts'))};
     export { TABLES } from ${JSON.stringify(join(root, 'src/model/tables.ts'))};`,
  );
  await build({ input: entry, platform: 'node', output: { file }, logLevel: 'silent' });
  return import(pathToFileURL(file).href);
}

/** Seconds of a form, `oneFile` or `sameFiles`, over the Events pages in `kept`, a folder of pages as they landed. */
export async function bareSeconds(kept, form) {
  const folder = await mkdtemp(join(tmpdir(), 'insights-bare-'));
  try {
    const { promotedSql, TABLES } = await programSql(folder);
    const files = (await readdir(kept, { recursive: true }))
      .filter((name) => name.endsWith('.ndjson') && name.includes('Events'))
      .map((name) => `'${join(kept, name)}'`);
    const cells = `select lower(r[1]) as event_id, try_cast(r[2] as timestamptz) as "timestamp", r[3] as source_tenant_id, r[4] as event_type, r[5] as operation_id, r[6] as properties
      from (
        select json_extract_string(line, ['$[0]', '$[1]', '$[2]', '$[3]', '$[4]', '$[5]']) as r
        from read_csv([${files.join(', ')}], header = false, delim = '\\x01', quote = '', escape = '',
          auto_detect = false, columns = {line: 'VARCHAR'}, max_line_size = 64000000)
        where not starts_with(line, '#')
      )`;
    const forms = {
      oneFile: `copy (select * from (${cells}) order by event_type, "timestamp") to '${join(folder, 'one.parquet')}' (compression zstd)`,
      sameFiles: `copy (select *, "timestamp"::date as day from (${promotedSql(TABLES.Events, `from (${cells})`)}) order by day, event_type, "timestamp")
        to '${join(folder, 'days')}' (format parquet, compression zstd, row_group_size 20480, partition_by (day))`,
    };
    const db = await DuckDBInstance.create(':memory:', { memory_limit: '4GB' });
    const connection = await db.connect();
    await connection.run("set TimeZone = 'UTC'; set preserve_insertion_order = false");
    const started = performance.now();
    await connection.run(forms[form]);
    const seconds = (performance.now() - started) / 1000;
    connection.closeSync();
    db.closeSync();
    return seconds;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
