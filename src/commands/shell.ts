/**
 * What every command needs around its own work: configuration, log, stop signal, output, and error reports of three
 * lines. Commands return an exit code; nothing below this level prints or exits.
 */
import type { Command } from 'commander';
import { loadConfig, type Config, type ConfigSources } from '../config/config.ts';
import { nest, merge, type Tree } from '../config/layers.ts';
import { ConfigError, DiskError, EXIT, InsightsError, StoppedError, errorCode } from '../kernel/errors.ts';
import { json } from '../output/format.ts';
import { createLog } from '../output/log.ts';
import { createProgress, type ProgressView } from '../output/progress.ts';
import { colours, type Terminal } from '../output/terminal.ts';
import { visibleLines } from '../output/visible.ts';
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
}

interface GlobalOptions {
  readonly config?: string;
  readonly dataDir?: string;
  readonly json?: boolean;
  readonly verbose?: boolean;
  readonly quiet?: boolean;
}

export interface Needs {
  /** Configuration keys that the command's own flags set: key, value and the flag's name. */
  readonly flags?: readonly { readonly key: string; readonly value: unknown; readonly flag: string }[];
  /** The command contacts the source, so at least one tenant must be configured. */
  readonly tenants?: boolean;
  /** Replaces the configuration file and the environment, for commands that must ignore them. */
  readonly sources?: Pick<ConfigSources, 'file' | 'env'>;
}

/** Runs a command's body. Reports an error that it throws, and sets the exit code. */
export async function act(
  shell: Shell,
  command: Command,
  needs: Needs,
  body: (session: Session) => Promise<number>,
): Promise<void> {
  const { io } = shell;
  const options = command.optsWithGlobals<GlobalOptions>();
  const stop = new AbortController();
  const forget = io.onStop((name) => {
    if (stop.signal.aborted) io.exit(EXIT.forced);
    stop.abort(
      new StoppedError(`Stopped by ${name}.`, { hint: 'Run the command again: it continues from the landed pages.' }),
    );
  });
  try {
    const config = configFor(options, needs, io);
    const runtime = systemRuntime(createLog(io.stderr, options));
    const quiet = options.quiet === true;
    shell.exitCode = await body({
      config,
      runtime,
      signal: stop.signal,
      io,
      json: options.json === true,
      colour: colours(io.stdout, io.env),
      print: (text) => void io.stdout.write(text),
      progress: () => createProgress(io.stderr, runtime, { bars: options.verbose !== true, quiet }),
    });
  } catch (error) {
    shell.exitCode = reportError(io, error, options.json === true, options.verbose === true);
  } finally {
    forget();
  }
}

/** Loads the configuration from file, environment and flags. */
export function configFor(options: GlobalOptions, needs: Needs, io: Io): Config {
  const given = [...(needs.flags ?? [])];
  if (options.dataDir !== undefined) given.push({ key: 'dataDir', value: options.dataDir, flag: '--data-dir' });
  const set = given.filter(({ value }) => value !== undefined);
  const config = loadConfig({
    file: options.config,
    env: io.env,
    ...needs.sources,
    cwd: io.cwd,
    flags: {
      values: set.reduce<Tree>((tree, { key, value }) => merge(tree, nest(key.split('.'), value)), {}),
      names: Object.fromEntries(set.map(({ key, flag }) => [key, flag])),
    },
  });
  if (needs.tenants === true && config.tenants.length === 0)
    throw new ConfigError('No tenant is configured.', {
      hint: 'Set INSIGHTS_TENANT and INSIGHTS_API_KEY, or list `tenants` in insights.yaml. `insights-etl demo` needs none.',
      where: config.file === undefined ? { folder: io.cwd } : { file: config.file },
    });
  return config;
}

/** Reports an error on standard error in three lines (what, where, next) and returns its exit code. */
export function reportError(io: Io, error: unknown, asJson: boolean, verbose: boolean): number {
  const { failure, message, hint, where, exitCode } = asKnown(error);
  const places = Object.entries(where).map(([key, value]) => `${key} ${value}`);
  const lines = [`error: ${message}`];
  if (places.length > 0) lines.push(`where: ${places.join(', ')}`);
  if (hint !== undefined) lines.push(`next:  ${hint}`);
  // Only the frames: the message above them may quote the data that was being read.
  if (verbose && error instanceof Error)
    lines.push(...(error.stack ?? '').split('\n').filter((line) => /^ +at /.test(line)));
  io.stderr.write(`${visibleLines(lines.join('\n'))}\n`);
  if (asJson) io.stdout.write(`${json({ error: { failure, message, hint, where }, exitCode })}\n`);
  return exitCode;
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
