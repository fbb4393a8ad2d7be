/**
 * Finds out whether a file of the store is damaged, for `repair`. A damaged file is set aside under another name: some of
 * its rows may be readable and no longer at the source.
 */
import { dirname, join } from 'node:path';
import { errorCode } from '../../kernel/errors.ts';
import { isMissing, syncPath, sha256Of } from '../../kernel/files.ts';
import { sqlText } from '../../kernel/sql.ts';
import { DAMAGED } from '../../model/data-dir.ts';
import type { RepairReport } from '../../model/maintenance-report.ts';
import type { TableName } from '../../model/tables.ts';
import { asCount, asText } from '../ledger/cells.ts';
import type { Ledger } from '../ledger/ledger.ts';
import { parquetSql } from '../ledger/sql.ts';
import { readBack } from '../store/file-fingerprints.ts';
import { FORM_METADATA } from '../store/form.ts';
import type { Form } from '../store/form.ts';
import type { Generation } from '../store/generation.ts';
import { isRefusal } from './verify.ts';

type Contents = Pick<Generation, 'rows' | 'bytes' | 'sha256' | 'form'>;
type Problem = Pick<RepairReport['damaged'][number], 'problem'>;

/** The codes of a file that itself cannot be read; other codes say that the disk or the access to it fails. */
const DAMAGED_CODES: readonly (string | undefined)[] = ['EIO', 'EISDIR', 'ENOENT', 'ELOOP', 'EUCLEAN', 'EBADMSG'];

/** `expected`: the sha256 that was recorded. Without one, every column of the file is read. Throws when the disk or the memory fails. */
export async function examineGeneration(
  ledger: Ledger,
  table: TableName,
  file: string,
  expected: string | undefined,
): Promise<Contents | Problem> {
  const path = join(ledger.dataDir, file);
  try {
    const { size: bytes } = await ledger.files.stat(path);
    const sha256 = await sha256Of(path, ledger.files);
    if (expected !== undefined && sha256 !== expected) return { problem: 'sha256' };
    // The footer is enough for a count, so the select also asks for columns.
    const read = expected === undefined ? 'bit_xor(hash(stored))' : 'max("timestamp")';
    const { rows } = await ledger.row(`select count(*) as rows, ${read} as read from ${parquetSql([path])} as stored`, {
      rows: asCount,
    });
    const form = await writtenForm(ledger, path);
    if (expected === undefined) await readBack(ledger, { table }, [{ file, rows, form }]);
    return { rows, bytes, sha256, form };
  } catch (error) {
    if (isRefusal(error)) throw error;
    if (error instanceof Error && errorCode(error) !== undefined && !DAMAGED_CODES.includes(errorCode(error)))
      throw error;
    return { problem: 'unreadable' };
  }
}

/** The next run would remove the file as unknown; under the name of a damaged one it stays. */
export async function setFileAside({ dataDir, files }: Ledger, file: string): Promise<void> {
  const path = join(dataDir, file);
  await files.rename(path, path + DAMAGED).catch((error: unknown) => {
    if (!isMissing(error)) throw error;
  });
  await syncPath(dirname(path), files);
}

/** The columns and privacy rules that a file was written with, from its own metadata. */
async function writtenForm(ledger: Ledger, path: string): Promise<Form> {
  const rows = await ledger.rows(
    `select decode(key) as key, decode(value) as value from parquet_kv_metadata(${sqlText(path)}) where decode(key) like 'insights.%'`,
    { key: asText, value: asText },
  );
  const metadata = new Map(rows.map(({ key, value }) => [key, value]));
  return {
    promotion: metadata.get(FORM_METADATA.promotion),
    privacy: metadata.get(FORM_METADATA.privacy),
    digests: metadata.get(FORM_METADATA.digests),
  };
}
