/**
 * Writes a selection to one file: into a scratch folder next to it, counts the written rows against the snapshot, hashes
 * the file, and only then renames it. The engine itself writes every format except XLSX, so memory does not grow with the
 * rows. A stop or a failure leaves nothing behind.
 */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdtemp, realpath, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { pipeline } from 'node:stream/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { ConfigError, DamagedError } from '../../kernel/errors.ts';
import { TEMPORARY, commitFile } from '../../kernel/files.ts';
import { openExporter, textRows, type Exporter } from '../reader.ts';
import type { CsvStyle } from './csv.ts';
import { countRows } from './count.ts';
import { copyForm, type ExportFormat, type ExportReport } from './forms.ts';
import { tablesReadBy } from '../definitions.ts';
import { parseInstant } from '../../kernel/instant.ts';
import { provenanceOption } from '../../model/provenance.ts';
import { sqlName, sqlText } from '../../kernel/sql.ts';
import type { Selection } from './selection.ts';
import { writeSheets } from './sheet.ts';
import { readWorkbook } from './workbook-check.ts';
import { findTarget, writeThrough } from './target.ts';
import type { Target } from './target.ts';

export interface ExportSettings {
  readonly dataDir: string;
  readonly engine: { readonly threads: number; readonly memoryLimit: string };
  readonly out: string;
  readonly format: ExportFormat;
  /** Replace an existing file. */
  readonly force: boolean;
  readonly csv: CsvStyle;
}

