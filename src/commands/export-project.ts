/** `export dbt`, `export semantic` and `export spark`: writes a folder of texts that describe the lake to other tools. */
import { readFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import type { Config } from '../config/config.ts';
import { pathExists } from '../kernel/files.ts';
import { CATALOGUE_FILE, DELTA_FOLDER, MANIFEST_FILE, MARTS_FOLDER, STORE_FOLDER } from '../model/data-dir.ts';
import { parseManifest } from '../model/manifest.ts';
import { ConfigError } from '../kernel/errors.ts';
import { plural } from '../kernel/plural.ts';
import { json } from '../output/format.ts';
import { columnWords } from '../query/column-words.ts';
import { listReports } from '../query/report.ts';
import { readDictionary } from './dictionary.ts';
import { pathOfOut } from './result-file.ts';
import type { CatalogueColumn } from '../query/export/spark-types.ts';
import type { SparkSource } from '../query/export/spark.ts';
import type { Session } from './shell.ts';

const PROJECTS = ['dbt', 'semantic', 'spark'] as const;
export type Project = (typeof PROJECTS)[number];

/** The project that the words after `export` name; undefined if they are tables. */
export function projectNamed(words: readonly string[]): Project | undefined {
  return words.length === 1 ? PROJECTS.find((project) => project === words[0]) : undefined;
}

interface ProjectOptions {
  readonly out: string;
  readonly force?: boolean;
}

/** Writes the files into the folder `out`. `others`: flags that were given and have no meaning here. */
export async function exportProject(
  session: Session,
  project: Project,
  { out, force = false }: ProjectOptions,
  others: readonly string[],
): Promise<number> {
  const [other] = others;
  if (other !== undefined)
    throw new ConfigError(`${other} does not apply to \`export ${project}\`.`, {
      hint: `Omit ${other}: \`export ${project}\` takes --out and --force.`,
      where: { flag: other },
    });
  const { dataDir } = session.config;
  if (project !== 'semantic') {
    // They name the files or the catalogue of one lake.
    const { requireShards } = await import('../pipeline/open-lake.ts');
    await requireShards(session.config);
  }
  const folder = pathOfOut(session, out, 'folder');
  const { writeFolder } = await import('../query/export/folder.ts');
  const files = await filesOf(session, project);
  await writeFolder(folder, files, dataDir, force);
  const names = [...files.keys()];
  if (session.json) session.print(`${json({ folder, files: names })}\n`);
  else
    session.print(
      `${[`${folder}: ${plural(names.length, 'file')}`, ...names.map((name) => `  ${name}`)].join('\n')}\n`,
    );
  return 0;
}

async function filesOf(session: Session, project: Project): Promise<ReadonlyMap<string, string>> {
  if (project === 'semantic') {
    const { semanticFiles } = await import('../query/export/semantic.ts');
    return semanticFiles(await columnWords(), await listReports());
  }
  if (project === 'spark') {
    const { sparkFiles } = await import('../query/export/spark.ts');
    const dataDir = resolve(session.config.dataDir);
    // The catalogue first: opening it says so if nothing is published.
    const views = await typedViewsOf(session);
    const manifest = join(dataDir, MANIFEST_FILE);
    if (!(await pathExists(manifest)))
      throw new ConfigError('The lake in this data directory has no manifest.', {
        hint: 'Run `insights-etl publish`: it writes the manifest again.',
        where: { folder: dataDir },
      });
    const { tables, marts } = parseManifest(await readFile(manifest, 'utf8'));
    const names = { tables: Object.keys(tables), marts: Object.keys(marts) };
    await requireDelta(session.config, names);
    return sparkFiles({ ...names, dataDir, ...views });
  }
  const { dbtFiles } = await import('../query/export/dbt.ts');
  return dbtFiles(await readDictionary(session), join(session.config.dataDir, CATALOGUE_FILE));
}

/** Spark reads the tables and marts by their Delta logs. */
async function requireDelta(config: Config, { tables, marts }: Pick<SparkSource, 'tables' | 'marts'>): Promise<void> {
  const folders = [...tables.map((name) => join(STORE_FOLDER, name)), ...marts.map((name) => join(MARTS_FOLDER, name))];
  for (const folder of folders)
    if (!(await pathExists(join(config.dataDir, folder, DELTA_FOLDER))))
      throw new ConfigError(`${folder} is not a Delta table.`, {
        hint: `${config.lake.delta ? 'Run' : 'Set `lake.delta: true`, then run'} \`insights-etl publish\`: it makes Delta tables of all tables and marts.`,
        where: { folder: config.dataDir },
      });
}

/** The columns of the catalogue's typed views, and the types of their rows. */
async function typedViewsOf(session: Session): Promise<Pick<SparkSource, 'columns' | 'types'>> {
  const { openReader, textRows } = await import('../query/reader.ts');
  const { TYPED_VIEWS_SQL, TYPES_SQL } = await import('../query/export/spark-types.ts');
  await using reader = await openReader(session.config.dataDir, session.config.engine, session.signal);
  const columns = (await textRows(reader, TYPED_VIEWS_SQL)).map(
    ([view = '', table = '', name = '', type = '', json = '', pointer = '']): CatalogueColumn => ({
      view, table, name, type, from: json === '' ? undefined : { json, pointer },
    }),
  ); // oxfmt-ignore
  const types = new Map<string, string[]>();
  for (const [view = '', type = ''] of await textRows(reader, TYPES_SQL)) {
    const ofView = types.get(view);
    if (ofView) ofView.push(type);
    else types.set(view, [type]);
  }
  return { columns, types };
}
