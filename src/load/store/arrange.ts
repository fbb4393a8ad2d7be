/**
 * The order of rows in a file, with memory that does not grow with the period.
 *
 * Rows are ordered by (type, timestamp), so that a reader of one type skips the row groups of the others. But sorting wide rows
 * is the one step whose memory grows: with a limit of 512 MB, 900,000 rows of 550 bytes fail. Rows of the old file are sorted
 * already, and so are staged rows: a single source is never sorted again. In a large period several sorted sources are written one
 * after the other without a common sort. A full load of the period writes one sorted source again.
 */
import { OutOfMemoryError } from '../ledger/engine-errors.ts';
import type { Lane } from '../ledger/engine.ts';
import { basename, dirname } from 'node:path';
import { asCount, asText } from '../ledger/cells.ts';
import type { Ledger } from '../ledger/ledger.ts';
import { sqlName, sqlText } from '../../kernel/sql.ts';

export interface Sources {
  /** Column names, quoted. */
  readonly columns: string;
  /** Quoted name of the type column. */
  readonly type: string;
  /** `from … where …` of the rows; each row comes from exactly one source. */
  readonly sources: readonly string[];
  /** The rows of each source are sorted already, by day first if it has several. */
  readonly inOrder: boolean;
  /** Rows of all sources. */
  readonly rows: number;
  /** `key: 'text'` pairs of the file's own metadata. */
  readonly metadata: string;
}

/**
 * Rows of a row group. A copy holds one row group for reading and one for writing. Measured against 122,880 rows: files have the
 * same size, and a report over one type is as fast or faster. With this size and one thread, a sorted copy of 200,000 rows takes
 * 114 MB instead of 240, an unsorted one 21.
 */
const ROW_GROUP = 20_480;

/**
 * Limits of the days that one statement writes. It opens one file per day and holds all of their rows. Planning a statement that
 * extracts promoted columns takes longer than writing a small day: 101 days of 17,000 rows take 0.7 s together and 2.4 s one by one.
 */
const COPIED_TOGETHER = { days: 64, rows: ROW_GROUP } as const;

/** Divides what is to be copied, in order, into the groups that one statement writes. `isAlone`: what needs a statement of its own. */
export function copyGroups<T>(
  items: readonly T[],
  rowsOf: (item: T) => number,
  isAlone: (item: T) => boolean = () => false,
): T[][] {
  const groups: { rows: number; isClosed: boolean; items: T[] }[] = [];
  for (const item of items) {
    const [rows, isClosed] = [rowsOf(item), isAlone(item)];
    let last = groups.at(-1);
    const { days, rows: most } = COPIED_TOGETHER;
    const fits = last?.isClosed === false && !isClosed && last.items.length < days && last.rows + rows <= most;
    if (!last || !fits) groups.push((last = { rows: 0, isClosed, items: [] }));
    last.items.push(item);
    last.rows += rows;
  }
  return groups.map((group) => group.items);
}

/** The column of a source that says which file of `copyByDay` a row belongs to. */
export const DAY_COLUMN = '_day';

/** Up to this many rows are always sorted together. */
const SORTED_TOGETHER = 100_000;

const COPY_STATS = { count: asCount, file_size_bytes: asCount } as const;

export interface CopyStats {
  readonly rows: number;
  readonly bytes: number;
}

function optionsSql(metadata: string): string {
  return `format parquet, compression zstd, row_group_size ${ROW_GROUP}, kv_metadata {${metadata}}, return_stats`;
}

/** Copies the rows to a Parquet file. One thread reads a source in its order. */
export async function copyArranged(
  lane: Lane,
  { columns, type, sources, inOrder, rows, metadata }: Sources,
  path: string,
  log: Ledger['runtime']['log'],
): Promise<CopyStats> {
  const unsorted = sources.map((source) => `select ${columns} ${source}`).join(' union all ');
  const sorted = `${unsorted} order by ${type}, "timestamp"`;
  const copy = async (select: string): Promise<CopyStats> => {
    const statement = `copy (${select}) to ${sqlText(path)} (${optionsSql(metadata)})`;
    const stats = await lane.onOneThread(() => lane.row(statement, COPY_STATS));
    return { rows: stats.count, bytes: stats.file_size_bytes };
  };
  if (inOrder && (sources.length === 1 || rows > SORTED_TOGETHER)) return copy(unsorted);
  try {
    const stats = await copy(sorted);
    // A sort leaves the most memory behind, also between the copies of one merge.
    await lane.release();
    return stats;
  } catch (error) {
    if (!(error instanceof OutOfMemoryError)) throw error;
    log.debug({ event: 'merge.unsorted', rows }, 'too many rows to sort within the memory limit: written unsorted');
    return copy(unsorted);
  }
}

interface DayFile extends CopyStats {
  readonly path: string;
}

interface DaySource extends Omit<Sources, 'sources' | 'rows'> {
  /** `from …` of the rows, with the column DAY_COLUMN, an integer. */
  readonly source: string;
}

/**
 * Copies the rows of several days to one file each, below `folder`, which must not exist. The files are the same as those of
 * `copyArranged`. Returns the files by the value of DAY_COLUMN.
 */
export async function copyByDay(
  lane: Lane,
  { columns, type, source, inOrder, metadata }: DaySource,
  folder: string,
): Promise<ReadonlyMap<string, DayFile>> {
  const key = sqlName(DAY_COLUMN);
  const order = inOrder ? '' : `order by ${key}, ${type}, "timestamp"`;
  const statement = `copy (select ${key}, ${columns} ${source} ${order})
    to ${sqlText(folder)} (${optionsSql(metadata)}, partition_by (${key}))`;
  // With several threads, each would write a file of its own for a day.
  const copied = await lane.onOneThread(() => lane.rows(statement, { filename: asText, ...COPY_STATS }));
  if (!inOrder) await lane.release();
  return new Map(
    copied.map(({ filename: path, count: rows, file_size_bytes: bytes }) => [
      basename(dirname(path)).slice(DAY_COLUMN.length + 1),
      { path, rows, bytes },
    ]),
  );
}
