/** The command line as a whole: global options, the commands, how mistakes on it are told. */
import { readFileSync } from 'node:fs';
import { Command, CommanderError } from 'commander';
import { z } from 'zod';
import { ConfigError, EXIT } from '../kernel/errors.ts';
import { queryCommand } from './ask.ts';
import { backupCommand } from './backup.ts';
import { checkCommand } from './check.ts';
import { completionCommand } from './completion.ts';
import { demoCommand } from './demo.ts';
import { exportCommand } from './export.ts';
import { initCommand } from './init.ts';
import { quarantineCommand } from './quarantine.ts';
import { doctorCommand, repairCommand, statusCommand, verifyCommand } from './inspect.ts';
import { dictionaryCommand } from './dictionary.ts';
import { privacyCommand } from './privacy.ts';
import { propertiesCommand } from './properties.ts';
import { rebuildCommand } from './rebuild.ts';
import { backfillCommand, planCommand, runCommand } from './run.ts';
import { sandboxCommand } from './sandbox.ts';
import { scheduleCommand } from './schedule.ts';
import { sqlCommand } from './sql.ts';
import { tenantCommand } from './tenant.ts';
import { reportError, type Io, type Shell } from './shell.ts';

const EXIT_TEXT: ReadonlyMap<keyof typeof EXIT, string> = new Map([
  ['ok', 'done; every hour compared is verified, open or expired'],
  ['unexpected', 'a defect of the program'],
  ['config', 'a wrong key, flag or value; nothing was changed'],
  ['auth', 'the source refused the credential, its scope or the tenant'],
  ['source', 'the source did not answer usably'],
  ['partial', 'loaded, but some hours do not balance yet; of `check`: one of severity error found rows'],
  ['locked', 'another process writes to the data directory'],
  ['newerState', 'the data directory was written by a newer version'],
  ['massLoss', 'the source lost too many rows at once; they were kept'],
  ['damaged', 'files of the lake and the ledger disagree'],
  ['disk', 'the local disk refused: full, read-only, no permission'],
  ['stopped', 'stopped by a signal; the next run goes on from there'],
  ['forced', 'ended at once by a second signal; the next run goes on from what is landed'],
  ['budget', 'the calls or minutes of the run were used up, or quiet hours began; the next run goes on from there'],
]);

/** Exit codes as lines, for `--help`; `docs/operate.md` is checked against them. */
export function exitCodeLines(): string[] {
  return [...EXIT_TEXT].map(([name, text]) => `${String(EXIT[name]).padStart(2)}  ${text}`);
}

/** Runs one command line and returns its exit code. Never throws, never ends the process (but for a second signal). */
export async function main(argv: readonly string[], io: Io): Promise<number> {
  const shell: Shell = { io, exitCode: EXIT.ok };
  const program = createProgram(shell);
  try {
    await program.parseAsync([...argv], { from: 'user' });
    return shell.exitCode;
  } catch (error) {
    if (!(error instanceof CommanderError))
      return reportError(io, error, argv.includes('--json'), argv.includes('--verbose'));
    if (error.exitCode === 0) return EXIT.ok;
    if (error.code === 'commander.help') return EXIT.config;
    return reportError(io, usageError(error, argv, program), argv.includes('--json'), false);
  }
}

function createProgram(shell: Shell): Command {
  const { io } = shell;
  const program = new Command('insights-etl')
    .description(
      'Logs, Events and Metrics of a wallet platform as a Parquet lake in which every hour is proven complete',
    )
    .version(packageVersion(), '--version', 'print the version')
    .option('--config <file>', 'configuration file (default: insights.yaml, .yml or .json in this folder)')
    .option('--data-dir <folder>', 'folder of the lake and its state (default: ./data)')
    .option('--json', 'print one JSON value instead of text')
    .option('--verbose', 'log everything, as JSON lines on standard error')
    .option('--quiet', 'log errors only, show no progress')
    .addHelpText(
      'after',
      `
Examples:
  $ insights-etl demo                          see it all work, with no account
  $ insights-etl init                          a configuration file, after a few questions
  $ insights-etl doctor && insights-etl run    a first load of what is configured
  $ insights-etl query installs_per_day

Exit codes:
${exitCodeLines()
  .map((line) => `  ${line}`)
  .join('\n')}

Secrets come from the environment, a file or a command, never from flags: docs/config.md`,
    );
  const commands = [
    runCommand, backfillCommand, planCommand, verifyCommand, statusCommand, queryCommand, sqlCommand, exportCommand, checkCommand,
    propertiesCommand, privacyCommand, dictionaryCommand, scheduleCommand, doctorCommand, rebuildCommand, repairCommand, backupCommand, initCommand, demoCommand,
  ]; // prettier-ignore
  for (const create of commands) program.addCommand(create(shell));
  program.addCommand(sandboxCommand(shell));
  program.addCommand(completionCommand(shell));
  program.addCommand(tenantCommand(shell));
  program.addCommand(quarantineCommand(shell));
  for (const command of [program, ...program.commands, ...program.commands.flatMap((outer) => outer.commands)]) {
    command
      .exitOverride()
      .configureHelp({ showGlobalOptions: true })
      .configureOutput({
        writeOut: (text) => void io.stdout.write(text),
        // Mistakes are told by `usageError`, in the same three lines as every other error.
        writeErr: (text) => void (text.startsWith('error:') ? undefined : io.stderr.write(text)),
      });
  }
  return program;
}

/** Commander's complaint in our form: its text names the flag or the word, and often what was meant. */
function usageError(error: CommanderError, argv: readonly string[], program: Command): ConfigError {
  const [first = '', ...rest] = error.message.replace(/^error: /, '').split('\n');
  const meant = rest.join(' ').replaceAll(/[()]/g, '').trim();
  const known = program.commands.map((command) => command.name());
  const command = argv.find((word) => known.includes(word));
  const help = `\`insights-etl ${command === undefined ? '' : `${command} `}--help\` shows what is allowed.`;
  return new ConfigError(`${first.charAt(0).toUpperCase()}${first.slice(1)}.`.replace(/\.\.$/, '.'), {
    hint: meant === '' ? help : `${meant} ${help}`,
  });
}

function packageVersion(): string {
  const manifest = readFileSync(new URL('../../package.json', import.meta.url), 'utf8');
  return z.object({ version: z.string() }).parse(JSON.parse(manifest)).version;
}
