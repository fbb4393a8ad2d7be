/** The whole command line: global options, commands, and how usage errors are reported. */
import { setImmediate } from 'node:timers/promises';
import { Command, CommanderError, Option } from 'commander';
import { didYouMean } from '../kernel/closest.ts';
import { ConfigError, EXIT } from '../kernel/errors.ts';
import { packageVersion } from '../kernel/version.ts';
import { isText, LOG_FORMATS, LOG_LEVELS, type Verbosity } from '../output/log-options.ts';
import { lostOutput } from './lost-output.ts';
import { COMMANDS } from './registry.ts';
import type { Io, Shell } from './shell.ts';

const EXIT_TEXT: ReadonlyMap<keyof typeof EXIT, string> = new Map([
  ['ok', 'success; every compared hour is verified or open, or an earlier run reported it as expired'],
  ['unexpected', 'a bug in the program'],
  ['config', 'an invalid key, flag or value; nothing was changed'],
  ['auth', 'the source refused the credential, its scope or the tenant'],
  ['source', 'the source gave no usable answer'],
  [
    'partial',
    'loaded, but some hours do not balance yet; for `check`: a check of severity error found rows; for `export`: text was cut at the limit of Excel',
  ],
  ['locked', 'another process is writing to the data directory'],
  ['newerState', 'the data directory was written by a newer version'],
  ['massLoss', 'the source lost too many rows at once; the lake kept them'],
  ['damaged', 'the files of the lake do not match the ledger'],
  ['disk', 'the local disk failed: full, read-only or no permission'],
  ['stopped', 'stopped by a signal; the next run continues from there'],
  ['forced', 'stopped at once by a second signal; the next run continues from the landed pages'],
  ['budget', 'the run used up its calls or minutes, or quiet hours began; the next run continues from there'],
  ['expired', 'the source deleted hours before they were proven: what the lake lacks of them is lost; reported once'],
  ['mirror', 'the mirror cannot be read or written; the lake is published, and the next run pushes what is missing'],
  ['mirrorTaken', 'the mirror belongs to another data directory; nothing was written there'],
  ['shards', 'a tenant is in a shard that is not its own, or there are shards of several numbers; nothing was changed'],
]);

/** Exit codes as lines, for `--help`. A test compares `docs/operate.md` with them. */
export function exitCodeLines(): string[] {
  return [...EXIT_TEXT].map(([name, text]) => `${String(EXIT[name]).padStart(2)}  ${text}`);
}

/** Runs one command line and returns its exit code. Never throws; only a second stop signal ends the process here. */
export async function main(argv: readonly string[], io: Io): Promise<number> {
  const shell: Shell = { io, exitCode: EXIT.ok };
  const program = await createProgram(shell, argv);
  try {
    await program.parseAsync([...argv], { from: 'user' });
    return await afterOutput(shell, program.opts<Verbosity>());
  } catch (error) {
    const options = { ...program.opts<Verbosity>(), ...logFormatIn(argv), json: argv.includes('--json') };
    if (!(error instanceof CommanderError)) return await report(io, error, options);
    if (error.exitCode === 0) return EXIT.ok;
    if (error.code === 'commander.help' && isText(io.stderr, options)) return EXIT.config;
    return await report(io, usageError(error, argv, program), options);
  }
}

/** Errors need the log, which nothing else here does. */
async function report(...args: Parameters<typeof import('./session.ts').reportError>): Promise<number> {
  return (await import('./session.ts')).reportError(...args);
}

/** A command that could not print its result has failed, even if its work is done. */
async function afterOutput({ io, exitCode }: Shell, options: Verbosity): Promise<number> {
  // A write that fails is reported on the next turn of the event loop.
  await setImmediate();
  const error = io.outputError?.();
  const lost = error && lostOutput(error);
  return lost && exitCode === EXIT.ok ? await report(io, lost, options) : exitCode;
}

/** The format for errors of the command line itself, which commander may not have parsed. */
function logFormatIn(argv: readonly string[]): Verbosity {
  const [, value] = /(?:^|\0)--log-format[\0=](json|text)(?:\0|$)/.exec(argv.join('\0')) ?? [];
  return value === 'json' || value === 'text' ? { logFormat: value } : {};
}

