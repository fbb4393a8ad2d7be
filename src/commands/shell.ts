/**
 * What every command needs around its own work: configuration, log, stop signal, output, and error reports of three
 * lines. Commands return an exit code; nothing below this level prints or exits.
 */
import type { Command } from 'commander';
import { loadConfig, type Config, type ConfigSources } from '../config/config.ts';
import { nest, merge, type Tree } from '../config/layers.ts';
import { ConfigError, DiskError, EXIT, InsightsError, StoppedError, errorCode } from '../kernel/errors.ts';
import { json } from '../output/format.ts';
import { LiveLines } from '../output/live.ts';
import { createLog, levelOf, writeError, type Verbosity } from '../output/log.ts';
import { createProgress, type ProgressView } from '../output/progress.ts';
import { colours, type Terminal } from '../output/terminal.ts';
import { systemRuntime, type Runtime } from '../kernel/runtime.ts';

/** The process as the program sees it; passed in so that tests can replace it. */
export interface Io {
  readonly stdout: Terminal;
  readonly stderr: Terminal;
  /** Undefined where nobody can type or pipe. */
  readonly stdin?: (NodeJS.ReadableStream & { readonly isTTY?: boolean | undefined }) | undefined;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly cwd: string;
  /** Calls back on each SIGINT or SIGTERM until the returned function is called. */
  onStop(listener: (signal: string) => void): () => void;
  /** Ends the process at once: the second stop signal. */
  exit(code: number): void;
  /** Why standard output could not be written, once that has happened. What is written afterwards is lost. */
  readonly outputError?: () => Error | undefined;
}

/** One invocation: its streams and environment, and the exit code that its command sets. */
export interface Shell {
  readonly io: Io;
  exitCode: number;
}

/** What the body of a command works with. */
export interface Session {
  readonly config: Config;
  readonly runtime: Runtime;
  readonly signal: AbortSignal;
  readonly io: Io;
  /** `--json`: standard output gets one JSON value and nothing else. */
  readonly json: boolean;
  /** Standard output may contain colour codes. */
  readonly colour: boolean;
  print(text: string): void;
  progress(): ProgressView;
  /** From now on every line of the log has this id of a run, or none. */
  nameRun(run: string | undefined): void;
}

interface GlobalOptions extends Verbosity {
  readonly config?: string;
  readonly dataDir?: string;
  readonly json?: boolean;
}

/** Ends a command whose output nobody reads any more, as after `| head`. That is not a failure. */
export class ReaderLeft extends Error {}

export interface Needs {
  /** Configuration keys that the command's own flags set: key, value and the flag's name. */
  readonly flags?: readonly { readonly key: string; readonly value: unknown; readonly flag: string }[];
  /** The command contacts the source, so at least one tenant must be configured. */
  readonly tenants?: boolean;
  /** Replaces the configuration file and the environment, for commands that must ignore them. */
  readonly sources?: Pick<ConfigSources, 'file' | 'env'>;
  /** How the command logs unless a flag says otherwise. */
  readonly log?: Verbosity;
}

/** Runs a command's body. Reports an error that it throws, and sets the exit code. */
export async function act(
  shell: Shell,
  command: Command,
  needs: Needs,
  body: (session: Session) => Promise<number>,
): Promise<void> {
  const { io } = shell;
  const options: GlobalOptions = { ...needs.log, ...command.optsWithGlobals<GlobalOptions>() };
  const screen = new LiveLines(io.stderr);
  let context: object = {};
  const stop = new AbortController();
  const forget = io.onStop((name) => {
    if (stop.signal.aborted) {
      screen.stop();
      io.exit(EXIT.forced);
    }
    stop.abort(
      new StoppedError(`Stopped by ${name}.`, { hint: 'Run the command again: it continues from the landed pages.' }),
    );
  });
  try {
    const config = configFor(options, needs, io);
    const runtime = systemRuntime(createLog(screen, options, () => context));
    // Debug lines would leave no time to read the bars.
    const view = { bars: levelOf(screen, options) !== 'debug', quiet: options.quiet === true };
    shell.exitCode = await body({
      config,
      runtime,
      signal: stop.signal,
      io,
      json: options.json === true,
      colour: colours(io.stdout, io.env),
      print: (text) => void io.stdout.write(text),
      progress: () => createProgress(screen, runtime, view),
      nameRun: (run) => (context = run === undefined ? {} : { run }),
    });
  } catch (error) {
    screen.stop();
    shell.exitCode = error instanceof ReaderLeft ? EXIT.ok : reportError(io, error, options, context);
  } finally {
    screen.stop();
    forget();
  }
}

