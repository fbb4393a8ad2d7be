/** The local half of `verify`: every current file exists, and with `--deep` it is byte for byte what was written. */
import { join } from 'node:path';
import { TABLE_NAMES } from '../../model/tables.ts';
import type { TableName } from '../../model/tables.ts';
import { sqlText, sqlTexts } from '../../kernel/sql.ts';
import { DiskError } from '../../kernel/errors.ts';
import { asCount, asOptional, asText } from '../ledger/cells.ts';
import type { RowOf } from '../ledger/cells.ts';
import { OutOfMemoryError } from '../ledger/engine-errors.ts';
import { sizeOf, sha256Of } from '../../kernel/files.ts';
import { forgetMarts } from '../marts/mart-files.ts';
import type { Ledger } from '../ledger/ledger.ts';
import { FILE_FINGERPRINTS, dropFileFingerprints, readBack } from '../store/file-fingerprints.ts';
import type { BackedFile } from '../store/file-fingerprints.ts';
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
  readonly faults: readonly FileFault[];
}

export interface VerifyFilesOptions {
  readonly tenants?: readonly string[];
  readonly tables?: readonly TableName[];
  /** Reads each file; otherwise only its size is checked. @default true */
  readonly deep?: boolean;
  readonly signal?: AbortSignal;
}

/** Files that are read back in one statement: bounds memory, and the search for an unreadable file. */
const GROUP = 200;

const STORED_FILE = { file: asText, bytes: asCount, sha256: asText };
const PARTITION = { ...STORED_FILE, tenant: asText, period: asText, rows: asCount, digests: asOptional(asText) };

type StoredFile = RowOf<typeof STORED_FILE>;
type Partition = RowOf<typeof PARTITION>;

/**
 * Checks that each file exists and has its size; when deep, also compares its sha256 and the fingerprints of its hours with the
 * ledger. A faulty file is dropped from the ledger: its hours become partial and the next run fetches them again.
 */
export async function verifyFiles(ledger: Ledger, options: VerifyFilesOptions = {}): Promise<FilesReport> {
  const faults: FileFault[] = [];
  let [files, rows] = [0, 0];
  for (const table of options.tables ?? TABLE_NAMES) {
    const partitions = await ledger.exclusive(() => currentPartitions(ledger, table, options.tenants));
    for (let start = 0; start < partitions.length; start += GROUP) {
      options.signal?.throwIfAborted();
      const group = partitions.slice(start, start + GROUP);
      await ledger.onAllThreads(async () => {
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
      rows += group.reduce((sum, partition) => sum + partition.rows, 0);
    }
  }
  return { files, rows, faults };
}

/** The same for the files of marts: faulty ones are dropped from the ledger and the next publish computes them again. */
export async function verifyMarts(ledger: Ledger, deep: boolean): Promise<MartsReport> {
  return ledger.exclusive(async () => {
    const marts = await ledger.rows(
      'select file, bytes, sha256 from mart_files where superseded_at is null order by mart',
      STORED_FILE,
    );
    const faults: MartsReport['faults'][number][] = [];
    for (const mart of marts) {
      const fault = await faultOf(ledger, mart, deep);
      if (fault !== undefined) faults.push({ file: mart.file, fault });
    }
    if (faults.length > 0)
      await forgetMarts(
        ledger,
        faults.map(({ file }) => file),
      );
    return { files: marts.length, faults };
  });
}

/** How a file differs from what the ledger says; its content is read only when `deep`. */
async function faultOf(
  ledger: Ledger,
  { file, bytes, sha256 }: StoredFile,
  deep: boolean,
): Promise<'missing' | 'size' | 'sha256' | undefined> {
  const path = join(ledger.dataDir, file);
  const size = await sizeOf(path, ledger.files);
  if (size === undefined) return 'missing';
  if (size !== bytes) return 'size';
  return deep && (await sha256Of(path, ledger.files)) !== sha256 ? 'sha256' : undefined;
}

async function currentPartitions(
  ledger: Ledger,
  table: TableName,
  tenants: readonly string[] | undefined,
): Promise<Partition[]> {
  const ofTenants = tenants ? `and tenant in (${sqlTexts(tenants)})` : '';
  return ledger.rows(
    `select tenant, period, file, rows, bytes, sha256, digests from partitions
     where superseded_at is null and table_name = $1 ${ofTenants} order by tenant, period`,
    PARTITION,
    [table],
  );
}

async function checkGroup(
  ledger: Ledger,
  table: TableName,
  group: readonly Partition[],
  { deep = true }: VerifyFilesOptions,
): Promise<FileFault[]> {
  const faults: FileFault[] = [];
  const report = ({ tenant, period, file }: Partition, fault: FileFault['fault']): void => {
    faults.push({ tenant, table, period, file, fault });
  };
  const intact: Partition[] = [];
  for (const partition of group) {
    const fault = await faultOf(ledger, partition, deep);
    if (fault === undefined) intact.push(partition);
    else report(partition, fault);
  }
  if (!deep) return faults;
  const readable: Partition[] = [];
  try {
    await readBack(ledger, { table }, intact.map(asStored));
    readable.push(...intact);
  } catch (error) {
    if (isRefusal(error)) throw error;
    // A file has the bytes that were written and yet cannot be read: find it, then read the others.
    for (const partition of intact) {
      try {
        await readBack(ledger, { table }, [asStored(partition)]);
        readable.push(partition);
      } catch (fault) {
        if (isRefusal(fault)) throw fault;
        report(partition, 'unreadable');
      }
    }
    await readBack(ledger, { table }, readable.map(asStored));
  }
  const differing = await ledger.rows(
    `select distinct coalesce(found.file, held.file) as file
     from (select read.file, partitions.tenant, hour, fp from ${FILE_FINGERPRINTS} as read join partitions on partitions.file = read.file) as found
     full join (
       select partitions.file, hours.tenant, hours.hour, hours.lake
       from hours
       join partitions on partitions.tenant = hours.tenant and partitions.table_name = hours.table_name
         and partitions.superseded_at is null and hours.hour >= from_ts and hours.hour < to_ts
       where hours.table_name = ${sqlText(table)} and hours.lake.n > 0
         and partitions.file in (${sqlTexts(readable.map(({ file }) => file))})
     ) as held on held.file = found.file and held.hour = found.hour
     where found.fp is distinct from held.lake`,
    { file: asText },
  );
  await dropFileFingerprints(ledger);
  for (const partition of readable)
    if (differing.some(({ file }) => file === partition.file)) report(partition, 'fingerprint');
  return faults;
}

function asStored({ file, rows, digests }: Partition): BackedFile {
  return { file, rows, form: { digests } };
}

/** True when the disk or the memory failed: that says nothing about the file, which must not be dropped for it. */
export function isRefusal(error: unknown): boolean {
  return error instanceof DiskError || error instanceof OutOfMemoryError;
}
