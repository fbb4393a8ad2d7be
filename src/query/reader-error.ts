/** What an error of the engine means to a reader of the lake. */
import { accessSync, constants } from 'node:fs';
import { isCorruptDatabase, isDamagedParquet, parquetFileIn } from '../kernel/engine-text.ts';
import { ConfigError, DamagedError, DiskError, errorCode, InsightsError } from '../kernel/errors.ts';
import { shownMessage } from './engine-message.ts';

export const PUBLISH_HINT = 'Run `insights-etl publish`. It writes the catalogue again, without a call to the source.';

/** The engine reports a file in a folder without access as missing. */
function isDenied(file: string): boolean {
  try {
    accessSync(file, constants.R_OK);
    return false;
  } catch (error) {
    return ['EACCES', 'EPERM'].includes(errorCode(error) ?? '');
  }
}

/** The error to throw for an error of the engine. `shownMessage` decides what it shows of DuckDB's message. */
export function readerError(error: unknown, signal: AbortSignal | undefined): unknown {
  if (signal?.aborted === true) return signal.reason;
  if (error instanceof InsightsError || !(error instanceof Error)) return error;
  const line = error.message.split('\n')[0] ?? error.message;
  if (/No space left|Disk quota/.test(line))
    return new DiskError('The disk is full.', {
      hint: 'Free some space, or choose a folder on another disk.',
      cause: error,
    });
  if (isCorruptDatabase(line))
    return new DamagedError('The catalogue is damaged.', { hint: PUBLISH_HINT, cause: error });
  // Catalogues of version 6 and older name their files by absolute path.
  if (/^Permission Error: Cannot access file ".*\.parquet"/.test(line))
    return new DamagedError('The catalogue names files in another folder: the lake was moved or copied.', {
      hint: 'Run `insights-etl publish` once in the new place. It writes the catalogue again, without a call to the source.',
      cause: error,
    });
  if (isDamagedParquet(line)) {
    const file = parquetFileIn(line);
    if (file !== undefined && isDenied(file))
      return new DiskError('A file of the lake cannot be read: permission is denied.', {
        hint: 'Grant access to it and to its folders: docs/operate.md, Access for other users.',
        where: { file },
        cause: error,
      });
    return new DamagedError('A Parquet file of the lake is missing or damaged.', {
      hint: 'Run `insights-etl verify --deep`, which names it, then `insights-etl run`, which fetches its rows again.',
      ...(file === undefined ? {} : { where: { file } }),
      cause: error,
    });
  }
  const [, missing] =
    /^Catalog Error: Table with name (history_limits|lake_files|coverage|snapshot) does not exist/.exec(line) ?? [];
  if (missing !== undefined)
    return new ConfigError(
      `The catalogue was written by an older version of the program: it has no table ${missing}.`,
      {
        hint: PUBLISH_HINT,
        cause: error,
      },
    );
  return new ConfigError(`The statement failed: ${shownMessage(error.message)}`, {
    hint: '"show tables" lists the views, "describe events" the columns of one.',
  });
}
