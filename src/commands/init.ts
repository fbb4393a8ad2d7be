/** `init`: asks for what a first configuration needs, writes it with comments, and tries it with `doctor`. */
import { existsSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join, relative, resolve } from 'node:path';
import { createInterface, type Interface } from 'node:readline/promises';
import { Command } from 'commander';
import { FILE_NAMES } from '../config/layers.ts';
import { configSchema } from '../config/schema.ts';
import { configText, parseSecretPlace, type Choices } from '../config/template.ts';
import { ConfigError, StoppedError } from '../kernel/errors.ts';
import { runDoctor } from './inspect.ts';
import { act, configFor, type Session, type Shell } from './shell.ts';

interface Options {
  readonly tenant?: string;
  readonly baseUrl?: string;
  readonly key?: string;
  readonly token?: string;
  readonly start?: string;
  readonly cron?: string;
  readonly timeZone?: string;
  readonly dataDir?: string;
  readonly config?: string;
  readonly force?: boolean;
  readonly doctor: boolean;
}

/** One thing to know: its flag, its question, what Enter means, and what is wrong with an answer. */
interface Question {
  readonly option: keyof Options;
  readonly flag: string;
  readonly text: string;
  readonly fallback: string | undefined;
  readonly wrong: (answer: string) => string | undefined;
}

const QUESTIONS: readonly Question[] = [
  {
    option: 'tenant',
    flag: '--tenant',
    text: 'Tenant, as it stands in the URLs of the service',
    fallback: undefined,
    wrong: (id) => refusedBySchema({ tenants: [{ id, apiKey: { env: 'X' } }] }),
  },
  {
    option: 'baseUrl',
    flag: '--base-url',
    text: 'Address of the service',
    fallback: 'https://app.neostore.cloud',
    wrong: (baseUrl) => refusedBySchema({ baseUrl }),
  },
  {
    option: 'key',
    flag: '--key',
    text: 'Where does the API key come from (env:NAME, file:PATH or command:COMMAND)?',
    fallback: 'env:INSIGHTS_API_KEY',
    wrong: wrongPlace,
  },
  {
    option: 'start',
    flag: '--start',
    text: 'First day wanted, such as 2026-01-01 (all: all that the service has)',
    fallback: 'all',
    wrong: (start) => (start === 'all' ? undefined : refusedBySchema({ start })),
  },
  {
    option: 'dataDir',
    flag: '--data-dir',
    text: 'Folder of the lake',
    fallback: './data',
    wrong: (dataDir) => refusedBySchema({ dataDir }),
  },
  {
    option: 'timeZone',
    flag: '--time-zone',
    text: 'Time zone of the schedule (03:00 every night)',
    fallback: 'UTC',
    wrong: (timeZone) => refusedBySchema({ schedule: { timeZone } }),
  },
];

export function initCommand(shell: Shell): Command {
  return new Command('init')
    .description('Write a commented configuration file after a few questions, or from flags, and try it')
    .option('--tenant <id>', 'the tenant, as in the URLs of the service')
    .option('--base-url <url>', 'address of the service')
    .option('--key <place>', 'where the API key comes from: env:NAME, file:PATH or command:COMMAND')
    .option('--token <place>', 'the same for a bearer token, instead of a key')
    .option('--start <date>', 'first day wanted; all = all that the service has')
    .option('--cron <expression>', 'when `schedule` runs', '0 3 * * *')
    .option('--time-zone <zone>', 'zone of that expression')
    .option('--force', 'replace a file that is there')
    .option('--no-doctor', 'do not try it')
    .addHelpText(
      'after',
      `
Asks for what no flag gives, on a terminal; elsewhere the defaults are taken, and --tenant is needed.

Examples:
  $ insights-etl init
  $ insights-etl init --tenant riviera-paris --key env:RIVIERA_KEY --time-zone Europe/Paris
  $ insights-etl init --tenant nordlys --key file:./secrets/nordlys.key --config nordlys.yaml`,
    )
    .action((_options: object, command: Command) =>
      // The file is not there yet, and one that is there may be wrong: neither it nor the environment is read.
      act(shell, command, { sources: { file: false, env: {} } }, (session) =>
        init(session, command.optsWithGlobals<Options>()),
      ),
    );
}

async function init(session: Session, options: Options): Promise<number> {
  const { io } = session;
  const path = resolve(io.cwd, options.config ?? FILE_NAMES[0]);
  if (options.force !== true) refuseOverwriting(path, io.cwd, options.config === undefined);
  const text = configText(choicesOf(await answersOf(session, options), options));
  try {
    await writeFile(path, text, { mode: 0o600, ...(options.force === true ? {} : { flag: 'wx' }) });
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : 'error';
    throw new ConfigError(`The configuration file cannot be written (${code}).`, {
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
        : `\nNext: correct ${shown} or the key, then insights-etl doctor${rest}\n`,
    );
  return code;
}

function refuseOverwriting(path: string, cwd: string, isDefault: boolean): void {
  const candidates = isDefault ? FILE_NAMES.map((name) => join(cwd, name)) : [path];
  const there = candidates.find((candidate) => existsSync(candidate));
  if (there !== undefined)
    throw new ConfigError('There is a configuration file already.', {
      hint: 'Change it by hand, name another one with --config, or replace it with --force.',
      where: { file: there },
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
          hint: `Give ${flag}, or run \`insights-etl init\` on a terminal.`,
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
  // A question is never answered once its input has ended.
  const left = new AbortController();
  const leave = (): void => left.abort();
  lines.once('close', leave);
  try {
    for (;;) {
      const asked = `${text}${fallback === undefined ? '' : ` [${fallback}]`}: `;
      const answer = (await lines.question(asked, { signal: AbortSignal.any([signal, left.signal]) })).trim();
      const meant = answer === '' ? fallback : answer;
      const fault = meant === undefined ? 'an answer is needed' : wrong(meant);
      if (meant !== undefined && fault === undefined) return meant;
      say(`  ${fault}\n`);
    }
  } catch (error) {
    signal.throwIfAborted();
    if (left.signal.aborted)
      throw new StoppedError('Nothing was written.', { hint: 'Run the command again.', cause: error });
    throw error;
  } finally {
    lines.off('close', leave);
  }
}

function choicesOf(answers: ReadonlyMap<string, string>, { token, cron = '0 3 * * *' }: Options): Choices {
  const of = (name: string): string => answers.get(name) ?? '';
  const start = of('start');
  return {
    tenant: of('tenant'),
    baseUrl: of('baseUrl'),
    dataDir: of('dataDir'),
    secret: { kind: token === undefined ? 'apiKey' : 'token', source: parseSecretPlace(of('key')) ?? {} },
    start: start === 'all' ? undefined : start,
    schedule: { cron, timeZone: of('timeZone') },
  };
}

/** Never quotes the answer: it may be the key itself. */
function wrongPlace(place: string): string | undefined {
  return parseSecretPlace(place) === undefined
    ? 'Say where the key comes from: env:NAME, file:PATH or command:COMMAND. The key itself never stands in the file.'
    : undefined;
}

function refusedBySchema(values: object): string | undefined {
  const parsed = configSchema.safeParse(values);
  return parsed.success ? undefined : `Allowed: ${parsed.error.issues[0]?.message ?? 'something else'}.`;
}
