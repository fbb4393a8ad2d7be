/**
 * Views for Spark with Delta, and for engines that take its SQL: the lake's tables and marts, the state models over them, reports by week
 * and month, and typed views. Each state model is written a second time in Spark's SQL (`queries/spark/`). `.ci/lakehouse` compares the
 * rows of all of them with those of the catalogue.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { HEAD_COVERAGE_FILE, MARTS_FOLDER, STORE_FOLDER } from '../../model/data-dir.ts';
import { QUERIES_FOLDER } from '../../kernel/queries-folder.ts';
import type { FolderFiles } from './folder.ts';
import { overDaysSql, reportsOverDays } from './spark-periods.ts';
import { sparkName, sparkView } from './spark-text.ts';
import { sparkTypedView, type CatalogueColumn } from './spark-types.ts';

/** In the order in which they read each other. */
const MODELS = ['event_facts', 'pass_events', 'registrations', 'pass_states', 'passes', 'daily_active'] as const;

export interface SparkSource {
  /** Names of the tables and marts that are published. */
  readonly tables: readonly string[];
  readonly marts: readonly string[];
  readonly dataDir: string;
  /** The typed views of the catalogue: their columns, and the types of their rows. */
  readonly columns: readonly CatalogueColumn[];
  readonly types: ReadonlyMap<string, readonly string[]>;
}

/** Scripts of `create or replace temporary view`, each statement on lines of its own and ended by a semicolon. */
export async function sparkFiles({ tables, marts, dataDir, columns, types }: SparkSource): Promise<FolderFiles> {
  const from = (format: 'delta' | 'parquet', path: string): string =>
    `select * from ${format}.${sparkName(join(dataDir, path))}`;
  const models = await Promise.all(
    MODELS.map(async (name) =>
      sparkView(name, (await readFile(join(QUERIES_FOLDER, 'spark', `${name}.sql`), 'utf8')).trimEnd()),
    ),
  );
  const views = [
    'set spark.sql.session.timeZone = UTC;\n',
    ...tables.map((name) => sparkView(name, from('delta', join(STORE_FOLDER, name)))),
    ...marts.map((name) => sparkView(`mart_${name}`, from('delta', join(MARTS_FOLDER, name)))),
    sparkView('coverage', from('parquet', HEAD_COVERAGE_FILE)),
    ...models,
  ];
  const periods = (await reportsOverDays())
    .filter(({ report, spine }) => [report.name, spine ?? report.name].every((name) => marts.includes(name)))
    .flatMap((report) =>
      (['week', 'month'] as const).map((grain) =>
        sparkView(`mart_${report.report.name}_${grain}`, overDaysSql(report, grain)),
      ),
    );
  const byView = new Map<string, CatalogueColumn[]>();
  for (const column of columns) {
    const ofView = byView.get(column.view);
    if (ofView) ofView.push(column);
    else byView.set(column.view, [column]);
  }
  const typed = [...byView].map(([name, ofView]) => {
    const { sql, missing } = sparkTypedView(ofView, types.get(name) ?? []);
    const note = missing.length === 0 ? '' : `-- Without ${missing.join(', ')}: Spark cannot name the keys.\n`;
    return note + sparkView(name, sql);
  });
  return new Map([
    ['views.sql', views.join('\n')],
    ['periods.sql', periods.join('\n')],
    ['types.sql', typed.join('\n')],
  ]);
}
