/** How the log is written: what the command line needs to know before anything is loaded. */
import type { Terminal } from './terminal.ts';

export const LOG_FORMATS = ['json', 'text'] as const;
export const LOG_LEVELS = ['debug', 'info', 'warn', 'error'] as const;

export interface Verbosity {
  readonly verbose?: boolean | undefined;
  readonly quiet?: boolean | undefined;
  /** @default text on a terminal, JSON elsewhere */
  readonly logFormat?: (typeof LOG_FORMATS)[number] | undefined;
  /** @default warn on a terminal, where bars show the rest, and info elsewhere */
  readonly logLevel?: (typeof LOG_LEVELS)[number] | undefined;
}

export type LogTarget = Pick<Terminal, 'isTTY' | 'columns' | 'write' | 'writableLength'>;

/** Whether the log, errors included, is text for a person. */
export function isText(target: LogTarget, { logFormat }: Verbosity): boolean {
  return logFormat === undefined ? target.isTTY === true : logFormat === 'text';
}

export function levelOf(target: LogTarget, { verbose, quiet, logLevel }: Verbosity): (typeof LOG_LEVELS)[number] {
  if (logLevel !== undefined) return logLevel;
  if (verbose === true) return 'debug';
  if (quiet === true) return 'error';
  return target.isTTY === true ? 'warn' : 'info';
}

/** Characters in a line of the log; undefined where no line is too long. */
export function widthOf({ isTTY, columns = 0 }: LogTarget): number | undefined {
  return isTTY === true && columns > 0 ? columns : undefined;
}
