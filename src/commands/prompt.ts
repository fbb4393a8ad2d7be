/**
 * The interactive prompt of `sql`: statements end with a semicolon, Tab completes, the arrow keys browse the history. Each
 * statement reopens the catalogue, so that it sees the newest snapshot and keeps no file of an old one open. Ctrl-C stops
 * a statement, Ctrl-D leaves.
 */
import { chmod, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface, type Interface } from 'node:readline/promises';
import { didYouMean } from '../kernel/closest.ts';
import { sqlName } from '../kernel/sql.ts';
import { InsightsError, StoppedError, errorCode } from '../kernel/errors.ts';
import { HISTORY_FILE } from '../model/data-dir.ts';
import { FORMATS, printRows, type Format } from '../output/rows.ts';
import { visible, visibleLines } from '../output/visible.ts';
import { printing } from './answer.ts';
import { warnOfFormerMarts } from './report-names.ts';
import type { Session } from './shell.ts';
import { cutStatements, isEmpty } from './statements.ts';

const HISTORY_LINES = 1000;
const READY = 'insights> ';
const MORE = '     ...> ';

const KEYWORDS =
  `select from where group by all order having limit distinct join left using on and or not null is in like
  between case when then else end as with union count sum avg min max asc desc describe show tables summarize interval
  date_trunc timestamp explain`.split(/\s+/);

const HELP = `A statement ends with a semicolon and may span several lines. The lake is read-only.
  .tables               list tables and views
  .schema [name]        list the columns of all, or of one
  .mode [format]        ${FORMATS.join(', ')} (also .format)
  .timer on|off         show the time that a statement takes
  .help  .quit          Ctrl-C stops a statement, Ctrl-D leaves
`;

const COMMANDS = ['.tables', '.schema', '.mode', '.format', '.timer', '.help', '.quit', '.exit'];

const ALL_COLUMNS = `select table_schema || '.' || table_name as name, column_name, data_type
  from information_schema.columns where table_catalog = current_database() order by all`;

interface Dialogue {
  readonly session: Session;
  readonly lines: Interface;
  format: Format;
  isTimed: boolean;
  /** The start of a statement whose semicolon has not been typed yet. */
  pending: string;
  /** Stops the running statement. */
  running: AbortController | undefined;
}

/** Runs until the input ends and returns the exit code. A failing statement is reported and does not end it. */
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
  const dialogue: Dialogue = { session, lines, format, isTimed: false, pending: '', running: undefined };
  lines.on('history', (entries: string[]) => (history = [...entries]));
  lines.on('SIGINT', () => interrupt(dialogue));
  // After the end of the input there may still be lines to read. Since Node 24 a prompt is an error then.
  let isOver = false;
  lines.once('close', () => (isOver = true));
  const leave = (): void => lines.close();
  signal.addEventListener('abort', leave, { once: true });
  io.stdout.write('The lake can be read here, not changed. .help lists the commands, .quit leaves.\n');
  lines.prompt();
  try {
    for await (const line of lines) {
      if (!(await handleLine(dialogue, line))) break;
      if (isOver) continue;
      lines.setPrompt(dialogue.pending === '' ? READY : MORE);
      lines.prompt();
    }
  } finally {
    signal.removeEventListener('abort', leave);
    lines.close();
    await saveHistory(historyFile, history);
  }
  signal.throwIfAborted();
  io.stdout.write('\n');
  return 0;
}

/** Handles one line; false ends the dialogue. */
async function handleLine(dialogue: Dialogue, line: string): Promise<boolean> {
  if (dialogue.pending === '' && line.startsWith('.')) return handleCommand(dialogue, line);
  const { statements, rest } = cutStatements(`${dialogue.pending}${line}\n`);
  dialogue.pending = isEmpty(rest) ? '' : rest;
  for (const statement of statements) await runOne(dialogue, statement);
  return true;
}

