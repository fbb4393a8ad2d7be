/**
 * The errors of DuckDB as errors of the program. The binding's errors have no code, so their text is interpreted here and nowhere else.
 */
import { isCorruptDatabase, isDamagedParquet, parquetFileIn } from '../../kernel/engine-text.ts';
import { LEDGER_FILE } from '../../model/data-dir.ts';
import { DamagedError, DiskError, InsightsError, LockedError } from '../../kernel/errors.ts';

/** The memory limit is too small even when the engine spills to disk. */
export class OutOfMemoryError extends InsightsError {
  constructor() {
    super('unexpected', 'The engine ran out of memory.', {
      hint: 'Raise engine.memoryLimit or lower reconcile.batchBytes.',
    });
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** What a database that cannot be opened says. */
export function openingError(error: unknown, path: string): Error {
  const message = messageOf(error);
  if (isCorruptDatabase(message)) return damagedLedger(path);
  if (/lock on file|already attached|file handle conflict/i.test(message)) {
    const pid = /PID (\d+)/.exec(message)?.[1];
    return new LockedError(
      `Another process is using the data directory${pid ? ` (process ${pid})` : ''}: ${path} is locked.`,
      { hint: 'Wait until that process ends, or use another --data-dir.', where: pid ? { pid: Number(pid) } : {} },
    );
  }
  const disk = diskError(message);
  if (disk) return disk;
  return new DamagedError(`The ledger ${path} cannot be opened.`, { hint: REPAIR_HINT, cause: error });
}

const REPAIR_HINT = 'Run `insights-etl repair`: it rebuilds the ledger from the Parquet files.';

function damagedLedger(path?: string): DamagedError {
  return new DamagedError(`A block of the ledger ${path ?? LEDGER_FILE} is damaged.`, { hint: REPAIR_HINT });
}

function diskError(message: string): DiskError | undefined {
  if (/no space left|disk full|ENOSPC|max_temp_directory_size/i.test(message)) {
    return new DiskError('The disk is full.', {
      hint: 'Free space on the disk of the data directory, then run again. Nothing is lost.',
    });
  }
  if (/permission denied|read-only file system|EACCES|EROFS/i.test(message)) {
    return new DiskError('The data directory cannot be written.', { hint: 'Check its owner and permissions.' });
  }
  // Any other failed write. The engine uses its own words here, often without the system's reason.
  if (
    /input\/output error|file too large|quota exceeded|could not (write|fsync|truncate)|checkpoint.* failed/i.test(
      message,
    )
  ) {
    return new DiskError('A file in the data directory cannot be written.', {
      hint: 'Check the disk, its quotas and limits, then run again. Nothing is lost.',
    });
  }
  return undefined;
}

/** A Parquet file that is missing or damaged; undefined for any other error. */
function parquetError(message: string): DamagedError | undefined {
  if (!isDamagedParquet(message)) return undefined;
  const file = parquetFileIn(message);
  return new DamagedError('A Parquet file is missing, truncated or overwritten.', {
    hint: 'Run `insights-etl verify --deep`, which names it, then `insights-etl run`, which fetches the lost rows again.',
    ...(file === undefined ? {} : { where: { file } }),
  });
}

/** What a statement that failed says, without a cell of any row. */
export function statementError(error: unknown): Error {
  if (error instanceof InsightsError) return error;
  const message = messageOf(error);
  if (isCorruptDatabase(message)) return damagedLedger();
  const disk = diskError(message);
  if (disk) return disk;
  const parquet = parquetError(message);
  if (parquet) return parquet;
  if (/out of memory/i.test(message)) {
    return new OutOfMemoryError();
  }
  // Only the first line, with quoted text blanked: a conversion or CSV error quotes the row that it failed on.
  const [firstLine = ''] = message.split('\n');
  const shown = /^(Binder|Catalog|Parser) Error/.test(message)
    ? message
    : firstLine.replaceAll(/'[^']*'|"[^"]*"/g, "'…'");
  return new InsightsError('unexpected', `The engine could not run a statement: ${shown.slice(0, 300)}`);
}
