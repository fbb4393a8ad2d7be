/** `init`: asks for what a first configuration needs, writes it with comments, and checks it with `doctor`. */
import { existsSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { dirname, isAbsolute, join, relative, resolve } from 'node:path';
import { createInterface, type Interface } from 'node:readline/promises';
import { fileURLToPath } from 'node:url';
import { Command } from 'commander';
import { FILE_NAMES } from '../config/layers.ts';
import { configSchema } from '../config/schema.ts';
import { configText, parseSecretPlace, type Choices } from '../config/template.ts';
import { ConfigError, StoppedError, errorCode } from '../kernel/errors.ts';
import { runDoctor } from './inspect.ts';
import { configFor } from './session.ts';
import { act, type Session, type Shell } from './shell.ts';

interface Options {
  readonly tenant?: string;
  readonly baseUrl?: string;
  readonly key?: string;
  readonly token?: string;
  readonly start?: string;
  readonly cron: string;
  readonly timeZone?: string;
  readonly dataDir?: string;
  readonly config?: string;
  readonly force?: boolean;
  readonly doctor: boolean;
}

interface Question {
  readonly option: keyof Options;
  readonly flag: string;
  readonly text: string;
  /** The answer that Enter gives. */
  readonly fallback: string | undefined;
  /** Why an answer is refused; undefined if it is accepted. */
  readonly wrong: (answer: string) => string | undefined;
}

const DEFAULTS = configSchema.parse({});

const QUESTIONS: readonly Question[] = [
  {
    option: 'tenant',
    flag: '--tenant',
    text: 'Tenant id, as in the URLs of the service',
    fallback: undefined,
    wrong: (id) => refusedBySchema({ tenants: [{ id, apiKey: { env: 'X' } }] }),
  },
  {
    option: 'baseUrl',
    flag: '--base-url',
    text: 'Address of the service',
    fallback: DEFAULTS.baseUrl,
    wrong: (baseUrl) => refusedBySchema({ baseUrl }),
  },
  {
    option: 'key',
    flag: '--key',
    text: 'Where to read the API key (env:NAME, file:PATH or command:COMMAND)',
    fallback: 'env:INSIGHTS_API_KEY',
    wrong: wrongPlace,
  },
  {
    option: 'start',
    flag: '--start',
    text: 'First day to load, such as 2026-01-01, or "all"',
    fallback: 'all',
    wrong: (start) => (start === 'all' ? undefined : refusedBySchema({ start })),
  },
  {
    option: 'dataDir',
    flag: '--data-dir',
    text: 'Folder for the lake',
    fallback: DEFAULTS.dataDir,
    wrong: (dataDir) => refusedBySchema({ dataDir }),
  },
  {
    option: 'timeZone',
    flag: '--time-zone',
    text: 'Time zone of the schedule (every night at 03:00)',
    fallback: DEFAULTS.schedule.timeZone,
    wrong: (timeZone) => refusedBySchema({ schedule: { timeZone } }),
  },
];

export function initCommand(shell: Shell): Command {
  return new Command('init')
    .option('--tenant <id>', 'tenant id, as in the URLs of the service')
    .option('--base-url <url>', 'address of the service')
    .option('--key <place>', 'where to read the API key: env:NAME, file:PATH or command:COMMAND')
    .option('--token <place>', 'where to read a bearer token, instead of --key')
    .option('--start <date>', 'first day to load, or "all"')
    .option('--cron <expression>', 'when `schedule` runs', DEFAULTS.schedule.cron)
    .option('--time-zone <zone>', 'time zone of --cron')
    .option('--force', 'replace an existing file')
    .option('--no-doctor', 'do not check the new configuration')
    .addHelpText(
      'after',
      `
On a terminal it asks for everything that the flags leave open. Otherwise it uses the defaults, and --tenant is required.

Examples:
  $ insights-etl init
  $ insights-etl init --tenant riviera-paris --key env:RIVIERA_KEY --time-zone Europe/Paris
  $ insights-etl init --tenant nordlys --key file:./secrets/nordlys.key --config nordlys.yaml`,
    )
    .action((_options: object, command: Command) =>
      // An existing file may be invalid, so neither file nor environment is read here.
      act(shell, command, { sources: { file: false, env: {} } }, (session) =>
        init(session, command.optsWithGlobals<Options>()),
      ),
    );
}

async function init(session: Session, options: Options): Promise<number> {
  const { io } = session;
  const path = resolve(io.cwd, options.config ?? FILE_NAMES[0]);
  if (options.force !== true) refuseOverwriting(path, io.cwd, options.config === undefined);
  const text = configText({
    ...choicesOf(await answersOf(session, options), options),
    schema: schemaPath(dirname(path)),
  });
  try {
    await writeFile(path, text, { mode: 0o600, ...(options.force === true ? {} : { flag: 'wx' }) });
  } catch (error) {
    throw new ConfigError(`The configuration file cannot be written (${errorCode(error) ?? 'error'}).`, {
      hint: 'Check that the folder exists and that you may write to it.',
      where: { file: path },
      cause: error,
    });
  }
  const config = configFor({ config: path }, { tenants: true }, io);
  const shown = relative(io.cwd, path);
  if (!session.json) session.print(`wrote ${shown}\n\n`);
  const code = options.doctor ? await runDoctor({ ...session, config }) : 0;
  const rest = shown === FILE_NAMES[0] ? '' : ` --config ${shown}`;
  if (!session.json)
    session.print(
      code === 0
        ? `\nNext: insights-etl plan${rest}, then insights-etl run${rest}\n`
        : `\nNext: correct ${shown} or the key, then run insights-etl doctor${rest}\n`,
    );
  return code;
}

function refuseOverwriting(path: string, cwd: string, isDefault: boolean): void {
  const candidates = isDefault ? FILE_NAMES.map((name) => join(cwd, name)) : [path];
  const existing = candidates.find((candidate) => existsSync(candidate));
  if (existing !== undefined)
    throw new ConfigError('A configuration file already exists.', {
      hint: 'Edit it, name another file with --config, or replace it with --force.',
      where: { file: existing },
    });
}

async function answersOf(session: Session, options: Options): Promise<ReadonlyMap<string, string>> {
  const { io, signal } = session;
  const answers = new Map<string, string>();
  const open: Question[] = [];
  for (const question of QUESTIONS) {
    const given = question.option === 'key' ? (options.token ?? options.key) : options[question.option];
    if (typeof given !== 'string') open.push(question);
    else {
      const wrong = question.wrong(given);
      if (wrong !== undefined)
        throw new ConfigError(`The value of ${question.flag} cannot be used.`, {
          hint: wrong,
          where: { flag: question.flag },
        });
      answers.set(question.option, given);
    }
  }
  if (io.stdin?.isTTY !== true || session.json) {
    for (const { option, flag, fallback } of open) {
      if (fallback === undefined)
        throw new ConfigError(`${flag} is missing.`, {
          hint: `Add ${flag}, or run \`insights-etl init\` on a terminal.`,
        });
      answers.set(option, fallback);
    }
    return answers;
  }
  const lines = createInterface({ input: io.stdin, output: io.stderr, terminal: true });
  lines.on('SIGINT', () => lines.close());
  try {
    for (const question of open)
      answers.set(question.option, await ask(lines, question, signal, (text) => void io.stderr.write(text)));
  } finally {
    lines.close();
  }
  return answers;
}

async function ask(
  lines: Interface,
  { text, fallback, wrong }: Question,
  signal: AbortSignal,
  say: (text: string) => void,
): Promise<string> {
  // When the input ends, `question` stays pending forever: abort it.
  const inputEnded = new AbortController();
  const onClose = (): void => inputEnded.abort();
  lines.once('close', onClose);
  try {
    for (;;) {
      const shown = `${text}${fallback === undefined ? '' : ` [${fallback}]`}: `;
      const typed = (await lines.question(shown, { signal: AbortSignal.any([signal, inputEnded.signal]) })).trim();
      const answer = typed === '' ? fallback : typed;
      const problem = answer === undefined ? 'An answer is required.' : wrong(answer);
      if (answer !== undefined && problem === undefined) return answer;
      say(`  ${problem}\n`);
    }
  } catch (error) {
    signal.throwIfAborted();
    if (inputEnded.signal.aborted)
      throw new StoppedError('Nothing was written.', { hint: 'Run the command again.', cause: error });
    throw error;
  } finally {
    lines.off('close', onClose);
  }
}

/** Relative where the package lies below the folder of the configuration, so that both can move together. */
function schemaPath(folder: string): string {
  const schema = fileURLToPath(new URL('../../schema/config.schema.json', import.meta.url));
  const path = relative(folder, schema);
  return path.startsWith('..') || isAbsolute(path) ? schema : `./${path.replaceAll('\\', '/')}`;
}

function choicesOf(answers: ReadonlyMap<string, string>, { token, cron }: Options): Omit<Choices, 'schema'> {
  const answerTo = (option: keyof Options): string => answers.get(option) ?? '';
  const start = answerTo('start');
  return {
    tenant: answerTo('tenant'),
    baseUrl: answerTo('baseUrl'),
    dataDir: answerTo('dataDir'),
    secret: { kind: token === undefined ? 'apiKey' : 'token', source: parseSecretPlace(answerTo('key')) ?? {} },
    start: start === 'all' ? undefined : start,
    schedule: { cron, timeZone: answerTo('timeZone') },
  };
}

/** Never quotes the answer: it may be the key itself. */
function wrongPlace(place: string): string | undefined {
  return parseSecretPlace(place) === undefined
    ? 'Give the place of the key: env:NAME, file:PATH or command:COMMAND. The key itself is never written to the file.'
    : undefined;
}

function refusedBySchema(values: object): string | undefined {
  const parsed = configSchema.safeParse(values);
  return parsed.success ? undefined : `Allowed: ${parsed.error.issues[0]?.message ?? 'another value'}.`;
}
