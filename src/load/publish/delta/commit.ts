/**
 * One commit of a Delta table, as data and text. Pure: what the log says now and what the table should hold come in, and the lines of
 * the next entry go out. https://github.com/delta-io/delta/blob/master/PROTOCOL.md
 *
 * Paths in the log are encoded as in a URL. Ids of tenants, months, numbers and names of reports have no character that would change.
 */
import { createHash } from 'node:crypto';
import { isJsonObject, parseJson } from '../../../kernel/json.ts';
import { packageVersion } from '../../../kernel/version.ts';

/** Changes with the structure of the entries, so that an upgraded program starts the logs again. */
const FORMAT = 1;

/** The writer, in `txn`: its version is the snapshot. */
export const APP_ID = 'insights-etl';

/** All that the newest entry says for the next one, in `commitInfo`. */
export interface Own {
  readonly format: number;
  /** Id of the table. */
  readonly table: string;
  readonly createdTime: number;
  /** Digest of `metaData`. */
  readonly metadata: string;
  /** Digest of the paths of all files that the table has after this commit. */
  readonly files: string;
  /** The entry adds every file that the table has. */
  readonly isWhole: boolean;
  readonly keepSeconds: number;
}

export interface Entry {
  readonly version: number;
  /** Undefined: another program wrote it. */
  readonly own: Own | undefined;
  /** Milliseconds. */
  readonly timestamp: number;
  readonly added: readonly string[];
  readonly removed: readonly string[];
  /** It only informs, as an entry that a `VACUUM` leaves. */
  readonly onlyInforms: boolean;
}

/** Reads an entry. Undefined: it is damaged. */
export function parseEntry(version: number, text: string): Entry | undefined {
  const added: string[] = [];
  const removed: string[] = [];
  let [own, timestamp, onlyInforms]: [Own | undefined, number, boolean] = [undefined, 0, true];
  const lines = text.split('\n').filter((line) => line !== '');
  if (lines.length === 0) return undefined;
  for (const line of lines) {
    const action = parseJson(line);
    if (!isJsonObject(action)) return undefined;
    const { add, remove, commitInfo: info } = action;
    if (isJsonObject(add)) added.push(String(add['path']));
    else if (isJsonObject(remove)) removed.push(String(remove['path']));
    if (!isJsonObject(info)) onlyInforms = false;
    else {
      timestamp = Number(info['timestamp']);
      own = ownOf(info[APP_ID]) ?? own;
    }
  }
  return { version, own, timestamp, added, removed, onlyInforms };
}

function ownOf(value: unknown): Own | undefined {
  if (!isJsonObject(value)) return undefined;
  return {
    format: Number(value['format']),
    table: String(value['table']),
    createdTime: Number(value['createdTime']),
    metadata: String(value['metadata']),
    files: String(value['files']),
    isWhole: value['isWhole'] === true,
    keepSeconds: Number(value['keepSeconds']),
  };
}

/** The paths that a table has after these entries, of which each follows the one before. */
export function activePaths(before: Iterable<string>, entries: readonly Entry[]): Set<string> {
  const active = new Set(before);
  for (const { added, removed } of entries) {
    for (const path of removed) active.delete(path);
    for (const path of added) active.add(path);
  }
  return active;
}

/** What a table is now. */
export interface TableNow {
  readonly name: string;
  readonly description: string;
  readonly schema: string;
  readonly partitionColumns: readonly string[];
  /** Digest of the paths of its files. */
  readonly files: string;
  readonly keepSeconds: number;
}

/** When and by what a commit is made. */
export interface Occasion {
  readonly snapshot: number;
  readonly run: string;
  readonly nowMs: number;
  /** What is known of the hours or days that the table covers. No names of tenants. */
  readonly coverage: Readonly<Record<string, unknown>>;
}

export interface Change {
  /** Lines of the files that the table has now and did not have before: `add` as JSON. */
  readonly adds: readonly string[];
  readonly removes: readonly string[];
  /** `adds` has every file of the table. */
  readonly isWhole: boolean;
}

