/** Reads rows of marts in the worker: only the row groups that can hold them, and only the columns that are asked for. */
import { decompress } from 'fzstd';
import { parquetMetadataAsync, parquetScan } from 'hyparquet';
import type { AsyncBuffer, FileMetaData, ParquetScan, RowGroup } from 'hyparquet';
import { DAMAGED, FileError, fetchFile } from './fetched.ts';
import { dayNumbered } from './manifest.ts';
import type { Cell, Range, Row, Source, Table, Wanted } from './types.ts';

/** A larger file is fetched in parts: first its end, which says where everything is, then the row groups that are needed. */
const WHOLE = 1 << 20;
const END = 1 << 17;

interface Mart {
  readonly file: MartFile;
  readonly metadata: FileMetaData;
  readonly selections: Map<string, Promise<Selection>>;
}

interface MartFile extends AsyncBuffer {
  /** Begins to fetch a part. */
  readonly fetchAhead?: (start: number, end: number) => void;
}

/** The rows of a mart that have the wanted values. */
interface Selection {
  readonly names: readonly string[];
  readonly column: (name: string) => Promise<readonly Cell[]>;
}

/** The files that were read. */
const marts = new Map<string, Promise<Mart>>();

/** Drops what was read of files that the newest snapshot does not name. */
export function forgetOthers(named: ReadonlySet<string>): void {
  for (const file of marts.keys()) if (!named.has(file)) marts.delete(file);
}

/** Begins to fetch a file. */
export function openMart({ file, bytes }: Pick<Source, 'file' | 'bytes'>): Promise<Mart> {
  return remembered(marts, file, async () => {
    const buffer = bytes > WHOLE ? inParts(file, bytes) : await (await fetchFile(file)).arrayBuffer();
    return orDamaged(file, async () => ({
      file: buffer,
      metadata: await parquetMetadataAsync(buffer, { initialFetchSize: END, parsers: PARSERS }),
      selections: new Map(),
    }));
  });
}

/** Rows of the range, in the file's order, with the columns that `choose` names. */
export async function readRows(
  source: Source,
  range: Range | undefined,
  choose: (columns: readonly string[]) => readonly string[],
): Promise<Table> {
  const { file, wanted, without } = source;
  const mart = await openMart(source);
  return orDamaged(file, async () => {
    const { names, column } = await remembered(mart.selections, JSON.stringify(wanted), () => select(mart, wanted));
    const columns = choose(names.filter((name) => name !== without));
    const [days, ...cells] = await Promise.all(['day', ...columns].map(column));
    const rows: Row[] = [];
    for (const [nth, day] of days?.entries() ?? []) {
      if (range && !(typeof day === 'string' && day >= range.from && day < range.to)) continue;
      const row: Record<string, Cell> = {};
      for (const [at, name] of columns.entries()) row[name] = cells[at]?.[nth] ?? null;
      rows.push(row);
    }
    return { columns, rows };
  });
}

/** A mart by week and month calls its day a period. */
const shownName = (name: string): string => (name === 'period' ? 'day' : name);

async function select({ file, metadata }: Mart, wanted: Wanted): Promise<Selection> {
  const pruningFilter = Object.fromEntries(Object.entries(wanted).map(([name, value]) => [name, { $eq: value }]));
  const scan = await parquetScan({ file, metadata, pruningFilter, compressors: COMPRESSORS, parsers: PARSERS, useOffsetIndex: false }); // oxfmt-ignore
  for (const { rowStart } of scan.ranges) file.fetchAhead?.(...bytesOf(groupAt(metadata, rowStart)));
  const groups = await Promise.all(scan.ranges.map((range) => rowsOfGroup(scan, range, wanted)));
  const names = metadata.schema.slice(1).map(({ name }) => name);
  const columns = new Map<string, Promise<readonly Cell[]>>();
  return {
    names: names.map(shownName),
    column: (shown) => {
      const name = names.find((each) => shownName(each) === shown) ?? shown;
      return remembered(columns, name, async () => {
        const parts = await Promise.all(groups.map(async ({ rows, values }) => picked(await values(name), rows)));
        return parts.flat();
      });
    },
  };
}

interface GroupRows {
  /** Their places in the group. */
  readonly rows: readonly number[];
  /** The values of the whole group, or the one that all its rows have. */
  readonly values: (column: string) => Promise<Values>;
}

type Values = ArrayLike<unknown> | { readonly constant: Cell };

