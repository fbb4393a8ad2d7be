/**
 * What every command needs around its own work. Only types and what is small: `--help` loads this file, and the session with
 * configuration, log and output is loaded when a command acts.
 */
import type { Command } from 'commander';
import type { Config, ConfigSources } from '../config/config.ts';
import type { Runtime } from '../kernel/runtime.ts';
import type { Verbosity } from '../output/log-options.ts';
import type { ProgressView } from '../output/progress.ts';
import type { Style, Terminal } from '../output/terminal.ts';

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
  /** Of standard output. */
  readonly style: Style;
  print(text: string): void;
  /** A text of our own, whose commands then name the shard that this command works on. Not for rows. */
  withShard(text: string): string;
  progress(): ProgressView;
  /** From now on every line of the log has this id of a run, or none. */
  nameRun(run: string | undefined): void;
}

export interface Needs {
  /** Configuration keys that the command's own flags set: key, value and the flag's name. */
  readonly flags?: readonly { readonly key: string; readonly value: unknown; readonly flag: string }[];
  /** The command contacts the source, so at least one tenant must be configured. */
  readonly tenants?: boolean;
  /** It also has something to do in a shard without tenants, if a purge was cut off there. */
  readonly purges?: boolean;
  /** Replaces the configuration file and the environment, for commands that must ignore them. */
  readonly sources?: Pick<ConfigSources, 'file' | 'env'>;
  /** How the command logs unless a flag says otherwise. */
  readonly log?: Verbosity;
}

/** Runs a command's body in a session. Reports an error that it throws, and sets the exit code. */
export async function act(
  shell: Shell,
  command: Command,
  needs: Needs,
  body: (session: Session) => Promise<number>,
): Promise<void> {
  const { actInSession } = await import('./session.ts');
  await actInSession(shell, command, needs, body);
}
