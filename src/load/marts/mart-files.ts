/** The files of marts. They are immutable, like those of the tables: a new generation replaces a file as a whole. */
import { dirname, join } from 'node:path';
import { martFile, OPENINGS } from '../../model/data-dir.ts';
import { privacyKey } from '../../model/privacy.ts';
import { promotionKey } from '../../model/promoted.ts';
import { provenanceOption } from '../../model/provenance.ts';
import { TABLE_NAMES } from '../../model/tables.ts';
import type { TableName } from '../../model/tables.ts';
import { TEMPORARY, commitFile, makeFolder, sha256Of, syncPath } from '../../kernel/files.ts';
import { sqlName, sqlText, sqlTexts } from '../../kernel/sql.ts';
import { asCount, asText } from '../ledger/cells.ts';
import { GENERATION_FLOOR_SQL } from '../ledger/generation-floor.ts';
import type { Ledger } from '../ledger/ledger.ts';

/** A mart, or the openings, which are kept like one. */
export interface Kept {
  readonly name: string;
  readonly comment: string;
  /** Of a report of the operator: its columns may be of any type. */
  readonly isCustom?: boolean;
}

export interface Written {
  readonly mart: Kept;
  readonly file: string;
  readonly rows: number;
  readonly bytes: number;
  readonly sha256: string;
}

/** The number of new files: at least `least`. A name is never used twice, because a killed run may already have published the file. */
export async function nextGeneration(ledger: Ledger, least: number): Promise<number> {
  const { newest } = await ledger.row(
    `select greatest(max(generation), ${GENERATION_FLOOR_SQL}) as newest from mart_files`,
    { newest: asCount },
  );
  return Math.max(least, newest + 1);
}

/** Runs work that computes marts into temporary tables `fresh_<mart>`, writes them and returns their names; then drops the tables. */
export async function withFresh(ledger: Ledger, work: () => Promise<ReadonlySet<string>>): Promise<void> {
  await ledger.sparing(async () => {
    const fresh = await work();
    await ledger.run(['select 1', ...[...fresh].map((name) => `drop table temp.fresh_${name}`)].join(';\n'));
  });
}

interface Content {
  /** A select. */
  readonly rows: string;
  /** Undefined: any order, for rows that no reader skips. */
  readonly order?: string;
  readonly generation: number;
  /** What the metadata of the file say, in addition to its mart and its number. */
  readonly origin: Parameters<typeof provenanceOption>[0];
}

/**
 * Rows of a row group. The dashboard decodes whole groups, and those that hold a tenant only: with many tenants and years, a file
 * of one group would take it seconds.
 */
const GROUP_ROWS = 4096;

/** Of openings, which a run reads as a whole: fewer groups take half the time. */
const LARGE_GROUP_ROWS = 20_480;

export async function writeMart(
  ledger: Ledger,
  mart: Kept,
  { rows, order, generation, origin }: Content,
): Promise<Written> {
  const file = martFile(mart.name, generation);
  const path = join(ledger.dataDir, file);
  await makeFolder(dirname(path), ledger.files);
  const temporary = `${path}${TEMPORARY}`;
  const metadata = provenanceOption({ mart: mart.name, ...origin, snapshot: String(generation) });
  const replaced = mart.isCustom ? await intervalsAsText(ledger, rows) : '';
  const [ordered, groupRows] = order === undefined ? ['', LARGE_GROUP_ROWS] : [` order by ${order}`, GROUP_ROWS];
  const stats = await ledger.row(
    `copy (select *${replaced} from (${rows})${ordered}) to ${sqlText(temporary)} (format parquet, compression zstd, row_group_size ${groupRows}, ${metadata}, return_stats)`,
    { count: asCount, file_size_bytes: asCount },
  );
  await commitFile(temporary, path, ledger.files);
  return {
    mart,
    file,
    rows: stats.count,
    bytes: stats.file_size_bytes,
    sha256: await sha256Of(path, ledger.files),
  };
}

/**
 * Intervals are text, as everywhere else: some readers of a Delta table fail on a file with a column of this type, although the table's
 * schema does not have it. Returns the `replace` of a select.
 */
async function intervalsAsText(ledger: Ledger, rows: string): Promise<string> {
  const columns = await ledger.rows(`describe ${rows}`, { column_name: asText, column_type: asText });
  const casts = columns.flatMap(({ column_name: name, column_type: type }) => {
    const text = withoutIntervals(type);
    return text === type ? [] : [`${sqlName(name)}::${text} as ${sqlName(name)}`];
  });
  return casts.length === 0 ? '' : ` replace (${casts.join(', ')})`;
}

