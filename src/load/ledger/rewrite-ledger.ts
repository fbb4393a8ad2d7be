/** Rewrites the ledger: deleted rows stay in a database file until their blocks are reused, so purged data needs a new file. */
import { join } from 'node:path';
import { DuckDBInstance } from '@duckdb/node-api';
import { syncPath, TEMPORARY } from '../../kernel/files.ts';
import type { Files } from '../../kernel/files.ts';
import { sqlText } from '../../kernel/sql.ts';
import { LEDGER_FILE } from '../../model/data-dir.ts';

/** Replaces the ledger with a copy of its current content. The ledger must not be open. */
export async function rewriteLedger(dataDir: string, files: Files): Promise<void> {
  const file = join(dataDir, LEDGER_FILE);
  const fresh = `${file}${TEMPORARY}`;
  await files.rm(fresh, { force: true });
  const instance = await DuckDBInstance.create(':memory:');
  const connection = await instance.connect();
  try {
    await connection.run(
      `attach ${sqlText(file)} as old; attach ${sqlText(fresh)} as new; copy from database old to new`,
    );
    await connection.run('detach new');
    await syncPath(fresh, files);
    // The old file is still attached and thereby locked, so no other process can write to the file that is replaced.
    await files.rename(fresh, file);
  } finally {
    connection.closeSync();
    instance.closeSync();
  }
  await syncPath(dataDir, files);
}