/** Writes what `select` chooses from the current snapshot. Throws ConfigError, DamagedError. */
export async function exportFile(
  settings: ExportSettings,
  select: (reader: Exporter) => Promise<readonly Selection[]>,
  signal: AbortSignal,
): Promise<ExportReport> {
  const out = resolve(settings.out);
  const target = await allowedTarget(out, settings);
  const streamed = target.kind === 'through';
  // Next to the target, because a rename cannot cross file systems.
  const folder = streamed ? tmpdir() : dirname(target.path);
  const scratch = await mkdtemp(join(await realpath(folder), `.${basename(out)}-`));
  try {
    await using reader = await openExporter(settings.dataDir, scratch, settings.engine, signal);
    const selections = await select(reader);
    const file = join(scratch, `export${TEMPORARY}`);
    const written = await writeSelections(reader, selections, file, settings, signal);
    const { size } = await stat(file);
    const sha256 = await hashOf(file, signal);
    const now = await allowedTarget(out, settings);
    signal.throwIfAborted();
    if (now.kind !== target.kind || now.path !== target.path)
      throw new ConfigError('The file was replaced by something else while the export was written.', {
        hint: 'Run the export again.',
        where: { file: out },
      });
    if (streamed) await writeThrough(file, target.path, signal);
    else await commitFile(file, target.path);
    const tables = selections.map(({ name, columns }, index) => ({
      name,
      rows: written.rows[index] ?? 0,
      columns: columns.length,
    }));
    const rows = tables.reduce((sum, table) => sum + table.rows, 0);
    const { format } = settings;
    const report = { file: out, format, rows, bytes: size, sha256, ...(await snapshotOf(reader)), tables };
    return { ...report, ...written.notes, ...(streamed ? { streamed } : {}) };
  } catch (error) {
    throw signal.aborted ? signal.reason : error;
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

async function allowedTarget(out: string, { force, dataDir }: ExportSettings): Promise<Target> {
  const target = await findTarget(out, dataDir);
  if (target.exists && !force)
    throw new ConfigError('The file already exists.', {
      hint: 'Name another file with --out, or replace this one with --force.',
      where: { file: out },
    });
  return target;
}

interface Written {
  /** Rows of each selection. */
  readonly rows: readonly number[];
  readonly notes: Pick<ExportReport, 'sheets' | 'cut' | 'neutralised'>;
}

async function writeSelections(
  reader: Exporter,
  selections: readonly Selection[],
  file: string,
  settings: ExportSettings,
  signal: AbortSignal,
): Promise<Written> {
  if (settings.format === 'duckdb') return { rows: await writeDatabase(reader, selections, file), notes: {} };
  const [selection, ...more] = selections;
  if (selection === undefined || more.length > 0)
    throw new ConfigError(`A ${settings.format} file can hold one table, not ${selections.length}.`, {
      hint: 'Export them one by one, or together with --format duckdb.',
    });
  const expected = await countOf(reader, selection.sql, selection.parameters);
  if (settings.format === 'xlsx') {
    const { verbatim } = settings.csv;
    const result = await reader.query(selection.sql, selection.parameters);
    const {
      digest,
      rows: _rows,
      ...notes
    } = await writeSheets(result, file, { name: selection.name, verbatim, signal });
    const read = await readWorkbook(file, result.columns.length, signal);
    if (read.digest !== digest || read.sheets !== notes.sheets)
      throw new DamagedError('The workbook does not hold what was written; it was not kept.', {
        hint: 'Check the disk, and export again.',
      });
    return { rows: [verified(read.rows, expected, selection.name)], notes };
  }
  const { format } = settings;
  const origin = format === 'parquet' ? provenanceOption(await factsOf(reader, selection)) : '';
  const { select, options } = copyForm(format, selection, settings.csv, origin);
  await reader.write(`copy (${select}) to ${sqlText(file)} (${options}, use_tmp_file false)`, selection.parameters);
  const rows =
    format === 'parquet'
      ? await countOf(reader, `from read_parquet(${sqlText(file)})`, {})
      : await countRows(file, format, signal);
  return { rows: [verified(rows, expected, selection.name)], notes: {} };
}

/** What the metadata of a Parquet file says about a selection. Values of parameters that are free text are not part of it. */
async function factsOf(reader: Exporter, selection: Selection): Promise<Record<string, string | undefined>> {
  const { name, origin } = selection;
  const { snapshot, published } = await snapshotOf(reader);
  return { table: name, ...origin, snapshot, published, coverage: await coverageOf(reader, selection) };
}

/** The hours of the tables that the selection reads, or of all tables where they are not known, by state, as `partial 2, verified 740`. */
async function coverageOf(reader: Exporter, { sql: selected, origin }: Selection): Promise<string | undefined> {
  const { tenant = null, from, to, zone = 'UTC' } = origin;
  const tables = (await tablesReadBy(selected)).join(',');
  // A report's bounds are days of its zone, or words such as last_week: with a word, the hours of the whole snapshot count.
  const instants = [from, to].every((bound) => bound === undefined || parseInstant(bound) !== undefined);
  const bounds = instants ? { from: from ?? null, to: to ?? null } : { from: null, to: null };
  const instant = (value: string): string =>
    `case when length(${value}) = 10 then timezone($zone, ${value}::timestamp) else ${value}::timestamptz end`;
  const sql = `select coalesce(string_agg(state || ' ' || hours, ', ' order by state), '') from (
      select state, count(*) as hours from coverage
      where ($tenant is null or list_contains(string_split($tenant, ','), tenant_id))
        and ($from is null or hour >= ${instant('$from')}) and ($to is null or hour < ${instant('$to')})
        and ($tables = '' or list_contains(string_split($tables, ','), table_name))
      group by state)`;
  const [[text] = []] = await textRows(reader, sql, { ...bounds, tables, tenant, zone });
  return text === '' ? undefined : text;
}

async function writeDatabase(reader: Exporter, selections: readonly Selection[], file: string): Promise<number[]> {
  await reader.write(`attach ${sqlText(file)} as exported (read_write)`);
  const rows: number[] = [];
  const taken = new Set<string>();
  for (const { name, sql, parameters, columns } of selections) {
    if (taken.has(name.toLowerCase()))
      throw new ConfigError(`Two tables of the file would be named "${name}".`, { hint: 'Export them one by one.' });
    taken.add(name.toLowerCase());
    const target = `exported.main.${sqlName(name)}`;
    const expected = await countOf(reader, sql, parameters);
    await reader.write(`create table ${target} as ${sql}`, parameters);
    for (const [column = '', comment = ''] of await commentsOf(reader, name))
      if (columns.some((candidate) => candidate.name === column))
        await reader.write(`comment on column ${target}.${sqlName(column)} is ${sqlText(comment)}`);
    rows.push(verified(await countOf(reader, `from ${target}`, {}), expected, name));
  }
  await reader.write('detach exported');
  return rows;
}

/** The comments of the catalogue on the columns of a view: columns and their comments. */
async function commentsOf(reader: Exporter, name: string): Promise<string[][]> {
  return textRows(
    reader,
    `select column_name, comment from duckdb_columns()
     where schema_name = 'main' and table_name = $name and database_name <> 'exported' and comment is not null`,
    { name },
  );
}

async function countOf(
  reader: Exporter,
  sql: string,
  parameters: Readonly<Record<string, string | null>>,
): Promise<number> {
  const [[rows = '0'] = []] = await textRows(reader, `select count(*) from (${sql})`, parameters);
  return Number(rows);
}

/** Throws DamagedError if the written rows are not as many as the snapshot has. */
function verified(rows: number, expected: number, name: string): number {
  if (rows === expected) return rows;
  throw new DamagedError(`The file has ${rows} rows of "${name}", but the snapshot has ${expected}; it was not kept.`, {
    hint: 'A select with random(), now() or a limit without an order gives different rows each time: change it. Otherwise check the disk.',
  });
}

async function snapshotOf(reader: Exporter): Promise<Pick<ExportReport, 'snapshot' | 'published'>> {
  const sql = `select snapshot, strftime(published_at at time zone 'UTC', '%Y-%m-%dT%H:%M:%SZ') from snapshot`;
  const [[snapshot, published] = []] = await textRows(reader, sql).catch((error: unknown) => {
    // A catalogue written by an older version has no snapshot number.
    if (error instanceof ConfigError) return [];
    throw error;
  });
  return { snapshot, published };
}

async function hashOf(file: string, signal: AbortSignal): Promise<string> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(file), hash, { signal });
  return hash.digest('hex');
}