/** `before`: what the newest entry says; undefined for a log that starts or starts again, whose first entry is whole. */
export function entryText(
  table: TableNow,
  before: Own | undefined,
  { adds, removes, isWhole }: Change,
  at: Occasion,
): string {
  const { snapshot, run, nowMs, coverage } = at;
  const metadata = metadataOf(table, before ?? newTable(table.name, at));
  const own: Own = {
    format: FORMAT,
    table: metadata.id,
    createdTime: metadata.createdTime,
    metadata: metadataDigest(table),
    files: table.files,
    isWhole,
    keepSeconds: table.keepSeconds,
  };
  const info = {
    timestamp: nowMs,
    operation: 'PUBLISH',
    operationParameters: { run, snapshot: String(snapshot), coverage: JSON.stringify(coverage) },
    operationMetrics: { numAddedFiles: String(adds.length), numRemovedFiles: String(removes.length) },
    isBlindAppend: false,
    engineInfo: `${APP_ID}/${packageVersion()}`,
    [APP_ID]: own,
  };
  const lines = [
    JSON.stringify({ commitInfo: info }),
    ...(before === undefined ? [JSON.stringify({ protocol: PROTOCOL })] : []),
    ...(before?.metadata === own.metadata ? [] : [JSON.stringify({ metaData: metadata })]),
    JSON.stringify({ txn: { appId: APP_ID, version: snapshot, lastUpdated: nowMs } }),
    ...removes.map((path) => JSON.stringify({ remove: { path, deletionTimestamp: nowMs, dataChange: true } })),
    ...adds,
  ];
  return `${lines.join('\n')}\n`;
}

export const PROTOCOL = { minReaderVersion: 1, minWriterVersion: 2 } as const;

/** Whether the newest entry describes what the table is now. */
export function isCurrent(own: Own, table: Pick<TableNow, 'files' | 'keepSeconds'>): boolean {
  return own.format === FORMAT && own.files === table.files && own.keepSeconds === table.keepSeconds;
}

/** False for an entry of a version of the program that wrote other entries. */
export function isReadable({ format }: Own): boolean {
  return format === FORMAT;
}

/** A digest of all that `metaData` says, except of the table's id. */
export function metadataDigest({ description, schema, partitionColumns, keepSeconds }: TableNow): string {
  return sha256(JSON.stringify([description, schema, partitionColumns, keepSeconds]));
}

type MetaData = ReturnType<typeof metadataOf>;

/** The action `metaData`. */
export function metadataOf(
  { name, description, schema, partitionColumns, keepSeconds }: TableNow,
  { table: id, createdTime }: Pick<Own, 'table' | 'createdTime'>,
) {
  const retention = `interval ${keepSeconds} seconds`;
  return {
    id,
    name,
    description,
    format: { provider: 'parquet', options: {} },
    schemaString: schema,
    partitionColumns,
    configuration: { 'delta.deletedFileRetentionDuration': retention, 'delta.logRetentionDuration': retention },
    createdTime,
  };
}

/** An id that no earlier log of the table had, so that readers with an open table notice that it is another. */
function newTable(name: string, { snapshot, nowMs }: Occasion): Pick<MetaData & Own, 'table' | 'createdTime'> {
  const hex = sha256(`${name} ${snapshot} ${nowMs}`);
  const parts = [
    hex.slice(0, 8),
    hex.slice(8, 12),
    `8${hex.slice(13, 16)}`,
    `8${hex.slice(17, 20)}`,
    hex.slice(20, 32),
  ];
  return { table: parts.join('-'), createdTime: nowMs };
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}

/** Entries from one checkpoint to the next. */
const BETWEEN_CHECKPOINTS = 20;
/** After an entry with more lines, readers would read it again and again. */
const LARGE_ENTRY = 1000;

export function isCheckpointDue(version: number, { adds, removes }: Pick<Change, 'adds' | 'removes'>): boolean {
  return version > 0 && (version % BETWEEN_CHECKPOINTS === 0 || adds.length + removes.length > LARGE_ENTRY);
}
