/**
 * The log: JSON lines in a pipe, plain warnings on a terminal. Secrets cannot print themselves (`config/secret.ts`); the
 * redaction here is a second line of defence, against header objects logged by mistake.
 */
import { pino, type Logger } from 'pino';
import { z } from 'zod';
import type { Terminal } from './terminal.ts';

const CENSOR = '[secret]';
const HEADERS = ['apiKey', 'token', 'authorization', 'Authorization', '["X-API-KEY"]', '["x-api-key"]'];

export interface Verbosity {
  readonly verbose?: boolean | undefined;
  readonly quiet?: boolean | undefined;
}

/** A pino logger over standard error. On a terminal it prints only warnings, because bars show the rest. */
export function createLog(terminal: Terminal, { verbose, quiet }: Verbosity): Logger {
  const person = terminal.isTTY === true && verbose !== true;
  const level = verbose === true ? 'debug' : quiet === true ? 'error' : person ? 'warn' : 'info';
  const paths = HEADERS.flatMap((name) => [name, name.startsWith('[') ? `*${name}` : `*.${name}`]);
  return pino(
    { level, base: null, timestamp: pino.stdTimeFunctions.isoTime, redact: { paths, censor: CENSOR } },
    { write: (line: string) => void terminal.write(person ? sentence(line) : line) },
  );
}

const logLine = z.object({
  level: z.number(),
  msg: z.string().default(''),
  tenant: z.string().optional(),
  table: z.string().optional(),
  outcome: z.string().optional(),
  failure: z.string().optional(),
});

function sentence(line: string): string {
  const { level, msg, tenant, table, outcome, failure } = logLine.parse(JSON.parse(line));
  // The summary that follows says how a table ended.
  if (table !== undefined && (outcome ?? failure) !== undefined) return '';
  const place = [tenant, table].filter((part) => part !== undefined).join(' ');
  return `${level >= 50 ? 'error' : 'warning'}: ${place === '' ? '' : `${place}: `}${msg}\n`;
}
