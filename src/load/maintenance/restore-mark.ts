/**
 * The mark of a restore, a small database in the folder that becomes a lake. It is written first: with it, what is in the folder is the
 * restore's own, and the same command continues. Its lock ends with the process, as that of the ledger does. When the lake is complete, it
 * holds the report, for the same command once more, until the lake is used.
 */
import { join } from 'node:path';
import { z } from 'zod';
import { DamagedError } from '../../kernel/errors.ts';
import { pathExists, syncPath } from '../../kernel/files.ts';
import type { Files } from '../../kernel/files.ts';
import { parseJson } from '../../kernel/json.ts';
import { RESTORE_FILE, WAL, WORK_FOLDER } from '../../model/data-dir.ts';
import { asText } from '../ledger/cells.ts';
import { openEngine } from '../ledger/engine.ts';
import type { Engine, EngineSettings } from '../ledger/engine.ts';

const RESTORED = z.object({
  from: z.string(),
  snapshot: z.int(),
  publishedAt: z.string(),
  files: z.int(),
  rows: z.int(),
  dataDir: z.string(),
  withLedger: z.boolean(),
  damaged: z.array(z.object({ file: z.string(), problem: z.enum(['missing', 'size', 'sha256', 'unreadable']) })),
  logs: z.array(z.string()).optional(),
});

export interface Restored {
  /** The snapshot's folder, or the mirror. */
  readonly from: string;
  readonly snapshot: number;
  readonly publishedAt: string;
  /** Files and rows that are restored. */
  readonly files: number;
  readonly rows: number;
  readonly dataDir: string;
  /** False: the ledger was built from the files, as by `repair`. */
  readonly withLedger: boolean;
  /** Files of the source that are damaged. They are left out, so that the next run fetches what they held. */
  readonly damaged: z.output<typeof RESTORED>['damaged'];
  /** Delta logs that lack an entry in a mirror. They are left out, and publishing writes new ones from the ledger. */
  readonly logs?: readonly string[] | undefined;
}

export interface RestoreMark extends AsyncDisposable {
  /** What an earlier restore from this source has ended with. */
  ended(source: string): Promise<Restored | undefined>;
  /** Call it before the lake is complete. */
  end(source: string, restored: Restored): Promise<void>;
}

export async function isMarked(files: Files, folder: string): Promise<boolean> {
  return pathExists(join(folder, RESTORE_FILE), files);
}

/** Marks a folder and takes the lock of its restore. Throws LockedError while another process holds it, DiskError. */
export async function markRestore(files: Files, folder: string, settings: EngineSettings): Promise<RestoreMark> {
  const [path, work] = [join(folder, RESTORE_FILE), join(folder, WORK_FOLDER)];
  await files.mkdir(work, { recursive: true, mode: 0o700 });
  let engine: Engine;
  try {
    engine = await openEngine(path, work, settings);
  } catch (error) {
    if (!(error instanceof DamagedError)) throw error;
    // A restore was cut off while it wrote the mark.
    for (const suffix of ['', WAL]) await files.rm(path + suffix, { force: true });
    engine = await openEngine(path, work, settings);
  }
  try {
    await engine.run('create table if not exists restored (source varchar not null, report varchar not null)');
    await engine.run('checkpoint');
    await syncPath(folder, files);
  } catch (error) {
    await engine.close();
    throw error;
  }
  return {
    async ended(source) {
      const [row] = await engine.rows('select report from restored where source = $1', { report: asText }, [source]);
      return row && RESTORED.safeParse(parseJson(row.report)).data;
    },
    async end(source, restored) {
      await engine.transaction(async () => {
        await engine.run('delete from restored');
        await engine.run('insert into restored values ($1, $2)', [source, JSON.stringify(restored)]);
      });
      await engine.run('checkpoint');
    },
    [Symbol.asyncDispose]: () => engine.close(),
  };
}
