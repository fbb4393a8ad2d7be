/**
 * The order of rows in a generation, in memory that does not grow with the period.
 *
 * A sort of wide rows is the one step whose memory does: measured with a 512 MB limit, 900,000 rows of 550 bytes fail
 * where old and new rows are sorted together. Old rows are in order already, though, so a big period is put together
 * type by type: the old rows up to a type as they stand, then the new rows of that type. The file stays clustered by
 * type, which is what prunes; within a type each merge adds one ascending run. 2.4 M old rows + 300,000 new ones:
 * 12 s of CPU and 0.8 GB where the sort failed.
 */
import { OutOfMemoryError, text } from './engine.ts';
import type { Row } from './engine.ts';
import type { Ledger } from './ledger.ts';
import { sqlText } from '../transform/lake.ts';

export interface Sources {
  /** Column names, quoted. */
  readonly columns: string;
  /** Quoted name of the type column. */
  readonly type: string;
  /** `from … where …` of rows in any order. */
  readonly fresh: string;
  /** `from … where …` of rows ordered by (type, timestamp); undefined when there are none. */
  readonly old: string | undefined;
  /** Rows of both. */
  readonly rows: number;
}

/** Up to here old and new rows are sorted together. */
const SORTED_TOGETHER = 200_000;
/** Each boundary reads the old file's fitting row groups once more: many types share one. */
const MAX_BOUNDARIES = 32;

/** Copies the rows to a Parquet file; returns the statistics of the copy (`count`, `file_size_bytes`). */
export async function copyArranged(ledger: Ledger, sources: Sources, path: string): Promise<Row | undefined> {
  const { columns, type, fresh, old, rows } = sources;
  if (old === undefined || rows <= SORTED_TOGETHER) {
    const all = `select ${columns} ${fresh}${old === undefined ? '' : ` union all select ${columns} ${old}`}`;
    try {
      return await copyTo(ledger, `${all} order by ${type}, "timestamp"`, path);
    } catch (error) {
      if (!(error instanceof OutOfMemoryError)) throw error;
      ledger.runtime.log.debug({ rows }, 'too many rows to sort in one piece: going type by type');
    }
  }
  const boundaries = await typeBoundaries(ledger, sources);
  await ledger.run('set preserve_insertion_order = true');
  try {
    return await copyTo(ledger, interleaved(sources, boundaries, true), path);
  } catch (error) {
    if (!(error instanceof OutOfMemoryError)) throw error;
    // A single type may hold more than can be sorted: then its rows stand as they came.
    return await copyTo(ledger, interleaved(sources, boundaries, false), path);
  } finally {
    await ledger.run('set preserve_insertion_order = false');
  }
}

async function copyTo(ledger: Ledger, select: string, path: string): Promise<Row | undefined> {
  const rows = await ledger.rows(
    `copy (${select}) to ${sqlText(path)} (format parquet, compression zstd, return_stats)`,
  );
  return rows[0];
}

/** Types of the fresh rows in order, thinned out to MAX_BOUNDARIES, the last one always among them. */
async function typeBoundaries(ledger: Ledger, { type, fresh }: Sources): Promise<string[]> {
  const rows = await ledger.rows(`select distinct ${type} as type ${fresh} and ${type} is not null order by 1`);
  const types = rows.map((row) => text(row, 'type') ?? '');
  const step = Math.ceil(types.length / MAX_BOUNDARIES);
  return types.filter((_, index) => index === types.length - 1 || (index + 1) % step === 0);
}

function interleaved({ columns, type, fresh, old }: Sources, boundaries: readonly string[], sorted: boolean): string {
  const freshPart = (condition: string): string =>
    sorted
      ? `select * from (select ${columns} ${fresh} and ${condition} order by ${type}, "timestamp")`
      : `select ${columns} ${fresh} and ${condition}`;
  const parts: string[] = [];
  let after = 'true';
  for (const boundary of boundaries) {
    const range = `${after} and ${type} <= ${sqlText(boundary)}`;
    if (old !== undefined) parts.push(`select ${columns} ${old} and ${range}`);
    parts.push(freshPart(range));
    after = `${type} > ${sqlText(boundary)}`;
  }
  // Null types are last in the order of old files, too.
  if (old !== undefined)
    parts.push(`select ${columns} ${old} and (${boundaries.length === 0 ? 'true' : after} or ${type} is null)`);
  parts.push(freshPart(`${type} is null`));
  return parts.join('\nunion all\n');
}
