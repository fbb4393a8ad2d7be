/**
 * Views for Spark with Delta, and for engines that take its SQL: the lake's tables and marts, and the state models over them. Each state
 * model is written a second time in Spark's SQL (`queries/spark/`); `.ci/lakehouse` compares the rows of both.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { HEAD_COVERAGE_FILE, MARTS_FOLDER, STORE_FOLDER } from '../../model/data-dir.ts';
import type { Manifest } from '../../model/manifest.ts';
import { QUERIES_FOLDER } from '../../kernel/queries-folder.ts';
import type { FolderFiles } from './folder.ts';

/** In the order in which they read each other. */
const MODELS = ['event_facts', 'pass_events', 'registrations', 'pass_states', 'passes', 'daily_active'] as const;

/** A script of `create or replace temporary view`, each statement on lines of its own and ended by a semicolon. */
export async function sparkFiles(manifest: Pick<Manifest, 'tables' | 'marts'>, dataDir: string): Promise<FolderFiles> {
  const view = (name: string, sql: string): string => `create or replace temporary view ${name} as\n${sql};\n`;
  const delta = (folder: string): string => `select * from delta.\`${join(dataDir, folder)}\``;
  const models = await Promise.all(
    MODELS.map(async (name) =>
      view(name, (await readFile(join(QUERIES_FOLDER, 'spark', `${name}.sql`), 'utf8')).trimEnd()),
    ),
  );
  const statements = [
    'set spark.sql.session.timeZone = UTC;\n',
    ...Object.keys(manifest.tables).map((name) => view(name, delta(join(STORE_FOLDER, name)))),
    ...Object.keys(manifest.marts).map((name) => view(`mart_${name}`, delta(join(MARTS_FOLDER, name)))),
    view('coverage', `select * from parquet.\`${join(dataDir, HEAD_COVERAGE_FILE)}\``),
    ...models,
  ];
  return new Map([['views.sql', statements.join('\n')]]);
}
