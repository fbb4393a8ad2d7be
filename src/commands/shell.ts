/**
 * What every command needs around its own work: configuration, log, a stop signal, output, and errors told in three
 * lines. Commands return an exit code; nothing below this level prints or exits.
 */
import type { Command } from 'commander';
import { loadConfig, type Config, type ConfigSources } from '../config/config.ts';
import { nest, merge, type Tree } from '../config/layers.ts';
import { ConfigError, DiskError, EXIT, InsightsError, StoppedError } from '../kernel/errors.ts';
import { json } from '../output/format.ts';
import { createLog } from '../output/log.ts';
import { createProgress, type ProgressView } from '../output/progress.ts';
import { colours, type Terminal } from '../output/terminal.ts';
import { visibleLines } from '../output/visible.ts';
import { systemRuntime, type Runtime } from '../kernel/runtime.ts';

/** The process as seen by the program: passed in, so that a test owns it. */
export interface Io {
  readonly stdout: Terminal;
  readonly stderr: Terminal;
  /** Left out where nobody can type or pipe. */
  readonly stdin?: (NodeJS.ReadableStream & { readonly isTTY?: boolean | undefined }) | undefined;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly cwd: string;
  /** Calls back on each SIGINT or SIGTERM until the returned function is called. */
  onStop(listener: (signal: string) => void): () => void;
  /** Ends the process at once: the second stop signal. */
  exit(code: number): void;
}

/** One invocation: its surroundings, and the exit code that the command that ran has given. */
export interface Shell {
  readonly io: Io;
  exitCode: number;
}

/** What a command's body works with. */
export interface Session {
  readonly config: Config;
  readonly runtime: Runtime;
  readonly signal: AbortSignal;
  readonly io: Io;
  /** `--json`: standard output holds one JSON value and nothing else. */
  readonly json: boolean;
  readonly quiet: boolean;
  /** Escape codes are welcome on standard output. */
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
  /** Values that the command's own flags set, by key of the configuration, with the flag's name. */
  readonly flags?: readonly { readonly key: string; readonly value: unknown; readonly flag: string }[];
  /** The command talks to the source: at least one tenant must be configured. */
  readonly tenants?: boolean;
  /** Instead of file and environment: the demo brings its own. */
  readonly sources?: Pick<ConfigSources, 'file' | 'env'>;
}

/** Runs a command's body and turns its outcome, result or error, into output and the exit code. */
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
      new StoppedError(`Stopped by ${name}.`, { hint: 'Run the command again: it goes on from what is landed.' }),
    );
  });
  try {
    const config = configFor(options, needs, io);
    const runtime = systemRuntime(createLog(io.stderr, options));
    shell.exitCode = await body({
      config,
      runtime,
      signal: stop.signal,
      io,
      json: options.json === true,
      quiet: options.quiet === true,
      colour: colours(io.stdout, io.env),
      print: (text) => void io.stdout.write(text),
      progress: () =>
        createProgress(io.stderr, runtime, { bars: options.verbose !== true, quiet: options.quiet === true }),
    });
  } catch (error) {
    shell.exitCode = reportError(io, error, options.json === true, options.verbose === true);
  } finally {
    forget();
  }
}

/** The configuration that options, environment and files make together. */
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
      hint: 'Set INSIGHTS_TENANT and INSIGHTS_API_KEY, or list `tenants` in insights.yaml; `npm start` shows it without any.',
      where: config.file === undefined ? { folder: io.cwd } : { file: config.file },
    });
  return config;
}

/** Tells an error on standard error in three lines (what, where, next) and returns its exit code. */
export function reportError(io: Io, error: unknown, asJson: boolean, verbose: boolean): number {
  const { failure, message, hint, where, exitCode } = asKnown(error);
  const places = Object.entries(where).map(([key, value]) => `${key} ${value}`);
  const lines = [`error: ${message}`];
  if (places.length > 0) lines.push(`where: ${places.join(', ')}`);
  if (hint !== undefined) lines.push(`next:  ${hint}`);
  // Frames alone: the text above them may quote what was being read.
  if (verbose && error instanceof Error)
    lines.push(...(error.stack ?? '').split('\n').filter((line) => /^ +at /.test(line)));
  io.stderr.write(`${visibleLines(lines.join('\n'))}\n`);
  if (asJson) io.stdout.write(`${json({ error: { failure, message, hint, where }, exitCode })}\n`);
  return exitCode;
}

/** Errors that nobody raised on purpose: the disk's by their code, all others by their class alone. */
function asKnown(error: unknown): InsightsError {
  if (error instanceof InsightsError) return error;
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  if (/^(ENOSPC|EDQUOT|EROFS|EACCES|EPERM|EIO|EMFILE)$/.test(code))
    return new DiskError(`The local disk refused (${code}).`, {
      hint: 'Check free space, owner and permissions of the data directory, then run again: nothing half-written is published.',
      where: error instanceof Error && 'path' in error ? { file: String(error.path) } : {},
    });
  return new InsightsError('unexpected', `Unexpected ${error instanceof Error ? error.name : typeof error}.`, {
    hint: 'This is a defect of insights-etl: run again with --verbose and report the frames.',
    cause: error,
  });
}
