/** The local half of `verify`: is every current file there, and with `--deep` is it, byte for byte, what was written? */
import { join } from 'node:path';
import { TABLE_NAMES } from '../../model/tables.ts';
import type { TableName } from '../../model/tables.ts';
import { sqlText } from '../../kernel/sql.ts';
import { DiskError } from '../../kernel/errors.ts';
import { count, OutOfMemoryError, text } from '../ledger/engine.ts';
import type { Row } from '../ledger/engine.ts';
import { sizeOf } from '../../kernel/files.ts';
import { forgetMarts } from '../marts/marts.ts';
import { sha256Of } from '../store/generation.ts';
import type { Ledger } from '../ledger/ledger.ts';
import { FILE_FINGERPRINTS, dropFileFingerprints, readBack } from '../store/file-fingerprints.ts';
import { dropPartitions } from './recover.ts';

interface FileFault {
  readonly tenant: string;
  readonly table: TableName;
  readonly period: string;
  /** Relative to the data directory. */
  readonly file: string;
  readonly fault: 'missing' | 'size' | 'sha256' | 'unreadable' | 'fingerprint';
}

export interface MartsReport {
  readonly files: number;
  readonly faults: readonly { readonly file: string; readonly fault: 'missing' | 'size' | 'sha256' }[];
}

export interface FilesReport {
  readonly files: number;
  readonly rows: number;
  readonly bytes: number;
  readonly faults: readonly FileFault[];
}

export interface VerifyFilesOptions {
  readonly tenants?: readonly string[];
  readonly tables?: readonly TableName[];
  /** Read each file; otherwise only see that it is there and has its size. @default true */
  readonly deep?: boolean;
  readonly signal?: AbortSignal;
  readonly onFile?: (bytes: number) => void;
}

/** Files that are read back in one statement: bounds memory, and an unreadable one is then looked for in its group. */
const GROUP = 200;

/**
 * Checks existence and size, and when deep the sha256 and the fingerprints of every hour against the ledger. A faulty file is dropped from
 * the ledger: its hours become partial and the next run fetches them again.
 */
export async function verifyFiles(ledger: Ledger, options: VerifyFilesOptions = {}): Promise<FilesReport> {
  const faults: FileFault[] = [];
  let [files, rows, bytes] = [0, 0, 0];
  for (const table of options.tables ?? TABLE_NAMES) {
    const partitions = await ledger.exclusive(() => currentPartitions(ledger, table, options.tenants));
    for (let start = 0; start < partitions.length; start += GROUP) {
      options.signal?.throwIfAborted();
      const group = partitions.slice(start, start + GROUP);
      await ledger.exclusive(async () => {
        const found = await checkGroup(ledger, table, group, options);
        if (found.length > 0) {
          await dropPartitions(
            ledger,
            found.map(({ file }) => file),
          );
          faults.push(...found);
        }
      });
      files += group.length;
      rows += group.reduce((sum, row) => sum + count(row, 'rows'), 0);
      bytes += group.reduce((sum, row) => sum + count(row, 'bytes'), 0);
    }
  }
  return { files, rows, bytes, faults };
}

/** As `verifyFiles`, for the files of marts: those at fault leave the ledger, and the next publish makes them anew. */
export async function verifyMarts(ledger: Ledger, deep: boolean): Promise<MartsReport> {
  return ledger.exclusive(async () => {
    const rows = await ledger.rawRows(
      'select mart, file, bytes, sha256 from mart_files where superseded_at is null order by mart',
    );
    const faults: MartsReport['faults'][number][] = [];
    for (const row of rows) {
      const fault = await faultOf(ledger, row, deep);
      if (fault !== undefined) faults.push({ file: text(row, 'file') ?? '', fault });
    }
    if (faults.length > 0)
      await forgetMarts(
        ledger,
        faults.map(({ file }) => file),
      );
    return { files: rows.length, faults };
  });
}

/** What is wrong with a file by what the ledger says of it; only its size is asked where not `deep`. */
async function faultOf(ledger: Ledger, row: Row, deep: boolean): Promise<'missing' | 'size' | 'sha256' | undefined> {
  const path = join(ledger.dataDir, text(row, 'file') ?? '');
  const size = await sizeOf(path, ledger.files);
  if (size === undefined) return 'missing';
  if (size !== count(row, 'bytes')) return 'size';
  return deep && (await sha256Of(path, ledger.files)) !== text(row, 'sha256') ? 'sha256' : undefined;
}

async function currentPartitions(
  ledger: Ledger,
  table: TableName,
  tenants: readonly string[] | undefined,
): Promise<Row[]> {
  const only = tenants ? `and tenant in (${[...tenants, ''].map(sqlText).join(', ')})` : '';
  return ledger.rawRows(
    `select tenant, period, file, rows, bytes, sha256 from partitions
     where superseded_at is null and table_name = $1 ${only} order by tenant, period`,
    [table],
  );
}

async function checkGroup(
  ledger: Ledger,
  table: TableName,
  group: readonly Row[],
  { deep = true, onFile }: VerifyFilesOptions,
): Promise<FileFault[]> {
  const faults: FileFault[] = [];
  const report = (row: Row, fault: FileFault['fault']): void => {
    faults.push({
      tenant: text(row, 'tenant') ?? '',
      table,
      period: text(row, 'period') ?? '',
      file: text(row, 'file') ?? '',
      fault,
    });
  };
  const intact: Row[] = [];
  for (const row of group) {
    const fault = await faultOf(ledger, row, deep);
    if (fault === undefined) intact.push(row);
    else report(row, fault);
    onFile?.(count(row, 'bytes'));
  }
  if (!deep) return faults;
  const named = (row: Row): { file: string; rows: number } => ({
    file: text(row, 'file') ?? '',
    rows: count(row, 'rows'),
  });
  const readable: Row[] = [];
  try {
    await readBack(ledger, { table }, intact.map(named));
    readable.push(...intact);
  } catch (error) {
    if (isRefusal(error)) throw error;
    // Bytes as written and yet not readable: find which, then read the others.
    for (const row of intact) {
      try {
        await readBack(ledger, { table }, [named(row)]);
        readable.push(row);
      } catch (fault) {
        if (isRefusal(fault)) throw fault;
        report(row, 'unreadable');
      }
    }
    await readBack(ledger, { table }, readable.map(named));
  }
  const wrong = await ledger.rawRows(
    `select distinct coalesce(found.file, held.file) as file
     from (select read.file, partitions.tenant, hour, fp from ${FILE_FINGERPRINTS} as read join partitions on partitions.file = read.file) as found
     full join (
       select partitions.file, hours.tenant, hours.hour, hours.lake
       from hours
       join partitions on partitions.tenant = hours.tenant and partitions.table_name = hours.table_name
         and partitions.superseded_at is null and hours.hour >= from_ts and hours.hour < to_ts
       where hours.table_name = ${sqlText(table)} and hours.lake.n > 0
         and partitions.file in (${['', ...readable.map((row) => text(row, 'file') ?? '')].map(sqlText).join(', ')})
     ) as held on held.file = found.file and held.hour = found.hour
     where found.fp is distinct from held.lake`,
  );
  await dropFileFingerprints(ledger);
  for (const row of readable) {
    if (wrong.some((candidate) => text(candidate, 'file') === text(row, 'file'))) report(row, 'fingerprint');
  }
  return faults;
}

/** The disk or the memory refused: that says nothing about the file, which must not be given up for it. */
export function isRefusal(error: unknown): boolean {
  return error instanceof DiskError || error instanceof OutOfMemoryError;
}
