/**
 * The prompt of `sql`: statements end with a semicolon, Tab completes, the arrows go through what was asked before. Each
 * statement opens the catalogue anew, so it sees what a run has published meanwhile and never holds a file of an old
 * snapshot open. Ctrl-C stops a statement, Ctrl-D leaves.
 */
import { chmod, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface, type Interface } from 'node:readline/promises';
import { InsightsError, StoppedError } from '../kernel/errors.ts';
import { FORMATS, printRows, type Format } from '../output/rows.ts';
import { printing } from './answer.ts';
import type { Session } from './shell.ts';
import { cutStatements, isEmpty } from './statements.ts';

const HISTORY_FILE = '.sql_history';
const HISTORY_LINES = 1000;
const READY = 'insights> ';
const MORE = '     ...> ';

const KEYWORDS =
  `select from where group by all order having limit distinct join left using on and or not null is in like
  between case when then else end as with union count sum avg min max asc desc describe show tables summarize interval
  date_trunc timestamp explain`.split(/\s+/);

const HELP = `Statements end with a semicolon and may take several lines. Nothing can be changed here.
  show tables;          the tables and views       describe events;   the columns of one
  .format <form>        ${FORMATS.join(', ')}
  .help  .quit          Ctrl-C stops a statement, Ctrl-D leaves
`;

interface Talk {
  readonly session: Session;
  readonly lines: Interface;
  format: Format;
  /** Lines that no semicolon has ended yet. */
  pending: string;
  /** Stops the statement that is running. */
  running: AbortController | undefined;
}

/** Talks until the input ends; returns the exit code. Failures of statements are told and do not end it. */
export async function prompt(session: Session, stdin: NodeJS.ReadableStream, format: Format): Promise<number> {
  const { config, io, signal } = session;
  const historyFile = join(config.dataDir, HISTORY_FILE);
  let history = await readHistory(historyFile);
  let words: Promise<readonly string[]> | undefined;
  const lines = createInterface({
    input: stdin,
    output: io.stdout,
    terminal: true,
    prompt: READY,
    history,
    historySize: HISTORY_LINES,
    removeHistoryDuplicates: true,
    // A completer that fails completes nothing.
    completer: async (line: string) => {
      words ??= catalogueWords(session).catch(() => KEYWORDS);
      return completions(line, await words);
    },
  });
  const talk: Talk = { session, lines, format, pending: '', running: undefined };
  lines.on('history', (entries: string[]) => (history = [...entries]));
  lines.on('SIGINT', () => giveUp(talk));
  const leave = (): void => lines.close();
  signal.addEventListener('abort', leave, { once: true });
  lines.prompt();
  try {
    for await (const line of lines) {
      if (!(await take(talk, line))) break;
      lines.setPrompt(talk.pending === '' ? READY : MORE);
      lines.prompt();
    }
  } finally {
    signal.removeEventListener('abort', leave);
    lines.close();
    await keepHistory(historyFile, history);
  }
  signal.throwIfAborted();
  io.stdout.write('\n');
  return 0;
}

/** Takes one line; false ends the talk. */
async function take(talk: Talk, line: string): Promise<boolean> {
  if (talk.pending === '' && line.startsWith('.')) {
    const [command = '', word = ''] = line.trim().split(/\s+/);
    if (command === '.quit' || command === '.exit') return false;
    const format = FORMATS.find((known) => known === word);
    if (command === '.format' && format !== undefined) talk.format = format;
    else talk.session.io.stdout.write(HELP);
    return true;
  }
  const { statements, rest } = cutStatements(`${talk.pending}${line}\n`);
  talk.pending = isEmpty(rest) ? '' : rest;
  for (const statement of statements) await runOne(talk, statement);
  return true;
}

async function runOne(talk: Talk, statement: string): Promise<void> {
  const { config, io, signal } = talk.session;
  const running = new AbortController();
  talk.running = running;
  try {
    const { openReader } = await import('../query/reader.ts');
    await using reader = await openReader(config.dataDir, config.engine, AbortSignal.any([signal, running.signal]));
    await printRows(await reader.query(statement), talk.format, printing(talk.session));
  } catch (error) {
    const known = error instanceof InsightsError ? error : undefined;
    const what = known?.message ?? `Unexpected ${error instanceof Error ? error.name : typeof error}.`;
    io.stdout.write(`error: ${what}\n${known?.hint === undefined ? '' : `next:  ${known.hint}\n`}`);
  } finally {
    talk.running = undefined;
  }
}

/** Ctrl-C: the statement that runs, or else the lines that were begun. */
function giveUp(talk: Talk): void {
  if (talk.running !== undefined) {
    talk.running.abort(new StoppedError('Stopped.'));
    return;
  }
  talk.pending = '';
  talk.lines.setPrompt(READY);
  // Ends and empties the line that is being written.
  talk.lines.write(null, { ctrl: true, name: 'e' });
  talk.lines.write(null, { ctrl: true, name: 'u' });
  talk.lines.prompt();
}

/** Names of tables and columns, and keywords. */
async function catalogueWords({ config }: Session): Promise<readonly string[]> {
  const { openReader, textRows } = await import('../query/reader.ts');
  await using reader = await openReader(config.dataDir, config.engine);
  const names = await textRows(
    reader,
    `select distinct unnest([table_name, column_name]) from information_schema.columns
     union select distinct schema_name from duckdb_views() where not internal`,
  );
  return [...new Set([...KEYWORDS, ...names.flat()])].sort();
}

function completions(line: string, words: readonly string[]): [string[], string] {
  const begun = /\w*$/.exec(line)?.[0] ?? '';
  const found = begun === '' ? [] : words.filter((word) => word.toLowerCase().startsWith(begun.toLowerCase()));
  return [found, begun];
}

/** Newest first, as readline keeps it. */
async function readHistory(path: string): Promise<string[]> {
  const text = await readFile(path, 'utf8').catch(() => '');
  return text.split('\n').filter((line) => line !== '').reverse(); // prettier-ignore
}

/** For its owner alone: statements may name people. A data directory that is read-only to us keeps none. */
async function keepHistory(path: string, history: readonly string[]): Promise<void> {
  if (history.length === 0) return;
  try {
    await writeFile(path, `${[...history].reverse().join('\n')}\n`, { mode: 0o600 });
    await chmod(path, 0o600);
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : '';
    if (!/^(EACCES|EROFS|EPERM|ENOENT)$/.test(code)) throw error;
  }
}