/** Where the configuration comes from: file, environment and flags. */
export function sourcesFor(options: GlobalOptions, needs: Needs, io: Pick<Io, 'env' | 'cwd'>): ConfigSources {
  const given = [...(needs.flags ?? [])];
  if (options.dataDir !== undefined) given.push({ key: 'dataDir', value: options.dataDir, flag: '--data-dir' });
  const set = given.filter(({ value }) => value !== undefined);
  return {
    file: options.config,
    env: io.env,
    ...needs.sources,
    cwd: io.cwd,
    flags: {
      values: set.reduce<Tree>((tree, { key, value }) => merge(tree, nest(key.split('.'), value)), {}),
      names: Object.fromEntries(set.map(({ key, flag }) => [key, flag])),
    },
  };
}

/** Loads the configuration from file, environment and flags. */
export function configFor(options: GlobalOptions, needs: Needs, io: Io): Config {
  const config = loadConfig(sourcesFor(options, needs, io));
  if (needs.tenants === true && config.tenants.length === 0)
    throw new ConfigError('No tenant is configured.', {
      hint: 'Set INSIGHTS_TENANT and INSIGHTS_API_KEY, or list `tenants` in insights.yaml. `insights-etl demo` needs none.',
      where: config.file === undefined ? { folder: io.cwd } : { file: config.file },
    });
  return config;
}

/** Reports an error on standard error (`writeError`) and returns its exit code. */
export function reportError(
  io: Pick<Io, 'stdout' | 'stderr'>,
  error: unknown,
  options: Verbosity & { readonly json?: boolean | undefined },
  context: object = {},
): number {
  const known = asKnown(error);
  writeError(io.stderr, options, known, context);
  const { failure, message, hint, where, exitCode } = known;
  if (options.json === true) io.stdout.write(`${json({ error: { failure, message, hint, where }, exitCode })}\n`);
  return exitCode;
}

/** The error for output that was lost; undefined if its reader just left. */
export function lostOutput(error: Error): InsightsError | undefined {
  const code = errorCode(error) ?? 'error';
  if (code === 'EPIPE') return undefined;
  return new DiskError(`Standard output could not be written (${code}).`, {
    hint: 'The command itself was not disturbed: only its output is lost. Free some space where the output goes, then run it again.',
    cause: error,
  });
}

/** Wraps an error that was not raised on purpose: one of the disk with its code, any other with only its class. */
function asKnown(error: unknown): InsightsError {
  if (error instanceof InsightsError) return error;
  const code = errorCode(error) ?? '';
  if (/^(ENOSPC|EDQUOT|EROFS|EACCES|EPERM|EIO|EMFILE)$/.test(code))
    return new DiskError(`The local disk failed (${code}).`, {
      hint: 'Check free space, owner and permissions of the data directory, then run again. Nothing half-written was published.',
      where: error instanceof Error && 'path' in error ? { file: String(error.path) } : {},
    });
  return new InsightsError('unexpected', `Unexpected ${error instanceof Error ? error.name : typeof error}.`, {
    hint: 'This is a bug in insights-etl: run again with --verbose and report the stack frames.',
    cause: error,
  });
}