async function createProgram(shell: Shell, argv: readonly string[]): Promise<Command> {
  const { io } = shell;
  // Help that nobody asked for is no line of a log.
  const showsHelp = isText(io.stderr, logFormatIn(argv));
  const program = new Command('insights-etl')
    .description(
      'Copies the Logs, Events and Metrics of a wallet platform into a Parquet lake and proves every hour complete',
    )
    .version(packageVersion(), '--version', 'print the version')
    .option('--config <file>', 'configuration file (default: insights.yaml, .yml or .json in the current folder)')
    .option('--data-dir <folder>', 'folder for the lake and its state (default: ./data)')
    .option('--shard <i/n>', 'work on one of n shards of the tenants: 0/8 to 7/8 (default: all tenants; docs/scale.md)')
    .option('--json', 'print one JSON value instead of text')
    .option('--verbose', 'log everything')
    .option('--quiet', 'log errors only and show no progress')
    .addOption(
      new Option('--log-format <format>', 'log lines and errors (default: text on a terminal, json in a pipe)').choices(
        LOG_FORMATS,
      ),
    )
    .addOption(
      new Option('--log-level <level>', 'least level to log (default: warn on a terminal, info in a pipe)').choices(
        LOG_LEVELS,
      ),
    )
    .addHelpText(
      'after',
      `
Examples:
  $ insights-etl demo                          try everything without an account
  $ insights-etl init                          answer a few questions and get a configuration file
  $ insights-etl doctor && insights-etl run    check the setup, then load for the first time
  $ insights-etl query installs                run a report

Exit codes:
${exitCodeLines()
  .map((line) => `  ${line}`)
  .join('\n')}

Secrets come from the environment, a file or a command, never from flags; see docs/config.md.`,
    );
  // Every command whose name is on the command line; of the others `--help` needs only the description.
  const needsAll = argv.includes('completion');
  for (const { name, description, load } of COMMANDS) {
    const command = needsAll || argv.includes(name) ? await load(shell) : new Command(name);
    program.addCommand(command.description(description));
  }
  for (const command of [program, ...program.commands, ...program.commands.flatMap((outer) => outer.commands)]) {
    command
      .exitOverride()
      .configureHelp({ showGlobalOptions: true })
      .configureOutput({
        writeOut: (text) => void io.stdout.write(text),
        // `main` reports usage errors, in the same three lines as every other error.
        writeErr: (text) => void (text.startsWith('error:') || !showsHelp ? undefined : io.stderr.write(text)),
      });
  }
  return program;
}

/** Commander lists the values that a flag or an argument may have, but does not say which one was meant. */
function similarValue(message: string): string {
  const [, text = '', choices = ''] = /^(.*) Allowed choices are (.*)\.$/.exec(message) ?? [];
  const [, ofFlag, ofArgument = ''] =
    / argument '(.*)' is invalid\.$| value '(.*)' is invalid for argument /.exec(text) ?? [];
  return text === '' ? '' : didYouMean(ofFlag ?? ofArgument, choices.split(', ')).trim();
}

/** Commander reports a missing flag or argument before a misspelt one, which may be the reason. */
function similarFlag(argv: readonly string[], command: Command | undefined, program: Command): string {
  const [, second] = argv.slice(argv.indexOf(command?.name() ?? ''));
  const inner = command?.commands.find((candidate) => candidate.name() === second);
  const options = [program, ...(command ? [command] : []), ...(inner ? [inner] : [])].flatMap((each) => each.options);
  const known = [...options.map(({ long }) => long ?? ''), '--help'];
  const unknown = argv.filter((word) => word.startsWith('--')).map((word) => word.split('=')[0] ?? '');
  return (
    unknown
      .map((word) => (known.includes(word) ? '' : didYouMean(word, known)))
      .find((text) => text !== '')
      ?.trim() ?? ''
  );
}

/** Commander's error in our format. Its text names the flag or word, and on further lines often a suggestion. */
function usageError(error: CommanderError, argv: readonly string[], program: Command): ConfigError {
  if (error.code === 'commander.help')
    return new ConfigError('No command is given.', { hint: '`insights-etl --help` lists the commands.' });
  const [first = '', ...rest] = error.message.replace(/^error: /, '').split('\n');
  const named = argv
    .map((word) => program.commands.find((each) => each.name() === word))
    .find((found) => found !== undefined);
  const command = named?.name();
  const suggestion =
    rest.join(' ').replaceAll(/[()]/g, '').trim() || similarValue(first) || similarFlag(argv, named, program);
  const help = `\`insights-etl ${command === undefined ? '' : `${command} `}--help\` lists what is allowed.`;
  return new ConfigError(`${first.charAt(0).toUpperCase()}${first.slice(1)}.`.replace(/\.\.$/, '.'), {
    hint: suggestion === '' ? help : `${suggestion} ${help}`,
  });
}
