/** `export dbt`, `export semantic` and `export spark`: writes a folder of texts that describe the lake to other tools. */
import { readFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { CATALOGUE_FILE, MANIFEST_FILE } from '../model/data-dir.ts';
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
  if (project === 'spark') {
    // It names the files of one lake.
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
    const { tables, marts } = parseManifest(await readFile(join(dataDir, MANIFEST_FILE), 'utf8'));
    const names = { tables: Object.keys(tables), marts: Object.keys(marts) };
    return sparkFiles({ ...names, dataDir, ...(await typedViewsOf(session)) });
  }
  const { dbtFiles } = await import('../query/export/dbt.ts');
  return dbtFiles(await readDictionary(session), join(session.config.dataDir, CATALOGUE_FILE));
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