async function rowsOfGroup(
  scan: ParquetScan,
  range: ParquetScan['ranges'][number],
  wanted: Wanted,
): Promise<GroupRows> {
  const constants = constantsOf(groupAt(scan.metadata, range.rowStart));
  const values = async (column: string): Promise<Values> => {
    const constant = constants.get(column);
    return constant === undefined ? scan.readColumn({ column, ...range }) : { constant };
  };
  let rows = Array.from({ length: range.rowEnd - range.rowStart }, (_, nth) => nth);
  for (const [name, value] of Object.entries(wanted)) {
    const found = await values(name);
    if (!('constant' in found)) rows = rows.filter((nth) => found[nth] === value);
    else if (found.constant !== value) rows = [];
  }
  return { rows, values };
}

function groupAt({ row_groups: groups }: FileMetaData, rowStart: number): RowGroup {
  let end = 0;
  const group = groups.find(({ num_rows: rows }) => (end += Number(rows)) > rowStart);
  if (!group) throw new Error(`no row ${rowStart}`);
  return group;
}

function bytesOf({ columns }: RowGroup): [start: number, end: number] {
  const chunks = columns.flatMap(({ meta_data: column }) => {
    if (!column) return [];
    const start = Number(column.dictionary_page_offset ?? column.data_page_offset);
    return [{ start, end: start + Number(column.total_compressed_size) }];
  });
  return [Math.min(...chunks.map(({ start }) => start)), Math.max(...chunks.map(({ end }) => end))];
}

/** Columns that have one value in a whole row group, as its statistics say: they need not be decoded. */
function constantsOf({ columns }: RowGroup): Map<string, Cell> {
  const found = new Map<string, Cell>();
  for (const { meta_data: column } of columns) {
    const { min_value: least, max_value: most, null_count: nulls, is_min_value_exact: isLeast, is_max_value_exact: isMost } = column?.statistics ?? {}; // oxfmt-ignore
    if (least !== most || Number(nulls) !== 0 || isLeast === false || isMost === false) continue;
    // Other types have values that are near the limits of their statistics.
    if (typeof least === 'string' || typeof least === 'boolean') found.set(column?.path_in_schema[0] ?? '', least);
  }
  return found;
}

function picked(values: Values, rows: readonly number[]): Cell[] {
  if ('constant' in values) return rows.map(() => values.constant);
  return rows.map((nth) => asCell(values[nth]));
}

function asCell(value: unknown): Cell {
  if (typeof value === 'bigint') return Number(value);
  if (typeof value === 'number' || typeof value === 'string' || typeof value === 'boolean') return value;
  return value === null || value === undefined ? null : JSON.stringify(value);
}

const COMPRESSORS = { ZSTD: (input: Uint8Array, size: number) => decompress(input, new Uint8Array(size)) };

const PARSERS = {
  dateFromDays: dayNumbered,
  timestampFromMilliseconds: (at: bigint): string => new Date(Number(at)).toISOString(),
  timestampFromMicroseconds: (at: bigint): string => new Date(Number(at / 1000n)).toISOString(),
  timestampFromNanoseconds: (at: bigint): string => new Date(Number(at / 1_000_000n)).toISOString(),
};

/** A file of which only parts are fetched, if the host can answer with parts. */
function inParts(file: string, byteLength: number): MartFile {
  const parts: { readonly start: number; readonly end: number; readonly body: Promise<ArrayBuffer> }[] = [];
  const part = async (start: number, end: number): Promise<ArrayBuffer> => {
    const response = await fetchFile(file, { range: `bytes=${start}-${end - 1}` });
    const body = await response.arrayBuffer();
    if (response.status === 206) return body;
    parts.push({ start: 0, end: byteLength, body: Promise.resolve(body) });
    return body.slice(start, end);
  };
  return {
    byteLength,
    fetchAhead(start, end) {
      const body = part(start, end);
      body.catch(() => {});
      parts.push({ start, end, body });
    },
    async slice(start, end = byteLength) {
      const known = parts.find((each) => each.start <= start && each.end >= end);
      return known ? (await known.body).slice(start - known.start, end - known.start) : part(start, end);
    },
  };
}

function remembered<K, T>(known: Map<K, Promise<T>>, key: K, make: () => Promise<T>): Promise<T> {
  const before = known.get(key);
  if (before) return before;
  const made = make();
  known.set(key, made);
  made.catch(() => known.delete(key));
  return made;
}

async function orDamaged<T>(file: string, decode: () => Promise<T>): Promise<T> {
  try {
    return await decode();
  } catch (error) {
    if (error instanceof FileError) throw error;
    throw new FileError(file, DAMAGED, false);
  }
}