/** The type with text for each interval, also inside lists, maps and structs. Quoted are names of fields and values of enums. */
function withoutIntervals(type: string): string {
  return type.replaceAll(/"(?:[^"]|"")*"|'(?:[^']|'')*'|\bINTERVAL\b/g, (part) =>
    part === 'INTERVAL' ? 'VARCHAR' : part,
  );
}

/**
 * Gives marts that an earlier version wrote a folder of their own, of which a Delta table is made. The file is linked and becomes
 * another generation, so that readers of the last snapshot still find it in its old place.
 */
export async function moveMarts(ledger: Ledger): Promise<void> {
  const { dataDir, files } = ledger;
  const marts = await ledger.rows(
    `select mart, generation, file from mart_files where superseded_at is null and mart <> ${sqlText(OPENINGS)}`,
    { mart: asText, generation: asCount, file: asText },
  );
  const moves = marts
    .map(({ mart, generation, file }) => ({ file, to: martFile(mart, generation) }))
    .filter(({ file, to }) => file !== to);
  if (moves.length === 0) return;
  for (const { file, to } of moves) {
    const path = join(dataDir, to);
    await makeFolder(dirname(path), files);
    await files.rm(path, { force: true });
    // Not every file system has links.
    await files.link(join(dataDir, file), path).catch(async () => {
      await files.copyFile(join(dataDir, file), path);
      await syncPath(path, files);
    });
    await syncPath(dirname(path), files);
  }
  const names = sqlTexts(moves.map(({ file }) => file));
  const places = moves.map(({ file, to }) => `(${sqlText(file)}, ${sqlText(to)})`).join(', ');
  await ledger.transaction(() =>
    ledger.run(
      `insert into mart_files select mart_files.* replace (place.new as file)
         from mart_files join (values ${places}) as place(old, new) on file = place.old;
       update mart_files set superseded_at = ${ledger.nowSql()} where file in (${names})`,
    ),
  );
}

/** The privacy rules that results are computed under. */
export function rulesOf({ settings }: Ledger): string {
  return Object.values(settings.tables)
    .map(({ privacy }) => privacyKey(privacy) ?? '')
    .join(' ');
}

/** What the rows of tables are made with: for each, its promoted columns and its privacy rules. Part of the digests of marts. */
export function rowRulesOf(
  { settings }: Ledger,
  tables: readonly TableName[] = TABLE_NAMES,
): (readonly [string, string])[] {
  return tables.map((name) => {
    const { promoted, privacy } = settings.tables[name];
    return [promotionKey(promoted), privacyKey(privacy) ?? ''];
  });
}

/** Removes files that were superseded more than `keepSeconds` ago, or written under other privacy rules. */
export async function sweepMarts(ledger: Ledger, keepSeconds: number): Promise<number> {
  const due = `superseded_at is not null and unpublished_at is not null
    and (unpublished_at <= ${ledger.nowSql()} - interval (${keepSeconds}) seconds or privacy <> ${sqlText(rulesOf(ledger))})`;
  const rows = await ledger.rows(`select file from mart_files where ${due}`, { file: asText });
  if (rows.length === 0) return 0;
  const names = rows.map(({ file }) => file);
  for (const name of names) await ledger.files.rm(join(ledger.dataDir, name), { force: true });
  await ledger.transaction(async () => {
    // When marts are turned off, the last rows that know the newest name are deleted.
    await ledger.run(
      `insert into generation_floors
         select max(generation), ${ledger.nowSql()} from mart_files
         having max(generation) > (select coalesce(max(generation), 0) from mart_files where file not in (${sqlTexts(names)}));
       delete from mart_files where file in (${sqlTexts(names)})`,
    );
  });
  return names.length;
}

/** Forgets marts whose file is missing or damaged. The next run computes them again under another name and removes the file. */
export async function forgetMarts(ledger: Ledger, files: readonly string[]): Promise<void> {
  const list = sqlTexts(files);
  await ledger.transaction(async () => {
    await ledger.run(
      `delete from mart_days where mart in (select mart from mart_files where superseded_at is null and file in (${list}))`,
    );
    await ledger.run(
      `update mart_files set superseded_at = ${ledger.nowSql()} where superseded_at is null and file in (${list})`,
    );
  });
}
