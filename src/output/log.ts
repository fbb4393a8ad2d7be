/**
 * The log on standard error: JSON lines in a pipe, plain lines on a terminal. Secrets cannot print themselves
 * (`config/secret.ts`); the redaction here is a second line of defence, against header objects logged by mistake.
 */
import { pino, type Logger } from 'pino';
import { InsightsError } from '../kernel/errors.ts';
import { isJsonObject, parseJson } from '../kernel/json.ts';
import { folded } from './fold.ts';
import { duration } from './format.ts';
import { isText, levelOf, widthOf, type LogTarget, type Verbosity } from './log-options.ts';
import { visible, visibleLines } from './visible.ts';

const CENSOR = '[secret]';
const HEADERS = ['apiKey', 'token', 'authorization', 'Authorization', '["X-API-KEY"]', '["x-api-key"]'];

/** A pipe that nobody reads fills memory: beyond this, lines are dropped. */
const MOST_PENDING_BYTES = 1 << 20;

/** A pino logger over standard error. `context` is added to every line, as it is at that moment. */
export function createLog(target: LogTarget, options: Verbosity, context: () => object = () => ({})): Logger {
  const paths = HEADERS.flatMap((name) => [name, name.startsWith('[') ? `*${name}` : `*.${name}`]);
  const asText = isText(target, options);
  return pino(
    {
      level: levelOf(target, options),
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      redact: { paths, censor: CENSOR },
      // A copy, because pino adds the fields of the line to it.
      mixin: () => ({ ...context() }),
    },
    {
      write: (line: string) => {
        if ((target.writableLength ?? 0) <= MOST_PENDING_BYTES) target.write(asText ? sentence(line, target) : line);
      },
    },
  );
}

/** Characters of a line shown at most: an error that quotes a long value still fits a screen. Programs get all of it. */
const SHOWN = { message: 700, where: 300, hint: 600 } as const;

/** Lines of a message shown at most, together with the other two parts less than the 24 lines of a small terminal. */
const MOST_LINES = 12;

/** A list of mistakes ends with the number of those that are not shown. */
function withinScreen(text: string): string {
  const lines = text.split('\n');
  if (lines.length <= MOST_LINES) return text;
  return [...lines.slice(0, MOST_LINES - 1), `  … and ${lines.length - MOST_LINES + 1} more lines`].join('\n');
}

/** Shortens each line, for a list of mistakes has one per line. Keeps both ends: the end often says what is wrong with the value. */
function shortened(text: string, most: number): string {
  const end = Math.floor(most / 3);
  return text
    .split('\n')
    .map((line) => (line.length <= most ? line : `${line.slice(0, most - end - 1)}…${line.slice(-end)}`))
    .join('\n');
}

/** Reports an error: on a terminal in three lines (what, where, next), in a pipe as the last line of the log. */
export function writeError(
  target: LogTarget,
  options: Verbosity,
  error: InsightsError,
  context: object = {},
  hint: string | undefined = error.hint,
): void {
  const { failure, exitCode, message, where } = error;
  // Only the frames: the message above them may quote the data that was being read.
  const cause = failure === 'unexpected' && error.cause instanceof Error ? error.cause : error;
  const frames = options.verbose === true ? (cause.stack ?? '').split('\n').filter((line) => /^ +at /.test(line)) : [];
  if (!isText(target, options)) {
    const stack = frames.length > 0 ? { stack: frames.join('\n') } : {};
    const log = createLog(target, { ...options, logLevel: 'error' }, () => context);
    log.error({ event: 'error', failure, exitCode, where, hint, ...stack }, message);
    return;
  }
  const places = Object.entries(where).map(([key, value]) => `${key} ${value}`);
  const fit = (text: string): string => folded(visibleLines(text), widthOf(target));
  const parts = [withinScreen(fit(`error: ${shortened(message, SHOWN.message)}`))];
  if (places.length > 0) parts.push(fit(`where: ${shortened(places.join(', '), SHOWN.where)}`));
  if (hint !== undefined) parts.push(fit(`next:  ${shortened(hint, SHOWN.hint)}`));
  if (frames.length > 0) parts.push(fit(frames.join('\n')));
  target.write(`${parts.join('\n')}\n`);
}

/** What the text of a line already says, or what only programs read. */
const NOT_SHOWN = new Set(['level', 'time', 'event', 'msg', 'tenant', 'table', 'run', 'stack']);

/** A line for a person. Outside of a terminal, where nobody watches, it has the time and every field too. */
function sentence(line: string, target: LogTarget): string {
  const parsed = parseJson(line);
  if (!isJsonObject(parsed)) return '';
  const { level, time, event, msg, tenant, table, outcome, failure } = parsed;
  const isWatched = target.isTTY === true;
  // The summary that follows says how a table and the run ended.
  const isOfEnd =
    (table !== undefined && (outcome ?? failure) !== undefined) ||
    (typeof event === 'string' && event.startsWith('run.'));
  if (isWatched && isOfEnd) return '';
  const place = [tenant, table].filter((part) => typeof part === 'string').join(' ');
  const [kind, text] =
    event === 'call.retry' ? ['retry', retryText(parsed)] : [kindOf(Number(level)), typeof msg === 'string' ? msg : ''];
  const fields = Object.entries(parsed).filter(([name]) => !NOT_SHOWN.has(name));
  const details = fields.map(
    ([name, value]) => ` ${name}=${typeof value === 'string' ? value : JSON.stringify(value)}`,
  );
  const shown = isWatched || event === 'call.retry' ? text : text + details.join('');
  const prefix = isWatched ? '' : `${String(time)} `;
  return `${folded(`${prefix}${kind}: ${visible(`${place === '' ? '' : `${place}: `}${shown}`)}`, widthOf(target))}\n`;
}

function kindOf(level: number): string {
  if (level >= 50) return 'error';
  if (level >= 40) return 'warning';
  return level >= 30 ? 'info' : 'debug';
}

/** Reason, wait and attempt. */
function retryText({ trouble, attempt, attempts, afterMs }: Readonly<Record<string, unknown>>): string {
  const wait = Number(afterMs) > 0 ? ` in ${duration(Number(afterMs) / 1000)}` : ' now';
  return `${String(trouble)}; attempt ${Number(attempt) + 1} of ${String(attempts)}${wait}`;
}