/** Handles a line that begins with a dot; false ends the dialogue. */
async function handleCommand(dialogue: Dialogue, line: string): Promise<boolean> {
  const { stdout } = dialogue.session.io;
  const [command = '', ...words] = line.trim().replace(/;$/, '').split(/\s+/);
  const [word = ''] = words;
  if (command === '.quit' || command === '.exit') return false;
  if (command === '.tables') await runOne(dialogue, 'show tables');
  else if (command === '.schema')
    await runOne(dialogue, word === '' ? ALL_COLUMNS : `describe ${word.split('.').map(sqlName).join('.')}`);
  else if (command === '.timer') {
    dialogue.isTimed = word === '' ? !dialogue.isTimed : word === 'on';
    stdout.write(`timer ${dialogue.isTimed ? 'on' : 'off'}\n`);
  } else if (command === '.mode' || command === '.format') {
    const format = FORMATS.find((known) => known === word);
    if (format !== undefined) dialogue.format = format;
    else if (word === '') stdout.write(`${dialogue.format}\n`);
    else
      stdout.write(
        `error: There is no format "${visible(word.slice(0, 40))}".\nnext:  ${didYouMean(word, FORMATS)}Formats: ${FORMATS.join(', ')}.\n`,
      );
  } else if (command === '.help') stdout.write(HELP);
  else
    stdout.write(
      `error: There is no command "${visible(command.slice(0, 40))}".\nnext:  ${didYouMean(command, COMMANDS)}.help lists the commands.\n`,
    );
  return true;
}

async function runOne(dialogue: Dialogue, statement: string): Promise<void> {
  const { config, io, signal } = dialogue.session;
  const running = new AbortController();
  dialogue.running = running;
  const started = dialogue.session.runtime.monotonic();
  try {
    await warnOfFormerMarts(dialogue.session, statement);
    const { openReader } = await import('../query/reader.ts');
    await using reader = await openReader(config.dataDir, config.engine, AbortSignal.any([signal, running.signal]));
    await printRows(await reader.query(statement), dialogue.format, printing(dialogue.session));
    if (dialogue.isTimed)
      io.stdout.write(`${((dialogue.session.runtime.monotonic() - started) / 1000).toFixed(3)} s\n`);
  } catch (error) {
    const known = error instanceof InsightsError ? error : undefined;
    const message = known?.message ?? `Unexpected ${error instanceof Error ? error.name : typeof error}.`;
    io.stdout.write(`error: ${visibleLines(message)}\n${known?.hint === undefined ? '' : `next:  ${known.hint}\n`}`);
  } finally {
    dialogue.running = undefined;
  }
}

/** Ctrl-C: stops the running statement, or discards the lines typed so far. */
function interrupt(dialogue: Dialogue): void {
  const { lines, running } = dialogue;
  if (running !== undefined) {
    running.abort(new StoppedError('Stopped.'));
    return;
  }
  dialogue.pending = '';
  lines.setPrompt(READY);
  // Ends and clears the current line.
  lines.write(null, { ctrl: true, name: 'e' });
  lines.write(null, { ctrl: true, name: 'u' });
  lines.prompt();
}

/** SQL keywords and the names of tables and columns. */
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

/** Newest first, as readline expects it. */
async function readHistory(path: string): Promise<string[]> {
  const text = await readFile(path, 'utf8').catch(() => '');
  return text.split('\n').filter((line) => line !== '').reverse(); // oxfmt-ignore
}

/** Readable by its owner only: statements may name people. A data directory without write permission gets no history. */
async function saveHistory(path: string, history: readonly string[]): Promise<void> {
  if (history.length === 0) return;
  try {
    await writeFile(path, `${[...history].reverse().join('\n')}\n`, { mode: 0o600 });
    await chmod(path, 0o600);
  } catch (error) {
    if (!/^(EACCES|EROFS|EPERM|ENOENT)$/.test(errorCode(error) ?? '')) throw error;
  }
}
