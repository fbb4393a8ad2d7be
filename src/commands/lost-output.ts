/** Standard output that cannot be written any more. */
import { DiskError, errorCode, type InsightsError } from '../kernel/errors.ts';

/** Ends a command whose output nobody reads any more, as after `| head`. That is not a failure. */
export class ReaderLeft extends Error {}

/** The error for output that was lost; undefined if its reader just left. */
export function lostOutput(error: Error): InsightsError | undefined {
  const code = errorCode(error) ?? 'error';
  if (code === 'EPIPE') return undefined;
  return new DiskError(`Standard output could not be written (${code}).`, {
    hint: 'The command itself was not disturbed: only its output is lost. Free some space where the output goes, then run it again.',
    cause: error,
  });
}
